import { ProviderError, type ProviderErrorKind } from '../provider.ts';
import { errorCode } from './folder.ts';

const kinds: Readonly<Record<string, ProviderErrorKind>> = {
  // No room: another backend may have some.
  ENOSPC: 'capacity',
  EDQUOT: 'quota',
  ENOMEM: 'capacity',
  // fork: the user's limit of processes; open: of files.
  EAGAIN: 'capacity',
  EMFILE: 'capacity',
  ENFILE: 'capacity',
  // The backend's own folder: every job meets it until somebody mends it.
  EACCES: 'unauthorized',
  EPERM: 'unauthorized',
  EROFS: 'unauthorized',
  ENOTDIR: 'unauthorized',
  // Command and environment together are too long.
  E2BIG: 'invalid',
};

/** What the operating system said, as the contract's error. */
export function classify(operation: string, error: unknown): ProviderError {
  if (error instanceof ProviderError) return error;
  const code = errorCode(error);
  const kind = (code === undefined ? undefined : kinds[code]) ?? 'transient';
  const message = error instanceof Error ? error.message : String(error);
  return new ProviderError(kind, operation, message, { ...(code === undefined ? {} : { code }), cause: error });
}
