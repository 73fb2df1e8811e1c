/** Why a runner is taken down, and how far that has come. Pure. */
import { SECOND } from '../../../time/units.ts';
import { backendSource, type Failure, type FailureSource, ownFailure, withContext } from '../../failures/failure.ts';
import type { RunnerRow } from '../../ledger/ledger.ts';
import type { Answer, MachineContext } from './event.ts';
import { awaitsLastWord, onSilence, unproven } from './last-word.ts';
import { CREATING_MS, calledState, drainNow, ignored, move, note, quiet, retryLater } from './step.ts';

export function onDeadline(runner: RunnerRow, unheard: Failure | undefined, context: MachineContext): Answer {
  switch (runner.state) {
    case 'creating':
      return drainNow(runner, 'the launch took too long', context, {
        instanceState: calledState(runner),
        failure: ownFailure(
          'launch-timeout',
          `no answer within ${CREATING_MS / SECOND} s`,
          context.nowMs,
          placeOf(runner),
        ),
      });
    case 'parked':
      if (runner.standby === 'ready')
        return drainNow(runner, 'it has waited for a job for as long as it may', context, {});
      return drainNow(runner, 'its container did not ask for a job in time', context, {
        failure: silentInTime(runner, context),
      });
    case 'starting':
      if (awaitsLastWord(runner)) return onSilence(runner, unheard, context);
      if (runner.failure?.kind === 'no-stock') {
        const words = `no stock for ${Math.round(context.stockPatienceMs / SECOND)} s`;
        const failure = withContext(runner.failure, words, context.nowMs);
        return drainNow(runner, 'its backend had no stock for too long', context, { failure });
      }
      return drainNow(runner, 'it did not come online in time', context, {
        failure: notOnlineInTime(runner, unheard, context),
      });
    case 'online':
      if (awaitsLastWord(runner)) return onSilence(runner, unheard, context);
      return drainNow(runner, 'no job came in time', context, {});
    case 'busy':
      return drainNow(runner, 'its time limit is reached', context, {
        forced: true,
        failure: ownFailure('time-limit', 'stopped at its time limit', context.nowMs),
      });
    case 'finishing':
      return drainNow(runner, 'its container did not exit after the job', context, {});
    case 'draining':
      return ignored('it is being taken down already');
    case 'gone':
      return ignored('it is gone');
  }
}

/** What the service said, else why GitHub could not be asked, else that time passed: of these the first that is known. */
function notOnlineInTime(runner: RunnerRow, unheard: Failure | undefined, context: MachineContext): Failure {
  const limit = `online within ${Math.round(context.launchTimeoutMs / SECOND)} s`;
  if (runner.failure !== null) return withContext(runner.failure, `not ${limit}`, context.nowMs);
  if (unheard !== undefined)
    return withContext(unheard, `not seen ${limit}, and GitHub cannot be asked`, context.nowMs);
  return ownFailure('launch-timeout', `not ${limit}`, context.nowMs, placeOf(runner));
}

/** Only one that may wait longer than others: for them it comes to the same. The end of its time says what follows for the job. */
export function onOverlooked(runner: RunnerRow, context: MachineContext): Answer {
  if (runner.state !== 'online') return ignored('it does not wait for a job');
  if (runner.idleLimitMs === null) return ignored('it waits no longer than others');
  if (awaitsLastWord(runner)) return ignored('its container has ended');
  if (runner.deadlineAtMs !== null && runner.deadlineAtMs <= context.nowMs) return ignored('its time is up already');
  const patch = { deadlineAtMs: context.nowMs, nextCheckAtMs: context.nowMs };
  return note(runner, 'a job waits beside it, and GitHub does not give it to this runner', context, patch);
}

/** The service's own word, or what keeps a container from asking. */
function silentInTime(runner: RunnerRow, context: MachineContext): Failure {
  const limit = `within ${Math.round(context.launchTimeoutMs / SECOND)} s`;
  if (runner.failure !== null) return withContext(runner.failure, `no word ${limit}`, context.nowMs);
  const words = `no word ${limit}: a standby container has our entrypoint, and reaches listen.public.url`;
  return ownFailure('launch-timeout', words, context.nowMs, placeOf(runner));
}

function placeOf(runner: RunnerRow): FailureSource {
  return runner.backend === null ? 'dispatcher' : backendSource(runner.registration, runner.backend);
}

export function onDrain(runner: RunnerRow, reason: string, context: MachineContext): Answer {
  switch (runner.state) {
    case 'creating':
      return drainNow(runner, reason, context, { instanceState: calledState(runner) });
    case 'parked':
    case 'starting':
    case 'online':
      return drainNow(runner, reason, context, unproven(runner));
    case 'busy':
      return ignored('it runs a job');
    case 'finishing':
    case 'draining':
      return ignored('it is ending already');
    case 'gone':
      return ignored('it is gone');
  }
}

export function onForget(runner: RunnerRow, context: MachineContext): Answer {
  switch (runner.state) {
    case 'gone':
      return ignored('it is gone');
    case 'draining':
      if (!runner.forced)
        return note(runner, 'an operator gave it up: stopped without further waiting', context, {
          forced: true,
          attempts: 0,
          nextCheckAtMs: context.nowMs,
        });
      return move(
        runner,
        'gone',
        'an operator gave it up: what is left outside is not ours to watch any more',
        context,
        {},
      );
    case 'creating':
    case 'parked':
    case 'starting':
    case 'online':
    case 'busy':
    case 'finishing':
      return drainNow(runner, 'an operator gave it up', context, {
        forced: true,
        ...(runner.state === 'creating' ? { instanceState: calledState(runner) } : {}),
        ...unproven(runner),
      });
  }
}

/** The first mark stays, whatever the service answers: a stop that timed out may still take effect. */
export function onStopping(runner: RunnerRow, context: MachineContext): Answer {
  switch (runner.state) {
    case 'draining':
      if (runner.stopAskedAtMs !== null) return ignored('that is known');
      return quiet(runner, context, { stopAskedAtMs: context.nowMs });
    case 'creating':
    case 'parked':
    case 'starting':
    case 'online':
    case 'busy':
    case 'finishing':
    case 'gone':
      return ignored('only a draining runner is stopped');
  }
}

export function onStopSent(runner: RunnerRow, context: MachineContext): Answer {
  switch (runner.state) {
    case 'draining':
      return note(runner, 'stop was accepted', context, {
        stopSentAtMs: context.nowMs,
        attempts: 0,
        nextCheckAtMs: context.nowMs,
      });
    case 'creating':
    case 'parked':
    case 'starting':
    case 'online':
    case 'busy':
    case 'finishing':
      return ignored('only a draining runner is stopped');
    case 'gone':
      return ignored('it is gone');
  }
}

export function onStepFailed(
  runner: RunnerRow,
  event: { readonly failure: Failure; readonly retryAfterMs?: number },
  context: MachineContext,
): Answer {
  if (runner.state === 'gone') return ignored('it is gone');
  const reason = runner.attempts === 0 ? 'a step failed, and is tried again' : null;
  return retryLater(runner, reason, context, event.retryAfterMs, event.failure);
}
