/**
 * What grows with registrations and history: CPU per job with 10 or 10,000 registrations and with 10 or a million past
 * jobs, the start with 100 and 10,000 registrations compared with a bare process, and what 1,000 cost a minute after it.
 * Budgets: the work within 1.5 times, the start 4 and 25 times the bare one, idle 30 MB more and 1 % of a core.
 */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { stringify } from 'yaml';
import { z } from 'zod';
import { type Service, startService } from '../test/e2e/service-fixture.ts';
import { type BenchmarkOptions, type BenchmarkResult, median, rounded } from './parts/benchmark.ts';
import { Child } from './parts/child.ts';
import { launchReport } from './parts/dispatch-server.ts';
import { fillHistory } from './parts/history.ts';
import { accepted } from './parts/paced-load.ts';

export const about = 'work for each job, start and rest with many registrations and a long history';

const jobsARound = 300;
const jobsPerSecond = 100;
const restMs = 1_500;
const few = 10;
const many = 10_000;
const pastJobs = 1_000_000;
/** Everything that was missed is asked for, and each registration's backends are listed once. */
const settleSeconds = 60;
const idleSeconds = 20;
const clockTicks = 100;

export async function run({ rounds = 7, progress }: BenchmarkOptions): Promise<BenchmarkResult> {
  const work = await workForEachJob(rounds, progress);
  const bareMs = median(await times(rounds, bareStartMs));
  const starts = {
    hundred: await startMs(100, rounds, progress),
    tenThousand: await startMs(many, Math.min(rounds, 3), progress),
  };
  const one = await atRest(1, progress);
  const thousand = await atRest(1_000, progress);
  return {
    ...work,
    startMs: rounded(starts.tenThousand, 0),
    startMs100: rounded(starts.hundred, 0),
    bareStartMs: rounded(bareMs, 0),
    startRatio: rounded(starts.tenThousand / bareMs),
    startRatio100: rounded(starts.hundred / bareMs),
    idleRssMb: thousand.megabytes,
    idleExtraMb: thousand.megabytes - one.megabytes,
    idleCpuPercent: rounded(thousand.cpuPercent),
    rounds,
  };
}

async function workForEachJob(rounds: number, progress: BenchmarkOptions['progress']) {
  const folder = mkdtempSync(join(tmpdir(), 'shr-bench-'));
  const old = join(folder, 'old.sqlite');
  progress(`writing ${pastJobs} past jobs`);
  await fillHistory(old, pastJobs);
  const servers = {
    few: new Child('./dispatch-server.ts', [join(folder, 'few.sqlite'), '0', '200', String(few)]),
    many: new Child('./dispatch-server.ts', [join(folder, 'many.sqlite'), '0', '200', String(many)]),
    old: new Child('./dispatch-server.ts', [old, '0', '200', String(few)]),
  };
  const load = new Child('./paced-load.ts', []);
  const ratios: { readonly many: number[]; readonly old: number[] } = { many: [], old: [] };
  try {
    for (let round = 0; round <= rounds; round += 1) {
      const cpu = { few: 0, many: 0, old: 0 };
      const order = (['few', 'many', 'old'] as const).map(
        (_, index, all) => all[(index + round) % all.length] ?? 'few',
      );
      for (const kind of order) cpu[kind] = await cpuOfARound(servers[kind], load, round);
      progress(
        `round ${round} of ${rounds}: ${cpu.few.toFixed(2)} ms of CPU a job, ` +
          `${cpu.many.toFixed(2)} with ${many} registrations, ${cpu.old.toFixed(2)} with ${pastJobs} past jobs` +
          (round === 0 ? ' (warm-up)' : ''),
      );
      if (round === 0) continue;
      ratios.many.push(cpu.many / cpu.few);
      ratios.old.push(cpu.old / cpu.few);
    }
  } finally {
    await Promise.all([...Object.values(servers), load].map((child) => child.end()));
    rmSync(folder, { recursive: true, force: true });
  }
  return { registrationsRatio: rounded(median(ratios.many)), historyRatio: rounded(median(ratios.old)) };
}

async function cpuOfARound(server: Child, load: Child, series: number): Promise<number> {
  const before = await server.ask({}, launchReport);
  await load.ask({ port: before.port, series, count: jobsARound, perSecond: jobsPerSecond }, accepted);
  await rest(restMs);
  const after = await server.ask({}, launchReport);
  if (after.launches.length < jobsARound)
    throw new Error(`${after.launches.length} of ${jobsARound} jobs were launched`);
  return (after.cpuMs - before.cpuMs) / jobsARound;
}

/** A Node process that opens a database and listens: the time from its spawn until it reports that it listens. */
async function bareStartMs(): Promise<number> {
  const folder = mkdtempSync(join(tmpdir(), 'shr-bench-'));
  const startedAtMs = performance.now();
  const child = new Child('./bare-start.ts', [join(folder, 'bare.sqlite')]);
  await child.ask(undefined, z.object({ port: z.int() }));
  const ms = performance.now() - startedAtMs;
  await child.end();
  rmSync(folder, { recursive: true, force: true });
  return ms;
}

/** The median of warm starts: files written by a first start already exist. */
async function startMs(registrations: number, rounds: number, progress: BenchmarkOptions['progress']): Promise<number> {
  const service = await serve(registrations);
  try {
    return median(
      await times(rounds, async () => {
        await service.end('SIGTERM');
        const startedAtMs = performance.now();
        await service.restart();
        const ms = performance.now() - startedAtMs;
        progress(`start with ${registrations} registrations: ${ms.toFixed(0)} ms`);
        return ms;
      }),
    );
  } finally {
    await service.close();
  }
}

async function atRest(registrations: number, progress: BenchmarkOptions['progress']) {
  const service = await serve(registrations);
  try {
    await rest(settleSeconds * 1000);
    const before = cpuSeconds(service);
    await rest(idleSeconds * 1000);
    const cpuPercent = (100 * (cpuSeconds(service) - before)) / idleSeconds;
    const megabytes = residentMegabytes(service);
    progress(`at rest with ${registrations} registrations: ${megabytes} MB, ${cpuPercent.toFixed(2)} % of a core`);
    return { megabytes, cpuPercent };
  } finally {
    await service.close();
  }
}

/** The real command, with only webhooks, and an App that is installed wherever it should be. */
async function serve(registrations: number): Promise<Service> {
  const organizations = Array.from({ length: registrations - 1 }, (_, index) => `org-${index}`);
  return await startService({
    github: {
      owners: [
        { login: 'acme', repositories: [{ name: 'web' }] },
        ...organizations.map((login) => ({ login, repositories: [] })),
      ],
      apps: [{ name: 'e2e', installations: ['acme', ...organizations].map((account) => ({ account })) }],
    },
    dispatcher: { logLevel: 'info' },
    registration: { poll: { interval: 'off' } },
    others: ({ folder, github }) =>
      Object.fromEntries(
        organizations.map((organization) => [
          `${organization}.yaml`,
          stringify({
            organization,
            apiUrl: github.url,
            credentials: { app: { id: github.apps[0]?.id, privateKey: '${file:app.pem}' } },
            webhook: { secrets: ['${env:E2E_WEBHOOK_SECRET}'] },
            labels: ['e2e'],
            defaults: { image: 'e2e:1', cpu: 1, memoryGiB: 1 },
            policy: { maxCpu: 1, maxMemoryGiB: 1 },
            backends: [
              { name: 'process', kind: 'process', options: { command: ['true'], root: join(folder, 'runs') } },
            ],
            maxRunners: 5,
            poll: { interval: 'off' },
          }),
        ]),
      ),
    startMs: 180_000,
  });
}

async function times(count: number, measure: () => Promise<number>): Promise<readonly number[]> {
  const measured: number[] = [];
  for (let time = 0; time < count; time += 1) measured.push(await measure());
  return measured;
}

function rest(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

function cpuSeconds({ process: { pid } }: Service): number {
  const fields = readFileSync(`/proc/${pid}/stat`, 'utf8')
    .replace(/^.*\) /, '')
    .split(' ');
  return (Number(fields[11]) + Number(fields[12])) / clockTicks;
}

function residentMegabytes({ process: { pid } }: Service): number {
  return Math.round(Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1] ?? 0) / 1024);
}
