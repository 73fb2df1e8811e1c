/** Stays under a per-minute quota of Google, to avoid refusals. One per backend, shared by its runners. */
import { ProviderError, type ProviderHost } from '../provider.ts';

const MINUTE_MS = 60_000;

export class MinuteBudget {
  readonly #host: ProviderHost;
  readonly #what: string;
  readonly #perMinute: number;
  readonly #longestWaitMs: number;
  /** When each of the last `perMinute` calls is sent; those in the future are waiting for their slot. */
  readonly #turns: number[] = [];
  #closedUntil = 0;

  /** `what` in words: "job runs". */
  constructor(host: ProviderHost, what: string, perMinute: number, longestWaitMs: number) {
    this.#host = host;
    this.#what = what;
    this.#perMinute = perMinute;
    this.#longestWaitMs = longestWaitMs;
  }

  /**
   * Resolves when the call may be sent: never more than `perMinute` in any 60 s. Rejects with `throttled` at once if
   * the wait would be too long for a caller.
   */
  async take(operation: string): Promise<void> {
    const now = this.#host.now();
    const oldest = this.#turns.length < this.#perMinute ? undefined : this.#turns[0];
    const turn = Math.max(now, this.#closedUntil, oldest === undefined ? 0 : oldest + MINUTE_MS);
    const waitMs = turn - now;
    if (waitMs > this.#longestWaitMs) {
      throw new ProviderError(
        'throttled',
        operation,
        `${this.#perMinute} ${this.#what} a minute are used up; the next is free in ${Math.ceil(waitMs / 1000)} s`,
        { code: 'own-budget', retryAfterMs: waitMs },
      );
    }
    if (oldest !== undefined) this.#turns.shift();
    this.#turns.push(turn);
    if (waitMs > 0) await this.#host.sleep(waitMs);
  }

  /** The service itself reported "too many": holds all calls back for this long. */
  close(ms: number): void {
    this.#closedUntil = Math.max(this.#closedUntil, this.#host.now() + ms);
  }
}
