/** GitHub's `workflow_job`, from a webhook or from the REST API, as the one fact that the ledger takes. */
import { z } from 'zod';
import type { FactSource, JobFact, JobStatus } from './facts.ts';
import { Shown } from './shown.ts';

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

/** The statuses that GitHub documents. It may add more: see `isJobStatus`. */
const jobStatuses = ['queued', 'waiting', 'pending', 'requested', 'in_progress', 'completed'] as const;
const jobStatus = z.enum(jobStatuses);
const knownStatuses: ReadonlySet<string> = new Set(jobStatuses);

export function isJobStatus(status: string): status is JobStatus {
  return knownStatuses.has(status);
}

/** Of all labels of a job together: what the ledger keeps of a job is below 32 KB, whatever its texts are made of. */
const LABEL_CHARACTERS = 8_192;

/** Only shown, and read by `Shown`: none of it is a reason to refuse a job. */
const shown = z.unknown().optional();

/**
 * Only what we use; everything else in the object is left unread. What can refuse a job: its identity, its status, its
 * labels. Their limits are far above what GitHub sends: they keep a row small, they do not judge.
 */
const jobShape = {
  id,
  run_id: id,
  /** GitHub's description of `completed` allows null items; we have never seen one, and they say nothing. */
  labels: z
    .array(text(512).nullable())
    .max(200)
    .refine(
      (labels) => labels.reduce((sum, label) => sum + (label?.length ?? 0), 0) <= LABEL_CHARACTERS,
      `must have ${LABEL_CHARACTERS} characters together at most`,
    ),
  run_attempt: shown,
  name: shown,
  workflow_name: shown,
  head_sha: shown,
  html_url: shown,
  conclusion: shown,
  runner_id: shown,
  runner_name: shown,
  created_at: shown,
  started_at: shown,
  completed_at: shown,
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
  action: shown,
  workflow_job: z.object({ ...jobShape, status: text(64, 1) }),
  repository: z.object({
    /** Kept where it comes; nothing is refused for the want of it. */
    id: id.nullish().catch(null),
    full_name: z.string().regex(fullName, 'must be owner/repository'),
    visibility: shown,
    private: shown,
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
  /** Hears the name of each field that was cut or left out. */
  readonly onMended?: ((field: string) => void) | undefined;
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
    onMended: context.onMended,
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

/** What the delivery calls itself: kept beside it, for people. */
export function actionOf(event: WorkflowJobEvent, onMended: (field: string) => void): string | null {
  return new Shown(event, onMended).word('action');
}

function ignore(): void {}

function factFrom(job: Omit<RestJob, 'status'>, status: JobStatus, context: FactContext): JobFact {
  const shown = new Shown(job, context.onMended ?? ignore);
  return {
    host: context.host,
    jobId: job.id,
    runId: job.run_id,
    // Deliveries of 2021 have none.
    runAttempt: shown.count('run_attempt') ?? 1,
    owner: context.owner,
    repository: context.repository,
    repositoryId: context.repositoryId,
    visibility: context.visibility,
    jobName: shown.name('name') ?? '',
    workflowName: shown.name('workflow_name'),
    headSha: shown.hash('head_sha'),
    htmlUrl: shown.url('html_url'),
    labels: job.labels.filter((label) => label !== null),
    status,
    conclusion: shown.word('conclusion'),
    runnerId: shown.runnerId('runner_id'),
    runnerName: shown.runnerName('runner_name'),
    createdAtMs: shown.time('created_at'),
    startedAtMs: shown.time('started_at'),
    completedAtMs: shown.time('completed_at'),
    source: context.source,
    toldBy: context.toldBy,
    observedAtMs: context.observedAtMs,
  };
}
