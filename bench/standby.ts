/**
 * From a job in the queue to its first step, with a cold start, with a container that waited for it, and with a runner that
 * was registered ahead of it: real dispatcher, real Docker engine, our runner image with the stand-in release, interleaved.
 */
import { execFile } from 'node:child_process';
import { once } from 'node:events';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { ENGINE_SOCKET, engineProblem } from '../test/docker/engine.ts';
import { eventually, type Service, startService } from '../test/e2e/service-fixture.ts';
import { type BenchmarkOptions, type BenchmarkResult, median, quantile, rounded } from './parts/benchmark.ts';

export const about =
  'from queued to the first step: cold, from a parked container, on a registered runner; needs Docker';

/** From the start of the real runner's process to its session, as users of small machines have measured it. */
const LISTENER_LOADS_MS = 2_200;
const WITHIN_MS = 120_000;
const run_ = promisify(execFile);

export async function run({ rounds = 9, progress }: BenchmarkOptions): Promise<BenchmarkResult> {
  const problem = await engineProblem();
  if (problem !== undefined) throw new Error(problem);
  const image = await slowImage();
  const port = await freePort();
  const backends = [
    { name: 'engine', kind: 'docker', options: { socketPath: ENGINE_SOCKET, network: 'host', pull: 'never' } },
  ];
  const shape = { defaults: { image, cpu: 1, memoryGiB: 0.5 }, backends };
  const service = await startService({
    dispatcher: {
      id: `bench${process.pid}`,
      listen: { public: { address: `127.0.0.1:${port}`, url: `http://127.0.0.1:${port}` }, admin: '127.0.0.1:0' },
    },
    registration: shape,
    others: ({ folder: _, github }) => ({
      'waiting.yaml': JSON.stringify({
        organization: 'acme',
        apiUrl: github.url,
        credentials: { app: { id: github.apps[0]?.id, privateKey: '${file:app.pem}' } },
        labels: ['waiting'],
        standby: [{ size: 1 }],
        ...shape,
      }),
      'warm.yaml': JSON.stringify({
        organization: 'acme',
        apiUrl: github.url,
        credentials: { app: { id: github.apps[0]?.id, privateKey: '${file:app.pem}' } },
        labels: ['warm'],
        standby: [{ mode: 'registered', labels: ['warm'], size: 1 }],
        ...shape,
      }),
    }),
  });
  try {
    const ms = { e2e: [] as number[], waiting: [] as number[], warm: [] as number[] };
    const kinds = ['e2e', 'waiting', 'warm'] as const;
    const called = { e2e: 'cold', waiting: 'standby', warm: 'warm' } as const;
    // The first round fills the engine's and the system's caches, and does not count.
    for (let round = 0; round <= rounds; round += 1) {
      for (const label of round % 2 === 0 ? kinds : kinds.toReversed()) {
        await eventually('a container waits', WITHIN_MS, () => (waiting(service) > round ? true : undefined));
        await eventually('a runner waits', WITHIN_MS, () => (listening(service) > round ? true : undefined));
        // Its files are read, and nothing else starts.
        await new Promise((resolve) => setTimeout(resolve, 3_000));
        const took = await firstStepMs(service, label);
        progress(`round ${round} of ${rounds}, ${called[label]}: ${took} ms`);
        if (round > 0) ms[label].push(took);
      }
    }
    return {
      coldMs: rounded(median(ms.e2e), 0),
      standbyMs: rounded(median(ms.waiting), 0),
      warmMs: rounded(median(ms.warm), 0),
      gainMs: rounded(median(ms.e2e) - median(ms.waiting), 0),
      coldP90Ms: rounded(quantile(ms.e2e, 0.9), 0),
      standbyP90Ms: rounded(quantile(ms.waiting, 0.9), 0),
      warmP90Ms: rounded(quantile(ms.warm, 0.9), 0),
      listenerLoadsMs: LISTENER_LOADS_MS,
      rounds,
    };
  } finally {
    await service.end('SIGKILL');
    await removeContainers(image);
    await service.close();
  }
}

/** How many containers have asked for a job so far. */
function waiting(service: Service): number {
  return service.output().split('its container waits for a job').length - 1;
}

/** How many runners of the registered pool GitHub has shown as online so far. */
function listening(service: Service): number {
  const lines = service.output().split('\n');
  return lines.filter((line) => line.includes('GitHub says that it listens') && line.includes('warm')).length;
}

/** The step tells the time itself: container and benchmark have one clock. */
async function firstStepMs({ github }: Service, label: string): Promise<number> {
  const known = github.jobs().length;
  const queuedAtMs = Date.now();
  github.pushWorkflow({
    owner: 'acme',
    repository: 'web',
    yaml: JSON.stringify({ jobs: { only: { 'runs-on': label, steps: [{ run: 'echo "began $(date +%s%3N)"' }] } } }),
  });
  return await eventually('the job has ended', WITHIN_MS, () => {
    const job = github.jobs().at(known);
    const began = /began (\d{13})/.exec(job?.log ?? '')?.[1];
    return job?.status === 'completed' && began !== undefined ? Number(began) - queuedAtMs : undefined;
  });
}

/** The runner image, whose listener takes as long to load as the real one. */
async function slowImage(): Promise<string> {
  const environment = { ...process.env, DOCKER_HOST: `unix://${ENGINE_SOCKET}`, NODE: process.execPath };
  const script = join(import.meta.dirname, '..', 'demo', 'runner-image.sh');
  const base = (await run_(script, { env: environment })).stdout.trim();
  const building = run_('docker', ['build', '--quiet', '--network', 'none', '-'], { env: environment });
  building.child.stdin?.end(`FROM ${base}\nENV RUNNER_STAND_IN_LOAD_MS=${LISTENER_LOADS_MS}\n`);
  return (await building).stdout.trim();
}

async function removeContainers(image: string): Promise<void> {
  const environment = { ...process.env, DOCKER_HOST: `unix://${ENGINE_SOCKET}` };
  const listing = await run_('docker', ['ps', '--all', '--quiet', '--filter', `ancestor=${image}`], {
    env: environment,
  });
  const ids = listing.stdout.split('\n').filter((id) => id !== '');
  if (ids.length > 0) await run_('docker', ['rm', '--force', ...ids], { env: environment });
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  server.close();
  return typeof address === 'object' && address !== null ? address.port : 0;
}
