/** What a launch says of its runner: the calls of providers, and their answers. Pure. */
import type { Failure } from '../../failures/failure.ts';
import type { RunnerRow } from '../../ledger/ledger.ts';
import type { Answer, MachineContext, RunnerEvent } from './event.ts';
import {
  acceptedState,
  calledState,
  drainNow,
  ignored,
  instanceIsOver,
  move,
  note,
  quiet,
  revive,
  saying,
} from './step.ts';

export const LAUNCH_FAILED = 'the launch failed';

export function onCalling(
  runner: RunnerRow,
  event: Extract<RunnerEvent, { readonly kind: 'calling' }>,
  context: MachineContext,
): Answer {
  switch (runner.state) {
    case 'creating':
      return quiet(runner, context, {
        backend: event.backend,
        githubRunnerId: event.runnerId,
        instanceDeadlineAtMs: event.instanceDeadlineAtMs,
        callbackHash: event.callbackHash ?? null,
        candidate: event.candidate ?? null,
        instanceState: 'maybe',
      });
    case 'parked':
    case 'starting':
    case 'online':
    case 'busy':
    case 'finishing':
    case 'draining':
    case 'gone':
      return ignored('it is not being launched any more');
  }
}

export function onBackendRefused(
  runner: RunnerRow,
  event: { readonly backend: string; readonly failure: Failure },
  context: MachineContext,
): Answer {
  const reason = `${event.backend} refused the launch`;
  switch (runner.state) {
    case 'creating':
      return note(runner, reason, context, { instanceState: 'none' }, event.failure);
    case 'parked':
    case 'starting':
    case 'online':
    case 'busy':
    case 'finishing':
    case 'draining':
    case 'gone':
      return ignored('it is not being launched any more');
  }
}

export function onAccepted(
  runner: RunnerRow,
  event: { readonly backend: string; readonly instanceId: string },
  context: MachineContext,
): Answer {
  const patch = {
    backend: event.backend,
    instanceId: event.instanceId,
    instanceState: 'pending',
    misses: 0,
    firstMissAtMs: null,
  } as const;
  switch (runner.state) {
    case 'creating':
      return saying(
        event.instanceId,
        move(runner, acceptedState(runner), `${event.backend} accepted the launch`, context, patch),
      );
    case 'parked':
    case 'starting':
    case 'online':
    case 'busy':
    case 'finishing':
    case 'draining':
      if (runner.instanceId === event.instanceId) return ignored('the instance is known already');
      if (instanceIsOver(runner) && runner.instanceState !== 'none')
        return note(runner, 'the launch was accepted after its instance ended', context, {
          backend: event.backend,
          instanceId: event.instanceId,
        });
      return note(runner, `${event.backend} accepted the launch`, context, { ...patch, nextCheckAtMs: context.nowMs });
    case 'gone':
      return revive(runner, 'its launch was accepted after it had been given up', context, patch);
  }
}

export function onLaunchFailed(
  runner: RunnerRow,
  event: { readonly kind: 'launch-refused' | 'launch-abandoned'; readonly failure: Failure },
  context: MachineContext,
): Answer {
  const instanceState = event.kind === 'launch-refused' ? 'none' : calledState(runner);
  switch (runner.state) {
    case 'creating':
      return drainNow(runner, LAUNCH_FAILED, context, { instanceState, failure: event.failure });
    case 'draining':
      if (runner.instanceState === 'maybe' && instanceState === 'none') {
        return note(runner, LAUNCH_FAILED, context, { instanceState, nextCheckAtMs: context.nowMs }, event.failure);
      }
      return ignored('it is being taken down already');
    case 'starting':
      if (runner.standby !== null && runner.githubRunnerId === null)
        return neverRegisteredFor(runner, event.failure, context);
      return ignored('an instance of it is known, whatever the launch says');
    case 'parked':
    case 'online':
    case 'busy':
    case 'finishing':
      return ignored('an instance of it is known, whatever the launch says');
    case 'gone':
      return ignored('it is gone');
  }
}

/** Its job has had nothing of it: the claim is given back, as a launch is that GitHub did not register. */
function neverRegisteredFor(runner: RunnerRow, failure: Failure, context: MachineContext): Answer {
  const reason = failure.source === 'github' ? 'GitHub did not register it' : 'it was not registered';
  const answer = drainNow(runner, reason, context, { failure });
  return answer.kind === 'step' ? { ...answer, step: { ...answer.step, launch: 'refused' } } : answer;
}
