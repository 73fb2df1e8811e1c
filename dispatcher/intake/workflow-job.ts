/** GitHub's `workflow_job`, from a webhook or from the REST API, as the one fact that the ledger takes. */
import { z } from 'zod';
import type { FactSource, JobFact, JobStatus } from '../ledger/facts.ts';

/**
 * NUL cannot be stored as text in PostgreSQL, so it stops at the door. One check a field, by one expression, because
 * this is the hot path.
 */
function text(maxLength: number, minLength = 0) {
  return z
    .string()
    .regex(
      new RegExp(`^[^\\0]{${minLength},${maxLength}}$`),
      `must have ${minLength} to ${maxLength} characters, none NUL`,
    );
}

const id = z.int().min(1);

/**
 * With an offset, as GitHub sends it: `2023-06-26T03:31:29Z`, `2019-08-08T08:00:00-07:00`. Read by its shape and then by
 * the engine: the calendar is the engine's business, and this is the hot path.
 */
const time = z
  .string()
  .refine(
    (value) => isoTime.test(value) && !Number.isNaN(Date.parse(value)),
    'must be an ISO 8601 time with an offset, and exist',
  );
const isoTime = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,9})?(Z|[+-]\d\d:\d\d)$/;

/** The statuses that GitHub documents. It may add more: see `isJobStatus`. */
const jobStatuses = ['queued', 'waiting', 'pending', 'requested', 'in_progress', 'completed'] as const;
const jobStatus = z.enum(jobStatuses);
const knownStatuses: ReadonlySet<string> = new Set(jobStatuses);

export function isJobStatus(status: string): status is JobStatus {
  return knownStatuses.has(status);
}

/**
 * Only what we use; everything else in the object is left unread. What GitHub's schemas require but old servers leave
 * out (`run_attempt`, `created_at`, `workflow_name` in deliveries of 2021) may be absent. The limits are far above what
 * GitHub sends: they keep a row small, they do not judge.
 */
const jobShape = {
  id,
  run_id: id,
  run_attempt: id.optional(),
  name: text(2_000),
  workflow_name: text(2_000).nullish(),
  head_sha: text(64, 1),
  html_url: z
    .string()
    .regex(/^https?:\/\/[^\0]{0,1990}$/, 'must be an http(s) URL')
    .nullish(),
  /** GitHub's description of `completed` allows null items; we have never seen one, and they say nothing. */
  labels: z.array(text(512).nullable()).max(200),
  conclusion: text(64).nullish(),
  runner_id: z.int().min(0).nullish(),
  runner_name: text(256).nullish(),
  created_at: time.nullish(),
  started_at: time.nullish(),
  completed_at: time.nullish(),
};

/**
 * A job as the REST API answers it. Parse the jobs of a page one by one: one of a status that GitHub adds some day
 * must not hide the others.
 */
export const restJobSchema = z.object({ ...jobShape, status: jobStatus });
export type RestJob = z.infer<typeof restJobSchema>;

/** An owner never holds a dot; a repository is never `.` or `..`, which would climb in a URL. */
const fullName = /^([A-Za-z0-9_-]{1,100})\/(?!\.{1,2}$)([A-Za-z0-9._-]{1,100})$/;

/** The body of a `workflow_job` delivery. `status` is open: what we do not know is answered, not refused. */
export const workflowJobEventSchema = z.object({
  action: text(64).nullish(),
  workflow_job: z.object({ ...jobShape, status: text(64, 1) }),
  repository: z.object({
    /** Kept where it comes; nothing is refused for the want of it. */
    id: id.nullish().catch(null),
    full_name: z.string().regex(fullName, 'must be owner/repository'),
    visibility: text(64).nullish(),
    private: z.boolean().nullish(),
  }),
});
export type WorkflowJobEvent = z.infer<typeof workflowJobEventSchema>;

export interface FactContext {
  readonly host: string;
  readonly owner: string;
  readonly repository: string;
  readonly repositoryId: number | null;
  readonly visibility: JobFact['visibility'];
  readonly source: FactSource;
  /** See `JobFact`. */
  readonly toldBy: string | null;
  /** When the delivery came in, or the request left whose answer this is. */
  readonly observedAtMs: number;
}

/** For polls and GETs of one job (`readJob`): the REST object does not repeat its repository, so the caller says it. */
export function factFromRestJob(
  job: RestJob,
  context: FactContext & { readonly source: Exclude<FactSource, 'webhook'> },
): JobFact {
  return factFrom(job, job.status, context);
}

/** Undefined when the status is not one that we know. */
export function factFromEvent(
  event: WorkflowJobEvent,
  context: Omit<FactContext, 'owner' | 'repository' | 'repositoryId' | 'visibility' | 'source'>,
): JobFact | undefined {
  const status = event.workflow_job.status;
  if (!isJobStatus(status)) return undefined;
  return factFrom(event.workflow_job, status, {
    ...repositoryOf(event),
    repositoryId: event.repository.id ?? null,
    visibility: visibilityOf(event.repository),
    source: 'webhook',
    toldBy: context.toldBy,
    host: context.host,
    observedAtMs: context.observedAtMs,
  });
}

export function repositoryOf(event: WorkflowJobEvent): { readonly owner: string; readonly repository: string } {
  const name = event.repository.full_name;
  const slash = name.indexOf('/');
  return { owner: name.slice(0, slash), repository: name.slice(slash + 1) };
}

/** Servers before `internal` repositories send `private` alone. */
function visibilityOf(repository: WorkflowJobEvent['repository']): JobFact['visibility'] {
  switch (repository.visibility) {
    case 'public':
    case 'private':
    case 'internal':
      return repository.visibility;
    default:
      if (typeof repository.private !== 'boolean') return undefined;
      return repository.private ? 'private' : 'public';
  }
}

function factFrom(job: Omit<RestJob, 'status'>, status: JobStatus, context: FactContext): JobFact {
  return {
    host: context.host,
    jobId: job.id,
    runId: job.run_id,
    runAttempt: job.run_attempt ?? 1,
    owner: context.owner,
    repository: context.repository,
    repositoryId: context.repositoryId,
    visibility: context.visibility,
    jobName: job.name,
    workflowName: job.workflow_name ?? null,
    headSha: job.head_sha,
    htmlUrl: job.html_url ?? null,
    labels: job.labels.filter((label) => label !== null),
    status,
    conclusion: job.conclusion ?? null,
    // A job that ends without a runner has 0 and '' here.
    runnerId: job.runner_id || null,
    runnerName: job.runner_name || null,
    createdAtMs: timeOf(job.created_at),
    startedAtMs: timeOf(job.started_at),
    completedAtMs: timeOf(job.completed_at),
    source: context.source,
    toldBy: context.toldBy,
    observedAtMs: context.observedAtMs,
  };
}

function timeOf(value: string | null | undefined): number | null {
  return value ? Date.parse(value) : null;
}
