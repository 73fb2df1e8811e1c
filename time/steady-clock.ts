/**
 * A clock that cannot be set: the dispatcher's own time. Deadlines, backoffs, listings and everything in the
 * ledger compare times with one another; when the machine's clock is corrected by an hour, they must neither all
 * be reached at once (a busy runner would be ended at its time limit) nor all lie an hour ahead (nothing would be
 * checked until then).
 */
import type { Clock } from './clock.ts';

/** How much faster or slower than real time it runs while it follows a clock that was set. */
const SLEW = 0.05;
/** Corrections up to this are normal for a time service, and not worth logging. */
const SILENT_MS = 2_000;

/** What a steady clock reports. */
export interface SteadyClockOptions {
  /** The machine's clock was set: by how much, since the last report. Positive: forwards. */
  onSet(byMs: number): void;
}

/**
 * Starts at the given clock's time and goes on with the time that has really passed. When the given clock is set, this
 * one follows it by running 5 % faster or slower until both agree again; it never goes backwards.
 *
 * A given clock without `elapsed` cannot be told from one that was set forwards; one that is set back is noticed.
 */
export function steadyClock(given: Clock, { onSet }: SteadyClockOptions): Clock {
  let wallMs = given.now();
  let elapsedMs = given.elapsed?.() ?? 0;
  let steadyMs = wallMs;
  let toldMs = 0;

  function now(): number {
    const nextWallMs = given.now();
    const nextElapsedMs = given.elapsed?.();
    const passedMs =
      nextElapsedMs === undefined ? Math.max(0, nextWallMs - wallMs) : Math.max(0, nextElapsedMs - elapsedMs);
    wallMs = nextWallMs;
    elapsedMs = nextElapsedMs ?? 0;
    const reached = steadyMs + passedMs;
    const behindMs = wallMs - reached;
    const slewMs = passedMs * SLEW;
    steadyMs = reached + Math.max(-slewMs, Math.min(slewMs, behindMs));
    if (Math.abs(behindMs - toldMs) > SILENT_MS) {
      onSet(Math.round(behindMs - toldMs));
      toldMs = behindMs;
    } else if (Math.abs(behindMs) < Math.abs(toldMs)) {
      // It gets closer: not worth a line.
      toldMs = behindMs;
    }
    return Math.floor(steadyMs);
  }

  return { now, after: (ms, action) => given.after(ms, action) };
}
