/** Resolves all references in a file, and collects the findings. */
import { formatPath, type Path } from '../model/problem.ts';
import { Secret } from '../model/registration.ts';
import type { Reach, Resolution } from './reach.ts';
import { type References, sealedIn } from './reference.ts';
import { valueAt } from './salvage.ts';
import { fieldOf } from './sealing.ts';
import { type SecretReference, secretIn } from './secret-references.ts';

/** The limits for one file. */
export interface FileBounds {
  readonly bytes: number;
  /** Including aliases: a few lines can expand to very many. */
  readonly values: number;
  /** Distinct ones; each may be a file to read. */
  readonly references: number;
}

export interface ReferenceFinding {
  readonly path: Path;
  /**
   * `absent`: valid, but missing. `exposed`: present, but other users can read it. `stale`: present, and could not be read
   * again. `unread`: in a store that this command does not ask.
   */
  readonly kind: 'absent' | 'wrong' | 'exposed' | 'stale' | 'unread';
  readonly message: string;
  readonly cure: string;
  readonly asNote?: { readonly message: string; readonly cure: string };
}

export interface ResolvedReferences {
  readonly value: unknown;
  /** By formatted path: whether the reference there has a value. */
  readonly references: ReadonlyMap<string, boolean>;
  /** The values, which must never be displayed. */
  readonly revealed: readonly string[];
  readonly findings: readonly ReferenceFinding[];
  /** That it refers to and may read, whether or not they could be read; and what stands for secrets in stores. */
  readonly files?: readonly string[];
}

/** Placeholder for a reference without a value: `validate` runs on machines that do not have the secrets. */
const UNRESOLVED = 'unresolved-reference';
const DEEPEST = 32;

/** Stands for a secret that is elsewhere. */
export function unresolvedSecret(): Secret {
  return new Secret(UNRESOLVED);
}

/**
 * Whether the value holds a placeholder. Undefined, as options are that could not be parsed without the secret, counts
 * as one.
 */
export function isUnresolved(value: unknown): boolean {
  return value === undefined || holdsPlaceholder(value);
}

function holdsPlaceholder(value: unknown): boolean {
  if (value instanceof Secret) return value.reveal() === UNRESOLVED;
  if (typeof value !== 'object' || value === null) return value === UNRESOLVED;
  return Object.values(value).some(holdsPlaceholder);
}

/** Anything shorter is too common to be redacted from messages. */
const MIN_REVEALED_LENGTH = 4;
const NO_REFERENCE: Resolution = { outcome: 'none' };

export async function resolveReferences(
  root: unknown,
  reach: Reach,
  sources: References,
  bounds: FileBounds,
): Promise<ResolvedReferences> {
  const wanted = new Set<string>();
  const asWritten = walk(root, bounds.values, (text) => {
    wanted.add(text);
    return NO_REFERENCE;
  });
  if (wanted.size === 0) return asWritten;
  const known = new Map<string, Resolution>();
  const secrets = new Map<string, SecretReference>();
  for (const text of wanted) {
    if (known.size + secrets.size >= bounds.references) break;
    const secret = secretIn(text);
    if (secret !== undefined) secrets.set(text, secret);
    if (secret !== undefined || sealedIn(text) !== undefined) continue;
    const resolution = await sources.resolve(text, reach);
    if (resolution.outcome !== 'none') known.set(text, resolution);
    else wanted.delete(text);
  }
  const beyond = tooMany(bounds.references);
  const opened = new Map<string, Resolution>();
  const files = [...known.keys()].flatMap((text) => sources.fileOf(text, reach) ?? []);
  const resolveAt = (text: string, path: Path): Resolution => {
    const sealed = sealedIn(text);
    if (sealed === undefined) return known.get(text) ?? (wanted.has(text) ? beyond : NO_REFERENCE);
    // What aliases repeat is opened once for each field, and no more often than other references are looked up.
    const key = JSON.stringify([text, ...fieldOf(path)]);
    let resolution = opened.get(key);
    if (resolution === undefined) {
      resolution = known.size + opened.size < bounds.references ? openSealed(sealed, path, reach) : beyond;
      opened.set(key, resolution);
    }
    return resolution;
  };
  if (secrets.size > 0) {
    // What opens a store is in the same file, and may be a reference itself.
    const { value } = walk(root, bounds.values, (text, path) => (secrets.has(text) ? beyond : resolveAt(text, path)));
    const backends = valueAt(value, ['backends']);
    const found = await Promise.all(
      [...secrets].map(async ([text, secret]) => {
        const context = { reach, backends, isPlaceholder: holdsPlaceholder };
        return { text, ...(await sources.secret(secret, context)) };
      }),
    );
    for (const { text, resolution, path } of found) {
      known.set(text, resolution);
      if (path !== undefined) files.push(path);
    }
  }
  return { ...walk(root, bounds.values, resolveAt), files };
}

function openSealed(sealed: string, path: Path, reach: Reach): Resolution {
  if (reach.sealed !== undefined) return reach.sealed.open(sealed, path);
  return {
    outcome: 'wrong',
    message: 'a value is sealed for a registration, and this file is not one',
    cure: 'Write ${env:NAME} or ${file:PATH}.',
  };
}

/** `resolve` gets the texts that may be references. */
function walk(
  root: unknown,
  mostValues: number,
  resolve: (text: string, path: Path) => Resolution,
): ResolvedReferences {
  const references = new Map<string, boolean>();
  const revealed = new Set<string>();
  const findings: ReferenceFinding[] = [];
  /** Of the value that is being looked at. */
  const path: (string | number)[] = [];
  let values = 0;

  function find(kind: ReferenceFinding['kind'], told: Omit<ReferenceFinding, 'kind' | 'path'>): void {
    findings.push({ path: [...path], kind, ...told });
  }

  function walkText(text: string): string {
    const resolution = text.includes('${') ? resolve(text, path) : NO_REFERENCE;
    if (resolution.outcome === 'none') return text;
    references.set(formatPath(path), resolution.outcome === 'value');
    if (resolution.outcome !== 'value') {
      const { outcome, ...told } = resolution;
      find(outcome, told);
      return UNRESOLVED;
    }
    if (resolution.value.length >= MIN_REVEALED_LENGTH) revealed.add(resolution.value);
    if (resolution.exposed !== undefined) {
      find('exposed', exposure(resolution.exposed));
    }
    if (resolution.stale !== undefined) find('stale', resolution.stale);
    return resolution.value;
  }

  function walkAt(step: string | number, value: unknown): unknown {
    path.push(step);
    const walked = walkValue(value);
    path.pop();
    return walked;
  }

  function walkValue(value: unknown): unknown {
    values += 1;
    if (values === mostValues + 1) {
      const message = `the file has more than ${mostValues} values, its aliases followed`;
      find('wrong', { message, cure: 'Write out what is needed, without aliases.' });
    }
    if (values > mostValues) return undefined;
    if (typeof value === 'string') return walkText(value);
    if (typeof value !== 'object' || value === null) return value;
    if (path.length >= DEEPEST) {
      find('wrong', { message: 'it is nested too deeply', cure: 'Flatten it.' });
      return undefined;
    }
    if (Array.isArray(value)) return value.map((item, index) => walkAt(index, item));
    return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, walkAt(key, item)]));
  }

  const value = walkValue(root);
  return { value, references, revealed: [...revealed], findings };
}

function tooMany(most: number): Resolution {
  return {
    outcome: 'wrong',
    message: `the file has more than ${most} different references`,
    cure: 'Name only what it needs.',
  };
}

function exposure({ file, to }: { readonly file: string; readonly to: 'everybody' | 'group' }): {
  readonly message: string;
  readonly cure: string;
} {
  const readers = to === 'everybody' ? 'every user of this machine' : "every member of the file's group";
  return {
    message: `${readers} may read or change the secret file ${file}`,
    cure: `Run \`chmod 600 ${file}\` (in Kubernetes: \`defaultMode: 0400\` at the volume).`,
  };
}
