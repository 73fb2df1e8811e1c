/** Stays under the service's rate limits, across all runners of one backend. */
import { ProviderError, type ProviderHost } from '../provider.ts';
import type { Call } from './errors.ts';

/** Calls per minute that the vendor grants an account in a region; creations and deletions share one limit. */
const perMinute = { write: 1000, read: 2000, log: 500 } as const;
type Class = keyof typeof perMinute;

/** Maximum burst; the rest of a queue of launches is spread over the minute. */
const BURST_S = 3;

export class Rate {
  readonly #host: ProviderHost;
  readonly #share: number;
  readonly #longestMs: number;
  /** When the next call of the class would be sent at an even pace. */
  readonly #dueAtMs = new Map<Class, number>();

  /** `longestMs`: a call that would have to wait longer is refused, so that it settles in time. */
  constructor(host: ProviderHost, share: number, longestMs: number) {
    this.#host = host;
    this.#share = share;
    this.#longestMs = longestMs;
  }

  async permit(call: Call): Promise<void> {
    const kind = classOf(call);
    // The burst counts too: no minute, including the first, exceeds the share.
    const stepMs = (60_000 + BURST_S * 1000) / (perMinute[kind] * this.#share);
    const now = this.#host.now();
    const known = this.#dueAtMs.get(kind) ?? now;
    // No admitted call ever waits longer than this, so a slot further ahead means that the clock was set back.
    const furthest = now + BURST_S * 1000 + this.#longestMs + stepMs;
    const dueAtMs = known > furthest ? now : Math.max(known, now);
    const waitMs = Math.max(0, dueAtMs - BURST_S * 1000 - now);
    if (waitMs > this.#longestMs) {
      throw new ProviderError('throttled', `ali-eci ${call}`, `this backend's own rate (${kind}) is used up`, {
        code: 'own-rate',
        retryAfterMs: Math.ceil(waitMs),
      });
    }
    this.#dueAtMs.set(kind, dueAtMs + stepMs);
    if (waitMs > 0) await this.#host.sleep(Math.ceil(waitMs));
  }
}

function classOf(call: Call): Class {
  if (call === 'CreateContainerGroup' || call === 'DeleteContainerGroup' || call === 'CreateImageCache') return 'write';
  return call === 'DescribeContainerLog' ? 'log' : 'read';
}
