/**
 * Thousands of registrations of one GitHub App: what they cost while nothing happens, and how long a job of one of them
 * waits, also right after a restart. The service is a process of its own; GitHub is the simulator, in this one.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import { once } from 'node:events';
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import type { IncomingMessage } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { stringify } from 'yaml';
import { startGithubSimulator } from '../../simulators/github/index.ts';

const ROOT = join(import.meta.dirname, '..', '..');
const RUNNER = join(ROOT, 'simulators', 'github', 'runner.mjs');
const SECRET = 'a-webhook-secret-of-the-experiment';
const CLOCK_TICKS = 100;

export interface ManyRegistrations {
  readonly registrations: number;
  /** From the service's start until it listens. */
  readonly startMs: number;
  /** Of one core, in the window of rest after the catch-up. */
  readonly idleShare: number;
  /** Requests to GitHub in that window, by route, a minute. */
  readonly idleCallsPerMinute: Readonly<Record<string, number>>;
  /** From the push to the job's start. */
  readonly jobMs: number;
  /** The same, right after the service was killed and started again. */
  readonly jobAfterRestartMs: number;
  readonly megabytes: number;
}

export interface ManyOptions {
  readonly registrations: number;
  /** Between the start and the window of rest. */
  readonly settleMs: number;
  readonly idleMs: number;
  /** Beside their webhooks; undefined: the default interval. */
  readonly poll?: 'off';
  readonly say: (line: string) => void;
}

export async function manyRegistrations(options: ManyOptions): Promise<ManyRegistrations> {
  const { registrations, say } = options;
  const folder = await mkdtemp(join(tmpdir(), 'shr-many-'));
  const names = Array.from({ length: registrations }, (_, index) => `org-${index}`);
  const github = await startGithubSimulator({
    owners: names.map((login) => ({ login, repositories: [{ name: 'web' }] })),
    apps: [{ name: 'many', installations: names.map((account) => ({ account })) }],
    limits: { pointsPerMinute: 1e6, requestsPerHour: 1e6, contentPerMinute: 1e6, contentPerHour: 1e6 },
  });
  const requests = new Map<string, number>();
  const count = (message: unknown) => {
    const path = pathOf(message);
    if (path === undefined || path.startsWith('/_runner')) return;
    const route = path.replaceAll(/\/(org-)?\d+/g, '/N').replace(/\?.*/, '');
    requests.set(route, (requests.get(route) ?? 0) + 1);
  };
  subscribe('http.server.request.start', count);
  let service: Service | undefined;
  try {
    const [app] = github.apps;
    if (app === undefined) throw new Error('the simulator has no App');
    await configure(folder, names, options.poll, { apiUrl: github.url, appId: app.id, key: app.privateKey });
    const started = performance.now();
    service = await serve(folder);
    const startMs = performance.now() - started;
    say(`${registrations} registrations: started after ${Math.round(startMs)} ms`);
    const last = names.at(-1) ?? '';
    github.addHook({ on: last, url: `${service.url}/webhooks/github/${last}`, secret: SECRET });
    await writeFile(join(folder, 'dispatcher.yaml'), dispatcherYaml(new URL(service.url).host));

    const yaml = '{ on: push, jobs: { work: { runs-on: many, steps: [{ run: "true" }] } } }';
    const timeOfJob = async () => {
      const pushedAt = performance.now();
      const { id } = github.pushWorkflow({ owner: last, repository: 'web', yaml });
      await github.waitFor(
        () => github.jobs().some(({ runId, status }) => runId === id && status !== 'queued'),
        600_000,
      );
      return performance.now() - pushedAt;
    };
    await rest(options.settleMs);
    const jobMs = await timeOfJob();
    say(`a job of one of them started after ${Math.round(jobMs)} ms`);
    await rest(15_000);

    requests.clear();
    const cpuBefore = await cpuSeconds(service.child);
    const restedAt = performance.now();
    await rest(options.idleMs);
    const minutes = (performance.now() - restedAt) / 60_000;
    const idleShare = ((await cpuSeconds(service.child)) - cpuBefore) / (minutes * 60);
    const idleCallsPerMinute = Object.fromEntries(
      [...requests].sort(([, a], [, b]) => b - a).map(([route, calls]) => [route, Math.round(calls / minutes)]),
    );
    const megabytes = await residentMegabytes(service.child);
    say(`at rest: ${(100 * idleShare).toFixed(1)} % of a core, ${JSON.stringify(idleCallsPerMinute)} calls a minute`);

    await service.kill();
    service = await serve(folder);
    const jobAfterRestartMs = await timeOfJob();
    say(`a job right after a restart started after ${Math.round(jobAfterRestartMs)} ms`);
    return { registrations, startMs, idleShare, idleCallsPerMinute, jobMs, jobAfterRestartMs, megabytes };
  } finally {
    unsubscribe('http.server.request.start', count);
    await service?.kill();
    await github.close();
    await rm(folder, { recursive: true, force: true });
  }
}

function pathOf(message: unknown): string | undefined {
  if (typeof message !== 'object' || message === null || !('request' in message)) return undefined;
  const { request } = message as { readonly request: Partial<IncomingMessage> };
  return request.url;
}

interface Service {
  readonly url: string;
  readonly child: ChildProcess;
  kill(): Promise<void>;
}

async function configure(
  folder: string,
  names: readonly string[],
  poll: 'off' | undefined,
  github: { readonly apiUrl: string; readonly appId: number; readonly key: string },
): Promise<void> {
  await mkdir(join(folder, 'registrations'));
  await writeFile(join(folder, 'app.pem'), github.key, { mode: 0o600 });
  await writeFile(join(folder, 'dispatcher.yaml'), dispatcherYaml('127.0.0.1:0'));
  const backend = {
    name: 'process',
    kind: 'process',
    options: { command: [process.execPath, RUNNER], root: join(folder, 'instances') },
  };
  for (const name of names) {
    const registration = {
      organization: name,
      apiUrl: github.apiUrl,
      credentials: { app: { id: github.appId, privateKey: '${file:app.pem}' } },
      webhook: { secrets: ['${env:MANY_WEBHOOK_SECRET}'] },
      labels: ['many'],
      defaults: { image: 'many:1', cpu: 1, memoryGiB: 1 },
      policy: { maxCpu: 1, maxMemoryGiB: 1 },
      backends: [backend],
      maxRunners: 5,
      ...(poll === undefined ? {} : { poll: { interval: poll } }),
    };
    await writeFile(join(folder, 'registrations', `${name}.yaml`), stringify(registration));
  }
}

function dispatcherYaml(publicAddress: string): string {
  return stringify({
    id: 'many',
    ledger: 'ledger.db',
    listen: { public: publicAddress, admin: '127.0.0.1:0' },
    adminToken: '${env:MANY_ADMIN_TOKEN}',
    unsafeProcessBackend: true,
  });
}

async function serve(folder: string): Promise<Service> {
  const child = spawn(process.execPath, [join(ROOT, 'dispatcher', 'cli', 'shr.ts'), 'serve', folder], {
    env: {
      PATH: process.env['PATH'] ?? '',
      MANY_WEBHOOK_SECRET: SECRET,
      MANY_ADMIN_TOKEN: 'an-admin-token-of-the-experiment',
    },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  let output = '';
  const port = await new Promise<number>((resolve, reject) => {
    child.once('exit', () => reject(new Error(`the service ended: ${output.slice(-2_000)}`)));
    child.stdout?.on('data', (chunk: Buffer) => {
      output = (output + chunk.toString()).slice(-100_000);
      const found = /"event":"started","publicPort":(\d+)/.exec(output);
      if (found?.[1] !== undefined) resolve(Number(found[1]));
    });
  });
  return {
    url: `http://127.0.0.1:${port}`,
    child,
    async kill() {
      if (child.exitCode !== null || child.signalCode !== null) return;
      const exit = once(child, 'exit');
      child.kill('SIGKILL');
      await exit;
    },
  };
}

async function cpuSeconds({ pid }: ChildProcess): Promise<number> {
  const fields = (await readFile(`/proc/${pid}/stat`, 'utf8')).replace(/^.*\) /, '').split(' ');
  return (Number(fields[11]) + Number(fields[12])) / CLOCK_TICKS;
}

async function residentMegabytes({ pid }: ChildProcess): Promise<number> {
  const found = /VmRSS:\s+(\d+)/.exec(await readFile(`/proc/${pid}/status`, 'utf8'));
  return Math.round(Number(found?.[1] ?? 0) / 1024);
}

function rest(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
