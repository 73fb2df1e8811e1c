/** What a registration's backends are made of, as a hash each: what was learned under another one is not true of this one. */
import { createHash, createHmac } from 'node:crypto';
import type { Backend, Credentials, Registration } from '../model/registration.ts';

export type BackendHashes = Pick<ReadonlyMap<string, string>, 'keys' | 'get'>;

/**
 * By backend name. The options hold secrets, and the ledger keeps the hash: the key is made of the registration's own
 * credentials for GitHub, which the ledger does not hold, so that it cannot be used to try out passwords.
 */
export function backendHashes({ backends, credentials }: Registration): BackendHashes {
  const named = new Map(backends.map((backend) => [backend.name, backend]));
  const known = new Map<string, string>();
  return {
    keys: () => named.keys(),
    // When it is first asked for: most of thousands of registrations have no failure to compare it with.
    get(name) {
      const backend = named.get(name);
      const hash = known.get(name) ?? (backend === undefined ? undefined : hashOf(backend, credentials));
      if (hash !== undefined) known.set(name, hash);
      return hash;
    },
  };
}

function hashOf({ kind, region, options }: Backend, credentials: Credentials): string {
  const secret = credentials.kind === 'token' ? credentials.token : credentials.privateKey;
  const key = createHash('sha256').update(`backends ${secret.reveal()}`).digest();
  return createHmac('sha256', key)
    .update(JSON.stringify([kind, region ?? null, options]))
    .digest('hex')
    .slice(0, 32);
}
