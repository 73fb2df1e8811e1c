/** Imports one kind of provider, in a process of its own, and says what that took. */
import { z } from 'zod';

export const imported = z.object({
  ms: z.number(),
  /** What this process holds in memory more than before. */
  mb: z.number(),
});

const [kind] = process.argv.slice(2);
if (process.send !== undefined && kind !== undefined) {
  // What the dispatcher has loaded anyway does not count: zod is here already.
  const { loadProvider } = await import('../../providers/index.ts');
  const before = process.memoryUsage.rss();
  const startedAt = performance.now();
  await loadProvider(kind);
  const ms = performance.now() - startedAt;
  process.send({ ms, mb: (process.memoryUsage.rss() - before) / 2 ** 20 } satisfies z.input<typeof imported>);
}
