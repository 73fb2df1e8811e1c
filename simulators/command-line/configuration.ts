/**
 * Writes the configuration for the running simulators: a folder for `shr doctor`, `shr verify-live` and `shr serve`.
 */
import { randomBytes } from 'node:crypto';
import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { stringify } from 'yaml';
import type { Started } from './started.ts';

export const REGISTRATION = 'simulated';
const PUBLIC = '127.0.0.1:8080';
/** Where the dispatcher of that configuration takes webhooks. */
export const WEBHOOK_URL = `http://${PUBLIC}/webhooks/github/${REGISTRATION}`;
/** Secrets do not belong in YAML files, and multi-line text is hard to read there. */
const OWN_FILE = /(?:secret|key|credentials)$/i;

/** Why nothing may be written there: it holds what is not of an earlier start. */
export async function foreignFolder(folder: string): Promise<string | undefined> {
  const entries = await readdir(folder).catch(() => []);
  const written = await readFile(path.join(folder, 'dispatcher.yaml'), 'utf8').catch(() => '');
  if (entries.length === 0 || written.startsWith(`id: ${REGISTRATION}\n`)) return undefined;
  return `${folder} holds other files: name a folder that is empty, or is not there yet, with --folder`;
}

/** Files of an earlier start are overwritten: ports, keys and certificates change with every start. */
export async function writeConfiguration(folder: string, started: readonly Started[]): Promise<void> {
  const secrets = path.join(folder, 'secrets');
  await mkdir(secrets, { recursive: true, mode: 0o700 });
  await mkdir(path.join(folder, 'registrations'), { recursive: true });
  const secret = async (name: string, text: string): Promise<string> => {
    await writeFile(path.join(secrets, name), text, { mode: 0o600 });
    return `\${file:secrets/${name}}`;
  };

  const backends: unknown[] = [];
  for (const { backend } of started) {
    if (backend === undefined) continue;
    const { kind, region } = backend;
    const withReferences = async (value: unknown, key: string): Promise<unknown> => {
      if (typeof value === 'string' && (OWN_FILE.test(key) || value.includes('\n'))) {
        return await secret(`${kind}-${key}`, value);
      }
      if (Array.isArray(value) || typeof value !== 'object' || value === null) return value;
      const fields: Record<string, unknown> = {};
      for (const [name, field] of Object.entries(value)) fields[name] = await withReferences(field, name);
      return fields;
    };
    backends.push({ name: kind, kind, region, options: await withReferences(backend.options, '') });
  }
  const image = started.find(({ backend }) => backend !== undefined)?.backend?.image;
  const github = started.find((one) => one.github !== undefined)?.github;
  await writeFile(
    path.join(folder, 'registrations', `${REGISTRATION}.yaml`),
    stringify({
      organization: github?.organization ?? 'acme',
      ...(github === undefined ? {} : { apiUrl: github.url }),
      credentials: { token: await secret('github-token', github?.token ?? 'none: no simulated GitHub was started') },
      ...(github?.webhookSecret === undefined
        ? {}
        : { webhook: { secrets: [await secret('webhook-secret', github.webhookSecret)] } }),
      // Often, for a start after a push; not so often that it would use up the limits of GitHub's API.
      poll: { interval: '15s' },
      labels: ['serverless-hosted-runner'],
      defaults: { image, cpu: 1, memoryGiB: 2 },
      policy: {
        publicRepositories: true,
        maxCpu: 16,
        maxMemoryGiB: 64,
        maxTimeout: '1h',
        spot: true,
        backends: ['*'],
        regions: ['*'],
      },
      backends,
    }),
  );
  await writeFile(
    path.join(folder, 'dispatcher.yaml'),
    stringify({
      id: REGISTRATION,
      listen: { public: PUBLIC, admin: '127.0.0.1:9090' },
      adminToken: await secret('admin-token', randomBytes(32).toString('hex')),
    }),
  );
}
