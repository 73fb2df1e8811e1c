/**
 * CPU cost of a launch in the dispatcher's process, compared with calling the vendor's SDK directly. Budget: 1.3 of its
 * CPU.
 */
import { type BenchmarkOptions, type BenchmarkResult, median, rounded } from './parts/benchmark.ts';
import { Child } from './parts/child.ts';
import { cloudReport, launchKinds } from './parts/cloud-simulator.ts';
import { launched } from './parts/launcher.ts';

export const about = 'cpu and bytes of one launch through each adapter, beside its SDK called directly';

/** Few launches per round and many rounds, so that other load on the machine affects both ways alike. */
const launchesARound = 25;
/** Enough to let the compiler optimize both; no more than are counted. */
const mostWarmUps = 16;

export async function run({ rounds = 45, progress }: BenchmarkOptions): Promise<BenchmarkResult> {
  const providers: Record<string, Readonly<Record<string, number>>> = {};
  for (const kind of launchKinds) {
    const cloud = new Child('./cloud-simulator.ts', [kind]);
    // One process each: Google's SDK shares compiled code among the clients of one process.
    const launchers = { adapter: new Child('./launcher.ts', []), sdk: new Child('./launcher.ts', []) };
    try {
      providers[kind] = await measure(kind, cloud, launchers, rounds, progress);
    } finally {
      await Promise.all([cloud.end(), launchers.adapter.end(), launchers.sdk.end()]);
    }
  }
  return { providers, launchesARound, rounds };
}

async function measure(
  kind: string,
  cloud: Child,
  launchers: Readonly<Record<'adapter' | 'sdk', Child>>,
  rounds: number,
  progress: (line: string) => void,
): Promise<Readonly<Record<string, number>>> {
  const { options } = await cloud.ask({}, cloudReport);
  const cpuMs = { adapter: [] as number[], sdk: [] as number[] };
  const bytes = { adapter: [] as number[], sdk: [] as number[] };
  const ratios: number[] = [];
  for (let round = 1 - Math.min(mostWarmUps, rounds); round <= rounds; round += 1) {
    const cost = { adapter: 0, sdk: 0 };
    for (const way of round % 2 === 0 ? (['adapter', 'sdk'] as const) : (['sdk', 'adapter'] as const)) {
      const order = { kind, way, options, series: round, count: launchesARound };
      cost[way] = (await launchers[way].ask(order, launched)).cpuMs;
      const counted = (await cloud.ask({}, cloudReport)).bytes / launchesARound;
      if (round <= 0) continue;
      cpuMs[way].push(cost[way]);
      bytes[way].push(counted);
    }
    const what = round <= 0 ? 'warming up' : `round ${round} of ${rounds}`;
    progress(`${kind}, ${what}: ${cost.adapter.toFixed(2)} ms, SDK alone ${cost.sdk.toFixed(2)} ms`);
    if (round > 0) ratios.push(cost.adapter / cost.sdk);
  }
  return {
    ratio: rounded(median(ratios)),
    cpuMs: rounded(median(cpuMs.adapter)),
    sdkCpuMs: rounded(median(cpuMs.sdk)),
    bytes: rounded(median(bytes.adapter), 0),
    sdkBytes: rounded(median(bytes.sdk), 0),
  };
}
