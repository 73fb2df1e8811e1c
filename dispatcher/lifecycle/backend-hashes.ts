/** What a registration's backends are made of, as a hash each: what was learned under another one is not true of this one. */
import { createHash, createHmac } from 'node:crypto';
import type { Registration } from '../model/registration.ts';

/**
 * By backend name. The options hold secrets, and the ledger keeps the hash: the key is made of the registration's own
 * credentials for GitHub, which the ledger does not hold, so that it cannot be used to try out passwords.
 */
export function backendHashes({ backends, credentials }: Registration): ReadonlyMap<string, string> {
  const secret = credentials.kind === 'token' ? credentials.token : credentials.privateKey;
  const key = createHash('sha256').update(`backends ${secret.reveal()}`).digest();
  return new Map(
    backends.map(({ name, kind, region, options }) => [
      name,
      createHmac('sha256', key)
        .update(JSON.stringify([kind, region ?? null, options]))
        .digest('hex')
        .slice(0, 32),
    ]),
  );
}
