/** What is said of the job that a runner runs, and by whom. Pure. */
import type { RunnerPatch, RunnerRow } from '../../ledger/ledger.ts';
import type { Answer, JobWord, MachineContext } from './event.ts';
import { backToBusy, ignored, instanceIsOver, move, note, quiet, saying, UNFINISHED } from './step.ts';

/**
 * What is said of another job than the known one, or by a stranger, moves nothing: GitHub is asked, with the credential of
 * the runner's own registration. Undefined: it can be believed.
 */
function doubted(runner: RunnerRow, { jobKey, word, refuted }: JobWord): Answer | undefined {
  const bound = runner.jobKey;
  const contradicts = bound !== null && bound !== jobKey && bound !== refuted;
  if (word !== 'stranger' && !contradicts) return undefined;
  // The named one last: when its answer is looked at, that of the bound one is known.
  const read = bound === null || bound === jobKey ? [jobKey] : [bound, jobKey];
  const because = contradicts
    ? 'it is bound to another job: GitHub is asked about both'
    : 'the webhook of another registration says so: GitHub is asked';
  return { ...ignored(because), read };
}

export function onJobStarted(runner: RunnerRow, event: JobWord, context: MachineContext): Answer {
  const { jobKey } = event;
  if (runner.state === 'gone') return ignored('it is gone');
  if (runner.jobKey === jobKey && runner.finishedAtMs === null && runner.state === 'busy')
    return ignored('that is known');
  const doubt = doubted(runner, event);
  if (doubt !== undefined) return doubt;
  const bound = { jobKey, busyAtMs: runner.busyAtMs ?? context.nowMs } as const;
  switch (runner.state) {
    case 'creating':
    case 'parked':
    case 'starting':
    case 'online':
      return saying(jobKey, move(runner, 'busy', 'its job started', context, bound));
    case 'busy':
      return note(runner, 'its job is known now', context, bound, jobKey);
    case 'finishing':
      return event.word === 'read' ? notDone(runner, context, bound) : ignored('its job is done');
    case 'draining':
      if (runner.forced || instanceIsOver(runner) || runner.stopSentAtMs !== null) {
        return runner.jobKey === jobKey || runner.finishedAtMs !== null
          ? ignored('that is known')
          : note(runner, 'its job is known now', context, bound, jobKey);
      }
      if (runner.finishedAtMs === null) return backToBusy(runner, 'a job started on it', context, bound);
      return event.word === 'read' ? notDone(runner, context, bound) : ignored('its job is done');
  }
}

/** The report that the job is done was wrong: GitHub, asked for it, says that it runs. */
function notDone(runner: RunnerRow, context: MachineContext, patch: RunnerPatch): Answer {
  return backToBusy(runner, 'GitHub says that its job still runs', context, { ...patch, ...UNFINISHED });
}

export function onJobCompleted(runner: RunnerRow, event: JobWord, context: MachineContext): Answer {
  const { jobKey, word } = event;
  if (runner.state === 'gone') return ignored('it is gone');
  const known = runner.jobKey === jobKey && runner.finishedAtMs !== null;
  if (known && (word !== 'read' || runner.endReadAtMs !== null)) return ignored('that is known');
  const doubt = doubted(runner, event);
  if (doubt !== undefined) return doubt;
  const endReadAtMs = word === 'read' ? context.nowMs : null;
  if (known) return quiet(runner, context, { endReadAtMs });
  const busyAtMs = runner.busyAtMs ?? context.nowMs;
  const done = { jobKey, busyAtMs, finishedAtMs: context.nowMs, endReadAtMs } as const;
  switch (runner.state) {
    case 'creating':
    case 'parked':
    case 'starting':
    case 'online':
    case 'busy':
      return saying(jobKey, move(runner, 'finishing', 'its job is done', context, done));
    case 'finishing':
    case 'draining':
      return note(runner, 'its job is done', context, { ...done, nextCheckAtMs: context.nowMs }, jobKey);
  }
}
