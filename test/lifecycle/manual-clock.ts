import type { Clock } from '../../time/clock.ts';

/** A clock that stands still until it is moved. It runs no timers: what is tested with it only reads the time. */
export function manualClock(startMs = 1_000_000): Clock & { move(ms: number): void } {
  let nowMs = startMs;
  return {
    now: () => nowMs,
    after() {
      throw new Error('this clock runs no timers');
    },
    move(ms) {
      nowMs += ms;
    },
  };
}
