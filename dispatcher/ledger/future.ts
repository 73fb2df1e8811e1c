/**
 * Corrects times in the future. A dispatcher whose machine's clock was ahead recorded times that have not come yet:
 * until they come nothing would be checked, and no read of a job would count as newer. Pure.
 */
import type { Breaker, RunnerRow } from './ledger.ts';

/**
 * No runner goes unchecked for longer: the lifecycle's longest pause is 5 min, and longer waits that GitHub or
 * a service asks for are kept by their budgets.
 */
const MAX_PAUSE_MS = 15 * 60_000;

/** Returns the same object if all its times are valid. */
export function runnerUpTo(nowMs: number, runner: RunnerRow): RunnerRow {
  const aheadMs = Math.max(0, runner.stateSinceMs - nowMs);
  const latest = (atMs: number | null) => (atMs !== null && atMs > nowMs ? nowMs : atMs);
  const isAhead = (atMs: number | null) => atMs !== null && atMs > nowMs;
  const idleIsAhead = isAhead(runner.firstIdleAtMs) || isAhead(runner.lastIdleAtMs);
  const missIsAhead = isAhead(runner.firstMissAtMs);
  const nextIsAhead = runner.nextCheckAtMs !== null && runner.nextCheckAtMs > nowMs + MAX_PAUSE_MS;
  const known = [
    runner.onlineAtMs,
    runner.busyAtMs,
    runner.finishedAtMs,
    runner.deregisteredAtMs,
    runner.stopAskedAtMs,
    runner.stopSentAtMs,
    runner.refusedSinceMs,
  ];
  if (aheadMs === 0 && !idleIsAhead && !missIsAhead && !nextIsAhead && !known.some(isAhead)) return runner;
  return {
    ...runner,
    stateSinceMs: Math.min(runner.stateSinceMs, nowMs),
    deadlineAtMs: runner.deadlineAtMs === null ? null : runner.deadlineAtMs - aheadMs,
    nextCheckAtMs: runner.nextCheckAtMs === null ? null : nowMs,
    onlineAtMs: latest(runner.onlineAtMs),
    busyAtMs: latest(runner.busyAtMs),
    finishedAtMs: latest(runner.finishedAtMs),
    deregisteredAtMs: latest(runner.deregisteredAtMs),
    stopAskedAtMs: latest(runner.stopAskedAtMs),
    stopSentAtMs: latest(runner.stopSentAtMs),
    refusedSinceMs: latest(runner.refusedSinceMs),
    // These prove something by the time between them, and are collected anew.
    ...(idleIsAhead ? { firstIdleAtMs: null, lastIdleAtMs: null } : {}),
    ...(missIsAhead ? { misses: 0, firstMissAtMs: null } : {}),
    version: runner.version + 1,
  };
}

/** Returns the same object if all its times are valid. */
export function breakerUpTo(nowMs: number, breaker: Breaker): Breaker {
  const aheadMs = Math.max(0, breaker.changedAtMs - nowMs);
  if (aheadMs === 0) return breaker;
  return {
    ...breaker,
    failure: { ...breaker.failure, atMs: Math.min(breaker.failure.atMs, nowMs) },
    sinceMs: Math.min(breaker.sinceMs, nowMs),
    closedUntilMs: breaker.closedUntilMs - aheadMs,
    changedAtMs: nowMs,
  };
}
