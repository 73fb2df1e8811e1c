/**
 * The offset between this machine's clock and GitHub's, from the `date` header of its answers. GitHub rejects tokens
 * of an App whose times are off by more than about a minute, and states resets and token expiry by its own clock.
 */
import type { Clock } from '../../time/clock.ts';

/** For one API. Positive: this machine's clock is ahead. */
export interface ClockSkew {
  /** The host of the API. */
  readonly api: string;
  readonly aheadMs: number;
  readonly sinceMs: number;
}

export interface SkewLog {
  warn(event: string, fields: Readonly<Record<string, unknown>>): void;
  info(event: string, fields: Readonly<Record<string, unknown>>): void;
}

/**
 * A smaller offset is ignored: the header has whole seconds, an answer takes time to arrive, and an App's token is
 * valid from a minute before our time (app-jwt.ts).
 */
export const TOLERATED_SKEW_MS = 30_000;
/** A slower answer does not say precisely enough when GitHub wrote it. */
const MAX_ANSWER_MS = 25_000;
/** The header is truncated to whole seconds. */
const HALF_A_SECOND_MS = 500;
/** A change of the offset that is worth logging. */
const WORTH_TELLING_MS = 30_000;

export interface TimeOptions {
  /** The dispatcher's own clock; it may follow the machine's clock slowly (see steady-clock.ts). */
  readonly clock: Pick<Clock, 'now'>;
  /** The machine's clock, which people set: messages refer to this one. */
  readonly machine?: Pick<Clock, 'now'>;
  readonly log?: SkewLog;
}

/** One API's time. */
export class GithubTime {
  readonly #api: string;
  readonly #options: TimeOptions;
  /** Relative to the dispatcher's clock, which all calculations use. */
  #aheadMs = 0;
  #skew: ClockSkew | undefined;
  #toldMs = 0;

  constructor(api: string, options: TimeOptions) {
    this.#api = api;
    this.#options = options;
  }

  /** GitHub's time, as far as it is known. */
  now(): number {
    return this.#options.clock.now() - this.#aheadMs;
  }

  /** Converts a time from GitHub to the dispatcher's clock. */
  local(githubMs: number): number {
    return githubMs + this.#aheadMs;
  }

  /** How far the dispatcher's clock is ahead; 0 within the tolerance. */
  get aheadMs(): number {
    return this.#aheadMs;
  }

  /** For the machine's clock; undefined while it is right. */
  get skew(): ClockSkew | undefined {
    return this.#skew;
  }

  /** Call when an answer arrives to a request sent at `sentAtMs` by the dispatcher's clock. */
  learn(date: string | number | undefined, sentAtMs: number): void {
    const { clock, machine, log } = this.#options;
    const nowMs = clock.now();
    const measuredMs = measuredSkew(date, sentAtMs, nowMs);
    if (measuredMs === undefined) return;
    this.#aheadMs = Math.abs(measuredMs) > TOLERATED_SKEW_MS ? measuredMs : 0;

    const aheadMs = measuredMs + (machine === undefined ? 0 : machine.now() - nowMs);
    if (Math.abs(aheadMs) <= TOLERATED_SKEW_MS) {
      if (this.#skew === undefined) return;
      log?.info('github.clock.right', { api: this.#api, sinceMs: this.#skew.sinceMs });
      this.#skew = undefined;
      this.#toldMs = 0;
      return;
    }
    this.#skew = { api: this.#api, aheadMs, sinceMs: this.#skew?.sinceMs ?? nowMs };
    if (Math.abs(aheadMs - this.#toldMs) < WORTH_TELLING_MS) return;
    this.#toldMs = aheadMs;
    log?.warn('github.clock', { api: this.#api, aheadMs, reason: skewInWords(aheadMs) });
  }
}

/** The times of all APIs: registrations share those of a common host. */
export class GithubTimes {
  readonly #options: TimeOptions;
  readonly #byApi = new Map<string, GithubTime>();

  constructor(options: TimeOptions) {
    this.#options = options;
  }

  /** As many as the configuration has hosts. */
  at(apiUrl: string): GithubTime {
    const api = URL.canParse(apiUrl) ? new URL(apiUrl).host : apiUrl;
    let time = this.#byApi.get(api);
    if (time === undefined) {
      time = new GithubTime(api, this.#options);
      this.#byApi.set(api, time);
    }
    return time;
  }

  /** For the machine's clock, for every API that was called; 0 if they agree. */
  machineAheadMs(): readonly { readonly api: string; readonly aheadMs: number }[] {
    return [...this.#byApi].map(([api, time]) => ({ api, aheadMs: time.skew?.aheadMs ?? 0 }));
  }
}

/** Ours minus GitHub's, to the whole second. Undefined without a `date`, or if it is too imprecise. */
export function measuredSkew(date: string | number | undefined, sentAtMs: number, nowMs: number): number | undefined {
  const dateMs = typeof date === 'string' ? Date.parse(date) : Number.NaN;
  // A negative duration: the clock was set while the request was in flight.
  if (Number.isNaN(dateMs) || nowMs < sentAtMs || nowMs - sentAtMs > MAX_ANSWER_MS) return undefined;
  return (sentAtMs + nowMs) / 2 - (dateMs + HALF_A_SECOND_MS);
}

/** `this machine's clock is 180 s ahead of GitHub's`. */
export function skewInWords(aheadMs: number): string {
  const seconds = Math.abs(Math.round(aheadMs / 1000));
  return `this machine's clock is ${seconds} s ${aheadMs > 0 ? 'ahead of' : 'behind'} GitHub's`;
}
