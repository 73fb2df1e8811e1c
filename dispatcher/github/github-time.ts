/**
 * How far this machine's clock is from GitHub's, as the `date` of its answers tells. GitHub believes no App token whose
 * times are off by more than a minute or so, and names resets and ends of tokens by its own clock.
 */
import type { Clock } from '../../time/clock.ts';

/** Of one API. Positive: this machine's clock is ahead. */
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
 * A smaller difference is ignored: the header tells whole seconds, an answer takes its time, and an App's token is valid
 * from a minute before our time (app-jwt.ts).
 */
export const TOLERATED_SKEW_MS = 30_000;
/** An answer that took longer says too little about the moment at which GitHub wrote it. */
const MAX_ANSWER_MS = 25_000;
/** The header is cut to whole seconds. */
const HALF_A_SECOND_MS = 500;
/** A change of the difference that is worth a line. */
const WORTH_TELLING_MS = 30_000;

export interface TimeOptions {
  /** What the dispatcher tells its time by; it may follow the machine's clock slowly (see steady-clock.ts). */
  readonly clock: Pick<Clock, 'now'>;
  /** The machine's own clock, which people set: what they are told is about this one. */
  readonly machine?: Pick<Clock, 'now'>;
  readonly log?: SkewLog;
}

/** One API's time. */
export class GithubTime {
  readonly #api: string;
  readonly #options: TimeOptions;
  /** Of the dispatcher's time, by which it reckons. */
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

  /** A time that GitHub told, by the dispatcher's. */
  local(githubMs: number): number {
    return githubMs + this.#aheadMs;
  }

  /** How far the dispatcher's time is ahead; 0 within what is tolerated. */
  get aheadMs(): number {
    return this.#aheadMs;
  }

  /** Of the machine's clock; undefined while it is right. */
  get skew(): ClockSkew | undefined {
    return this.#skew;
  }

  /** An answer to a request that left at `sentAtMs`, by the dispatcher's time, has come. */
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

/** The times of all APIs: registrations share those that they have in common. */
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

  /** Of the machine's clock, for every API that was asked; 0 where they agree. */
  machineAheadMs(): readonly { readonly api: string; readonly aheadMs: number }[] {
    return [...this.#byApi].map(([api, time]) => ({ api, aheadMs: time.skew?.aheadMs ?? 0 }));
  }
}

/** Ours minus GitHub's, as far as whole seconds tell. Undefined without a `date`, or where it says too little. */
export function measuredSkew(date: string | number | undefined, sentAtMs: number, nowMs: number): number | undefined {
  const dateMs = typeof date === 'string' ? Date.parse(date) : Number.NaN;
  // A negative span: the clock was set while the answer was on its way.
  if (Number.isNaN(dateMs) || nowMs < sentAtMs || nowMs - sentAtMs > MAX_ANSWER_MS) return undefined;
  return (sentAtMs + nowMs) / 2 - (dateMs + HALF_A_SECOND_MS);
}

/** `this machine's clock is 180 s ahead of GitHub's`. */
export function skewInWords(aheadMs: number): string {
  const seconds = Math.abs(Math.round(aheadMs / 1000));
  return `this machine's clock is ${seconds} s ${aheadMs > 0 ? 'ahead of' : 'behind'} GitHub's`;
}
