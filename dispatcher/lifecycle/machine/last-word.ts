/**
 * A container that ended with exit code 0 before it was seen online, or soon after it came online ahead of its job. A short job
 * may have run between two looks, and nothing of it been reported: the runner keeps its state until GitHub has said so. GitHub removes a runner that has run its job,
 * and shows one that was never used until it is deleted. Pure.
 */
import { MINUTE, SECOND } from '../../../time/units.ts';
import type { Failure } from '../../failures/failure.ts';
import type { RunnerPatch, RunnerRow } from '../../ledger/ledger.ts';
import type { Answer, MachineContext } from './event.ts';
import { ADOPTED, drainNow, ENDED_LOOK_MS, ignored, isAhead, move, note, quiet, saying, withPatch } from './step.ts';

/** How long GitHub has to remove a runner whose container ended with exit code 0, as it does after a job. */
const LAST_WORD_MS = 15 * SECOND;
/** The same, while GitHub does not answer. */
const UNHEARD_MS = 2 * MINUTE;

export const ENDED_EARLY = 'its container ended before it came online';
export const ENDED_SOON = 'its container ended soon after it came online, without a job';
export const VANISHED = 'its container vanished';

/** Whether it ran a job is not known yet. */
export function awaitsLastWord(runner: RunnerRow): boolean {
  if (runner.instanceState !== 'ended') return false;
  return runner.state === 'starting' || (runner.state === 'online' && runner.failure !== null && isAhead(runner));
}

/**
 * Online ahead of its job for less than a start may take: no job says that it needs another one, so only a start that failed
 * keeps its pool from launching it again and again.
 */
export function isNewAhead(runner: RunnerRow, context: MachineContext, endedAtMs = context.nowMs): boolean {
  const { backend, onlineAtMs, specHash, state } = runner;
  if (state !== 'online' || backend === null || specHash === ADOPTED || !isAhead(runner)) return false;
  return onlineAtMs !== null && endedAtMs - onlineAtMs < context.launchTimeoutMs;
}

/** An exit that says nothing bad of a runner which has been online. */
export function endedWell(failure: Failure): boolean {
  return failure.kind === 'exited' && failure.code === '0';
}

export function endedUnseen(runner: RunnerRow, failure: Failure, patch: RunnerPatch, context: MachineContext): Answer {
  if (awaitsLastWord(runner)) return quiet(runner, context, patch);
  const asked: RunnerPatch = {
    ...patch,
    failure,
    attempts: 0,
    deadlineAtMs: context.nowMs + LAST_WORD_MS,
    nextCheckAtMs: context.nowMs + ENDED_LOOK_MS,
  };
  const before = runner.state === 'online' ? '' : ' before it was seen online';
  const reason = `its container ended${before}: GitHub is asked whether it ran a job`;
  if (runner.state !== 'creating') return note(runner, reason, context, asked, failure);
  return withPatch(saying(failure, move(runner, 'starting', reason, context, {})), asked);
}

/** GitHub does not know its registration any more. */
export function ranUnseen(runner: RunnerRow, gone: RunnerPatch, context: MachineContext): Answer {
  const patch = { ...gone, busyAtMs: runner.busyAtMs ?? context.nowMs, ...unproven(runner) };
  return drainNow(runner, 'its container ended, and GitHub removed it as it does after a job', context, patch);
}

/** Its time is up, and GitHub has told of no job. */
export function onSilence(runner: RunnerRow, unheard: Failure | undefined, context: MachineContext): Answer {
  // As it ended: from now on it is known to be a failed start.
  const early = runner.state === 'online' ? ENDED_SOON : ENDED_EARLY;
  if (unheard === undefined) return drainNow(runner, early, context, { failure: runner.failure });
  const sinceMs = (runner.deadlineAtMs ?? context.nowMs) - LAST_WORD_MS;
  if (context.nowMs - sinceMs < UNHEARD_MS) return ignored('GitHub has not said yet whether it ran a job');
  const reason = 'its container ended, and GitHub does not say whether it ran a job';
  return drainNow(runner, reason, context, { failure: null }, unheard);
}

/** Its end is no failed start, as far as is known: what is left to tell of it. */
export function unproven(runner: RunnerRow): RunnerPatch {
  return awaitsLastWord(runner) ? { failure: knownFailure(runner) } : {};
}

/** An exit with code 0 is none until GitHub has said that the runner was never used. */
export function knownFailure(runner: RunnerRow): Failure | null {
  if (runner.failure !== null && awaitsLastWord(runner) && endedWell(runner.failure)) return null;
  return runner.failure;
}
