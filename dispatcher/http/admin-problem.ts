import type { Problem } from '../model/problem.ts';

interface ProblemDetails {
  readonly problems?: readonly Problem[];
  readonly retryAfterMs?: number;
}

/**
 * A refusal of the admin API, sent as `application/problem+json` (RFC 9457): `error` says what is wrong, `cure` what to
 * do. Never contains a secret that was sent.
 */
export class AdminProblem extends Error {
  readonly status: number;
  readonly cure: string;
  /** Of a document that was sent. */
  readonly problems: readonly Problem[] | undefined;
  /** Sent as `Retry-After`. */
  readonly retryAfterMs: number | undefined;

  constructor(status: number, error: string, cure: string, more: ProblemDetails = {}) {
    super(error);
    this.name = 'AdminProblem';
    this.status = status;
    this.cure = cure;
    this.problems = more.problems;
    this.retryAfterMs = more.retryAfterMs;
  }
}
