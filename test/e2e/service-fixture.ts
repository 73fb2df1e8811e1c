/** The real service in a process of its own, beside a simulated GitHub, configured by files as a user would. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { stringify } from 'yaml';
import { z } from 'zod';
import processModule from '../../providers/process/index.ts';
import type { Instance, Provider } from '../../providers/provider.ts';
import { type GithubSimulator, type SimulatorOptions, startGithubSimulator } from '../../simulators/github/index.ts';
import { systemClock, systemRandom } from '../../time/clock.ts';

const ROOT = join(import.meta.dirname, '..', '..');
const RUNNER = join(ROOT, 'simulators', 'github', 'runner.mjs');
export const WEBHOOK_SECRET = 'a-webhook-secret-of-the-test';
export const ADMIN_TOKEN = 'an-admin-token-of-the-test';

const startedSchema = z
  .object({
    event: z.literal('started'),
    public: z.string(),
    admin: z.string(),
    publicPort: z.number(),
    adminPort: z.number(),
  })
  .refine((line) => line.public === `127.0.0.1:${line.publicPort}` && line.admin === `127.0.0.1:${line.adminPort}`);

export interface Service {
  readonly folder: string;
  readonly github: GithubSimulator;
  readonly process: ChildProcess;
  readonly adminUrl: string;
  readonly publicUrl: string;
  readonly webhookSecret: string;
  /** Everything that it has written so far, over all starts. */
  output(): string;
  /** Starts it again, after it has ended. */
  restart(): Promise<void>;
  /** Sends the signal, and answers the exit code (null where the signal killed it) and how long it took. */
  end(signal: NodeJS.Signals): Promise<{ readonly code: number | null; readonly ms: number }>;
  instances(): Promise<readonly Instance[]>;
  close(): Promise<void>;
}

export interface ServiceOptions {
  readonly github?: SimulatorOptions;
  readonly registration?:
    | Readonly<Record<string, unknown>>
    | ((place: { readonly folder: string }) => Readonly<Record<string, unknown>>);
  /** Further files in `registrations/`, by name. */
  readonly others?:
    | Readonly<Record<string, string>>
    | ((place: { readonly folder: string; readonly github: GithubSimulator }) => Readonly<Record<string, string>>);
  /** Until it listens. Default: 20 s. */
  readonly startMs?: number;
  readonly maxRunners?: number;
  /** Further settings of `dispatcher.yaml`. */
  readonly dispatcher?: Readonly<Record<string, unknown>>;
  /** For the references in `registration`. */
  readonly environment?: Readonly<Record<string, string>>;
}

export async function startService(options: ServiceOptions = {}): Promise<Service> {
  const folder = await mkdtemp(join(tmpdir(), 'shr-e2e-'));
  const github = await startGithub(options);
  const processOptions = { command: [process.execPath, RUNNER], root: join(folder, 'instances') };
  await writeConfiguration(folder, github, options, processOptions);
  const provider = processModule.create(processModule.options.parse(processOptions), {
    now: () => Date.now(),
    after: systemClock.after,
    sleep: (ms) => new Promise((resolve) => setTimeout(resolve, ms)),
    random: systemRandom,
  });

  let output = '';
  let child = spawnServe(folder, options.environment, (text) => {
    output += text;
  });
  let ports = await started(child, () => output, 0, options.startMs);
  github.addHook({
    on: 'acme',
    url: `http://127.0.0.1:${ports.publicPort}/webhooks/github/e2e`,
    secret: WEBHOOK_SECRET,
  });
  return {
    folder,
    github,
    get process() {
      return child;
    },
    get adminUrl() {
      return `http://127.0.0.1:${ports.adminPort}`;
    },
    get publicUrl() {
      return `http://127.0.0.1:${ports.publicPort}`;
    },
    webhookSecret: WEBHOOK_SECRET,
    output: () => output,
    async restart() {
      await pinPort(folder, ports.publicPort, options);
      const from = output.length;
      child = spawnServe(folder, options.environment, (text) => {
        output += text;
      });
      ports = await started(child, () => output, from, options.startMs);
    },
    async end(signal) {
      const startedAt = performance.now();
      const exit = child.exitCode === null && child.signalCode === null ? once(child, 'exit') : Promise.resolve();
      child.kill(signal);
      await exit;
      return { code: child.exitCode, ms: performance.now() - startedAt };
    },
    instances: () => provider.list({ dispatcher: 'e2e' }),
    async close() {
      if (child.exitCode === null && child.signalCode === null) {
        const exit = once(child, 'exit');
        child.kill('SIGKILL');
        await exit;
      }
      await stopAll(provider);
      await provider.close();
      await github.close();
      // What was killed in the middle of a launch may still be writing its folder.
      await rm(folder, { recursive: true, force: true, maxRetries: 10, retryDelay: 200 });
    },
  };
}

async function stopAll(provider: Provider): Promise<void> {
  const left = await provider.list({ dispatcher: 'e2e' });
  await Promise.all(left.map(({ ref }) => provider.stop(ref)));
}

export function startGithub({ github }: ServiceOptions): Promise<GithubSimulator> {
  return startGithubSimulator({
    owners: [{ login: 'acme', repositories: [{ name: 'web' }] }],
    apps: [{ name: 'e2e', installations: [{ account: 'acme' }] }],
    // Load is the test here, not GitHub's patience.
    limits: { pointsPerMinute: 100_000, requestsPerHour: 100_000, contentPerMinute: 100_000, contentPerHour: 100_000 },
    ...github,
  });
}

export async function writeConfiguration(
  folder: string,
  github: GithubSimulator,
  options: ServiceOptions,
  processOptions: Readonly<Record<string, unknown>>,
): Promise<void> {
  const [app] = github.apps;
  if (app === undefined) throw new Error('the simulator has no App');
  await mkdir(join(folder, 'registrations'));
  await writeFile(join(folder, 'app.pem'), app.privateKey, { mode: 0o600 });
  await writeFile(join(folder, 'dispatcher.yaml'), dispatcherYaml('127.0.0.1:0', options));
  const others = typeof options.others === 'function' ? options.others({ folder, github }) : options.others;
  for (const [name, text] of Object.entries(others ?? {})) {
    await writeFile(join(folder, 'registrations', name), text);
  }
  await writeFile(
    join(folder, 'registrations', 'e2e.yaml'),
    stringify({
      organization: 'acme',
      apiUrl: github.url,
      credentials: { app: { id: app.id, privateKey: '${file:app.pem}' } },
      webhook: { secrets: ['${env:E2E_WEBHOOK_SECRET}'] },
      labels: ['e2e'],
      defaults: { image: 'e2e:1', cpu: 1, memoryGiB: 1 },
      policy: { maxCpu: 4, maxMemoryGiB: 8 },
      backends: [{ name: 'process', kind: 'process', options: processOptions }],
      maxRunners: options.maxRunners ?? 20,
      poll: { interval: '2s' },
      ...(typeof options.registration === 'function' ? options.registration({ folder }) : options.registration),
    }),
  );
}

function dispatcherYaml(publicAddress: string, { dispatcher }: ServiceOptions): string {
  return stringify({
    id: 'e2e',
    ledger: 'ledger.db',
    listen: { public: publicAddress, admin: '127.0.0.1:0' },
    adminToken: '${env:E2E_ADMIN_TOKEN}',
    unsafeProcessBackend: true,
    logLevel: 'debug',
    ...dispatcher,
  });
}

/** After a restart, GitHub's deliveries must find it where it was. */
async function pinPort(folder: string, port: number, options: ServiceOptions): Promise<void> {
  await writeFile(join(folder, 'dispatcher.yaml'), dispatcherYaml(`127.0.0.1:${port}`, options));
}

function spawnServe(
  folder: string,
  environment: Readonly<Record<string, string>> | undefined,
  onOutput: (text: string) => void,
): ChildProcess {
  const child = spawn(process.execPath, [join(ROOT, 'dispatcher', 'cli', 'shr.mjs'), 'serve', folder], {
    env: {
      PATH: process.env['PATH'] ?? '',
      E2E_WEBHOOK_SECRET: WEBHOOK_SECRET,
      E2E_ADMIN_TOKEN: ADMIN_TOKEN,
      ...environment,
    },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  child.stdout?.on('data', (chunk: Buffer) => onOutput(chunk.toString()));
  child.stderr?.on('data', (chunk: Buffer) => onOutput(chunk.toString()));
  return child;
}

async function started(
  child: ChildProcess,
  output: () => string,
  from: number,
  // It ends before with an error if the process does: this is for one that hangs.
  withinMs = 60_000,
): Promise<{ readonly publicPort: number; readonly adminPort: number }> {
  const deadline = performance.now() + withinMs;
  while (performance.now() < deadline) {
    for (const line of output().slice(from).split('\n')) {
      if (!line.includes('"event":"started"')) continue;
      const parsed = startedSchema.safeParse(JSON.parse(line));
      if (parsed.success) return parsed.data;
    }
    if (child.exitCode !== null) break;
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  throw new Error(`the service did not start: ${output().slice(from)}`);
}

/** Asks again until it is so; the last answer is in the error. */
export async function eventually<T>(
  what: string,
  withinMs: number,
  ask: () => Promise<T | undefined> | T | undefined,
): Promise<T> {
  const deadline = performance.now() + withinMs;
  for (;;) {
    const answer = await ask();
    if (answer !== undefined) return answer;
    if (performance.now() > deadline) throw new Error(`not within ${withinMs} ms: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}
