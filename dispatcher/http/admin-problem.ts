/** A refusal of the admin API: `error` says what is wrong, `hint` what to do. Never contains a secret that was sent. */
export class AdminProblem extends Error {
  readonly status: number;
  readonly hint: string;

  constructor(status: number, error: string, hint: string) {
    super(error);
    this.name = 'AdminProblem';
    this.status = status;
    this.hint = hint;
  }
}
