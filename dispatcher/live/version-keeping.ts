/** Keeps what registrations said last without a problem, and tries again for as long as the ledger does not take it. */
import { backoffMs } from '../../time/backoff.ts';
import type { Clock } from '../../time/clock.ts';
import { MINUTE, SECOND } from '../../time/units.ts';
import { NAME } from '../config/schema.ts';
import type { Log } from '../log.ts';
import type { Configuration } from '../model/registration.ts';
import type { GoodVersion, LastGoodVersions } from './last-good.ts';

const FIRST_RETRY_MS = SECOND;
const MAX_RETRY_MS = 5 * MINUTE;

export interface VersionKeepingOptions {
  readonly clock: Pick<Clock, 'after'>;
  readonly log: Pick<Log, 'info' | 'warn'>;
  readonly versions: Pick<LastGoodVersions, 'keep' | 'keepAside' | 'keepOnly' | 'keepSeveral'>;
}

export interface ReadVersions {
  /** Those that were read now. */
  readonly good: readonly GoodVersion[];
  /** Names, by the file of several that holds them. */
  readonly several: ReadonlyMap<string, readonly string[]>;
  /** What a source has that could not be read yet is not gone. */
  readonly isComplete: boolean;
}

export class VersionKeeping {
  readonly #options: VersionKeepingOptions;
  /** Not in the ledger yet, by name: the latest of each. */
  readonly #waiting = new Map<string, GoodVersion>();
  /** That there are; those of others are deleted, as far as it is known that there are no others. */
  #there:
    | (Pick<ReadVersions, 'isComplete' | 'several'> & {
        readonly names: ReadonlySet<string>;
        readonly aside: ReadonlySet<string>;
      })
    | undefined;
  #failures = 0;
  #cancel: () => void = () => {};
  #work: Promise<void> = Promise.resolve();
  #stopped = false;

  constructor(options: VersionKeepingOptions) {
    this.#options = options;
  }

  /** Resolves when it is kept, or could not be; then it is tried again by itself. Never rejects. */
  keep(
    { good, isComplete, several }: ReadVersions,
    { quarantined, registrations }: Pick<Configuration, 'quarantined' | 'registrations'>,
  ): Promise<void> {
    for (const one of good) this.#waiting.set(one.name, one);
    const names = new Set([...registrations, ...quarantined].map(({ name }) => name));
    const inForce = new Set(registrations.map(({ name }) => name));
    const aside = new Set(quarantined.map(({ name }) => name).filter((name) => NAME.test(name) && !inForce.has(name)));
    this.#there = { names, aside, several, isComplete };
    if (isComplete) for (const name of this.#waiting.keys()) if (!names.has(name)) this.#waiting.delete(name);
    return this.#attempt();
  }

  /** Nothing is begun any more. Resolves when nothing is being written. */
  async stop(): Promise<void> {
    this.#stopped = true;
    this.#cancel();
    await this.#work;
  }

  /** One after the other: an earlier version must not come after a later one. */
  #attempt(): Promise<void> {
    this.#cancel();
    this.#work = this.#work.then(() => this.#write());
    return this.#work;
  }

  async #write(): Promise<void> {
    if (this.#stopped) return;
    const { clock, log, versions } = this.#options;
    const written = [...this.#waiting.values()];
    const there = this.#there;
    try {
      // First: with a version that was never in force beside theirs, a start must not find them in force.
      if (there !== undefined) await versions.keepAside(there.aside, there.names, there.isComplete);
      await versions.keep(written);
      if (there !== undefined) await versions.keepSeveral(there.several, there.isComplete);
      if (there !== undefined) await versions.keepOnly(there.names, there.isComplete);
    } catch (error) {
      if (this.#failures === 0) log.warn('versions-not-kept', { error });
      const pauseMs = backoffMs(FIRST_RETRY_MS, MAX_RETRY_MS, this.#failures);
      this.#failures += 1;
      if (!this.#stopped) this.#cancel = clock.after(pauseMs, () => void this.#attempt());
      return;
    }
    if (this.#failures > 0) log.info('versions-kept', { attempts: this.#failures + 1 });
    this.#failures = 0;
    // What came meanwhile stays.
    for (const one of written) if (this.#waiting.get(one.name) === one) this.#waiting.delete(one.name);
    if (this.#there === there) this.#there = undefined;
  }
}
