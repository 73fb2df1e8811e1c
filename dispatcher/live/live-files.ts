/** A configuration in files, that is read again when they change. */
import { KeptValues } from '../config/kept-values.ts';
import {
  type CheckedDocument,
  type ConfigurationSources,
  checkDocument,
  type Loaded,
  reloadConfiguration,
} from '../config/load.ts';
import { ReadingMemory } from '../config/reading-memory.ts';
import { type RegistrationSource, stateOf } from '../config/registration-source.ts';
import type { KeptValue } from '../config/secret-values.ts';
import { Stamps, type StampsOptions } from '../config/stamps.ts';
import type { Configuration, DispatcherConfig, Grant } from '../model/registration.ts';
import type { LastGoodVersions } from './last-good.ts';

export interface LiveFilesOptions extends Pick<StampsOptions, 'now' | 'stampNow'> {
  /** What `elsewhere` of the sources gave last. Default: nothing. */
  readonly elsewhere?: () => readonly RegistrationSource[];
  /** What files held at the last start. Default: what is beside the ledger. */
  readonly keptValues?: (dispatcher: DispatcherConfig) => Promise<KeptValues | undefined>;
}

export class LiveFiles {
  readonly #sources: ConfigurationSources;
  readonly #keptValues: NonNullable<LiveFilesOptions['keptValues']>;
  readonly stamps: Stamps;
  readonly memory: ReadingMemory;

  constructor(sources: ConfigurationSources, options: LiveFilesOptions) {
    this.#sources = sources;
    this.#keptValues = options.keptValues ?? ((dispatcher) => KeptValues.beside(dispatcher));
    const { secretValues } = sources;
    const stampOf = (path: string) => secretValues?.stampOf(path);
    const versions = new Versions(options.elsewhere ?? (() => []));
    this.stamps = new Stamps({ ...sources, ...options, stampOf, elsewhere: () => versions.now() });
    this.memory = new ReadingMemory(this.stamps);
  }

  /** What a registration would be like, beside those in force. */
  check(
    document: { readonly name: string; readonly file: string; readonly text: string },
    present: Configuration,
  ): Promise<CheckedDocument> {
    return checkDocument({ ...this.#sources, memory: this.memory }, document, present);
  }

  /** Secrets of the registration whose values from before are in force, as their stores are away. */
  keptSecretsOf({ grant, name }: { readonly name: string; readonly grant?: Grant | undefined }): readonly KeptValue[] {
    const { secretValues } = this.#sources;
    if (secretValues === undefined) return [];
    return [...this.memory.pathsOf(name)].flatMap((path) => secretValues.keptAt(path, grant?.tenant ?? '') ?? []);
  }

  /** `versions`: the last good versions, from the ledger. */
  async read(
    what: 'changed' | 'all',
    versions?: Pick<LastGoodVersions, 'of'> & Partial<Pick<LastGoodVersions, 'aside' | 'several'>>,
  ): Promise<Loaded> {
    const { secretValues } = this.#sources;
    if (what === 'all') {
      this.memory.forget();
      secretValues?.refresh();
    }
    // With another dispatcher.yaml every registration is read again, and few of their texts will have changed.
    const areAllRead = this.memory.platform() === undefined;
    let kept: KeptValues | undefined;
    const loaded = await reloadConfiguration({
      ...this.#sources,
      memory: this.memory,
      ...(versions === undefined ? {} : { lastGood: (_dispatcher, name, tenant) => versions.of(name, tenant) }),
      asideBefore: async () => (await versions?.aside?.()) ?? new Set(),
      severalBefore: async () => (await versions?.several?.()) ?? new Map(),
      knownValues: async (dispatcher) => {
        if (areAllRead) kept = await this.#keptValues(dispatcher);
        return kept;
      },
    });
    secretValues?.keepOnly((path) => this.stamps.watches(path));
    // The next start can do without: it parses what it does not find.
    if (loaded.ok) await kept?.write().catch(() => {});
    return loaded;
  }
}

/** Of what is kept elsewhere. */
class Versions {
  readonly #sources: () => readonly RegistrationSource[];
  #of: readonly unknown[] = [];
  #versions: ReadonlyMap<string, string> = new Map();

  constructor(sources: () => readonly RegistrationSource[]) {
    this.#sources = sources;
  }

  /** Made anew when a source has others: with thousands of them, it is asked for each. */
  now(): ReadonlyMap<string, string> {
    const sources = this.#sources();
    const of = sources.flatMap(({ files, name, state }) => [name, files, state?.commit, state?.problem?.message]);
    if (of.length === this.#of.length && of.every((one, index) => one === this.#of[index])) return this.#versions;
    this.#of = of;
    this.#versions = new Map([
      ...sources.map(
        ({ name, state }) => [stateOf({ name }), `${state?.commit?.sha} ${state?.problem?.message}`] as const,
      ),
      ...sources.flatMap(({ files }) => files.map(({ file, version }) => [file, version] as const)),
    ]);
    return this.#versions;
  }
}
