/** Exit code 1: the dispatcher could not be reached, or refused. 2: invalid usage. */
export class AdminClientError extends Error {
  readonly exitCode: 1 | 2;
  readonly cure: string;

  constructor(exitCode: 1 | 2, message: string, cure: string, cause?: unknown) {
    super(message, { cause });
    this.name = 'AdminClientError';
    this.exitCode = exitCode;
    this.cure = cure;
  }
}
