/** A configuration in memory that a test changes as an editor would: each write has a version of its own. */
import { basename, dirname, join } from 'node:path';
import type { ConfigurationSources } from '../../dispatcher/config/load.ts';
import type { KeptFile, RegistrationSource } from '../../dispatcher/config/registration-source.ts';
import type { ApiRegistration, ApiRegistrationLedger } from '../../dispatcher/ledger/ledger.ts';
import { LiveFiles } from '../../dispatcher/live/live-files.ts';
import { sourcesOf } from '../config/files.ts';

/** Beside the folder: what a test says is there. */
export class EditedSource implements RegistrationSource {
  readonly name: string;
  readonly state = undefined;
  isKnown = true;
  files: readonly KeptFile[] = [];
  /** Files that were read since this was emptied. */
  readonly reads: string[] = [];
  readonly #texts = new Map<string, string>();
  #version = 0;

  constructor(name: string) {
    this.name = name;
  }

  /** `acme.yaml`; undefined: it is deleted. */
  write(texts: Readonly<Record<string, string | undefined>>, folder: Partial<KeptFile> = {}): void {
    const files = new Map(this.files.map((one) => [one.entry, one]));
    for (const [entry, text] of Object.entries(texts)) {
      const file = `git:${this.name}/${entry}`;
      this.#version += 1;
      files.delete(entry);
      if (text === undefined) continue;
      this.#texts.set(file, text);
      files.set(entry, { file, entry, version: `${this.#version}`, tenants: undefined, trusted: false, ...folder });
    }
    this.files = [...files.values()];
  }

  async read(file: string): Promise<string> {
    this.reads.push(file);
    return this.#texts.get(file) ?? '';
  }
}

export interface EditedFiles {
  readonly live: LiveFiles;
  readonly sources: ConfigurationSources;
  /** Paths that were read since the last call. */
  reads(): readonly string[];
  /** Paths whose versions were looked at since the last call. */
  looks(): readonly string[];
  /** Undefined: it is deleted. */
  write(name: string, text: string | undefined): void;
  /** The same files as another's. */
  copy(from: EditedFiles): void;
  contents(): ReadonlyMap<string, string>;
  now: number;
}

const FOLDER = '/etc/shr';

/** File names as `registrations/acme.yaml`. */
export function editedFiles(
  files: Readonly<Record<string, string>>,
  elsewhere: readonly RegistrationSource[] = [],
  changes: Partial<ConfigurationSources> = {},
): EditedFiles {
  const all = new Map<string, { readonly text: string; readonly version: number }>();
  let version = 0;
  let reads: string[] = [];
  let looks: string[] = [];
  const write = (name: string, text: string | undefined): void => {
    version += 1;
    if (text === undefined) all.delete(join(FOLDER, name));
    else all.set(join(FOLDER, name), { text, version });
  };
  for (const [name, text] of Object.entries(files)) write(name, text);
  const missing = (path: string) => Object.assign(new Error(`ENOENT: ${path}`), { code: 'ENOENT' });
  const edited = {
    now: 1_000_000,
    write,
    contents: () => new Map([...all].map(([path, { text }]) => [path.slice(FOLDER.length + 1), text])),
    copy: (from: EditedFiles) => {
      for (const [name, text] of from.contents()) write(name, text);
    },
    looks: () => {
      const since = looks;
      looks = [];
      return since;
    },
    reads: () => {
      const since = reads;
      reads = [];
      return since;
    },
  };
  const sources = sourcesOf(
    {},
    {
      elsewhere: async () => elsewhere,
      ...changes,
      files: {
        read: async (path) => {
          reads.push(path);
          const found = all.get(path);
          if (found === undefined) throw missing(path);
          return { text: found.text, readableBy: 'owner' };
        },
        list: async (folder) => {
          const names = [...all.keys()].filter((path) => dirname(path) === folder).map((path) => basename(path));
          if (names.length === 0 && folder.endsWith('gone')) throw missing(folder);
          return names;
        },
      },
    },
  );
  const live = new LiveFiles(sources, {
    now: () => edited.now,
    elsewhere: () => elsewhere,
    keptValues: async () => undefined,
    stampNow: (path) => {
      looks.push(path);
      const found = all.get(path);
      return found === undefined ? undefined : { text: `${found.version}`, changedAtMs: 0 };
    },
  });
  return Object.assign(edited, { live, sources });
}

/** A ledger with these documents, and nothing else. */
export class DocumentLedger implements ApiRegistrationLedger {
  /** Names that were read since this was emptied. */
  readonly reads: string[] = [];
  readonly #rows = new Map<string, ApiRegistration>();

  async putApiRegistration(row: ApiRegistration): Promise<'put'> {
    this.#rows.set(row.name, row);
    return 'put';
  }

  async deleteApiRegistration(name: string): Promise<'deleted' | 'absent'> {
    return this.#rows.delete(name) ? 'deleted' : 'absent';
  }

  async apiRegistration(name: string): Promise<ApiRegistration | undefined> {
    this.reads.push(name);
    return this.#rows.get(name);
  }

  async apiRegistrations(): Promise<readonly ApiRegistration[]> {
    return [...this.#rows.values()];
  }
}
