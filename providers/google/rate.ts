/** Stays under a limit that Google counts by the minute, so that it need not say no. One per backend, shared by its runners. */
import { ProviderError, type ProviderHost } from '../provider.ts';

const MINUTE_MS = 60_000;

export class MinuteBudget {
  readonly #host: ProviderHost;
  readonly #what: string;
  readonly #perMinute: number;
  readonly #longestWaitMs: number;
  /** When each of the last `perMinute` calls leaves; those in the future wait for their turn. */
  readonly #turns: number[] = [];
  #closedUntil = 0;

  /** `what` as a person reads it: "job runs". */
  constructor(host: ProviderHost, what: string, perMinute: number, longestWaitMs: number) {
    this.#host = host;
    this.#what = what;
    this.#perMinute = perMinute;
    this.#longestWaitMs = longestWaitMs;
  }

  /**
   * Resolves when the call may leave: never more than `perMinute` in any 60 s. Rejects with `throttled` at once where
   * the turn is further away than a caller should be kept.
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

  /** The service itself said "too many": nothing leaves for so long. */
  close(ms: number): void {
    this.#closedUntil = Math.max(this.#closedUntil, this.#host.now() + ms);
  }
}
