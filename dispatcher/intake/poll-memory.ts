/** The runs that were open at the last poll: one that ends between two polls is no longer in any list. */
import { z } from 'zod';

/** By `owner/repository` in lower case: run id → how often it was read after it had left the lists. */
export type OpenRuns = ReadonlyMap<string, ReadonlyMap<number, number>>;

/** For one registration. More are still polled, but not remembered. */
const MAX_REMEMBERED_RUNS = 5_000;

const stored = z.object({
  version: z.literal(1),
  runs: z.record(z.string(), z.array(z.tuple([z.int().min(1), z.int().min(0)]))),
});

export function cursorName(registration: string): string {
  return `poll/${registration}`;
}

export function writeOpenRuns(open: OpenRuns): string {
  const runs = Object.fromEntries(
    [...open].sort(([one], [other]) => (one < other ? -1 : 1)).map(([repository, ids]) => [repository, [...ids]]),
  );
  return JSON.stringify({ version: 1, runs });
}

/** Undefined, another version's data and damaged data all count as empty: the lists are read anyway. */
export function readOpenRuns(text: string | undefined): OpenRuns {
  try {
    const { runs } = stored.parse(JSON.parse(text ?? ''));
    return new Map(Object.entries(runs).map(([repository, ids]) => [repository, new Map(ids)]));
  } catch {
    return new Map();
  }
}

export function countRuns(open: OpenRuns): number {
  let count = 0;
  for (const ids of open.values()) count += ids.size;
  return count;
}

export function bounded(open: OpenRuns): OpenRuns {
  let room = MAX_REMEMBERED_RUNS;
  const kept = new Map<string, ReadonlyMap<number, number>>();
  for (const [repository, ids] of open) {
    if (room <= 0) break;
    if (ids.size > 0) kept.set(repository, new Map([...ids].slice(0, room)));
    room -= ids.size;
  }
  return kept;
}
