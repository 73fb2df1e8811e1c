/** A configured folder beside a simulated GitHub, for commands that work with the real services. */
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { stringify } from 'yaml';
import { type GithubSimulator, type SimulatorOptions, startGithubSimulator } from '../../simulators/github/index.ts';

export interface Installation {
  readonly folder: string;
  readonly github: GithubSimulator;
  /** What the configuration's `${env:…}` need. */
  readonly environment: Readonly<Record<string, string>>;
  /** Writes `registrations/NAME.yaml`: an organization's, with a `process` backend, and what `changes` says. */
  register(name: string, changes?: Readonly<Record<string, unknown>>): Promise<void>;
  platform(changes: Readonly<Record<string, unknown>>): Promise<void>;
  close(): Promise<void>;
}

export const WEBHOOK_SECRET = 'a-webhook-secret-of-the-test';
const ADMIN_TOKEN = 'an-admin-token-of-the-test-0123456789';

export async function startInstallation(options: SimulatorOptions = {}): Promise<Installation> {
  const folder = await mkdtemp(join(tmpdir(), 'shr-cli-'));
  const github = await startGithubSimulator({
    owners: [{ login: 'acme', repositories: [{ name: 'web' }], runnerGroups: [{ name: 'closed' }] }],
    apps: [{ name: 'cli', installations: [{ account: 'acme' }] }],
    ...options,
  });
  await mkdir(join(folder, 'registrations'));
  const [app] = github.apps;
  if (app !== undefined) await writeFile(join(folder, 'app.pem'), app.privateKey, { mode: 0o600 });

  const platform = (changes: Readonly<Record<string, unknown>>): Promise<void> =>
    writeFile(
      join(folder, 'dispatcher.yaml'),
      stringify({ id: 'cli', adminToken: '${env:CLI_ADMIN_TOKEN}', unsafeProcessBackend: true, ...changes }),
    );
  await platform({});
  return {
    folder,
    github,
    environment: { CLI_ADMIN_TOKEN: ADMIN_TOKEN, CLI_WEBHOOK_SECRET: WEBHOOK_SECRET },
    platform,
    register: (name, changes = {}) =>
      writeFile(
        join(folder, 'registrations', `${name}.yaml`),
        stringify({
          organization: 'acme',
          apiUrl: github.url,
          credentials: { app: { id: app?.id, privateKey: '${file:app.pem}' } },
          webhook: { secrets: ['${env:CLI_WEBHOOK_SECRET}'] },
          runnerGroup: 'closed',
          labels: [name],
          defaults: { image: 'cli/runner:1', cpu: 1, memoryGiB: 1 },
          backends: [
            { name: 'here', kind: 'process', options: { command: ['sleep', '600'], root: join(folder, 'instances') } },
          ],
          ...changes,
        }),
      ),
    async close() {
      await github.close();
      await rm(folder, { recursive: true });
    },
  };
}
