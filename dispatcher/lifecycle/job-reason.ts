/** Why one job waits although nothing keeps its lane from launching. Pure. */

import { timeOfDay } from '../../time/time-of-day.ts';
import { MINUTE } from '../../time/units.ts';
import { type Failure, failureWords } from '../failures/failure.ts';
import type { JobRow, RunnerRow } from '../ledger/ledger.ts';
import { awaitsLastWord } from './machine/last-word.ts';

const MAX_LINE_LENGTH = 200;

/** `runners`: those of the lane without a known job, from `creating` to `busy`. `words`: of what failed before. */
export function supplyReason(
  runners: readonly RunnerRow[],
  nowMs: number,
  words: (failure: Failure) => string = failureWords,
): string {
  const order = ['busy', 'online', 'starting', 'creating'] as const;
  for (const state of order) {
    const runner = runners.filter((other) => other.state === state).at(-1);
    if (runner !== undefined) return supplied(runner, state, { nowMs, words });
  }
  return 'a runner of another lane, with these labels and more, is expected to take it';
}

interface Telling {
  readonly nowMs: number;
  readonly words: (failure: Failure) => string;
}

function supplied(
  runner: RunnerRow,
  state: 'busy' | 'online' | 'starting' | 'creating',
  { nowMs, words }: Telling,
): string {
  const place = runner.backend === null ? '' : ` on ${runner.backend}`;
  const since = lasting(nowMs - runner.stateSinceMs);
  const limit = runner.deadlineAtMs === null ? '' : `; it is given up at ${timeOfDay(runner.deadlineAtMs)}`;
  const failure = runner.failure === null ? '' : ` (${words(runner.failure)})`;
  switch (state) {
    case 'busy':
      return `its runner ${runner.name} is busy with a job that GitHub has not named yet, for ${since}`;
    case 'online':
      return `its runner ${runner.name} has been online for ${since}, and GitHub has not given it the job yet`;
    case 'starting':
      if (awaitsLastWord(runner))
        return `the container of its runner ${runner.name} has ended${place}: GitHub is asked whether it ran a job`;
      return `its runner ${runner.name} has been starting${place} for ${since}${failure}${limit}`;
    case 'creating':
      return `its runner ${runner.name} is being launched${place}, for ${since}`;
  }
}

/** `output`: the saved output of the last runner that idled beside the job. */
export function heldReason(job: JobRow, runnerGroup: string, output: string | undefined): string | undefined {
  const next = job.heldUntilMs === null ? '' : timeOfDay(job.heldUntilMs);
  switch (job.hold) {
    case null:
      return undefined;
    case 'unseen':
      return `${job.reasonCode === 'unseen' && job.reason !== null ? job.reason : 'GitHub answered 404 for it, which may be a slip: nothing is given up before it is proven'}; asked again at ${next}`;
    case 'unserved': {
      const end = lastLines(output);
      const version = `GitHub refuses this runner version${end === '' ? '' : ` (the output of ${job.passedOverBy} ends with ${end})`}`;
      const causes = [
        `runs-on names a group, or the runner group '${runnerGroup}' does not admit ${job.owner}/${job.repository} or this workflow`,
        'max-parallel or a concurrency group holds it back',
        version,
      ].map((cause, index) => `(${index + 1}) ${cause}`);
      const tries = job.probing
        ? 'one more runner is tried now'
        : `one more runner is tried at ${next}, or when a job of its run or lane starts or ends, or one of its repository ends`;
      return `${job.passedOver} runners with its labels were online for their whole idle time while it waited, and GitHub did not give it to them. Likely causes: ${causes.join('; ')}. For its run ${tries}`;
    }
  }
}

/** The very last one often tells only that its registration was taken away at the end of its idle time. */
function lastLines(output: string | undefined): string {
  const lines = (output ?? '')
    .split(/\r?\n/)
    .map((text) => text.trim())
    .filter((text) => text !== '')
    .slice(-2);
  return lines
    .map((line) => `"${line.length > MAX_LINE_LENGTH ? `${line.slice(0, MAX_LINE_LENGTH)}…` : line}"`)
    .join(', ');
}

function lasting(ms: number): string {
  return ms < 2 * MINUTE ? `${Math.max(0, Math.round(ms / 1000))} s` : `${Math.round(ms / MINUTE)} min`;
}
