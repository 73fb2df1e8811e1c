/** What GitHub says of the runner itself: listed or missing, busy or idle, deleted or not to be deleted. Pure. */
import { MINUTE } from '../../../time/units.ts';
import type { Failure } from '../../failures/failure.ts';
import type { RunnerPatch, RunnerRow } from '../../ledger/ledger.ts';
import type { Answer, MachineContext } from './event.ts';
import { awaitsLastWord, ranUnseen } from './last-word.ts';
import { backToBusy, drainNow, ignored, instanceIsOver, move, note, quiet, retryLater, UNFINISHED } from './step.ts';

/** A busy runner whose job has not been named for this long runs a foreign job, which is not reported to us. */
const NAMELESS_MS = 10 * MINUTE;
/** A runner registered less than this ago may be missing from GitHub's answers without being gone. */
const REGISTRATION_SETTLES_MS = MINUTE;

export function onGithub(
  runner: RunnerRow,
  event: { readonly runnerId: number; readonly online: boolean; readonly busy: boolean },
  context: MachineContext,
): Answer {
  const known: RunnerPatch = runner.githubRunnerId === event.runnerId ? {} : { githubRunnerId: event.runnerId };
  const seen: RunnerPatch = event.online ? { ...known, onlineAtMs: runner.onlineAtMs ?? context.nowMs } : known;
  const idle: RunnerPatch =
    event.online && !event.busy
      ? { ...seen, firstIdleAtMs: runner.firstIdleAtMs ?? context.nowMs, lastIdleAtMs: context.nowMs }
      : { ...seen, firstIdleAtMs: null, lastIdleAtMs: null };
  switch (runner.state) {
    case 'creating':
      return quiet(runner, context, idle);
    case 'parked':
      return ignored('it has no registration yet');
    case 'starting':
      if (event.busy)
        return move(runner, 'busy', 'GitHub says that it runs a job', context, { ...idle, busyAtMs: context.nowMs });
      if (event.online) return move(runner, 'online', 'GitHub says that it listens', context, idle);
      return quiet(runner, context, idle);
    case 'online':
      if (event.busy)
        return move(runner, 'busy', 'GitHub says that it runs a job', context, { ...idle, busyAtMs: context.nowMs });
      return quiet(runner, context, idle);
    case 'busy':
      return event.online && !event.busy
        ? ignored('"idle" does not prove that it is idle: it can be false for minutes while a job runs')
        : quiet(runner, context, seen);
    case 'finishing':
      return quiet(runner, context, known);
    case 'draining':
      if (event.busy && !runner.forced && !instanceIsOver(runner) && runner.finishedAtMs === null) {
        return backToBusy(runner, 'GitHub says that it runs a job', context, idle);
      }
      return quiet(runner, context, { ...idle, deregisteredAtMs: null });
    case 'gone':
      return ignored('it is gone; the sweep deletes what is left at GitHub');
  }
}

export function onGithubMissing(runner: RunnerRow, context: MachineContext): Answer {
  // One that was parked is registered when it gets its job.
  const sinceMs = runner.standby === null ? runner.createdAtMs : runner.stateSinceMs;
  const young = context.nowMs - sinceMs < REGISTRATION_SETTLES_MS;
  const mayStillAppear = runner.githubRunnerId === null || !instanceIsOver(runner);
  if (young && mayStillAppear && runner.finishedAtMs === null) {
    return ignored('it is so new that GitHub may not show it yet');
  }
  const gone = { deregisteredAtMs: runner.deregisteredAtMs ?? context.nowMs } as const;
  switch (runner.state) {
    case 'parked':
      return ignored('it has no registration yet');
    case 'creating':
    case 'starting':
    case 'online':
      if (awaitsLastWord(runner)) return ranUnseen(runner, gone, context);
      return drainNow(runner, 'GitHub does not know the runner any more', context, gone);
    case 'busy':
      if (runner.jobKey === null && context.nowMs - runner.stateSinceMs >= NAMELESS_MS) {
        const over = instanceIsOver(runner) ? gone : {};
        return drainNow(runner, 'GitHub does not know the runner any more, and no job names it', context, over);
      }
      return ignored('an ephemeral runner is removed when its job ends; the job itself will tell');
    case 'finishing':
    case 'draining':
      if (runner.deregisteredAtMs !== null) return ignored('that is known');
      return note(runner, 'GitHub does not know the runner any more', context, {
        ...gone,
        refusedSinceMs: null,
        attempts: 0,
        nextCheckAtMs: context.nowMs,
      });
    case 'gone':
      return ignored('it is gone');
  }
}

/** The only proof that a job runs on it. Outweighs any report of the job's end, until GitHub itself confirms it. */
export function onDeleteRefused(runner: RunnerRow, context: MachineContext): Answer {
  const proof = 'GitHub refused to delete it: it runs a job';
  switch (runner.state) {
    case 'creating':
    case 'parked':
    case 'starting':
    case 'online':
      return move(runner, 'busy', proof, context, {
        busyAtMs: context.nowMs,
        onlineAtMs: runner.onlineAtMs ?? context.nowMs,
      });
    case 'busy':
      return ignored('that is known');
    case 'finishing':
    case 'draining': {
      const over = runner.forced || instanceIsOver(runner) || runner.stopSentAtMs !== null;
      if (over || (runner.finishedAtMs !== null && runner.endReadAtMs !== null)) {
        if (runner.state === 'finishing') return ignored('GitHub has said that its job ended, and is not done with it');
        return retryLater(
          runner,
          'GitHub refused to delete it: it still counts its job as running',
          context,
          undefined,
        );
      }
      const answer = backToBusy(runner, proof, context, UNFINISHED);
      return runner.jobKey === null ? answer : { ...answer, read: [runner.jobKey] };
    }
    case 'gone':
      return ignored('it is gone');
  }
}

export function onDeregistered(runner: RunnerRow, context: MachineContext): Answer {
  switch (runner.state) {
    case 'creating':
    case 'parked':
    case 'starting':
    case 'online':
    case 'busy':
      return note(runner, 'its registration is gone', context, {
        deregisteredAtMs: context.nowMs,
        refusedSinceMs: null,
      });
    case 'finishing':
    case 'draining':
      if (runner.deregisteredAtMs !== null) return ignored('that is known');
      return note(runner, 'its registration is gone', context, {
        deregisteredAtMs: context.nowMs,
        refusedSinceMs: null,
        attempts: 0,
        nextCheckAtMs: context.nowMs,
      });
    case 'gone':
      return ignored('it is gone');
  }
}

export function onCredentialsRefused(runner: RunnerRow, failure: Failure, context: MachineContext): Answer {
  if (runner.state === 'gone') return ignored('it is gone');
  if (runner.refusedSinceMs !== null) return retryLater(runner, null, context, undefined);
  return retryLater(
    { ...runner, refusedSinceMs: context.nowMs },
    'GitHub refuses our credentials',
    context,
    undefined,
    failure,
  );
}
