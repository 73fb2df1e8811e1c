/** The service's rate limits, of which a backend uses its share. */
import { RateWindow } from '../../time/rate-window.ts';
import { CallRate } from '../kit/call-rate.ts';
import type { ProviderHost } from '../provider.ts';
import type { CallName } from './errors.ts';

interface Limit {
  readonly most: number;
  readonly ms: number;
}
type Class = 'create' | 'delete' | 'read';

/** Azure Resource Manager: a bucket of 250 reads, refilled at 25 per second, per subscription and principal. */
const reads: readonly Limit[] = [{ most: 250, ms: 10_000 }];

export class Rate {
  readonly #rates: Readonly<Record<Class, CallRate>>;

  constructor(
    host: ProviderHost,
    limits: { readonly per5Minutes: number; readonly perHour: number },
    share: number,
    longestWaitMs: number,
  ) {
    const part = (most: number): number => Math.max(1, Math.floor(most * share));
    const writes = [
      { most: part(limits.per5Minutes), ms: 300_000 },
      { most: part(limits.perHour), ms: 3_600_000 },
    ];
    const rate = (granted: readonly Limit[]): CallRate =>
      new CallRate(host, {
        limits: granted.map(({ most, ms }) => new RateWindow(ms, most)),
        longestWaitMs,
        usedUp: () => `what Azure grants (${inWords(granted)}) is used up`,
      });
    this.#rates = { create: rate(writes), delete: rate(writes), read: rate(reads) };
  }

  permit(call: CallName): Promise<void> {
    return this.#rateOf(call).permit(`azure-aci ${call}`);
  }

  /** The service refused a call for its rate: other clients use the subscription, too. */
  close(call: CallName, ms: number): void {
    this.#rateOf(call).close(ms);
  }

  #rateOf(call: CallName): CallRate {
    return this.#rates[call === 'create' || call === 'delete' ? call : 'read'];
  }
}

function inWords(limits: readonly Limit[]): string {
  return limits.map(({ most, ms }) => `${most} in ${ms / 1000} s`).join(', ');
}
