/** Cost of the first registration with a kind of backend: time and memory to import its provider and SDK. */
import { providerKinds } from '../providers/index.ts';
import { type BenchmarkOptions, type BenchmarkResult, median, rounded } from './parts/benchmark.ts';
import { Child } from './parts/child.ts';
import { imported } from './parts/import-one.ts';

export const about = 'time and memory of importing each kind of provider';

export async function run({ rounds = 7, progress }: BenchmarkOptions): Promise<BenchmarkResult> {
  const taken = new Map(providerKinds.map((kind) => [kind, { ms: [] as number[], mb: [] as number[] }]));
  // Round 0 warms up the disk cache and does not count.
  for (let round = 0; round <= rounds; round += 1) {
    for (const [kind, { ms, mb }] of taken) {
      const child = new Child('./import-one.ts', [kind]);
      const cost = await child.ask(undefined, imported);
      await child.end();
      progress(`${kind}, round ${round} of ${rounds}: ${cost.ms.toFixed(0)} ms, ${cost.mb.toFixed(0)} MB`);
      if (round === 0) continue;
      ms.push(cost.ms);
      mb.push(cost.mb);
    }
  }
  const providers = Object.fromEntries(
    [...taken].map(([kind, { ms, mb }]) => [kind, { ms: rounded(median(ms), 0), mb: rounded(median(mb), 0) }]),
  );
  return { providers, rounds };
}
