/**
 * What files of the configuration held when they were last read. One whose version is the same, and that refers to the same
 * versions of other files, is not read again: a change of one registration of thousands costs the reading of one.
 */
import type { Problem } from '../model/problem.ts';
import type { JobClaims, Registration } from '../model/registration.ts';
import type { Platform } from './dispatcher.ts';
import type { Within } from './files.ts';
import type { FileContents } from './registration-files.ts';
import type { Stamps } from './stamps.ts';

/** One registration's file as it was read, without what only its problems need. */
export interface RememberedFile {
  readonly registration: Registration | undefined;
  readonly claims: JobClaims | undefined;
  readonly problems: readonly Problem[];
  readonly notes: readonly Problem[];
  /** Of the file, where it is not what is in force. */
  readonly instead: readonly Problem[];
}

/** What was in force after the last reading. */
export type InForce = Pick<RememberedFile, 'claims'> & { readonly registration: Registration };

interface Versioned<T> {
  readonly value: T;
  /** By path: the file itself, and those that it refers to. */
  readonly versions: ReadonlyMap<string, string>;
  /** Of dispatcher.yaml that a registration was read by. */
  readonly platform: Platform | undefined;
}

export interface PlatformRead {
  readonly platform: Platform;
  readonly problems: readonly Problem[];
  readonly notes: readonly Problem[];
}

export class ReadingMemory {
  readonly #stamps: Pick<Stamps, 'confine' | 'of' | 'names' | 'keepOnly'>;
  readonly #registrations = new Map<string, Versioned<RememberedFile>>();
  /** By path. */
  readonly #contents = new Map<string, Versioned<FileContents>>();
  readonly #inForce = new Map<string, InForce & { readonly platform: Platform }>();
  readonly #setAside = new Set<string>();
  #platform: Versioned<PlatformRead> | undefined;
  /** The last one without problems. */
  #good: Platform | undefined;
  /** The first one. */
  #started: Platform | undefined;

  constructor(stamps: Pick<Stamps, 'confine' | 'of' | 'names' | 'keepOnly'>) {
    this.#stamps = stamps;
  }

  /** Names in the folder of registrations. */
  names(): Promise<readonly string[]> {
    return this.#stamps.names();
  }

  /**
   * The versions of files that are about to be read. `withinOf`: the folder that the path may not leave; null: it may. Absent:
   * as it was said before.
   */
  versionsOf(paths: Iterable<string>, withinOf?: (path: string) => Within | null): ReadonlyMap<string, string> {
    return new Map(
      [...paths].map((path) => {
        if (withinOf !== undefined) this.#stamps.confine(path, withinOf(path));
        return [path, this.#stamps.of(path)];
      }),
    );
  }

  get goodPlatform(): Platform | undefined {
    return this.#good;
  }

  /** By which the process was started. */
  get startedPlatform(): Platform | undefined {
    return this.#started;
  }

  platform(): PlatformRead | undefined {
    return this.#platform !== undefined && this.#isCurrent(this.#platform) ? this.#platform.value : undefined;
  }

  putPlatform(value: PlatformRead, versions: ReadonlyMap<string, string>): void {
    this.#platform = { value, versions, platform: undefined };
    if (value.problems.length > 0) return;
    this.#good = value.platform;
    this.#started ??= value.platform;
  }

  /** Which registrations a file holds. */
  contents(path: string, platform: Platform): FileContents | undefined {
    const known = this.#contents.get(path);
    return known?.platform === platform && this.#isCurrent(known) ? known.value : undefined;
  }

  /** Whether or not that still holds. */
  earlierContents(path: string): FileContents | undefined {
    return this.#contents.get(path)?.value;
  }

  putContents(
    path: string,
    value: FileContents,
    read: { readonly versions: ReadonlyMap<string, string>; readonly platform: Platform },
  ): void {
    this.#contents.set(path, { value, ...read });
  }

  /** `file`: where it stands now; what was read of it elsewhere may still be there, and counts no more. */
  registration(
    { name, file }: { readonly name: string; readonly file: string },
    platform: Platform,
  ): RememberedFile | undefined {
    const known = this.#registrations.get(name);
    const isCurrent = known?.platform === platform && known.versions.has(file) && this.#isCurrent(known);
    return isCurrent ? known.value : undefined;
  }

  /** What the registration was read from: its file, and all that it refers to. */
  pathsOf(name: string): Iterable<string> {
    return this.#registrations.get(name)?.versions.keys() ?? [];
  }

  /** Whether or not that still holds. */
  earlier(name: string): Registration | undefined {
    return this.#inForce.get(name)?.registration;
  }

  /** What was in force by this dispatcher.yaml: nothing that it grants has changed since. */
  inForce(name: string, platform: Platform): InForce | undefined {
    const known = this.#inForce.get(name);
    return known?.platform === platform ? known : undefined;
  }

  putInForce(name: string, value: InForce, platform: Platform): void {
    const { claims, registration } = value;
    this.#inForce.set(name, { claims, registration, platform });
    this.#setAside.delete(name);
  }

  /** Not in force since the last reading, whatever was before. */
  isSetAside(name: string): boolean {
    return this.#setAside.has(name);
  }

  putAside(name: string): void {
    this.#setAside.add(name);
  }

  putRegistration(
    name: string,
    value: RememberedFile,
    read: { readonly versions: ReadonlyMap<string, string>; readonly platform: Platform },
  ): void {
    this.#registrations.set(name, { value, ...read });
  }

  /** Registrations and files that are gone. */
  keepOnly(names: ReadonlySet<string>, files: ReadonlySet<string>): void {
    for (const path of this.#contents.keys()) if (!files.has(path)) this.#contents.delete(path);
    for (const known of [this.#registrations, this.#inForce]) {
      for (const name of known.keys()) if (!names.has(name)) known.delete(name);
    }
    for (const name of this.#setAside) if (!names.has(name)) this.#setAside.delete(name);
  }

  /** Everything was read: files that nothing refers to any more are not watched. */
  watchNoOthers(): void {
    const paths = new Set<string>(this.#platform?.versions.keys());
    for (const { versions } of this.#registrations.values()) for (const path of versions.keys()) paths.add(path);
    this.#stamps.keepOnly(paths);
  }

  /** Everything is read again. */
  forget(): void {
    this.#registrations.clear();
    for (const [path, known] of this.#contents) this.#contents.set(path, { ...known, platform: undefined });
    this.#platform = undefined;
  }

  #isCurrent({ versions }: Versioned<unknown>): boolean {
    for (const [path, version] of versions) if (this.#stamps.of(path) !== version) return false;
    return true;
  }
}
