/**
 * From sending a webhook to the provider's create call, at 50 jobs a second, compared with a bare program that only
 * checks the HMAC, does one durable insert and one call. Budget: 3 times its p50, 5 times its p99.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type BenchmarkOptions, type BenchmarkResult, median, quantile, rounded } from './parts/benchmark.ts';
import { Child } from './parts/child.ts';
import { launchReport } from './parts/dispatch-server.ts';
import { accepted } from './parts/paced-load.ts';

export const about = "from a webhook to the provider's create call, 50 jobs a second, beside a bare program";

const jobsPerSecond = 50;
const jobsARound = 250;
/** Time for the last runners of a round to end. */
const restMs = 1_500;

type Kind = 'dispatcher' | 'bare';

export async function run({ rounds = 9, progress }: BenchmarkOptions): Promise<BenchmarkResult> {
  const folder = mkdtempSync(join(tmpdir(), 'shr-bench-'));
  const servers: Readonly<Record<Kind, Child>> = {
    dispatcher: new Child('./dispatch-server.ts', [join(folder, 'ledger.sqlite')]),
    bare: new Child('./bare-dispatcher.ts', [join(folder, 'bare.sqlite')]),
  };
  const load = new Child('./paced-load.ts', []);
  const p50Ms: Readonly<Record<Kind, number[]>> = { dispatcher: [], bare: [] };
  const p99Ms: Readonly<Record<Kind, number[]>> = { dispatcher: [], bare: [] };
  const ratios: { readonly p50: number[]; readonly p99: number[] } = { p50: [], p99: [] };
  try {
    // Round 0 warms up the engines and does not count.
    for (let round = 0; round <= rounds; round += 1) {
      const order: readonly Kind[] = round % 2 === 0 ? ['dispatcher', 'bare'] : ['bare', 'dispatcher'];
      const waits: Record<Kind, readonly number[]> = { dispatcher: [], bare: [] };
      for (const kind of order) waits[kind] = await oneRound(servers[kind], load, round);
      const at = (kind: Kind, share: number) => quantile(waits[kind], share);
      const told = (kind: Kind) => `${kind} p50 ${at(kind, 0.5).toFixed(2)} ms, p99 ${at(kind, 0.99).toFixed(2)} ms`;
      progress(`round ${round} of ${rounds}: ${told('dispatcher')}; ${told('bare')}${round === 0 ? ' (warm-up)' : ''}`);
      if (round === 0) continue;
      for (const kind of order) {
        p50Ms[kind].push(at(kind, 0.5));
        p99Ms[kind].push(at(kind, 0.99));
      }
      ratios.p50.push(at('dispatcher', 0.5) / at('bare', 0.5));
      ratios.p99.push(at('dispatcher', 0.99) / at('bare', 0.99));
    }
  } finally {
    await Promise.all([...Object.values(servers), load].map((child) => child.end()));
    rmSync(folder, { recursive: true, force: true });
  }
  return {
    p50Ms: rounded(median(p50Ms.dispatcher)),
    p99Ms: rounded(median(p99Ms.dispatcher)),
    bareP50Ms: rounded(median(p50Ms.bare)),
    bareP99Ms: rounded(median(p99Ms.bare)),
    ratioP50: rounded(median(ratios.p50)),
    ratioP99: rounded(median(ratios.p99)),
    jobsPerSecond,
    jobsARound,
    rounds,
  };
}

async function oneRound(server: Child, load: Child, series: number): Promise<readonly number[]> {
  const { port } = await server.ask({}, launchReport);
  const { answers } = await load.ask({ port, series, count: jobsARound, perSecond: jobsPerSecond }, accepted);
  await new Promise((resolve) => setTimeout(resolve, restMs));
  const { launches } = await server.ask({}, launchReport);
  return waitsMs(answers, launches);
}

/** From sending the delivery: a call may be sent before the 2xx has arrived. */
function waitsMs(
  answers: readonly { readonly jobId: number; readonly sentAtMs: number; readonly status: number }[],
  launches: readonly { readonly jobId: number; readonly atMs: number }[],
): readonly number[] {
  const launchedAtMs = new Map<number, number>();
  for (const { jobId, atMs } of launches) if (!launchedAtMs.has(jobId)) launchedAtMs.set(jobId, atMs);
  return answers.map(({ jobId, sentAtMs, status }) => {
    const launched = launchedAtMs.get(jobId);
    if (status !== 202 || launched === undefined)
      throw new Error(`job ${jobId} was answered with ${status} and not launched`);
    return launched - sentAtMs;
  });
}
