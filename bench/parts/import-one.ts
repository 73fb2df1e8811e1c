/** Imports one kind of provider in its own process, and reports what that took. */
import { z } from 'zod';

export const imported = z.object({
  ms: z.number(),
  /** Increase of this process's memory. */
  mb: z.number(),
});

const [kind] = process.argv.slice(2);
if (process.send !== undefined && kind !== undefined) {
  // Modules that the dispatcher loads anyway do not count: zod is already loaded here.
  const { loadProvider } = await import('../../providers/index.ts');
  const before = process.memoryUsage.rss();
  const startedAt = performance.now();
  await loadProvider(kind);
  const ms = performance.now() - startedAt;
  process.send({ ms, mb: (process.memoryUsage.rss() - before) / 2 ** 20 } satisfies z.input<typeof imported>);
}
