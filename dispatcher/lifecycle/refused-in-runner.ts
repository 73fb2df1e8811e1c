/**
 * A job that the hook in its runner refused before its first step: GitHub only says that it failed. What its runner asked, and was
 * answered, is in the runner's timeline, because the question comes before anyone has said which job the runner has.
 */
import type { JobRow, JobWords, Ledger, RunnerRow, TimelineEntry } from '../ledger/ledger.ts';
import { type Registration, requiresHook } from '../model/registration.ts';

/** What the dispatcher answers: `undecided` where it cannot be known yet, and the hook asks again. */
export type HookAnswer = 'allowed' | 'denied' | 'undecided';

/** In the timeline. Why is in the details. */
export const ANSWER_WORDS = {
  allowed: 'its job has begun',
  denied: 'its job may not run here, and is failed before its first step',
  undecided: 'whether its job may run here is not known yet: it asks again',
} as const satisfies Record<HookAnswer, string>;

/** The first `allowed` or `denied` counts: from then on a job's own code may ask whatever it likes. */
export function isAnswered(timeline: readonly TimelineEntry[]): boolean {
  return timeline.some(({ reason }) => reason === ANSWER_WORDS.allowed || reason === ANSWER_WORDS.denied);
}

interface RefusedInRunnerOptions {
  readonly dispatcherId: string;
  readonly ledger: Pick<Ledger, 'explainJob' | 'runner' | 'timeline'>;
  readonly registration: (name: string) => Pick<Registration, 'requireHook' | 'grant'> | undefined;
}

/** Only where the runner is known to have had this job: what was answered to it is another job's otherwise. */
export async function sayRefusedInRunner(options: RefusedInRunnerOptions, job: JobRow): Promise<void> {
  const { dispatcherId, ledger, registration } = options;
  if (job.status !== 'completed' || job.conclusion !== 'failure') return;
  if (job.runnerName?.startsWith(`${dispatcherId}-`) !== true) return;
  const runner = await ledger.runner(job.runnerName);
  if (runner === undefined || runner.jobKey !== job.key) return;
  const known = registration(runner.registration);
  const words = wordsOf(runner, await ledger.timeline(runner.name), known !== undefined && requiresHook(known));
  if (words !== undefined) await ledger.explainJob(job.key, words);
}

/** `needsAnswer`: the hook fails a job that no dispatcher answered. */
export function wordsOf(
  { name }: Pick<RunnerRow, 'name'>,
  timeline: readonly TimelineEntry[],
  needsAnswer: boolean,
): JobWords | undefined {
  const reasonCode = 'refused-in-runner';
  const denied = timeline.find(({ reason }) => reason === ANSWER_WORDS.denied);
  if (denied !== undefined) {
    return {
      reasonCode,
      reason: `the hook in its runner ${name} failed it before its first step: ${denied.details ?? 'it may not run here'}`,
      cure: 'Correct what the reason names, then run the job again.',
    };
  }
  const undecided = timeline.find(({ reason }) => reason === ANSWER_WORDS.undecided);
  if (!needsAnswer || undecided === undefined || isAnswered(timeline)) return undefined;
  return {
    reasonCode,
    reason: `the hook in its runner ${name} failed it before its first step, because whether it may run there could not be told in time: ${undecided.details ?? 'nothing is known of it'}`,
    cure: 'Run the job again. If that happens again, correct what the reason names.',
  };
}
