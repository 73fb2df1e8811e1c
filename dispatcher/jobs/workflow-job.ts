/** Parses GitHub's `workflow_job`, from a webhook or from the REST API, into the fact that the ledger records. */
import { z } from 'zod';
import type { FactSource, JobFact, JobStatus } from './facts.ts';
import { Shown } from './shown.ts';

/**
 * PostgreSQL cannot store NUL in text, so it is rejected here. One regular expression per field, because
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

/** False for a status that GitHub added after this version. */
export function isJobStatus(status: string): status is JobStatus {
  return knownStatuses.has(status);
}

/** For all labels of a job together: what the ledger keeps of a job stays below 32 KB, whatever its texts contain. */
const LABEL_CHARACTERS = 8_192;

/** Informational fields, parsed by `Shown`: they never cause a job to be refused. */
const shown = z.unknown().optional();

/**
 * Only the fields we use; the rest of the object is ignored. A job can be refused for its identity, its status or its
 * labels. Their limits are far above what GitHub sends: they only keep rows small.
 */
const jobShape = {
  id,
  run_id: id,
  /** GitHub's schema of `completed` allows null items; we have never seen one, and they carry no information. */
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
  head_branch: shown,
  head_sha: shown,
  html_url: shown,
  conclusion: shown,
  runner_id: shown,
  runner_name: shown,
  runner_group_name: shown,
  created_at: shown,
  started_at: shown,
  completed_at: shown,
};

/**
 * A job as the REST API returns it. Parse the jobs of a page one by one: one with a status that GitHub adds later
 * must not hide the others.
 */
export const restJobSchema = z.object({ ...jobShape, status: jobStatus });
/** What `restJobSchema` parsed. */
export type RestJob = z.infer<typeof restJobSchema>;

/** An owner never contains a dot; a repository is never `.` or `..`, which would go up in a URL. */
export const OWNER_NAME: RegExp = /^[A-Za-z0-9_-]{1,100}$/;
export const REPOSITORY_NAME: RegExp = /^(?!\.{1,2}$)[A-Za-z0-9._-]{1,100}$/;

function isFullName(text: string): boolean {
  const [owner = '', repository = '', ...more] = text.split('/', 3);
  return more.length === 0 && OWNER_NAME.test(owner) && REPOSITORY_NAME.test(repository);
}

/** The body of a `workflow_job` delivery. `status` is open: an unknown one is answered, not refused. */
export const workflowJobEventSchema = z.object({
  action: shown,
  workflow_job: z.object({ ...jobShape, status: text(64, 1) }),
  repository: z.object({
    /** Kept if present; never required. */
    id: id.nullish().catch(null),
    full_name: z.string().refine(isFullName, 'must be owner/repository'),
    visibility: shown,
    private: shown,
  }),
});
/** What `workflowJobEventSchema` parsed. */
export type WorkflowJobEvent = z.infer<typeof workflowJobEventSchema>;

/** What the payload does not say of itself. */
export interface FactContext {
  readonly host: string;
  readonly owner: string;
  readonly repository: string;
  readonly repositoryId: number | null;
  readonly visibility: JobFact['visibility'];
  readonly source: FactSource;
  /** See `JobFact`. */
  readonly toldBy: string | null;
  /** When the delivery arrived, or the request that returned this was sent. */
  readonly observedAtMs: number;
  /** Receives the name of each field that was cut or left out. */
  readonly onMended?: ((field: string) => void) | undefined;
}

/** For polls and GETs of one job (`readJob`): the REST object lacks its repository, so the caller supplies it. */
export function factFromRestJob(
  job: RestJob,
  context: FactContext & { readonly source: Exclude<FactSource, 'webhook'> },
): JobFact {
  return factFrom(job, job.status, context);
}

/** Undefined for an unknown status. */
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

/** From `repository.full_name`: the owner and the name in the case that GitHub sends. */
export function repositoryOf(event: WorkflowJobEvent): { readonly owner: string; readonly repository: string } {
  const name = event.repository.full_name;
  const slash = name.indexOf('/');
  return { owner: name.slice(0, slash), repository: name.slice(slash + 1) };
}

/** Servers older than `internal` repositories send only `private`. */
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

/** The delivery's own description, stored with it for display. */
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
    // Deliveries from 2021 lack it.
    runAttempt: shown.count('run_attempt') ?? 1,
    owner: context.owner,
    repository: context.repository,
    repositoryId: context.repositoryId,
    visibility: context.visibility,
    jobName: shown.name('name') ?? '',
    workflowName: shown.name('workflow_name'),
    headBranch: shown.branch('head_branch'),
    headSha: shown.hash('head_sha'),
    htmlUrl: shown.url('html_url'),
    labels: job.labels.filter((label) => label !== null),
    status,
    conclusion: shown.word('conclusion'),
    runnerId: shown.runnerId('runner_id'),
    runnerName: shown.runnerName('runner_name'),
    runnerGroup: shown.groupName('runner_group_name'),
    createdAtMs: shown.time('created_at'),
    startedAtMs: shown.time('started_at'),
    completedAtMs: shown.time('completed_at'),
    source: context.source,
    toldBy: context.toldBy,
    observedAtMs: context.observedAtMs,
  };
}
