/** From a webhook's 2xx to the provider's create call, at 50 jobs a second. Budget: p50 10 ms, p99 50 ms. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type BenchmarkOptions, type BenchmarkResult, median, quantile, rounded } from './parts/benchmark.ts';
import { Child } from './parts/child.ts';
import { launchReport } from './parts/dispatch-server.ts';
import { accepted } from './parts/paced-load.ts';

export const about = "from a webhook's 2xx to the provider's create call, instant remotes, 50 jobs a second";

const jobsPerSecond = 50;
const jobsARound = 250;
/** What the last runners of a round need to end. */
const restMs = 1_500;

export async function run({ rounds = 9, progress }: BenchmarkOptions): Promise<BenchmarkResult> {
  const folder = mkdtempSync(join(tmpdir(), 'shr-bench-'));
  const server = new Child('./dispatch-server.ts', [join(folder, 'ledger.sqlite')]);
  const load = new Child('./paced-load.ts', []);
  const p50Ms: number[] = [];
  const p99Ms: number[] = [];
  const maxMs: number[] = [];
  try {
    const { port } = await server.ask({}, launchReport);
    // Round 0 warms the engine up and does not count.
    for (let round = 0; round <= rounds; round += 1) {
      const { answers } = await load.ask(
        { port, series: round, count: jobsARound, perSecond: jobsPerSecond },
        accepted,
      );
      await new Promise((resolve) => setTimeout(resolve, restMs));
      const { launches } = await server.ask({}, launchReport);
      const waits = waitsMs(answers, launches);
      progress(
        `round ${round} of ${rounds}: p50 ${quantile(waits, 0.5).toFixed(1)} ms, p99 ${quantile(waits, 0.99).toFixed(1)} ms${round === 0 ? ' (warm-up)' : ''}`,
      );
      if (round === 0) continue;
      p50Ms.push(quantile(waits, 0.5));
      p99Ms.push(quantile(waits, 0.99));
      maxMs.push(Math.max(...waits));
    }
  } finally {
    await Promise.all([server.end(), load.end()]);
    rmSync(folder, { recursive: true, force: true });
  }
  return {
    p50Ms: rounded(median(p50Ms)),
    p99Ms: rounded(median(p99Ms)),
    maxMs: rounded(median(maxMs)),
    jobsPerSecond,
    jobsARound,
    rounds,
  };
}

/** A call that leaves before its 2xx has arrived counts as 0. */
function waitsMs(
  answers: readonly { readonly jobId: number; readonly atMs: number; readonly status: number }[],
  launches: readonly { readonly jobId: number; readonly atMs: number }[],
): readonly number[] {
  const launchedAtMs = new Map<number, number>();
  for (const { jobId, atMs } of launches) if (!launchedAtMs.has(jobId)) launchedAtMs.set(jobId, atMs);
  return answers.map(({ jobId, atMs, status }) => {
    const launched = launchedAtMs.get(jobId);
    if (status !== 202 || launched === undefined)
      throw new Error(`job ${jobId} was answered with ${status} and not launched`);
    return Math.max(0, launched - atMs);
  });
}
