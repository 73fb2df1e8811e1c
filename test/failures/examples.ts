/** Failures and breakers for tests, with every field that a test does not speak of at its plainest. */
import type { Failure } from '../../dispatcher/failures/failure.ts';
import type { Breaker } from '../../dispatcher/ledger/ledger.ts';

export function failure(fields: Partial<Failure> = {}): Failure {
  return {
    source: 'acme/main',
    kind: 'capacity',
    code: null,
    requestId: null,
    message: 'no stock',
    atMs: 0,
    ...fields,
  };
}

export function breaker(fields: Partial<Breaker> = {}): Breaker {
  return {
    key: 'acme/main',
    registration: 'acme',
    backend: 'main',
    rule: 'account',
    shape: null,
    subject: null,
    configuration: 'c0ffee',
    failure: failure(),
    failures: 1,
    sinceMs: 60_000,
    closedUntilMs: 70_000,
    changedAtMs: 60_000,
    ...fields,
  };
}
