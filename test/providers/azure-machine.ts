/**
 * MSAL keeps the first source of a machine's identity, with its address, for as long as the process lives
 * (`ManagedIdentityClient.identitySource`, a private static): a test with a simulator of its own has to make it forget.
 */
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { pathToFileURL } from 'node:url';

interface Keeping {
  readonly ManagedIdentityClient: { identitySource?: unknown; sourceName?: unknown };
}

export async function forgetMachine(): Promise<void> {
  const identity = createRequire(import.meta.resolve('@azure/identity'));
  const index = identity.resolve('@azure/msal-node/package.json');
  const file = join(dirname(index), 'dist', 'client', 'ManagedIdentityClient.mjs');
  const { ManagedIdentityClient: kept }: Keeping = await import(pathToFileURL(file).href);
  delete kept.identitySource;
  delete kept.sourceName;
}
