/** The message for a job whose runner was stopped at its time limit: GitHub only says that it lost the runner. */
import type { Ledger, RunnerRow } from '../ledger/ledger.ts';

export async function sayTimeLimit(
  ledger: Pick<Ledger, 'explainJob'>,
  jobKey: string,
  runner: Pick<RunnerRow, 'name'>,
): Promise<void> {
  await ledger.explainJob(jobKey, {
    reasonCode: 'time-limit',
    reason: `its runner ${runner.name} was stopped at its time limit`,
    cure: 'Raise the limit (a timeout- label, the policy of the registration), or make the job shorter.',
  });
}
