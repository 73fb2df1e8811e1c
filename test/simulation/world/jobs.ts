/** The jobs that the world's users push, and what becomes of them. GitHub's own truth, not what anybody believes of it. */
import type { JobFact, JobStatus } from '../../../dispatcher/jobs/facts.ts';

/**
 * - `runs`: ours and allowed; it must run unless its user cancels it.
 * - `refused`: ours, but against the policy. `not-ours`: nobody asks for it. Neither may get a runner made for it.
 * - `doomed`: allowed, but its image does not exist, so that no instance of it ever starts.
 * - `unserved`: allowed, but GitHub gives it to no runner of ours: another runner group, or labels that it refuses.
 * - `zombie`: GitHub gave it up long ago and calls it queued all the same. `ended`: the same of a run that has completed.
 */
export type Expectation = 'runs' | 'refused' | 'not-ours' | 'doomed' | 'unserved' | 'zombie' | 'ended';

export interface JobPlan {
  readonly id: number;
  readonly runId: number;
  readonly owner: string;
  readonly repository: string;
  readonly labels: readonly string[];
  readonly expectation: Expectation;
  /** Into the queue this long after the start, or after the job that it needs has completed. */
  readonly afterMs: number;
  readonly needs: number | undefined;
  /** An environment's gate holds it this long: queued → waiting → queued. */
  readonly gateMs: number | undefined;
  readonly durationMs: number;
  /** Its user gives up when it has not started this long after it was created. */
  readonly patienceMs: number | undefined;
  /** What someone's `timeout-` label says. */
  readonly timeLimitMs: number | undefined;
  /** GitHub's own machines run it. */
  readonly hosted: boolean;
  /** So many jobs of its run run side by side: `max-parallel`. */
  readonly parallel: number | undefined;
  /** The code of its run comes from a fork, which the policy refuses: only a read of the run tells. */
  readonly isFork?: true;
}

export interface WorldJob {
  readonly plan: JobPlan;
  /** `job-12`, as the trace names it. */
  readonly name: string;
  status: JobStatus;
  conclusion: string | null;
  runnerId: number | null;
  runnerName: string | null;
  /** Given to this runner, which may not have picked it up yet. */
  assignedTo: number | null;
  createdAtMs: number;
  queuedAtMs: number;
  startedAtMs: number | null;
  completedAtMs: number | null;
  starts: number;
  requeues: number;
  /** Held by an environment's gate. */
  gated: boolean;
}

const DAY_MS = 24 * 3_600_000;

export function newJob(plan: JobPlan, nowMs: number): WorldJob {
  return {
    plan,
    name: `job-${plan.id}`,
    status: 'queued',
    conclusion: null,
    runnerId: null,
    runnerName: null,
    assignedTo: null,
    createdAtMs: plan.expectation === 'zombie' ? nowMs - 40 * DAY_MS : nowMs,
    queuedAtMs: nowMs,
    startedAtMs: null,
    completedAtMs: null,
    starts: 0,
    requeues: 0,
    gated: plan.gateMs !== undefined,
  };
}

/** What an answer or a payload says of a job. Who receives it adds whose word it is, and when it came. */
export type ToldFact = Omit<JobFact, 'source' | 'toldBy' | 'observedAtMs'>;

/** As the job is at this moment. */
export function factOf(job: WorldJob, host: string): ToldFact {
  return {
    host,
    jobId: job.plan.id,
    runId: job.plan.runId,
    runAttempt: 1,
    owner: job.plan.owner,
    repository: job.plan.repository,
    repositoryId: null,
    visibility: 'private',
    jobName: job.name,
    workflowName: 'ci',
    headBranch: 'main',
    headSha: String(job.plan.runId).padStart(40, '0'),
    htmlUrl: null,
    labels: job.plan.labels,
    status: job.status,
    conclusion: job.conclusion,
    runnerId: job.runnerId,
    runnerName: job.runnerName,
    createdAtMs: job.createdAtMs,
    startedAtMs: job.startedAtMs,
    completedAtMs: job.completedAtMs,
  };
}
