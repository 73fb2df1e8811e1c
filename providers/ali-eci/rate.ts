/** The service's rate limits, of which a backend uses its share. */
import { TokenBucket } from '../../time/token-bucket.ts';
import { CallRate } from '../kit/call-rate.ts';
import type { ProviderHost } from '../provider.ts';
import type { CallName } from './errors.ts';

/** Calls per minute that the vendor grants an account in a region; creations and deletions share one limit. */
const perMinute = { write: 1000, read: 2000, log: 500 } as const;
type Class = keyof typeof perMinute;

/** Maximum burst; the rest of a queue of launches is spread over the minute. */
const BURST_MS = 3_000;

export class Rate {
  readonly #rates: Readonly<Record<Class, CallRate>>;

  constructor(host: ProviderHost, share: number, longestWaitMs: number) {
    const rate = (kind: Class): CallRate =>
      new CallRate(host, {
        // The burst counts too: no minute, including the first, exceeds the share.
        limits: [new TokenBucket((60_000 + BURST_MS) / (perMinute[kind] * share), BURST_MS)],
        longestWaitMs,
        usedUp: () => `this backend's own rate (${kind}) is used up`,
      });
    this.#rates = { write: rate('write'), read: rate('read'), log: rate('log') };
  }

  permit(call: CallName): Promise<void> {
    return this.#rates[classOf(call)].permit(`ali-eci ${call}`);
  }

  /** The service refused a call for its rate: other clients use the account, too. */
  close(call: CallName, ms: number): void {
    this.#rates[classOf(call)].close(ms);
  }
}

function classOf(call: CallName): Class {
  if (call === 'CreateContainerGroup' || call === 'DeleteContainerGroup' || call === 'CreateImageCache') return 'write';
  return call === 'DescribeContainerLog' ? 'log' : 'read';
}
