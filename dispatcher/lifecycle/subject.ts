import type { JobSubject } from '../jobs/lane.ts';
import type { JobRow } from '../ledger/ledger.ts';

/** What admission is told of a job. */
export function subjectOf(job: JobRow): JobSubject {
  const { host, owner, repository, labels, visibility, visibilityProven } = job;
  return {
    ...{ host, owner, repository, labels },
    workflow: job.workflowName,
    branch: job.headBranch,
    event: job.runEvent,
    actors: actorsOf(job),
    ...forkOf(job),
    visibility: visibility ?? undefined,
    isVisibilityUnproven: !visibilityProven,
  };
}

/** Whoever started the run wrote its code, perhaps; whoever started it again wanted it. Null: GitHub has not said. */
export function actorsOf({ runActor, runTriggeringActor }: Pick<JobRow, 'runActor' | 'runTriggeringActor'>) {
  return runActor === null || runTriggeringActor === null ? null : [runActor, runTriggeringActor];
}

/** Of one that has ended without GitHub having been asked, nothing depends on it any more. */
function forkOf({ runHead, status }: Pick<JobRow, 'runHead' | 'status'>): Pick<JobSubject, 'isFork'> {
  if (runHead !== null) return { isFork: runHead === 'fork' };
  return status === 'completed' ? {} : { isFork: null };
}
