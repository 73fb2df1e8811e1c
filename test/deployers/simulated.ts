/**
 * A folder with a configuration as a user has it, for a dispatcher that is deployed to a simulated cloud. The simulator runs
 * the real dispatcher as a process of this machine.
 */
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { stringify } from 'yaml';
import { type GithubSimulator, startGithubSimulator } from '../../simulators/github/index.ts';
import { type Ended, shr } from '../cli/process.ts';
import { path } from '../package/unpacked.ts';

const ROOT = join(import.meta.dirname, '..', '..');
export const DISPATCHER_IMAGE = 'docker.io/acme/shr:1';
export const RUNNER_IMAGE = 'docker.io/acme/runner:1';
export const WEBHOOK_SECRET = 'a-webhook-secret-of-the-deployment';
/** What the simulator's machines have: the dispatcher, and the runner of the simulated GitHub. */
export const MACHINE = {
  images: {
    [DISPATCHER_IMAGE]: ['false'],
    [RUNNER_IMAGE]: [process.execPath, join(ROOT, 'simulators', 'github', 'runner.mjs')],
  },
  substitutions: {
    '/opt/shr/shr.mjs': join(ROOT, 'dispatcher', 'cli', 'shr.mjs'),
    '/home/runner/run.sh': join(ROOT, 'simulators', 'github', 'runner.mjs'),
  },
} as const;

export interface DeployFolder {
  readonly folder: string;
  readonly github: GithubSimulator;
  readonly port: number;
  /** `shr deploy VERB` for the one registration, `acme`. */
  deploy(verb: string, ...words: readonly string[]): Promise<Ended & { readonly all: string }>;
  push(seconds: number): { readonly id: number };
  conclusion(id: number): string | undefined;
  /** The size of nothing else is written: an update of the configuration. */
  write(dispatcher: Readonly<Record<string, unknown>>): Promise<void>;
  close(): Promise<void>;
}

export async function openDeployFolder(
  kind: string,
  options: Readonly<Record<string, unknown>>,
  environment: Readonly<Record<string, string>>,
): Promise<DeployFolder> {
  const before = process.env['PATH'];
  // The simulators' machines find `node` by it.
  process.env['PATH'] = path;
  const folder = await mkdtemp(join(tmpdir(), 'shr-deploy-'));
  const port = 20_000 + Math.floor(Math.random() * 10_000);
  const github = await startGithubSimulator({
    owners: [{ login: 'acme', repositories: [{ name: 'web' }] }],
    apps: [{ name: 'deployed', installations: [{ account: 'acme' }] }],
  });
  const [app] = github.apps;
  if (app === undefined) throw new Error('the simulator has no App');
  github.addHook({ on: 'acme', url: `http://127.0.0.1:${port}/webhooks/github/acme`, secret: WEBHOOK_SECRET });
  const writeAll = async (files: Readonly<Record<string, unknown>>) => {
    for (const [name, value] of Object.entries(files)) {
      await mkdir(dirname(join(folder, name)), { recursive: true });
      await writeFile(join(folder, name), typeof value === 'string' ? value : stringify(value), { mode: 0o600 });
    }
  };
  const write = (dispatcher: Readonly<Record<string, unknown>>) =>
    writeAll({
      'dispatcher.yaml': {
        id: 'dep',
        adminToken: '${file:secrets/admin-token}',
        // The process would write to this machine's /var/lib.
        ledger: ':memory:',
        listen: { public: `0.0.0.0:${port}`, admin: `127.0.0.1:${port + 1}` },
        ...dispatcher,
      },
    });
  await write({});
  await writeAll({
    'secrets/admin-token': 'an-admin-token-of-the-platform',
    'secrets/app.pem': app.privateKey,
    'registrations/acme.yaml': {
      organization: 'acme',
      apiUrl: github.url,
      credentials: { app: { id: app.id, privateKey: '${file:secrets/app.pem}' } },
      webhook: { secrets: ['${env:DEPLOY_WEBHOOK_SECRET}'] },
      labels: ['deployed'],
      defaults: { image: RUNNER_IMAGE },
      backends: [{ kind, options }],
      maxRunners: 4,
      poll: { interval: '30s' },
    },
  });
  return {
    ...{ folder, github, port, write },
    async deploy(verb, ...words) {
      // Without it, what runs is drained.
      const image = verb === 'plan' || verb === 'apply' ? ['--image', DISPATCHER_IMAGE] : [];
      const all = ['deploy', verb, '.', '--registration', 'acme', ...image, ...words];
      const ended = await shr(all, folder, { DEPLOY_WEBHOOK_SECRET: WEBHOOK_SECRET, ...environment });
      return { ...ended, all: `${ended.out}${ended.error}` };
    },
    push: (seconds) =>
      github.pushWorkflow({
        owner: 'acme',
        repository: 'web',
        yaml: stringify({
          on: 'push',
          jobs: { build: { 'runs-on': 'deployed', steps: [{ run: `sleep ${seconds}` }, { run: 'echo done' }] } },
        }),
      }),
    conclusion: (id) => github.run(id)?.conclusion ?? undefined,
    async close() {
      if (before === undefined) delete process.env['PATH'];
      else process.env['PATH'] = before;
      await github.close();
      await rm(folder, { recursive: true });
    },
  };
}
