/** Limits for each share of the ledger's capacity: its number of open jobs, and whose history is pruned first. */
import { type JobFact, jobKey, shareOf } from '../../jobs/facts.ts';
import type { JobRow } from '../ledger.ts';
import type { Query } from '../queries/fixed.ts';
import { jobByKey } from '../queries/jobs.ts';
import * as shareQueries from '../queries/shares.ts';
import * as rows from '../rows.ts';
import type { Context, Step } from './step.ts';

/** For each share that a step has looked up: its open jobs, including those that the step is about to add. */
export type OpenCounts = Map<string, number>;

/** Whether there is room for a new job. `most` facts come in this step: far from the limit no counter is read. */
export function* hasRoom(context: Context, fact: JobFact, counts: OpenCounts, most: number): Step<boolean> {
  if (fact.status === 'completed') return true;
  const share = shareOf(fact);
  const open = counts.get(share) ?? (yield* openOf(context, share));
  counts.set(share, open);
  if (open + most < context.mostOpenJobs) return true;
  if ((yield jobByKey(context.builder, jobKey(fact))).rows.length > 0) return true;
  if (open >= context.mostOpenJobs) return false;
  counts.set(share, open + 1);
  return true;
}

function* openOf(context: Context, share: string): Step<number> {
  const [found] = (yield shareQueries.shareByName(context.builder, share)).rows;
  return found === undefined ? 0 : rows.shareCount(found).open;
}

/** What updates the counters when a job is written. */
export function jobCounted({ builder }: Context, row: JobRow, before: JobRow | undefined): readonly Query[] {
  const isOpen = row.status !== 'completed';
  const wasOpen = before === undefined ? undefined : before.status !== 'completed';
  if (isOpen === wasOpen) return [];
  const was = wasOpen === undefined ? 0 : -1;
  return [shareQueries.countShare(builder, row.share, isOpen ? 1 : was, isOpen ? was : 1)];
}

/** `deleted`: the result of a query that returns the share of each job it deleted. Returns how many. */
export function* countDeleted(context: Context, deleted: readonly unknown[], kind: 'open' | 'ended'): Step<number> {
  const counts = new Map<string, number>();
  for (const row of deleted) {
    const share = rows.shareNameOf(row);
    counts.set(share, (counts.get(share) ?? 0) + 1);
  }
  for (const [share, count] of counts) {
    yield shareQueries.countShare(context.builder, share, kind === 'open' ? -count : 0, kind === 'ended' ? -count : 0);
  }
  if (counts.size > 0) yield shareQueries.deleteEmptyShares(context.builder);
  return deleted.length;
}

const MAX_SHARES = 1000;

/** If there is more history than is kept, the longest is pruned first: a tenant's flood costs that tenant's history. */
export function* pruneLongest(context: Context, excess: number, limit: number): Step<number> {
  const shares = (yield shareQueries.sharesByHistory(context.builder, MAX_SHARES)).rows.map(rows.shareCount);
  const [longest, next] = shares;
  if (longest === undefined) return 0;
  const above = Math.max(1, longest.ended - (next?.ended ?? 0));
  const count = Math.min(limit, excess, above);
  const deleted = yield shareQueries.pruneEndedOfShare(context.builder, longest.name, count);
  return yield* countDeleted(context, deleted.rows, 'ended');
}
