/** What the dispatcher needs from GitHub, as a narrow interface, and the errors it returns. */
import type { GithubErrorKind } from '../failures/failure.ts';
import type { JobFact, RunOrigin, Visibility } from '../jobs/facts.ts';
import type { GithubScope } from '../jobs/scope.ts';
import type { GithubDenial } from './denial.ts';

export interface GithubRunner {
  readonly id: number;
  readonly name: string;
  readonly status: 'online' | 'offline';
  /** A hint: it can be false for minutes while a job runs (terraform-aws-github-runner#5085). */
  readonly busy: boolean;
  readonly labels: readonly string[];
  /**
   * Why GitHub's entry for it could not be read. Then `id` (0 when it is missing), `status` and `busy` are meaningless:
   * only its existence is known.
   */
  readonly unreadable?: string;
}

export interface GithubRun {
  /** Jobs of a completed run do not wait, whatever GitHub says of the job. */
  readonly completed: boolean;
  readonly attempt: number;
  /** Whether its code comes from another repository, or from one that is gone. Undefined: GitHub does not say. */
  readonly isFork?: boolean;
  /** Of this attempt. Undefined: GitHub does not say, or an account is gone. */
  readonly origin?: RunOrigin;
}

export interface JitRunner {
  readonly runnerId: number;
  /** A secret of about 4 KB. Passed to the provider, never stored. */
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
  /** `x-github-request-id`, for a support ticket with GitHub. */
  readonly requestId: string | undefined;
  readonly retryAfterMs: number | undefined;
  /** Why GitHub denied the call, if more specific than the kind. */
  readonly denial: GithubDenial | undefined;
  /** What to do about it, in the imperative. The message ends with it, in brackets. */
  readonly cure: string | undefined;
  /** Set if this owner is not accessible at all: the App is not installed there, suspended, or excluded by us. */
  readonly owner: string | undefined;

  constructor(
    kind: GithubErrorKind,
    operation: string,
    message: string,
    details: {
      status?: number;
      requestId?: string;
      retryAfterMs?: number;
      denial?: GithubDenial;
      cure?: string;
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
    this.denial = details.denial;
    this.cure = details.cure;
    this.owner = details.owner;
  }
}

/** The same failure, marked as affecting an owner as a whole. */
export function aboutOwner(error: GithubError, owner: string): GithubError {
  const { status, requestId, retryAfterMs, denial, cure } = error;
  return new GithubError(error.kind, error.operation, error.words, {
    owner,
    ...(status === undefined ? {} : { status }),
    ...(requestId === undefined ? {} : { requestId }),
    ...(retryAfterMs === undefined ? {} : { retryAfterMs }),
    ...(denial === undefined ? {} : { denial }),
    ...(cure === undefined ? {} : { cure }),
    cause: error.cause,
  });
}

/** The purpose of a call. When the budget is short, earlier ones in this list take precedence. */
export type CallPurpose = 'launch' | 'drain' | 'verify' | 'sweep';

/**
 * One registration's access to GitHub, with that registration's credentials. Safe for concurrent use. Every method
 * rejects with GithubError only, within 30 s.
 */
export interface Github {
  /** Rejects with `conflict` when the name exists, `not-found` when the runner group or scope does not. */
  createJitRunner(request: JitRequest): Promise<JitRunner>;
  /** `busy`: refused with 422, the runner runs a job. `deleted` does not prove that it was idle. */
  deleteRunner(scope: GithubScope, runnerId: number): Promise<'deleted' | 'absent' | 'busy'>;
  getRunner(scope: GithubScope, runnerId: number, purpose: CallPurpose): Promise<GithubRunner | undefined>;
  /** Rejects with `transient` when a possibly matching entry cannot be read: that does not prove absence. */
  findRunner(scope: GithubScope, name: string, purpose: CallPurpose): Promise<GithubRunner | undefined>;
  /** All pages. Includes entries that cannot be read: see `unreadable`; one without a name has an empty one. */
  listRunners(scope: GithubScope, purpose: CallPurpose): Promise<readonly GithubRunner[]>;
  /**
   * The current job (`source: 'read'`), or undefined when GitHub does not know it (any more). `purpose`: `verify`,
   * or `launch` where a launch waits for it.
   */
  readJob(owner: string, repository: string, jobId: number, purpose?: CallPurpose): Promise<JobFact | undefined>;
  /** The run's latest attempt, or undefined when GitHub does not know the run (any more). */
  readRun(owner: string, repository: string, runId: number, purpose?: CallPurpose): Promise<GithubRun | undefined>;
  /** False: GitHub answers 404 for the repository. It does not exist, or the credentials cannot see it. */
  seesRepository(owner: string, repository: string): Promise<boolean>;
  /** Rejects with `not-found` for a repository that does not exist, or that the credentials cannot see. */
  readVisibility(owner: string, repository: string): Promise<Visibility>;
}
