/** The message for a job whose runner was stopped at its time limit: GitHub only says that it lost the runner. */
import type { RunnerRow } from '../ledger/ledger.ts';
import type { RunnerContext } from './runner-context.ts';

export async function sayTimeLimit(context: RunnerContext, jobKey: string, runner: RunnerRow): Promise<void> {
  await context.options.ledger.explainJob(jobKey, {
    reasonCode: 'time-limit',
    reason: `its runner ${runner.name} was stopped at its time limit`,
    cure: 'Raise the limit (a timeout- label, the policy of the registration), or make the job shorter.',
  });
}
