/** What the outside says about a job, whichever way it came in. */

/** `workflow_job.status` as GitHub sends it. Only `queued` is demand. */
export type JobStatus = 'queued' | 'waiting' | 'pending' | 'requested' | 'in_progress' | 'completed';

/**
 * `read` is a GET of this very job: it decides where facts conflict, and it alone may move a job backwards
 * (GitHub requeues a job whose runner vanished).
 */
export type FactSource = 'webhook' | 'poll' | 'read';

export interface JobFact extends JobIdentity {
  /** The GitHub host that the endpoint speaks for, lower case: `github.com`, `acme.ghe.com`, `ghes.acme.example`. */
  readonly host: string;
  readonly jobId: number;
  readonly runId: number;
  readonly runAttempt: number;
  /** Case as GitHub sends it; compared without case. */
  readonly owner: string;
  readonly repository: string;
  /** GitHub's number of the repository, which outlives its name; null where the source does not tell it. */
  readonly repositoryId: number | null;
  /** Undefined where the source does not tell (a poll of jobs does not repeat the repository's visibility). */
  readonly visibility: 'public' | 'private' | 'internal' | undefined;
  readonly jobName: string;
  readonly workflowName: string | null;
  readonly headSha: string;
  readonly htmlUrl: string | null;
  readonly labels: readonly string[];
  readonly status: JobStatus;
  readonly conclusion: string | null;
  readonly runnerId: number | null;
  /** Null and empty are the same to us: null. */
  readonly runnerName: string | null;
  readonly createdAtMs: number | null;
  readonly startedAtMs: number | null;
  readonly completedAtMs: number | null;
  readonly source: FactSource;
  /**
   * Whose word it is: the registration whose webhook secret signed it, or whose credential asked for it. Null: the
   * platform's own webhook, whose secret no tenant knows.
   */
  readonly toldBy: string | null;
  /** When we received the delivery, or sent the request whose answer this is. */
  readonly observedAtMs: number;
}

/** A delivery's identity. Two Apps on one repository can get one GUID with different payloads, hence the endpoint. */
export interface Delivery {
  readonly endpoint: string;
  readonly guid: string;
  readonly event: string;
  readonly action: string | null;
  readonly receivedAtMs: number;
}

/**
 * Whose share of the ledger's room a job takes: that of the registration which first told of it, and by the platform's
 * own word that of its owner at GitHub. Bounds hold for each share, so that one tenant's flood is that tenant's trouble.
 */
export function shareOf(fact: Pick<JobFact, 'host' | 'owner' | 'toldBy'>): string {
  return fact.toldBy ?? `${fact.host}/${fact.owner}`.toLowerCase();
}

/** What makes a job the one that it is. An id alone can be made up by the owner of any webhook secret. */
export interface JobIdentity {
  readonly host: string;
  readonly owner: string;
  readonly repository: string;
  readonly jobId: number;
}

/** The job's key in the ledger: `github.com/acme/web/4321`, in lower case, because GitHub compares names so. */
export function jobKey({ host, owner, repository, jobId }: JobIdentity): string {
  return `${host}/${owner}/${repository}/${jobId}`.toLowerCase();
}

/** In the place of a registration's name: the platform's own webhook. */
export const PLATFORM = '';

/**
 * Whether two registrations belong to different tenants, so that the webhook secret of one has no authority over the jobs
 * of the other. The configuration knows; without tenants all registrations are the platform's own.
 */
export type AreStrangers = (registration: string, other: string) => boolean;

export const neverStrangers: AreStrangers = () => false;

/**
 * Whether this word on a job or runner of the registration is only a tenant's claim. What GitHub itself answered is not,
 * with whatever credential it was asked (`apiUrl` is the platform's to set), and neither is what the platform's own
 * webhook brought: a tenant knows the secret of its own webhook alone, and can sign with it what it likes.
 */
export function isStrangersWord(
  registration: string | null,
  word: { readonly source: FactSource; readonly toldBy: string | null },
  areStrangers: AreStrangers,
): boolean {
  if (registration === null || word.source !== 'webhook' || word.toldBy === null) return false;
  return word.toldBy !== registration && areStrangers(registration, word.toldBy);
}
