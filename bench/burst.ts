/**
 * 10,000 jobs at once, each in its own lane, compared with the minimum time for them with 200 launches of 500 ms in
 * flight. On this machine's disk, and on one whose every fdatasync takes 5 ms longer. Meanwhile other deliveries arrive
 * at a steady rate, and their response time is measured. Budget: ratio 1.3 on both disks, p99 of those deliveries 1 s.
 */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type BenchmarkOptions, type BenchmarkResult, median, rounded } from './parts/benchmark.ts';
import { accepted, prepared, probed } from './parts/burst-load.ts';
import { Child, preciseNow } from './parts/child.ts';
import { launchReport } from './parts/dispatch-server.ts';

export const about = '10,000 jobs at once, 200 launches of 500 ms in flight, on this disk and on a slow one';

const createMs = 500;
const inFlight = 200;
/** After this long without a launch, the missing ones are considered lost. */
const patienceMs = 30_000;
const slowerByMs = 5;

interface Burst {
  readonly ratio: number;
  readonly lost: number;
  readonly twice: number;
  readonly webhookP99Ms: number;
}

export async function run({ rounds = 7, jobs = 10_000, progress }: BenchmarkOptions): Promise<BenchmarkResult> {
  const folder = mkdtempSync(join(tmpdir(), 'shr-bench-'));
  try {
    const slowDisk = slowDiskLibrary(folder);
    const results: { readonly plain: Burst[]; readonly slow: Burst[] } = { plain: [], slow: [] };
    for (let round = 1; round <= rounds; round += 1) {
      const order = round % 2 === 0 ? (['slow', 'plain'] as const) : (['plain', 'slow'] as const);
      for (const disk of order) {
        const environment = disk === 'slow' ? { LD_PRELOAD: slowDisk, SLOWER_BY_MS: String(slowerByMs) } : {};
        const burst = await oneBurst(jobs, join(folder, `${disk}-${round}.sqlite`), environment);
        results[disk].push(burst);
        progress(
          `round ${round} of ${rounds}, ${disk === 'slow' ? `fdatasync ${slowerByMs} ms slower` : 'this disk'}: ` +
            `ratio ${burst.ratio.toFixed(2)}, lost ${burst.lost}, twice ${burst.twice}, ` +
            `other webhooks p99 ${burst.webhookP99Ms.toFixed(0)} ms`,
        );
      }
    }
    return {
      ...summary(results.plain),
      lost: worst([...results.plain, ...results.slow], 'lost'),
      twice: worst([...results.plain, ...results.slow], 'twice'),
      slowDisk: { ...summary(results.slow), slowerByMs },
      jobs,
      inFlight,
      createMs,
      idealMs: idealMs(jobs),
      rounds,
    };
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** When the last call is sent, if each slot is reused immediately. */
function idealMs(jobs: number): number {
  return Math.max(1, Math.ceil(jobs / inFlight) - 1) * createMs;
}

async function oneBurst(jobs: number, path: string, environment: Readonly<Record<string, string>>): Promise<Burst> {
  const server = new Child('./dispatch-server.ts', [path, String(createMs), String(inFlight)], environment);
  const load = new Child('./burst-load.ts', []);
  const probe = new Child('./burst-load.ts', []);
  try {
    const { port } = await server.ask({}, launchReport);
    await load.ask({ kind: 'prepare', count: jobs }, prepared);
    const probing = probe.ask({ kind: 'probe', port, perSecond: 20 }, probed);
    const { startedAtMs } = await load.ask({ kind: 'fire', port, connections: 32 }, accepted);
    const launchedAtMs = new Map<number, number>();
    let twice = 0;
    let newestAtMs = preciseNow();
    while (launchedAtMs.size < jobs && preciseNow() - newestAtMs < patienceMs) {
      await new Promise((resolve) => setTimeout(resolve, 500));
      for (const { jobId, atMs } of (await server.ask({}, launchReport)).launches) {
        if (launchedAtMs.has(jobId)) twice += 1;
        else launchedAtMs.set(jobId, atMs);
        newestAtMs = Math.max(newestAtMs, atMs);
      }
    }
    probe.tell({ kind: 'stop' });
    const { p99Ms } = await probing;
    return {
      ratio: (Math.max(...launchedAtMs.values()) - startedAtMs) / idealMs(jobs),
      lost: jobs - launchedAtMs.size,
      twice,
      webhookP99Ms: p99Ms,
    };
  } finally {
    await Promise.all([server.end(), load.end(), probe.end()]);
  }
}

function summary(bursts: readonly Burst[]) {
  return {
    ratio: rounded(median(bursts.map(({ ratio }) => ratio))),
    webhookP99Ms: rounded(median(bursts.map(({ webhookP99Ms }) => webhookP99Ms))),
  };
}

function worst(bursts: readonly Burst[], count: 'lost' | 'twice'): number {
  return Math.max(...bursts.map((burst) => burst[count]));
}

/** A preloaded library (LD_PRELOAD) that overrides the C library's functions. Needs a C compiler. */
function slowDiskLibrary(folder: string): string {
  const library = join(folder, 'slow-disk.so');
  const source = new URL('parts/slow-disk.c', import.meta.url).pathname;
  try {
    execFileSync('cc', ['-shared', '-fPIC', '-O1', '-o', library, source], { stdio: ['ignore', 'ignore', 'pipe'] });
  } catch (error) {
    throw new Error('the slow disk needs a C compiler: install gcc (Debian: apt-get install gcc libc6-dev)', {
      cause: error,
    });
  }
  return library;
}
