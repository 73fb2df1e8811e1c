/** Stays under the service's rate limits, across all runners of one backend. */
import { ProviderError, type ProviderHost } from '../provider.ts';
import type { Call } from './errors.ts';

interface Window {
  readonly most: number;
  readonly ms: number;
}
type Class = 'create' | 'delete' | 'read';

/** Azure Resource Manager: a bucket of 250 reads, refilled at 25 per second, per subscription and principal. */
const reads: readonly Window[] = [{ most: 250, ms: 10_000 }];

export class Budget {
  readonly #host: ProviderHost;
  readonly #longestMs: number;
  readonly #windows: Readonly<Record<Class, readonly Window[]>>;
  readonly #sentAtMs: Readonly<Record<Class, number[]>> = { create: [], delete: [], read: [] };

  /** `longestMs`: a call that would have to wait longer is refused at once, so that it settles in time. */
  constructor(
    host: ProviderHost,
    limits: { readonly per5Minutes: number; readonly perHour: number },
    share: number,
    longestMs: number,
  ) {
    this.#host = host;
    this.#longestMs = longestMs;
    const part = (most: number): number => Math.max(1, Math.floor(most * share));
    const writes = [
      { most: part(limits.per5Minutes), ms: 300_000 },
      { most: part(limits.perHour), ms: 3_600_000 },
    ];
    this.#windows = { create: writes, delete: writes, read: reads };
  }

  /** Slots are assigned in call order. Rejects with `throttled`, and says when a slot is free. */
  async permit(call: Call): Promise<void> {
    const kind: Class = call === 'create' || call === 'delete' ? call : 'read';
    const sent = this.#sentAtMs[kind];
    const windows = this.#windows[kind];
    const now = this.#host.now();
    const kept = Math.max(...windows.map(({ most }) => most));
    sent.splice(0, Math.max(0, sent.length - kept));
    // No slot is further away than the longest wait, unless the clock was set back. Treat the last one as taken now.
    const aheadMs = (sent.at(-1) ?? now) - now;
    if (aheadMs > this.#longestMs) for (const [index, at] of sent.entries()) sent[index] = at - aheadMs;
    const free = windows.map(({ most, ms }) => {
      const before = sent.at(-most);
      return before === undefined ? now : before + ms;
    });
    // Never before an earlier call, whose slot may be in the future.
    const atMs = Math.max(now, sent.at(-1) ?? now, ...free);
    const waitMs = Math.ceil(atMs - now);
    if (waitMs > this.#longestMs) {
      throw new ProviderError(
        'throttled',
        `azure-aci ${call}`,
        `what Azure grants (${described(windows)}) is used up`,
        {
          code: 'own-budget',
          retryAfterMs: waitMs,
        },
      );
    }
    sent.push(atMs);
    if (waitMs > 0) await this.#host.sleep(waitMs);
  }
}

function described(windows: readonly Window[]): string {
  return windows.map(({ most, ms }) => `${most} in ${ms / 1000} s`).join(', ');
}
