/** Files of the folder of registrations as they are read: one may hold several registrations, or what others extend. */
import { cureOf, missingBase } from '../admission/grants.ts';
import { matchesAny } from '../labels/glob.ts';
import { nearest } from '../labels/nearest.ts';
import type { Problem } from '../model/problem.ts';
import type { TenantEntry } from '../model/registration.ts';
import type { Platform } from './dispatcher.ts';
import { knownYaml, readYaml, type YamlFile } from './document.ts';
import { errorCode, type Files, fileProblem } from './files.ts';
import type { KnownValues } from './kept-values.ts';
import { type Base, type Bases, SEVERAL } from './layers.ts';
import type { FileBounds } from './references.ts';
import type { RegistrationSource } from './registration-source.ts';
import { isRecord } from './salvage.ts';
import { NAME } from './schema.ts';
import type { TenantLookup } from './tenants.ts';

/** In one file. */
export const MAX_TOGETHER = 100;

export interface RegistrationFilesOptions {
  readonly folder: string;
  readonly files: Pick<Files, 'read'>;
  readonly bounds: FileBounds;
  readonly platform: Platform;
  readonly tenants: TenantLookup | undefined;
  readonly known: KnownValues | undefined;
  /** By file: of those that are not in the folder. */
  readonly sourceOf: ReadonlyMap<string, Pick<RegistrationSource, 'read'>>;
}

/** A file that holds several registrations. */
export interface Several {
  readonly names: readonly { readonly name: string; readonly line: number; readonly column: number }[];
  /** Keys that cannot be names, and those beyond the limit. */
  readonly wrong: readonly { readonly key: string; readonly problem: Problem }[];
  /** Of the file: each of its registrations has them. */
  readonly problems: readonly Problem[];
  /** It is not YAML: what is in it is a guess. */
  readonly isBroken?: true;
}

/** What a file of the folder holds: one registration, or several. */
export interface FileContents {
  readonly several?: Several;
  /** It is there and cannot be read: it may hold several. */
  readonly isUnread?: true;
}

export type FileText =
  | { readonly text: string; readonly failed?: undefined }
  | { readonly failed: { readonly message: string; readonly cure: string }; readonly isAbsent: boolean };

type Source = Pick<RegistrationSource, 'read'> | undefined;

/** For one reading of the whole configuration. */
export class RegistrationFiles {
  readonly #options: RegistrationFilesOptions;
  /** By path: of those that more than one registration needs. */
  readonly #shared = new Map<string, Promise<YamlFile | FileText>>();
  readonly #bases = new Map<string, Promise<Base | undefined>>();

  constructor(options: RegistrationFilesOptions) {
    this.#options = options;
  }

  /** A tenant's link could point to a file of the platform, whose contents would then show in the problems. */
  async text(
    path: string,
    owners: readonly TenantEntry[],
    source = this.#options.sourceOf.get(path),
  ): Promise<FileText> {
    const { bounds, files, folder, tenants } = this.#options;
    const ours = tenants === undefined || (owners.length > 0 && owners.every(({ grant }) => grant === undefined));
    const within = ours ? undefined : { around: folder, name: '' };
    try {
      if (source !== undefined) return { text: await source.read(path) };
      return { text: (await files.read(path, { mostBytes: bounds.bytes, within })).text };
    } catch (error) {
      const { message, cure } = fileProblem(error);
      return { failed: { message, cure }, isAbsent: errorCode(error) === 'ENOENT' };
    }
  }

  yaml(path: string, text: string): YamlFile {
    const { bounds, known } = this.#options;
    const before = known?.find(text);
    return before === undefined
      ? readYaml(path, text, bounds.bytes)
      : knownYaml(path, text, bounds.bytes, before.value);
  }

  /** Of a file that holds several registrations: read once for all of them. */
  whole(path: string, owners: readonly TenantEntry[]): Promise<YamlFile | FileText> {
    let found = this.#shared.get(path);
    if (found === undefined) {
      found = this.text(path, owners).then((read) => (read.failed === undefined ? this.#keep(path, read.text) : read));
      this.#shared.set(path, found);
    }
    return found;
  }

  #keep(path: string, text: string): YamlFile {
    const yaml = this.yaml(path, text);
    if (yaml.problems.length === 0) this.#options.known?.keep(text, yaml.value);
    return yaml;
  }

  /** Undefined: the text is that of one registration. */
  several(path: string, text: string): Several | undefined {
    if (!text.includes(SEVERAL)) return undefined;
    const yaml = this.#keep(path, text);
    this.#shared.set(path, Promise.resolve(yaml));
    const { value } = yaml;
    if (yaml.problems.length > 0) {
      const names = namesAround(text);
      if (!/^["']?registrations["']?[ \t]*:/m.test(text)) return undefined;
      return { names, wrong: [], problems: yaml.problems, isBroken: true };
    }
    if (!isRecord(value) || !Object.hasOwn(value, SEVERAL)) return undefined;
    const tell = (key: string | undefined, message: string, cure: string): Problem => {
      const place = key === undefined ? yaml.placeOf([SEVERAL]) : yaml.placeOfKey([SEVERAL], key);
      const path = key === undefined ? SEVERAL : `${SEVERAL}.${key.slice(0, 64)}`;
      return { file: yaml.file, line: place.line, column: place.column, path, message, cure };
    };
    const held = value[SEVERAL];
    if (!isRecord(held) || Object.keys(held).length === 0) {
      const cure = `Write each below its name: \`${SEVERAL}: { NAME: … }\`.`;
      return {
        names: [],
        wrong: [],
        problems: [tell(undefined, 'it must be a mapping of names to registrations', cure)],
      };
    }
    const others = Object.keys(value).filter((key) => key !== SEVERAL);
    const problems = others.slice(0, 10).map((key): Problem => {
      const { line, column } = yaml.placeOfKey([], key);
      const message = `\`${key.slice(0, 64)}\` stands beside \`${SEVERAL}\`, and belongs to none of them`;
      const cure = 'Move it into each of them, or into a base that they extend.';
      return { file: yaml.file, line, column, path: key.slice(0, 64), message, cure };
    });
    const keys = Object.keys(held);
    const named = keys.filter((key) => NAME.test(key));
    const wrong = keys
      .filter((key) => !NAME.test(key))
      .map((key) => ({
        key,
        problem: tell(key, 'it is not a valid name', 'Use 1 to 32 lower-case letters, digits and inner hyphens.'),
      }));
    const beyond = named.slice(MAX_TOGETHER).map((key) => ({
      key,
      problem: tell(key, `the file has more than ${MAX_TOGETHER} registrations`, 'Move some to another file.'),
    }));
    const names = named.slice(0, MAX_TOGETHER).map((name) => ({ name, ...yaml.placeOfKey([SEVERAL], name) }));
    return { names, wrong: [...wrong, ...beyond].slice(0, MAX_TOGETHER), problems };
  }

  /** What keeps a text from saying what is in it. */
  broken(path: string, text: string): readonly Problem[] {
    const { problems, value } = this.yaml(path, text);
    if (problems.length > 0 || isRecord(value)) return problems;
    const message = 'the file must be a mapping of keys to values';
    return [{ file: path, line: 0, column: 0, path: '', message, cure: 'Put back what it held, or remove it.' }];
  }

  /** What a registration of this owner, in this file, may extend. Each file that was looked for is added to `paths`. */
  basesFor(owner: TenantEntry | undefined, file: string, paths: Set<string>): Bases {
    const { bounds, platform, sourceOf, tenants } = this.#options;
    // Beside the file, wherever that is kept. What is in no folder has nothing beside it.
    const folder = file.includes('/') ? file.slice(0, file.lastIndexOf('/') + 1) : undefined;
    return {
      mostBytes: bounds.bytes,
      mostValues: bounds.values,
      find: async (name) => {
        const owners = tenants?.(name) ?? [];
        const [first] = owners;
        const isOwn =
          tenants === undefined || (owners.length === 1 && first !== undefined && isSameOwner(first, owner));
        if (isOwn && folder !== undefined) {
          const path = `${folder}${name}.base.yaml`;
          paths.add(path);
          const found = await this.#fileBase(path, owners, sourceOf.get(file));
          if (found !== undefined) return found;
        }
        const shared = platform.bases.get(name);
        if (shared === undefined) {
          const all = [...platform.bases.keys()];
          const guess = nearest(
            name,
            owner?.grant === undefined ? all : all.filter((one) => matchesAny(owner.grant?.bases ?? [], one)),
          );
          // What was put by the API has no files beside it.
          if (folder === undefined) {
            return {
              message: `it has no base \`${name}\`: what is put can extend the \`bases\` of dispatcher.yaml alone`,
              cure:
                guess === undefined
                  ? 'Write what the base has into what is put, or have the platform add it to `bases`.'
                  : `Did you mean \`${guess}\`?`,
            };
          }
          const written = isOwn ? 'Correct the name, or write the file.' : 'Correct the name.';
          return {
            message: `it has no base \`${name}\`: neither a file ${name}.base.yaml of its owner nor one in dispatcher.yaml`,
            cure: guess === undefined ? written : `Did you mean \`${guess}\`?`,
          };
        }
        const [missing] = owner?.grant === undefined ? [] : missingBase(owner.grant, name);
        if (missing === undefined || owner?.grant === undefined) return shared;
        return {
          message: `tenant \`${owner.name}\` was not granted ${missing.what}`,
          cure: cureOf(owner.grant, missing),
        };
      },
    };
  }

  /** Undefined: there is no such file. */
  #fileBase(path: string, owners: readonly TenantEntry[], source: Source): Promise<Base | undefined> {
    let found = this.#bases.get(path);
    if (found === undefined) {
      found = this.#readBase(path, owners, source);
      this.#bases.set(path, found);
    }
    return found;
  }

  async #readBase(path: string, owners: readonly TenantEntry[], source: Source): Promise<Base | undefined> {
    const read = await this.text(path, owners, source);
    if (read.failed === undefined) return { yaml: this.#keep(path, read.text), bytes: Buffer.byteLength(read.text) };
    // Absent is not unreadable: then the name may be one of the platform's.
    if (read.isAbsent) return undefined;
    const problem = { file: path, line: 0, column: 0, path: '', ...read.failed };
    return { yaml: { ...readYaml(path, '', 1), value: undefined, problems: [problem] }, bytes: 0 };
  }
}

/** Registrations of the platform's own belong to one owner, whichever entries name them. */
function isSameOwner(one: TenantEntry, other: TenantEntry | undefined): boolean {
  return one.grant === undefined ? other === undefined || other.grant === undefined : one.name === other?.name;
}

/** Names below `registrations:` of a text that is not YAML as a whole, so that their last good versions stay in force. */
function namesAround(text: string): Several['names'] {
  const found = new Map<string, Several['names'][number]>();
  let indent: string | undefined;
  let isBelow = false;
  for (const [index, line] of text.split('\n').entries()) {
    if (/^["']?registrations["']?[ \t]*:[ \t]*(?:#.*)?\r?$/.test(line)) isBelow = true;
    const [, before, name = ''] = (isBelow ? NAME_LINE.exec(line) : null) ?? [];
    if (before === undefined || !NAME.test(name)) continue;
    indent ??= before;
    if (before === indent && found.size < MAX_TOGETHER) {
      found.set(name, { name, line: index + 1, column: before.length + 1 });
    }
  }
  return [...found.values()];
}

const NAME_LINE = /^([ \t]+)["']?([a-z0-9][a-z0-9-]{0,31})["']?[ \t]*:[ \t]*(?:#.*)?\r?$/;
