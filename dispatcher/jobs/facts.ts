/** A fact about a job, from any source. */

/** `workflow_job.status` as GitHub sends it. Only `queued` is demand. */
export type JobStatus = 'queued' | 'waiting' | 'pending' | 'requested' | 'in_progress' | 'completed';

/**
 * `read` is a GET of this very job: it decides when facts conflict, and only it may move a job backwards
 * (GitHub requeues a job whose runner vanished).
 */
export type FactSource = 'webhook' | 'poll' | 'read';

/** What one source said about one job at one time. Facts may come late, twice and in any order. */
export interface JobFact extends JobIdentity {
  /** The GitHub host that the endpoint serves, lower case: `github.com`, `acme.ghe.com`, `ghes.acme.example`. */
  readonly host: string;
  readonly jobId: number;
  readonly runId: number;
  readonly runAttempt: number;
  /** Case as GitHub sends it; compared case-insensitively. */
  readonly owner: string;
  readonly repository: string;
  /** GitHub's id of the repository, which survives a rename; null if the source does not have it. */
  readonly repositoryId: number | null;
  /** Undefined if the source does not have it (a poll of jobs does not repeat the repository's visibility). */
  readonly visibility: Visibility | undefined;
  readonly jobName: string;
  readonly workflowName: string | null;
  /** Of the commit. Of a pull request from a fork: a branch of the fork, whose name says nothing here. */
  readonly headBranch: string | null;
  readonly headSha: string;
  readonly htmlUrl: string | null;
  readonly labels: readonly string[];
  readonly status: JobStatus;
  readonly conclusion: string | null;
  readonly runnerId: number | null;
  /** Null and empty are equivalent: null. */
  readonly runnerName: string | null;
  /** The name of its runner group, for display. Absent: the source does not say. */
  readonly runnerGroup?: string | null;
  readonly createdAtMs: number | null;
  readonly startedAtMs: number | null;
  readonly completedAtMs: number | null;
  readonly source: FactSource;
  /**
   * The source of the fact: the registration whose webhook secret signed it, or whose credential read it. Null: the
   * platform's own webhook, whose secret tenants do not know.
   */
  readonly toldBy: string | null;
  /** When we received the delivery, or sent the request that returned this. */
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
 * The share of the ledger's capacity that a job counts towards: that of the registration that first reported it; if the
 * platform itself did, that of its GitHub owner. Limits apply per share, so a tenant's flood only affects that tenant.
 */
export function shareOf(fact: Pick<JobFact, 'host' | 'owner' | 'toldBy'>): string {
  return fact.toldBy ?? `${fact.host}/${fact.owner}`.toLowerCase();
}

/** A job's identity. An id by itself can be forged by the owner of any webhook secret. */
export interface JobIdentity {
  readonly host: string;
  readonly owner: string;
  readonly repository: string;
  readonly jobId: number;
}

/** The job's key in the ledger: `github.com/acme/web/4321`, in lower case, because GitHub ignores case in names. */
export function jobKey({ host, owner, repository, jobId }: JobIdentity): string {
  return `${jobKeyPrefix({ host, owner, repository })}${jobId}`;
}

/** What the keys of a repository's jobs, and of no other, begin with. */
export function jobKeyPrefix({ host, owner, repository }: Omit<JobIdentity, 'jobId'>): string {
  return `${host}/${owner}/${repository}/`.toLowerCase();
}

/** In place of a registration's name: the platform's own webhook. */
export const PLATFORM = '';

/**
 * Whether two registrations belong to different tenants, so that one's webhook secret has no authority over the other's
 * jobs. The configuration knows; without tenants all registrations are the platform's own.
 */
export type AreStrangers = (registration: string, other: string) => boolean;

/** What started a run, and who: only GitHub's answer about the run tells. */
export interface RunOrigin {
  /** As in `on:` of the workflow: `push`, `pull_request` … */
  readonly event: string;
  /** Logins. Who started the run, and who started the attempt: another, where it was run again. */
  readonly actor: string;
  readonly triggeringActor: string;
}

/** What GitHub's answer about a run says, as far as it says it. */
export interface RunWord {
  readonly origin?: RunOrigin | undefined;
  /** Whether its code comes from another repository. */
  readonly isFork?: boolean | undefined;
}

/** The visibility of a repository, as GitHub calls it. */
export type Visibility = 'public' | 'private' | 'internal';

/** Without tenants: every registration is the platform's own. */
export const neverStrangers: AreStrangers = () => false;

/**
 * Whether this fact about a job or runner of the registration is only a tenant's claim. GitHub's own answers are not,
 * whichever credential was used (`apiUrl` is the platform's to set), and neither is what the platform's own
 * webhook reported: a tenant knows only the secret of its own webhook, and can sign anything with it.
 */
export function isStrangersWord(
  registration: string | null,
  word: { readonly source: FactSource; readonly toldBy: string | null },
  areStrangers: AreStrangers,
): boolean {
  if (registration === null || word.source !== 'webhook' || word.toldBy === null) return false;
  return word.toldBy !== registration && areStrangers(registration, word.toldBy);
}

/**
 * Whether a tenant may have made the fact up: it was signed with a webhook secret that the tenant knows. What the
 * platform grants that tenant must not depend on it.
 */
export function isTenantsWord(
  word: { readonly source: FactSource; readonly toldBy: string | null },
  areStrangers: AreStrangers,
): boolean {
  return word.source === 'webhook' && word.toldBy !== null && areStrangers(word.toldBy, PLATFORM);
}
