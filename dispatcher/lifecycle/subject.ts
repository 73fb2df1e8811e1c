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
    isFork: job.runHead === null ? null : job.runHead === 'fork',
    visibility: visibility ?? undefined,
    isVisibilityUnproven: !visibilityProven,
  };
}

/** Whoever started the run wrote its code, perhaps; whoever started it again wanted it. Null: GitHub has not said. */
export function actorsOf({ runActor, runTriggeringActor }: Pick<JobRow, 'runActor' | 'runTriggeringActor'>) {
  return runActor === null || runTriggeringActor === null ? null : [runActor, runTriggeringActor];
}
