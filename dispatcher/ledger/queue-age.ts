/** How long a job has been queued, and the message for one that was queued for too long. Pure. */
import type { JobRow, JobWords } from './ledger.ts';

/** GitHub gives up a job that no runner took in this time (docs.github.com, "Actions limits"). */
export const QUEUE_LIMIT_MS = 24 * 3_600_000;
/** No job is older than GitHub Actions: an earlier `created_at` is an error. */
export const ACTIONS_BEGAN_MS = Date.UTC(2018, 9, 1);

/**
 * Since when the job is in its current status. A job that was never seen in another one entered its queue when GitHub
 * created it, however late we learned of it: GitHub lists jobs as `queued` that it gave up months ago. A job that was
 * seen waiting, or running, has been queued since it returned.
 */
export function queuedSince(row: Pick<JobRow, 'createdAtMs' | 'firstSeenAtMs' | 'statusSinceMs'>): number {
  const { createdAtMs, firstSeenAtMs, statusSinceMs } = row;
  const neverOtherwise = statusSinceMs === firstSeenAtMs;
  if (!neverOtherwise || createdAtMs === null || createdAtMs < ACTIONS_BEGAN_MS) return statusSinceMs;
  return Math.min(createdAtMs, statusSinceMs);
}

export function expiredWords(queuedSinceMs: number): JobWords {
  return {
    reasonCode: 'expired',
    reason: `queued since ${new Date(queuedSinceMs).toISOString().slice(0, 10)}: GitHub gives a job up after 24 h in the queue, and hands it to no runner`,
    cure: 'Cancel the run, and run the workflow again.',
  };
}
