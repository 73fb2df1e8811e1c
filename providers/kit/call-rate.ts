/**
 * Keeps the calls of one backend below its service's limits, to avoid refusals: its runners share an account's quota.
 * Every provider may use it.
 */
import type { Clock } from '../../time/clock.ts';
import { steadyClock } from '../../time/steady-clock.ts';
import { ProviderError, type ProviderHost } from '../provider.ts';

/** A `RateWindow` or a `TokenBucket`. */
interface Limit {
  fitsAt(nowMs: number): number;
  spend(nowMs: number): void;
}

/** The limits of a service, and how long a call may wait for them. */
export interface CallRateOptions {
  /** All of them must let a call through. */
  readonly limits: readonly Limit[];
  /** A call that would have to wait longer is refused at once, so that it settles in time. */
  readonly longestWaitMs: number;
  /** The message of a refusal. */
  usedUp(waitMs: number): string;
}

/** A service, or a proxy before it, may name any time: after this long it is asked again. */
const MAX_CLOSED_MS = 600_000;

/** For the calls that share one limit of the service. Safe for concurrent use. */
export class CallRate {
  readonly #host: ProviderHost;
  readonly #clock: Clock;
  readonly #options: CallRateOptions;
  /** The last turn that was given; later calls follow it. */
  #lastMs = 0;
  #closedUntilMs = 0;

  constructor(host: ProviderHost, options: CallRateOptions) {
    this.#host = host;
    // A command gives its providers the machine's clock, which can be set back.
    this.#clock = steadyClock(host, { onSet: () => {} });
    this.#options = options;
  }

  /**
   * Resolves when the call may be sent; turns are given in the order of the calls. Rejects with `throttled`, code
   * `own-budget`, and says when a turn is free. `operation`: as in ProviderError.
   */
  async permit(operation: string): Promise<void> {
    const { limits, longestWaitMs, usedUp } = this.#options;
    const nowMs = this.#clock.now();
    const earliestMs = Math.max(nowMs, this.#lastMs, this.#closedUntilMs);
    const turnMs = Math.max(...limits.map((limit) => limit.fitsAt(earliestMs)));
    const waitMs = turnMs - nowMs;
    if (waitMs > longestWaitMs) {
      throw new ProviderError('throttled', operation, usedUp(waitMs), { code: 'own-budget', retryAfterMs: waitMs });
    }
    for (const limit of limits) limit.spend(turnMs);
    this.#lastMs = turnMs;
    if (waitMs > 0) await this.#host.sleep(waitMs);
  }

  /** The service itself reported "too many": holds all calls back for this long, at most MAX_CLOSED_MS. */
  close(ms: number): void {
    this.#closedUntilMs = Math.max(this.#closedUntilMs, this.#clock.now() + Math.min(ms, MAX_CLOSED_MS));
  }
}
