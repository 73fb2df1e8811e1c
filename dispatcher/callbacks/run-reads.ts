/**
 * Asks GitHub for a run, where neither the event in the runner nor the ledger tells whether its code comes from a fork,
 * or what started it, and who.
 */
import { LRUCache } from 'lru-cache';
import { RateWindow } from '../../time/rate-window.ts';
import { MINUTE } from '../../time/units.ts';
import { type Github, GithubError, type GithubRun } from '../github/github.ts';
import type { RunOrigin } from '../jobs/facts.ts';
import type { Log } from '../log.ts';

export interface AskedRun {
  readonly host: string;
  readonly owner: string;
  readonly repository: string;
  readonly run: number;
}

export interface RunReadsOptions {
  readonly now: () => number;
  /** Undefined: the registration is not in force. `line`: whose turn it is, as `lineOf` says. */
  readonly asker: (
    registration: string,
  ) => { readonly github: Pick<Github, 'readRun'>; readonly line: string } | undefined;
  readonly log: Pick<Log, 'debug'>;
}

const REMEMBERED = 10_000;
/** Of one tenant: containers choose the runs that they ask about. */
const READS_A_MINUTE = 60;
/** How long who started a run is taken for granted: it may be run again. */
const ORIGIN_MS = MINUTE;

interface Known {
  /** A run never changes it. */
  readonly isFork: boolean | undefined;
  readonly origin: RunOrigin | undefined;
  readonly attempt: number;
  readonly atMs: number;
}

export class RunReads {
  readonly #options: RunReadsOptions;
  readonly #known = new LRUCache<string, Known>({ max: REMEMBERED });
  readonly #asked = new Map<string, Promise<Known | undefined>>();
  readonly #rates = new LRUCache<string, RateWindow>({ max: REMEMBERED });

  constructor(options: RunReadsOptions) {
    this.#options = options;
  }

  /** Undefined: GitHub cannot be asked now, or does not say. Does not reject. */
  async isFork(registration: string, run: AskedRun): Promise<boolean | undefined> {
    const key = keyOf(registration, run);
    return this.#known.get(key)?.isFork ?? (await this.#ask(key, registration, run))?.isFork;
  }

  /** Likewise. `attempt`: the latest one that is known of. */
  async origin(registration: string, run: AskedRun, attempt: number): Promise<RunOrigin | undefined> {
    const key = keyOf(registration, run);
    const known = this.#known.get(key);
    const isFresh = known !== undefined && this.#options.now() - known.atMs < ORIGIN_MS && known.attempt >= attempt;
    const read = isFresh && known.origin !== undefined ? known : await this.#ask(key, registration, run);
    return read !== undefined && read.attempt >= attempt ? read.origin : undefined;
  }

  async #ask(key: string, registration: string, run: AskedRun): Promise<Known | undefined> {
    return await (this.#asked.get(key) ?? this.#begin(key, registration, run));
  }

  #begin(key: string, registration: string, run: AskedRun): Promise<Known | undefined> {
    const asking = this.#read(registration, run)
      .then((found) => {
        if (found === undefined) return undefined;
        const { attempt, isFork, origin } = found;
        const known: Known = { isFork, origin, attempt, atMs: this.#options.now() };
        if (isFork !== undefined || origin !== undefined) this.#known.set(key, known);
        return known;
      })
      .finally(() => this.#asked.delete(key));
    this.#asked.set(key, asking);
    return asking;
  }

  async #read(registration: string, { owner, repository, run }: AskedRun): Promise<GithubRun | undefined> {
    const { now, asker, log } = this.#options;
    const asking = asker(registration);
    if (asking === undefined) return undefined;
    const rate = this.#rates.get(asking.line) ?? new RateWindow(MINUTE, READS_A_MINUTE);
    this.#rates.set(asking.line, rate);
    if (rate.fitsAt(now()) > now()) return undefined;
    rate.spend(now());
    try {
      return await asking.github.readRun(owner, repository, run);
    } catch (error) {
      if (!(error instanceof GithubError)) throw error;
      // The hook asks again. Runs are a container's to name, and must not fill the log.
      log.debug('run-not-read', { registration, repository: `${owner}/${repository}`, run, reason: error.message });
      return undefined;
    }
  }
}

/** Each registration asks for itself: what its credentials do not see is not to be told to it. */
function keyOf(registration: string, run: AskedRun): string {
  return `${registration} ${run.host}/${run.owner}/${run.repository}/${run.run}`.toLowerCase();
}
