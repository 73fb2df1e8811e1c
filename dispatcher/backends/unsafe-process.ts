import type { Configuration } from '../model/registration.ts';

/** A backend that is not fit for service. The message says what to do. */
export class RefusedBackend extends Error {
  constructor(message: string) {
    super(message);
    this.name = 'RefusedBackend';
  }
}

/**
 * The `process` backend runs jobs as the dispatcher's own user, beside its ledger and its secrets: throws RefusedBackend
 * unless dispatcher.yaml accepts that.
 */
export function refuseUnsafeBackends({ dispatcher, registrations }: Configuration): void {
  if (dispatcher.unsafeProcessBackend) return;
  const unsafe = registrations.find(({ backends }) => backends.some(({ kind }) => kind === 'process'));
  if (unsafe === undefined) return;
  throw new RefusedBackend(
    `registration ${unsafe.name} has a backend of kind process: its jobs would run as this user, with access to the ledger and all secrets. Choose another kind, or set unsafeProcessBackend: true in dispatcher.yaml on a machine where that does not matter`,
  );
}
