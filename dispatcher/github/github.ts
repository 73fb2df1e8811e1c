/** What the dispatcher asks of GitHub, as narrow as it is used, and the errors that come back. */
import type { GithubErrorKind } from '../failures/failure.ts';
import type { JobFact } from '../jobs/facts.ts';
import type { GithubScope } from '../jobs/scope.ts';
import type { GithubTrouble } from './trouble.ts';

export interface GithubRunner {
  readonly id: number;
  readonly name: string;
  readonly status: 'online' | 'offline';
  /** A hint: it can be false for minutes while a job runs (terraform-aws-github-runner#5085). */
  readonly busy: boolean;
  readonly labels: readonly string[];
  /**
   * Why GitHub's entry for it could not be read. Then `id` (0 when it is missing), `status` and `busy` say nothing: it
   * is there, and that is all.
   */
  readonly unreadable?: string;
}

export interface GithubRun {
  /** No job of a completed run waits, whatever GitHub says of the job. */
  readonly completed: boolean;
  readonly attempt: number;
}

export interface JitRunner {
  readonly runnerId: number;
  /** A secret of about 4 KB. Handed to the provider, stored nowhere. */
  readonly encodedJitConfig: string;
}

export interface JitRequest {
  readonly scope: GithubScope;
  readonly name: string;
  readonly runnerGroup: string;
  /** Exactly the job's labels: GitHub adds none. 1 to 100. */
  readonly labels: readonly string[];
}

export class GithubError extends Error {
  readonly kind: GithubErrorKind;
  /** Method and route, such as `POST /orgs/{org}/actions/runners/generate-jitconfig`. */
  readonly operation: string;
  /** The message without the operation. */
  readonly words: string;
  readonly status: number | undefined;
  /** `x-github-request-id`, for a ticket with GitHub. */
  readonly requestId: string | undefined;
  readonly retryAfterMs: number | undefined;
  /** What GitHub's refusal is about, where that is known beyond the kind. */
  readonly trouble: GithubTrouble | undefined;
  /** Set where the way to this owner as a whole is shut: the App is not installed there, suspended, or not asked to be. */
  readonly owner: string | undefined;

  constructor(
    kind: GithubErrorKind,
    operation: string,
    message: string,
    details: {
      status?: number;
      requestId?: string;
      retryAfterMs?: number;
      trouble?: GithubTrouble;
      owner?: string;
      cause?: unknown;
    } = {},
  ) {
    super(`${operation}: ${message}`, { cause: details.cause });
    this.name = 'GithubError';
    this.kind = kind;
    this.operation = operation;
    this.words = message;
    this.status = details.status;
    this.requestId = details.requestId;
    this.retryAfterMs = details.retryAfterMs;
    this.trouble = details.trouble;
    this.owner = details.owner;
  }
}

/** The same failure, known to be about an owner as a whole. */
export function aboutOwner(error: GithubError, owner: string): GithubError {
  const { status, requestId, retryAfterMs, trouble } = error;
  return new GithubError(error.kind, error.operation, error.words, {
    owner,
    ...(status === undefined ? {} : { status }),
    ...(requestId === undefined ? {} : { requestId }),
    ...(retryAfterMs === undefined ? {} : { retryAfterMs }),
    ...(trouble === undefined ? {} : { trouble }),
    cause: error.cause,
  });
}

/** What the caller wants the call for. When the budget is short, the earlier ones come first. */
export type CallPurpose = 'launch' | 'drain' | 'verify' | 'sweep';

/**
 * One registration's way to GitHub, with that registration's credentials. Safe for concurrent use. Every method
 * rejects with GithubError only, within 30 s.
 */
export interface Github {
  /** Rejects with `conflict` when the name exists, `not-found` when the runner group or scope does not. */
  createJitRunner(request: JitRequest): Promise<JitRunner>;
  /** `busy`: refused with 422, the runner runs a job. `deleted` proves nothing about idleness. */
  deleteRunner(scope: GithubScope, runnerId: number): Promise<'deleted' | 'absent' | 'busy'>;
  getRunner(scope: GithubScope, runnerId: number, purpose: CallPurpose): Promise<GithubRunner | undefined>;
  /** Rejects with `transient` when an entry that may be it cannot be read: that is not absence. */
  findRunner(scope: GithubScope, name: string, purpose: CallPurpose): Promise<GithubRunner | undefined>;
  /** All pages. Entries that cannot be read are among them: see `unreadable`; one without a name has an empty one. */
  listRunners(scope: GithubScope, purpose: CallPurpose): Promise<readonly GithubRunner[]>;
  /**
   * The job as it is now (`source: 'read'`), or undefined when GitHub knows no such job (any more). `purpose`: `verify`,
   * or `launch` where a launch waits for it.
   */
  readJob(owner: string, repository: string, jobId: number, purpose?: CallPurpose): Promise<JobFact | undefined>;
  /** The run's latest attempt, or undefined when GitHub knows no such run (any more). */
  readRun(owner: string, repository: string, runId: number, purpose?: CallPurpose): Promise<GithubRun | undefined>;
  /** False: GitHub answers 404 for the repository. It does not exist, or the credentials may not see it. */
  seesRepository(owner: string, repository: string): Promise<boolean>;
}
