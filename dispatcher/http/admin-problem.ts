/**
 * A refusal of the admin API, sent as `application/problem+json` (RFC 9457): `error` says what is wrong, `cure` what to
 * do. Never contains a secret that was sent.
 */
export class AdminProblem extends Error {
  readonly status: number;
  readonly cure: string;

  constructor(status: number, error: string, cure: string) {
    super(error);
    this.name = 'AdminProblem';
    this.status = status;
    this.cure = cure;
  }
}
