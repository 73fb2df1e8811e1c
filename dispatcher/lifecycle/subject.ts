import type { JobSubject } from '../jobs/lane.ts';
import type { JobRow } from '../ledger/ledger.ts';

/** What admission is told of a job. */
export function subjectOf(job: JobRow): JobSubject {
  const { host, owner, repository, labels, visibility, visibilityProven } = job;
  return {
    ...{ host, owner, repository, labels },
    workflow: job.workflowName,
    branch: job.headBranch,
    visibility: visibility ?? undefined,
    isVisibilityUnproven: !visibilityProven,
  };
}
