/** Asks GitHub whether the code of a run comes from a fork, where the event did not tell. A run never changes that. */
import { LRUCache } from 'lru-cache';
import { RateWindow } from '../../time/rate-window.ts';
import { MINUTE } from '../../time/units.ts';
import { type Github, GithubError } from '../github/github.ts';
import type { Log } from '../log.ts';

export interface ForkRun {
  readonly host: string;
  readonly owner: string;
  readonly repository: string;
  readonly run: number;
}

export interface ForkReadsOptions {
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

export class ForkReads {
  readonly #options: ForkReadsOptions;
  readonly #known = new LRUCache<string, boolean>({ max: REMEMBERED });
  readonly #asked = new Map<string, Promise<boolean | undefined>>();
  readonly #rates = new LRUCache<string, RateWindow>({ max: REMEMBERED });

  constructor(options: ForkReadsOptions) {
    this.#options = options;
  }

  /** Undefined: GitHub cannot be asked now, or does not say. Does not reject. */
  async isFork(registration: string, run: ForkRun): Promise<boolean | undefined> {
    // Each registration asks for itself: what its credentials do not see is not to be told to it.
    const key = `${registration} ${run.host}/${run.owner}/${run.repository}/${run.run}`.toLowerCase();
    const known = this.#known.get(key);
    if (known !== undefined) return known;
    const asked = this.#asked.get(key) ?? this.#begin(key, registration, run);
    return await asked;
  }

  #begin(key: string, registration: string, run: ForkRun): Promise<boolean | undefined> {
    const asking = this.#read(registration, run)
      .then((isFork) => {
        if (isFork !== undefined) this.#known.set(key, isFork);
        return isFork;
      })
      .finally(() => this.#asked.delete(key));
    this.#asked.set(key, asking);
    return asking;
  }

  async #read(registration: string, { owner, repository, run }: ForkRun): Promise<boolean | undefined> {
    const { now, asker, log } = this.#options;
    const asking = asker(registration);
    if (asking === undefined) return undefined;
    const rate = this.#rates.get(asking.line) ?? new RateWindow(MINUTE, READS_A_MINUTE);
    this.#rates.set(asking.line, rate);
    if (rate.fitsAt(now()) > now()) return undefined;
    rate.spend(now());
    try {
      return (await asking.github.readRun(owner, repository, run))?.isFork;
    } catch (error) {
      if (!(error instanceof GithubError)) throw error;
      // The hook asks again. Runs are a container's to name, and must not fill the log.
      log.debug('fork-not-read', { registration, repository: `${owner}/${repository}`, run, reason: error.message });
      return undefined;
    }
  }
}
