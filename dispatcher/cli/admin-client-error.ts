/** Exit code 1: the dispatcher could not be reached, or refused. 2: invalid usage. */
export class AdminClientError extends Error {
  readonly exitCode: 1 | 2;
  readonly cure: string;
  /** Of a document that was sent, a line for each. */
  readonly problems: readonly string[];

  constructor(exitCode: 1 | 2, message: string, cure: string, cause?: unknown, problems: readonly string[] = []) {
    super(message, { cause });
    this.name = 'AdminClientError';
    this.exitCode = exitCode;
    this.cure = cure;
    this.problems = problems;
  }
}
