/** The demo's world: a simulated GitHub and a real dispatcher, configured by files as a user would write them. */
import { randomBytes } from 'node:crypto';
import { mkdir, open, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { stringify } from 'yaml';
import { loadProvider } from '../../../providers/index.ts';
import type { DemoBackend, Provider } from '../../../providers/provider.ts';
import { type GithubSimulator, startGithubSimulator } from '../../../simulators/github/index.ts';
import { type Clock, type Random, sleep } from '../../../time/clock.ts';
import { providerHost } from '../../backends/pool.ts';
import { systemFiles } from '../../config/files.ts';
import { loadConfiguration } from '../../config/load.ts';
import { startDispatcher } from '../../main.ts';
import { formatProblem } from '../../model/problem.ts';
import { Secret } from '../../model/registration.ts';
import { createLog } from '../../observability/log.ts';
import { AdminClient } from '../admin-client.ts';
import { withReferences } from './references.ts';
import { DemoProblem } from './stage.ts';

const OWNER = 'acme';
const REPOSITORY = 'web';
const TAKE_AWAY_MS = 20_000;
const LOOK_MS = 100;

export interface DemoWorld {
  /** The dispatcher's: two demos on one engine leave each other's containers alone. */
  readonly id: string;
  readonly github: GithubSimulator;
  readonly admin: AdminClient;
  readonly adminUrl: string;
  readonly logFile: string;
  /** What stays on this machine. */
  readonly stays: string | undefined;
  /** The provider's side, queried directly rather than through the dispatcher. */
  instances(): Promise<number>;
  push(workflow: string): void;
  approve(): void;
  close(): Promise<void>;
}

export async function startWorld(options: {
  readonly folder: string;
  readonly kind: string;
  readonly backend: DemoBackend;
  readonly clock: Clock;
  readonly random: Random;
}): Promise<DemoWorld> {
  const { folder, kind, backend, clock, random } = options;
  const closing: (() => Promise<void>)[] = [() => backend.close()];
  /** Every step is tried, even after others failed, so that everything that can be cleaned up is. */
  const close = async () => {
    const failures: string[] = [];
    for (const step of closing.splice(0).reverse()) {
      try {
        await step();
      } catch (error) {
        failures.push(error instanceof Error ? error.message : String(error));
      }
    }
    if (failures.length > 0) throw new DemoProblem(`not everything could be taken away: ${failures.join('; ')}`);
  };
  try {
    const github = await startGithub(backend);
    closing.push(() => github.close());
    const id = `demo-${randomBytes(3).toString('hex')}`;
    const secret = randomBytes(24).toString('hex');
    const adminToken = randomBytes(24).toString('hex');
    const configuration = await writeConfiguration({ folder, id }, github, kind, backend, {
      DEMO_WEBHOOK_SECRET: secret,
      DEMO_ADMIN_TOKEN: adminToken,
    });
    const logFile = join(folder, 'dispatcher.log');
    const logHandle = await open(logFile, 'a');
    closing.push(() => logHandle.close());
    const stream = logHandle.createWriteStream({ autoClose: false });
    const log = createLog({ level: 'debug', clock, write: (line) => void stream.write(line) });
    const provider = await ownProvider(kind, backend, clock, random);
    closing.push(() => provider.close());
    // After the dispatcher, so that nothing new arrives: an interrupted demo may leave runners behind.
    closing.push(() => takeAway(provider, id, clock));
    const dispatcher = await startDispatcher({ configuration, clock, random, log });
    closing.push(() => dispatcher.stop());
    github.addHook({
      on: OWNER,
      url: `http://127.0.0.1:${dispatcher.publicPort}/webhooks/github/demo`,
      secret,
      events: ['workflow_job'],
    });
    const adminUrl = `http://127.0.0.1:${dispatcher.adminPort}`;
    return {
      id,
      github,
      admin: new AdminClient(new URL(adminUrl), new Secret(adminToken), clock),
      adminUrl,
      logFile,
      stays: backend.stays,
      instances: async () => (await provider.list({ dispatcher: id })).length,
      push: (yaml) => {
        try {
          github.pushWorkflow({ owner: OWNER, repository: REPOSITORY, yaml });
        } catch (error) {
          throw new DemoProblem(
            `the simulated GitHub does not take the workflow: ${error instanceof Error ? error.message : String(error)}`,
          );
        }
      },
      approve: () => void github.approve({ owner: OWNER, repository: REPOSITORY }),
      close,
    };
  } catch (error) {
    await close().catch(() => undefined);
    throw error;
  }
}

/** Throws when something is left after all. */
async function takeAway(provider: Provider, id: string, clock: Clock): Promise<void> {
  const endsAtMs = clock.now() + TAKE_AWAY_MS;
  for (;;) {
    const left = await provider.list({ dispatcher: id });
    if (left.length === 0) return;
    if (clock.now() >= endsAtMs) {
      throw new DemoProblem(`could not remove ${left.map(({ ref }) => ref.name).join(', ')}: remove it yourself`);
    }
    await Promise.all(left.map(({ ref }) => provider.stop(ref)));
    await sleep(clock, LOOK_MS);
  }
}

/** The runners need the address before the port is known: a first start finds a free one. */
async function startGithub(backend: DemoBackend): Promise<GithubSimulator> {
  const scout = await startGithubSimulator();
  const { port } = scout;
  await scout.close();
  const github = await startGithubSimulator({
    port,
    runnerUrl: backend.runnerUrl(port),
    owners: [{ login: OWNER, repositories: [{ name: REPOSITORY }] }],
    apps: [{ name: 'demo', installations: [{ account: OWNER }] }],
  });
  await backend.open(port);
  return github;
}

async function writeConfiguration(
  { folder, id }: { readonly folder: string; readonly id: string },
  github: GithubSimulator,
  kind: string,
  backend: DemoBackend,
  environment: Readonly<Record<string, string>>,
) {
  const [app] = github.apps;
  if (app === undefined) throw new Error('the simulated GitHub has no App');
  const registrations = join(folder, 'registrations');
  await mkdir(registrations, { recursive: true });
  await writeFile(join(folder, 'app.pem'), app.privateKey, { mode: 0o600 });
  const dispatcherFile = join(folder, 'dispatcher.yaml');
  await writeFile(
    dispatcherFile,
    stringify({
      id,
      ledger: 'ledger.db',
      listen: { public: '127.0.0.1:0', admin: '127.0.0.1:0' },
      adminToken: '${env:DEMO_ADMIN_TOKEN}',
      unsafeProcessBackend: kind === 'process',
    }),
  );
  const { options, secrets } = withReferences(backend.options, 'DEMO_OPTION');
  await writeFile(
    join(registrations, 'demo.yaml'),
    stringify({
      organization: OWNER,
      apiUrl: github.url,
      credentials: { app: { id: app.id, privateKey: '${file:app.pem}' } },
      webhook: { secrets: ['${env:DEMO_WEBHOOK_SECRET}'] },
      labels: ['serverless-hosted-runner'],
      defaults: { image: backend.image, cpu: 0.5, memoryGiB: 0.5 },
      policy: { maxCpu: 8, maxMemoryGiB: 16 },
      backends: [{ name: kind, kind, options }],
      maxRunners: 8,
    }),
  );
  const loaded = await loadConfiguration({
    dispatcherFile,
    registrationsFolder: registrations,
    environment: { ...environment, ...secrets },
    files: systemFiles,
    provider: loadProvider,
  });
  if (!loaded.ok || loaded.problems.length > 0) throw new DemoProblem(loaded.problems.map(formatProblem).join('\n'));
  return loaded.configuration;
}

async function ownProvider(kind: string, backend: DemoBackend, clock: Clock, random: Random): Promise<Provider> {
  const module = await loadProvider(kind);
  return module.create(module.options.parse(backend.options), providerHost(clock, random));
}
