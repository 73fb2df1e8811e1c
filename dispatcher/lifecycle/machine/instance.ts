/** What the service says of a runner's instance, and what its absence proves. Pure. */
import { MINUTE, SECOND } from '../../../time/units.ts';
import { backendSource, type Failure, instanceFailure, ownFailure } from '../../failures/failure.ts';
import type { RunnerPatch, RunnerRow } from '../../ledger/ledger.ts';
import type { Answer, MachineContext } from './event.ts';
import { awaitsLastWord, ENDED_EARLY, ENDED_SOON, endedUnseen, endedWell, isNewAhead, VANISHED } from './last-word.ts';
import {
  ADOPTED,
  acceptedState,
  deadlineOf,
  drainNow,
  ignored,
  isAhead,
  lookAgainAt,
  move,
  note,
  quiet,
  revive,
  saying,
  withPatch,
} from './step.ts';

/** Misses, and the time they must span, before an instance that we did not stop counts as absent. */
const PROOF_MISSES = 3;
const PROOF_SPAN_MS = 3 * MINUTE;
/** How long an instance that a crash left pending may take to come online. */
const RECOVERED_PENDING_MS = 2 * MINUTE;
/** Misses before a launch that a crash interrupted is given up. */
const RECOVERY_MISSES = 2;

export function onInstance(
  runner: RunnerRow,
  event: {
    readonly state: 'pending' | 'running' | 'ended' | 'unknown';
    readonly backend: string;
    readonly instanceId: string;
    readonly ended?: Failure;
    readonly failure?: Failure;
  },
  context: MachineContext,
): Answer {
  const found = { backend: event.backend, instanceId: event.instanceId, misses: 0, firstMissAtMs: null } as const;
  if (event.state === 'unknown') {
    return runner.misses === 0
      ? ignored('an answer that cannot be read proves nothing')
      : quiet(runner, context, found);
  }
  if (event.state === 'ended') {
    const patch: RunnerPatch = { ...found, instanceState: 'ended' };
    const failure = event.ended ?? null;
    const cause = failure !== null && endedWell(failure) ? null : failure;
    switch (runner.state) {
      case 'creating':
      case 'starting':
        // It may have been online, and have run jobs, before the ledger was lost.
        if (runner.specHash === ADOPTED)
          return drainNow(runner, 'its container ended', context, { ...patch, failure: cause });
        if (failure?.code === '0') return endedUnseen(runner, failure, patch, context);
        return drainNow(runner, ENDED_EARLY, context, { ...patch, failure });
      case 'parked':
        return drainNow(runner, 'its container ended before it got a job', context, { ...patch, failure });
      case 'online':
        if (awaitsLastWord(runner)) return quiet(runner, context, patch);
        if (failure !== null && isNewAhead(runner, context)) {
          if (failure.code === '0') return endedUnseen(runner, failure, patch, context);
          return drainNow(runner, ENDED_SOON, context, { ...patch, failure });
        }
        return drainNow(runner, 'its container ended without a job that we know of', context, patch, cause);
      case 'busy':
        return drainNow(runner, 'its container ended while its job ran', context, { ...patch, failure: cause });
      case 'finishing':
        return drainNow(runner, 'its container ended after the job', context, patch);
      case 'draining':
        if (runner.instanceState === 'ended' || runner.instanceState === 'absent') return quiet(runner, context, found);
        return note(
          runner,
          'its container ended',
          context,
          { ...patch, attempts: 0, nextCheckAtMs: context.nowMs },
          cause,
        );
      case 'gone':
        return revive(runner, 'the service still lists what is left of it', context, patch);
    }
  }
  const patch: RunnerPatch = { ...found, instanceState: event.state };
  switch (runner.state) {
    case 'creating':
      return recovered(runner, event, patch, context);
    case 'parked':
    case 'starting':
      if (awaitsLastWord(runner)) return quiet(runner, context, found);
      if (event.failure === undefined && event.state === 'running' && runner.failure?.kind === 'no-stock') {
        return quiet(runner, context, { ...patch, ...stockCame(runner, context) });
      }
      return event.failure === undefined || event.failure.kind === runner.failure?.kind
        ? quiet(runner, context, patch)
        : failing(runner, event.failure, patch, context);
    case 'online':
    case 'busy':
      if (awaitsLastWord(runner)) return quiet(runner, context, found);
      // Once per kind: the message may change at each check.
      return event.failure === undefined || event.failure.kind === runner.failure?.kind
        ? quiet(runner, context, patch)
        : failing(runner, event.failure, patch, context);
    case 'finishing':
    case 'draining':
      return quiet(runner, context, runner.instanceState === 'ended' ? found : patch);
    case 'gone':
      return revive(runner, 'it was found running after it had been given up', context, patch);
  }
}

/** The service's message about an instance that continues: it may recover, or explain a later failure. */
function failing(runner: RunnerRow, failure: Failure, patch: RunnerPatch, context: MachineContext): Answer {
  const nextCheckAtMs = lookAgainAt(runner, context);
  const known: RunnerPatch = { ...patch, attempts: 0, nextCheckAtMs, failure };
  if (failure.kind === 'no-stock' && runner.state === 'starting') {
    const patienceEndsAtMs = context.nowMs + context.stockPatienceMs;
    const deadlineAtMs = Math.min(runner.deadlineAtMs ?? patienceEndsAtMs, patienceEndsAtMs);
    const words = `no stock: other backends get the job ${context.stockPatienceMs / SECOND} s from now`;
    return note(runner, words, context, { ...known, deadlineAtMs }, failure);
  }
  return note(runner, 'its container reports a failure', context, known, failure);
}

/** The service found capacity after all: from now on it has the normal start timeout. */
function stockCame(runner: RunnerRow, context: MachineContext): RunnerPatch {
  return { failure: null, deadlineAtMs: deadlineOf(runner, 'starting', context) };
}

/**
 * Found after a crash during launch. A pending instance may have lost the second half of its launch with the process
 * that had its secret, and would stay pending indefinitely: it gets less time than a launch that this process owns.
 */
function recovered(
  runner: RunnerRow,
  event: { readonly state: string; readonly backend: string; readonly instanceId: string },
  patch: RunnerPatch,
  context: MachineContext,
): Answer {
  const state = acceptedState(runner);
  const answer = saying(event.instanceId, move(runner, state, `found on ${event.backend}`, context, patch));
  if (answer.kind === 'ignored' || event.state !== 'pending') return answer;
  const deadlineAtMs = context.nowMs + Math.min(RECOVERED_PENDING_MS, context.launchTimeoutMs);
  return withPatch(answer, { deadlineAtMs });
}

export function onInstanceMissing(runner: RunnerRow, context: MachineContext): Answer {
  const misses = runner.misses + 1;
  const firstMissAtMs = runner.firstMissAtMs ?? context.nowMs;
  const patch = { misses, firstMissAtMs } as const;
  const stopped = runner.stopSentAtMs !== null && (runner.instanceId !== null || runner.instanceState === 'ended');
  const proven = stopped || (misses >= PROOF_MISSES && context.nowMs - firstMissAtMs >= PROOF_SPAN_MS);
  switch (runner.state) {
    case 'creating':
      return misses >= RECOVERY_MISSES
        ? drainNow(runner, 'its launch was interrupted, and no instance was found', context, {
            ...patch,
            instanceState: 'maybe',
            failure: ownFailure('interrupted', 'the dispatcher stopped in the middle of the launch', context.nowMs),
          })
        : quiet(runner, context, patch);
    case 'parked':
    case 'starting':
      if (proven) {
        const known = runner.failure ?? vanishedAhead(runner, context);
        const failed = known === null ? {} : { failure: known };
        return drainNow(runner, VANISHED, context, { ...patch, instanceState: 'absent', ...failed });
      }
      return quiet(runner, context, patch);
    case 'online':
    case 'busy':
    case 'finishing':
      if (awaitsLastWord(runner)) return ignored('it has ended, and GitHub is asked whether it ran a job');
      return proven
        ? drainNow(runner, VANISHED, context, {
            ...patch,
            instanceState: 'absent',
            ...(isNewAhead(runner, context, firstMissAtMs) ? { failure: vanishedAhead(runner, context) } : {}),
          })
        : quiet(runner, context, patch);
    case 'draining':
      if (runner.instanceState === 'absent' || runner.instanceState === 'none') return ignored('that is known');
      return proven
        ? note(runner, 'nothing of its container is left', context, {
            ...patch,
            instanceState: 'absent',
            attempts: 0,
            nextCheckAtMs: context.nowMs,
          })
        : quiet(runner, context, patch);
    case 'gone':
      return ignored('it is gone');
  }
}

/** No job says that it needs another one: only a start that failed keeps a pool from launching it again and again. */
function vanishedAhead(runner: RunnerRow, context: MachineContext): Failure | null {
  const { backend, registration } = runner;
  if (!isAhead(runner) || backend === null) return null;
  const reason = { kind: 'unknown', message: 'its container is gone, and the service does not say why' } as const;
  return instanceFailure(reason, backendSource(registration, backend), context.nowMs);
}
