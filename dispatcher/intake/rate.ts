/** Rate limits for deliveries: one token bucket per endpoint, so that one at its limit does not affect the others. */
import type { Clock } from '../../time/clock.ts';

interface Bucket {
  tokens: number;
  atMs: number;
}

export class DeliveryRates {
  readonly #clock: Clock;
  readonly #perMinute: number;
  readonly #buckets = new Map<string, Bucket>();

  constructor(clock: Clock, perMinute: number) {
    this.#clock = clock;
    this.#perMinute = perMinute;
  }

  /** Takes a token for one verified delivery: unauthenticated ones must not use them up. False: at the limit. */
  take(endpoint: string): boolean {
    const bucket = this.#fill(endpoint);
    if (bucket.tokens < 1) return false;
    bucket.tokens -= 1;
    return true;
  }

  /** Without taking a token. */
  exhausted(endpoint: string): boolean {
    return this.#fill(endpoint).tokens < 1;
  }

  /** Seconds until there is room for one; whole, at least 1. */
  retryAfterSeconds(endpoint: string): number {
    const missing = 1 - this.#fill(endpoint).tokens;
    return Math.max(1, Math.ceil((missing * 60) / this.#perMinute));
  }

  /** Endpoints come from the configuration, so their number is bounded. */
  #fill(endpoint: string): Bucket {
    const nowMs = this.#clock.now();
    const bucket = this.#buckets.get(endpoint) ?? { tokens: this.#perMinute, atMs: nowMs };
    // A clock that was set back adds nothing, and takes nothing away.
    const passedMs = Math.max(0, nowMs - bucket.atMs);
    bucket.tokens = Math.min(this.#perMinute, bucket.tokens + (passedMs * this.#perMinute) / 60_000);
    bucket.atMs = nowMs;
    this.#buckets.set(endpoint, bucket);
    return bucket;
  }
}
