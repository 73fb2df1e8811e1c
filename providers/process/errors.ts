import { ProviderError, type ProviderErrorKind } from '../provider.ts';
import { errorCode } from './folder.ts';

const kinds: Readonly<Record<string, ProviderErrorKind>> = {
  // No capacity: another backend may have some.
  ENOSPC: 'capacity',
  EDQUOT: 'quota',
  ENOMEM: 'capacity',
  // fork: the user's process limit; open: the file limit.
  EAGAIN: 'capacity',
  EMFILE: 'capacity',
  ENFILE: 'capacity',
  // The backend's own folder: every job fails until it is fixed.
  EACCES: 'unauthorized',
  EPERM: 'unauthorized',
  EROFS: 'unauthorized',
  ENOTDIR: 'unauthorized',
  // Command line and environment together are too long.
  E2BIG: 'invalid',
};

/** Converts an operating system error to the contract's error. */
export function classify(operation: string, error: unknown): ProviderError {
  if (error instanceof ProviderError) return error;
  const code = errorCode(error);
  const kind = (code === undefined ? undefined : kinds[code]) ?? 'transient';
  const message = error instanceof Error ? error.message : String(error);
  return new ProviderError(kind, operation, message, { ...(code === undefined ? {} : { code }), cause: error });
}
