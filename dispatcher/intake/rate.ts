/** Rate limits for deliveries: a bucket for each endpoint, so that one at its limit does not affect the others. */
import type { Clock } from '../../time/clock.ts';
import { TokenBucket } from '../../time/token-bucket.ts';

const MINUTE_MS = 60_000;

export class DeliveryRates {
  readonly #clock: Clock;
  readonly #stepMs: number;
  readonly #buckets = new Map<string, TokenBucket>();

  constructor(clock: Clock, perMinute: number) {
    this.#clock = clock;
    this.#stepMs = MINUTE_MS / perMinute;
  }

  /** Counts one verified delivery: unauthenticated ones must not use them up. False: at the limit. */
  take(endpoint: string): boolean {
    if (this.exhausted(endpoint)) return false;
    this.#bucket(endpoint).spend(this.#clock.now());
    return true;
  }

  /** Without counting one. */
  exhausted(endpoint: string): boolean {
    return this.#waitMs(endpoint) > 0;
  }

  /** Seconds until there is room for one; whole, at least 1. */
  retryAfterSeconds(endpoint: string): number {
    return Math.max(1, Math.ceil(this.#waitMs(endpoint) / 1000));
  }

  #waitMs(endpoint: string): number {
    const nowMs = this.#clock.now();
    return this.#bucket(endpoint).fitsAt(nowMs) - nowMs;
  }

  /** Endpoints come from the configuration, so their number is bounded. */
  #bucket(endpoint: string): TokenBucket {
    let bucket = this.#buckets.get(endpoint);
    if (bucket === undefined) {
      // A full minute's worth at once, and the rest as time goes by.
      bucket = new TokenBucket(this.#stepMs, MINUTE_MS - this.#stepMs);
      this.#buckets.set(endpoint, bucket);
    }
    return bucket;
  }
}
