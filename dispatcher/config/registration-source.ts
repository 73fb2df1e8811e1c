/** Places beside the folder in which registrations are kept, and which of several files of one name is in force. */

import type { Problem } from '../model/problem.ts';
import type { Double, SourceState, TenantEntry } from '../model/registration.ts';
import { NAME } from './schema.ts';
import type { TenantLookup } from './tenants.ts';

export interface KeptFile {
  /** As problems name it: `git:tenants/registrations/acme.yaml`. Never a path of this machine. */
  readonly file: string;
  /** Its name within its folder: `acme.yaml`. */
  readonly entry: string;
  /** Another version has another one. */
  readonly version: string;
  /** Whose registrations may be here. Undefined: of all tenants. */
  readonly tenants: readonly string[] | undefined;
  /** The platform's own may be here, too. */
  readonly trusted: boolean;
}

export interface RegistrationSource {
  readonly name: string;
  /** Of a git repository. */
  readonly state: SourceState | undefined;
  /** False: it was never read as a whole yet, and which registrations it has is not known. */
  readonly isKnown: boolean;
  /** Replaced as a whole. */
  readonly files: readonly KeptFile[];
  /** Rejects with FileRefused. */
  read(file: string): Promise<string>;
}

/** Under which its state has versions, as its files have under their names. */
export function stateOf({ name }: Pick<RegistrationSource, 'name'>): string {
  return `source:${name}`;
}

export interface NamedFile {
  readonly name: string;
  readonly file: string;
}

/** One with the name of a file that comes first. */
export interface LaterFile extends NamedFile {
  readonly first: string;
}

export interface Gathered {
  /** In the order of their sources. */
  readonly files: readonly (NamedFile | LaterFile)[];
  /** Of files that cannot be registrations where they are: they count for nothing. */
  readonly strays: readonly Problem[];
  /** By file. */
  readonly sourceOf: ReadonlyMap<string, RegistrationSource>;
}

/** Of files that do not count, by source: whoever may write into one must not fill lists with them. */
const MAX_STRAYS = 20;

/**
 * The folder comes first, then the sources in their order. The first file of a name is the registration, whether or not it can
 * be read, unless it is one of several that does not hold the name; whose it is follows from its name alone, so that it stays
 * with its tenant wherever it is kept.
 */
export function gather(
  folder: readonly NamedFile[],
  sources: readonly RegistrationSource[],
  tenants: TenantLookup | undefined,
): Gathered {
  const inForce = new Map(folder.map((one) => [one.name, one.file]));
  const files: (NamedFile | LaterFile)[] = [...folder];
  const sourceOf = new Map<string, RegistrationSource>();
  const strays: Problem[] = [];
  for (const source of sources) {
    const found: Problem[] = [];
    for (const one of source.files) {
      const stray = strayOf(one, tenants);
      if (stray === 'ignored') continue;
      if (stray !== undefined) {
        found.push(stray);
        continue;
      }
      const name = one.entry.slice(0, -'.yaml'.length);
      const first = inForce.get(name);
      if (first === undefined) inForce.set(name, one.file);
      files.push({ name, file: one.file, ...(first === undefined ? {} : { first }) });
      sourceOf.set(one.file, source);
    }
    strays.push(...found.slice(0, MAX_STRAYS));
    const more = found.length - MAX_STRAYS;
    if (more > 0)
      strays.push(whole(source.name, `there are ${more} more files that do not count`, 'Correct the others first.'));
  }
  return { files, strays, sourceOf };
}

/** `first`: the file that is in force, which may hold several registrations. */
export function doubleOf({ name, file }: NamedFile, first: string, holdsSeveral: boolean): Double {
  const has = holdsSeveral ? 'a registration of the same name' : 'the same name';
  const cure = 'Remove one of the two; or give one of them another name.';
  return { name, problem: whole(file, `it is not in force: ${first} has ${has} and comes first`, cure) };
}

/** Registrations of its owner extend it; it is none. */
export function isBase(entry: string): boolean {
  return entry.endsWith(BASE) && NAME.test(entry.slice(0, -BASE.length));
}

/** Such as `acme.yml` and `acme.YAML`: its writer means a registration. */
export function isMisnamed(entry: string): boolean {
  return /\.ya?ml$/i.test(entry) && !entry.endsWith('.yaml');
}

const BASE = '.base.yaml';

function strayOf(one: KeptFile, tenants: TenantLookup | undefined): Problem | 'ignored' | undefined {
  const { entry, file } = one;
  if (entry.startsWith('.') || entry.endsWith('.example.yaml')) return 'ignored';
  if (isBase(entry)) return 'ignored';
  if (isMisnamed(entry)) return whole(file, 'registrations end in .yaml', 'Rename it, or move it elsewhere.');
  if (!entry.endsWith('.yaml')) return 'ignored';
  const name = entry.slice(0, -'.yaml'.length);
  if (!NAME.test(name)) {
    const cure = 'Rename it to 1 to 32 lower-case letters, digits and inner hyphens, and `.yaml`.';
    return whole(file, 'the file name is not a valid registration name', cure);
  }
  const owners = tenants?.(name);
  // What is assigned to nobody, or to two, is said where the file is read.
  const [owner] = owners ?? [PLATFORM];
  if (owner === undefined || mayHold(one, owner)) return undefined;
  const whose = owner.grant === undefined ? 'of the platform itself' : `of tenant \`${owner.name}\``;
  const cure =
    owner.grant === undefined
      ? 'Move it; or, for the platform, write `trusted: true` at this folder in `sources` of dispatcher.yaml.'
      : 'Rename it to a name of its tenant; or, for the platform, correct `folders` in `sources` of dispatcher.yaml.';
  return whole(file, `it has the name of a registration ${whose}, which may not be in this folder`, cure);
}

const PLATFORM: Pick<TenantEntry, 'grant' | 'name'> = { name: '', grant: undefined };

function mayHold({ tenants, trusted }: KeptFile, owner: Pick<TenantEntry, 'grant' | 'name'>): boolean {
  if (owner.grant === undefined) return trusted;
  return tenants === undefined || tenants.includes(owner.name);
}

function whole(file: string, message: string, cure: string): Problem {
  return { file, line: 0, column: 0, path: '', message, cure };
}
