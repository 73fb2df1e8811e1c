/** How a registration reaches GitHub: the address of the API, and credentials of its own or of the platform. */
import type { Credentials } from '../model/registration.ts';
import { defaultApiUrl, judgeApiUrl } from './api-url.ts';
import { holdNamed } from './held-claim.ts';
import type { Reading } from './reading.ts';
import type { RegistrationContext } from './registration-context.ts';
import { registrationFile } from './schema.ts';
import { readCredentials } from './shared-sections.ts';

const form = registrationFile.shape;

/** A tenant that could redirect the API would receive the platform's credentials. */
export function readApiUrl(reading: Reading, host: string, { grant }: RegistrationContext): string {
  const text = reading.section(['apiUrl'], form.apiUrl);
  if (text === undefined) return defaultApiUrl(host);
  if (grant !== undefined) {
    reading.problem(
      ['apiUrl'],
      "a tenant's file may not set it",
      `Remove it: ${defaultApiUrl(host)} follows from the host.`,
    );
  }
  const wrong = reading.unresolved(['apiUrl']) ? undefined : judgeApiUrl(text);
  if (wrong !== undefined) reading.problem(['apiUrl'], `${wrong}`, 'Write it like https://ghes.acme.example/api/v3.');
  return text.replace(/\/+$/, '');
}

export function readOwnCredentials(
  reading: Reading,
  host: string,
  { platform, grant, keys }: RegistrationContext,
): Credentials | undefined {
  const file = reading.section(['credentials'], form.credentials);
  if (file === undefined) return undefined;
  if (file.use === undefined) {
    const own = readCredentials(reading, ['credentials'], file, keys);
    return own === undefined ? undefined : { ...own, host };
  }
  if (file.app !== undefined || file.furtherApps !== undefined || file.token !== undefined) {
    reading.problem(['credentials'], 'it has `use` and credentials of its own', 'Keep one of them.');
    return undefined;
  }
  const path = ['credentials', 'use'];
  if (!holdNamed(reading, path, grant, 'credentials', file.use)) return undefined;
  const shared = platform.credentials.get(file.use);
  if (shared === undefined && platform.complete) {
    reading.problem(path, `dispatcher.yaml has no credentials \`${file.use}\``, 'Correct the name, or add them there.');
  }
  if (shared === undefined && !platform.known) {
    reading.problem(path, 'there is no dispatcher.yaml to take them from', 'Name the file with `--config`.');
  }
  if (shared === undefined) return undefined;
  const { credentials, place } = shared;
  if (credentials.host !== undefined && credentials.host !== host) {
    reading.problem(
      path,
      `the credentials \`${file.use}\` belong to ${credentials.host}, and would be sent to ${host} (${place})`,
      `Use credentials of ${host}; if these are, write \`credentials.${file.use}.host: ${host}\` in dispatcher.yaml.`,
    );
    return undefined;
  }
  return { ...credentials, host };
}
