import { RateWindow } from '../../time/rate-window.ts';
import { CallRate } from '../kit/call-rate.ts';
import type { ProviderHost } from '../provider.ts';

const MINUTE_MS = 60_000;

/** A quota of Google: never more than `most` in any 60 s. `what` in words: "job runs". */
export function minuteRate(host: ProviderHost, what: string, most: number, longestWaitMs: number): CallRate {
  return new CallRate(host, {
    limits: [new RateWindow(MINUTE_MS, most)],
    longestWaitMs,
    usedUp: (waitMs) => `${most} ${what} a minute are used up; the next is free in ${Math.ceil(waitMs / 1000)} s`,
  });
}
