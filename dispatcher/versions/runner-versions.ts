/**
 * Whether GitHub will go on giving jobs to the runners in use. It refuses a version some time after a newer release; then
 * every job of the image waits. So the versions that containers report are compared with the newest release when they are
 * first seen, and once a day.
 */
import type { Clock } from '../../time/clock.ts';
import { DAY, SECOND } from '../../time/units.ts';
import { GithubError } from '../github/github.ts';
import type { Log } from '../log.ts';
import { compareVersions, type Releases } from './releases.ts';

export interface RunnerVersionsOptions {
  readonly clock: Clock;
  readonly log: Pick<Log, 'warn' | 'debug'>;
  /** `scope`: a `scopePath()`. Undefined: the registration is not in force. */
  readonly releases: (registration: string, scope: string) => Releases | undefined;
  /** Runs the action once a day until the returned function is called. */
  readonly daily: (action: () => void) => () => void;
}

export interface OldVersion {
  readonly version: string;
  readonly newest: string;
  /** As GitHub says; undefined: it does not. */
  readonly endsAtMs: number | undefined;
  readonly sinceMs: number;
}

/** What containers of a registration have reported. */
export interface SeenVersion {
  /** Null: it is not known any more which image the container was made of. */
  readonly image: string | null;
  readonly version: string;
  readonly lastSeenMs: number;
}

/** Of one registration. */
interface Seen {
  /** By image and version; the one seen longest ago is the first. */
  readonly versions: Map<string, SeenVersion>;
  /** Where its last runner registered. */
  scope: string;
}

/** An image that has not been used for so long is not in use. */
const FORGOTTEN_MS = 7 * DAY;
/** Of one registration, each of one image; beyond it the one seen longest ago is forgotten. */
const MOST_VERSIONS = 16;
/** Runners of a new image start in groups. */
const FIRST_LOOK_MS = 5 * SECOND;

export class RunnerVersions {
  readonly #options: RunnerVersionsOptions;
  readonly #seen = new Map<string, Seen>();
  readonly #old = new Map<string, OldVersion>();
  readonly #due = new Set<string>();
  #checking: Promise<void> | undefined;
  #cancelLook: (() => void) | undefined;
  #cancelDaily: (() => void) | undefined;
  #stopped = false;

  constructor(options: RunnerVersionsOptions) {
    this.#options = options;
  }

  start(): void {
    this.#cancelDaily = this.#options.daily(() => {
      for (const registration of this.#seen.keys()) this.#due.add(registration);
      this.#lookLater(0);
    });
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    this.#cancelDaily?.();
    this.#cancelLook?.();
    await this.#checking;
  }

  /** A container of the registration reported it. It may report anything: the form is checked where it came in. */
  saw(registration: string, scope: string, { image, version }: Pick<SeenVersion, 'image' | 'version'>): void {
    const seen = this.#seen.get(registration) ?? { versions: new Map<string, SeenVersion>(), scope };
    const { versions } = seen;
    seen.scope = scope;
    this.#seen.set(registration, seen);
    const key = JSON.stringify([image, version]);
    const isNew = !versions.has(key);
    // Moved to the end: the first in the map is the one seen longest ago.
    versions.delete(key);
    versions.set(key, { image, version, lastSeenMs: this.#options.clock.now() });
    const [longestAgo] = versions.keys();
    if (versions.size > MOST_VERSIONS && longestAgo !== undefined) versions.delete(longestAgo);
    if (!isNew) return;
    this.#due.add(registration);
    this.#lookLater(FIRST_LOOK_MS);
  }

  /** The oldest version in use of the registration, where there is a newer release. */
  oldOf(registration: string): OldVersion | undefined {
    return this.#old.get(registration);
  }

  /** Of the last seven days, since the dispatcher started. */
  seenOf(registration: string): readonly SeenVersion[] {
    const seen = this.#seen.get(registration);
    if (seen === undefined) return [];
    this.#forget(seen);
    return [...seen.versions.values()];
  }

  #lookLater(ms: number): void {
    if (this.#stopped || this.#cancelLook !== undefined) return;
    this.#cancelLook = this.#options.clock.after(ms, () => {
      this.#cancelLook = undefined;
      this.#checking = (this.#checking ?? Promise.resolve()).then(() => this.#checkDue());
    });
  }

  /** One after the other: nothing waits for it. Never rejects. */
  async #checkDue(): Promise<void> {
    for (const registration of this.#due) {
      if (this.#stopped) return;
      this.#due.delete(registration);
      try {
        await this.#check(registration);
      } catch (error) {
        // Its next look is tomorrow, or when another version is seen.
        const reason = error instanceof GithubError ? error.message : error;
        this.#options.log.debug('runner-version-unknown', { registration, reason });
      }
    }
  }

  async #check(registration: string): Promise<void> {
    const { clock, log, releases } = this.#options;
    const seen = this.#seen.get(registration);
    if (seen === undefined) return;
    const asked = releases(registration, seen.scope);
    const version = this.#oldestOf(seen);
    const newest = version === undefined ? undefined : await asked?.newest();
    if (version === undefined || newest === undefined || compareVersions(version, newest) >= 0) {
      this.#old.delete(registration);
      return;
    }
    const endsAtMs = await asked?.endOfMs(version);
    const before = this.#old.get(registration);
    const sinceMs = before?.version === version ? before.sinceMs : clock.now();
    const old = { version, newest, endsAtMs, sinceMs };
    this.#old.set(registration, old);
    log.warn('runner-version-old', { registration, version, newest, reason: oldVersionWords(old) });
  }

  #oldestOf(seen: Seen): string | undefined {
    this.#forget(seen);
    return [...seen.versions.values()].map(({ version }) => version).sort(compareVersions)[0];
  }

  #forget({ versions }: Seen): void {
    for (const [key, { lastSeenMs }] of versions) {
      if (this.#options.clock.now() - lastSeenMs > FORGOTTEN_MS) versions.delete(key);
    }
  }
}

export function oldVersionWords({ version, newest, endsAtMs }: OldVersion): string {
  const end =
    endsAtMs === undefined
      ? 'GitHub gives an older version no jobs from 30 days after a newer release on'
      : `GitHub gives it no jobs from ${new Date(endsAtMs).toISOString().slice(0, 10)} on`;
  return `its runners have version ${version}, and ${newest} is out: ${end}. Build the image with the newer one`;
}
