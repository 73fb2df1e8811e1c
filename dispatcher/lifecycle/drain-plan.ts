/**
 * The remaining steps of a draining runner, at GitHub and at the provider. Pure.
 *
 * Nothing proves that a runner is idle: GitHub has reported busy runners as idle for many minutes, and has accepted
 * their DELETE (terraform-aws-github-runner#5085, #5228). So a container that may be running a job is left to exit by
 * itself; `mayStop` lists the only reasons to stop it.
 */

import { MINUTE, SECOND } from '../../time/units.ts';
import type { RunnerRow } from '../ledger/ledger.ts';
import { instanceIsOver } from './machine/step.ts';
import { neverCameOnline, REFUSED_PATIENCE_MS } from './machine.ts';

/** Two readings of "idle" count as separate only when they are this far apart. */
export const IDLE_SPAN_MS = 2 * MINUTE;
/** A runner that was never read idle within this time of its drain has lost its connection. */
export const OFFLINE_MS = 5 * MINUTE;
/** How long a runner that was online is left to exit by itself after its drain began. */
export const LEAVE_ALONE_MS = 10 * MINUTE;
/** The same, if GitHub never called it idle: it was offline, or its registration vanished. */
export const LEAVE_ALONE_UNSEEN_MS = 30 * MINUTE;
/** From the end of the registration of a runner that never came online to its stop. */
export const NEVER_ONLINE_GRACE_MS = 30 * SECOND;
/** A container whose job is done gets this long to exit. */
export const EXIT_GRACE_MS = MINUTE;
/** An accepted stop that had no effect is repeated after this. */
export const REPEAT_STOP_MS = MINUTE;

/** `read`: ask GitHub for the runner. `deregister`: DELETE it. */
export type GithubStep = 'none' | 'read' | 'deregister';
/** `stop`: keep its output, then stop and remove it. */
export type InstanceStep = 'none' | 'inspect' | 'stop';

export function githubStep(runner: RunnerRow, nowMs: number): GithubStep {
  if (runner.deregisteredAtMs !== null) return 'none';
  if (runner.forced || instanceIsOver(runner) || runner.finishedAtMs !== null) return 'deregister';
  if (neverCameOnline(runner) || readIdle(runner)) return 'deregister';
  // It was online once and is not any more: it will never be read idle. GitHub refuses the DELETE while it has a job.
  const offline = runner.firstIdleAtMs === null && nowMs - runner.stateSinceMs >= OFFLINE_MS;
  return offline ? 'deregister' : 'read';
}

export function instanceStep(runner: RunnerRow, nowMs: number): InstanceStep {
  if (runner.instanceState === 'none' || runner.instanceState === 'absent') return 'none';
  const stopPending = runner.stopSentAtMs !== null && nowMs - runner.stopSentAtMs < REPEAT_STOP_MS;
  if (stopPending) return 'inspect';
  return runner.instanceState === 'ended' || mayStop(runner, nowMs) ? 'stop' : 'inspect';
}

/** Whether a container that has not ended may be stopped. */
export function mayStop(runner: RunnerRow, nowMs: number): boolean {
  if (runner.forced || nowMs >= runner.instanceDeadlineAtMs) return true;
  if (runner.finishedAtMs !== null) return nowMs - runner.finishedAtMs >= EXIT_GRACE_MS;
  if (runner.jobKey !== null) return false;
  if (runner.deregisteredAtMs === null) return false;
  if (neverCameOnline(runner)) {
    return runner.instanceState !== 'running' || nowMs - runner.deregisteredAtMs >= NEVER_ONLINE_GRACE_MS;
  }
  const patience = readIdle(runner) ? LEAVE_ALONE_MS : LEAVE_ALONE_UNSEEN_MS;
  return nowMs - runner.stateSinceMs >= patience && nowMs - runner.deregisteredAtMs >= IDLE_SPAN_MS;
}

/** Whether it is stopped because no job names it: then its possible jobs are read by id first. */
export function restsOnSilence(runner: RunnerRow, nowMs: number): boolean {
  return (
    !runner.forced && nowMs < runner.instanceDeadlineAtMs && runner.finishedAtMs === null && !instanceIsOver(runner)
  );
}

/** When to check again, if this visit changed nothing. */
export function nextVisitMs(runner: RunnerRow, nowMs: number): number {
  if (runner.refusedSinceMs !== null && instanceIsOver(runner) && runner.instanceState !== 'ended') {
    return Math.min(MINUTE, Math.max(SECOND, runner.refusedSinceMs + REFUSED_PATIENCE_MS - nowMs));
  }
  if (runner.stopSentAtMs !== null || runner.instanceState === 'ended') return 2 * SECOND;
  return nowMs - runner.stateSinceMs < 2 * MINUTE ? 15 * SECOND : 30 * SECOND;
}

/** When the container of a draining runner is expected to be gone, if it does not exit by itself before. */
export function expectedEndMs(runner: RunnerRow, nowMs: number): number {
  if (runner.forced || instanceIsOver(runner) || neverCameOnline(runner)) return nowMs;
  if (runner.finishedAtMs !== null) return runner.finishedAtMs + EXIT_GRACE_MS;
  const patience = runner.firstIdleAtMs === null ? LEAVE_ALONE_UNSEEN_MS : LEAVE_ALONE_MS;
  return Math.min(runner.instanceDeadlineAtMs, runner.stateSinceMs + patience);
}

function readIdle(runner: RunnerRow): boolean {
  return (
    runner.firstIdleAtMs !== null &&
    runner.lastIdleAtMs !== null &&
    runner.lastIdleAtMs - runner.firstIdleAtMs >= IDLE_SPAN_MS
  );
}
