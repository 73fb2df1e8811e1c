/** What happens to a runner that was launched ahead of its job, until it gets one. Pure. */
import type { RunnerRow } from '../../ledger/ledger.ts';
import type { Answer, MachineContext, RunnerEvent } from './event.ts';
import { ignored, move, note, quiet, saying } from './step.ts';

export function onWaits(
  runner: RunnerRow,
  { untilMs }: Extract<RunnerEvent, { readonly kind: 'waits' }>,
  context: MachineContext,
): Answer {
  if (runner.state !== 'parked') return ignored('it is not parked');
  if (runner.standby === 'ready') return ignored('that is known');
  return note(runner, 'its container waits for a job', context, {
    standby: 'ready',
    failure: null,
    deadlineAtMs: untilMs,
    nextCheckAtMs: context.nowMs,
  });
}

/** One that has not asked for a job may never do so. */
export function onClaimed(
  runner: RunnerRow,
  { instanceDeadlineAtMs, jobKey, lane }: Extract<RunnerEvent, { readonly kind: 'claimed' }>,
  context: MachineContext,
): Answer {
  if (runner.state !== 'parked' || runner.standby !== 'ready') return ignored('it does not wait for a job');
  const patch = {
    ...lane,
    forJobKey: jobKey,
    instanceDeadlineAtMs: Math.min(runner.instanceDeadlineAtMs, instanceDeadlineAtMs),
  };
  return saying(jobKey, move(runner, 'starting', 'it gets a job', context, patch));
}

export function onRegistered(
  runner: RunnerRow,
  { runnerId }: Extract<RunnerEvent, { readonly kind: 'registered' }>,
  context: MachineContext,
): Answer {
  switch (runner.state) {
    case 'creating':
    case 'parked':
      return ignored('it was not given a job');
    case 'starting':
    case 'online':
    case 'busy':
    case 'finishing':
      return quiet(runner, context, { githubRunnerId: runnerId });
    case 'draining':
      // What was verified before the registration was made says nothing of it.
      return quiet(runner, context, {
        githubRunnerId: runnerId,
        deregisteredAtMs: null,
        nextCheckAtMs: context.nowMs,
      });
    case 'gone':
      return ignored('it is gone; the sweep deletes what is left at GitHub');
  }
}
