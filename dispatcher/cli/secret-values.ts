/** Values in the clouds' own stores, for commands that use the real services. */
import { systemClock, systemRandom } from '../../time/clock.ts';
import { SecretValues } from '../config/secret-values.ts';

export function systemSecretValues(environment: Readonly<Record<string, string | undefined>>): SecretValues {
  return new SecretValues({
    clock: systemClock,
    random: systemRandom,
    environment,
    fetch: (url, { method, headers, body, signal }) =>
      fetch(url, { method, headers, signal, redirect: 'manual', ...(body === undefined ? {} : { body }) }),
  });
}
