/** What is over is deleted by age and by number, in small steps. */
import type { Retention } from '../ledger.ts';
import * as historyQueries from '../queries/history.ts';
import * as rows from '../rows.ts';
import { pruneAudit } from './access.ts';
import { pruneMissed } from './missed-deliveries.ts';
import { countDeleted, pruneLongest } from './shares.ts';
import { type Context, firstOf, type Step } from './step.ts';

/** GitHub ends a workflow run, including waits for approval, after 35 days (docs.github.com, "Actions limits"). */
const MAX_RUN_MS = 35 * 24 * 3_600_000;

export function* prune(context: Context, nowMs: number, retention: Retention, limit: number): Step<number> {
  const { builder } = context;
  const deliveriesByAge = yield historyQueries.pruneDeliveries(builder, nowMs - retention.deliveriesMs, limit);
  const aged = yield historyQueries.pruneEndedJobs(builder, nowMs - retention.jobsMs, limit);
  const jobsByAge = yield* countDeleted(context, aged.rows, 'ended');
  const forsakenBeforeMs = nowMs - Math.max(retention.jobsMs, MAX_RUN_MS);
  const left = yield historyQueries.pruneForsakenJobs(builder, forsakenBeforeMs, limit - jobsByAge);
  const forsaken = yield* countDeleted(context, left.rows, 'open');
  const runnersByAge = yield historyQueries.pruneGoneRunners(builder, nowMs - retention.runnersMs, limit);
  // Counting scans an index from end to end, so it waits until there is nothing left to delete by age.
  const deliveriesByCount =
    deliveriesByAge.changed < limit
      ? yield* pruneDeliveriesOver(context, retention.maxDeliveries, limit - deliveriesByAge.changed)
      : 0;
  const jobsByCount =
    jobsByAge < limit ? yield* pruneJobsOver(context, retention.maxJobs, limit - jobsByAge - forsaken) : 0;
  const runnersByCount =
    runnersByAge.changed < limit
      ? yield* pruneRunnersOver(context, retention.maxRunners, limit - runnersByAge.changed)
      : 0;
  const deliveries = deliveriesByAge.changed + deliveriesByCount;
  const audits = yield* pruneAudit(context, nowMs, limit, retention.maxAudit);
  const missed = yield* pruneMissed(context, nowMs, limit);
  return missed + audits + deliveries + jobsByAge + forsaken + jobsByCount + runnersByAge.changed + runnersByCount;
}

/**
 * The oldest of all senders: without its record a delivery is not known as a duplicate, but what it says is merged
 * with the same result. A flood costs the other senders no more than that.
 */
function* pruneDeliveriesOver(context: Context, most: number, limit: number): Step<number> {
  const count = firstOf(yield historyQueries.countDeliveries(context.builder), rows.countOf) ?? 0;
  if (count <= most) return 0;
  return (yield historyQueries.pruneDeliveries(context.builder, ALWAYS, Math.min(limit, count - most))).changed;
}

function* pruneJobsOver(context: Context, most: number, limit: number): Step<number> {
  const count = firstOf(yield historyQueries.countEndedJobs(context.builder), rows.countOf) ?? 0;
  return count <= most || limit <= 0 ? 0 : yield* pruneLongest(context, count - most, limit);
}

/** Of the registrations with the longest histories: one whose runners come and go fast pushes out only its own. */
function* pruneRunnersOver(context: Context, most: number, limit: number): Step<number> {
  const { builder } = context;
  const count = firstOf(yield historyQueries.countGoneRunners(builder), rows.countOf) ?? 0;
  if (count <= most) return 0;
  const histories = (yield historyQueries.goneRunnersByRegistration(builder)).rows.map(rows.goneCount);
  let pruned = 0;
  for (const [registration, excess] of excessOf(histories, Math.min(limit, count - most))) {
    pruned += (yield historyQueries.pruneGoneRunnersOf(builder, registration, excess)).changed;
  }
  return pruned;
}

/** How many each loses, so that the longest histories become equally long. `histories`: the longest first. */
function excessOf(
  histories: readonly { readonly registration: string; readonly count: number }[],
  excess: number,
): ReadonlyMap<string, number> {
  let longest = 0;
  let sum = 0;
  // As many as lie above the length that is left of the longest.
  for (const { count } of histories) {
    if (sum - longest * count >= excess) break;
    longest += 1;
    sum += count;
  }
  const left = Math.floor((sum - excess) / longest);
  let spare = sum - excess - left * longest;
  const losses = new Map<string, number>();
  for (const { registration, count } of histories.slice(0, longest)) {
    const kept = spare > 0 ? left + 1 : left;
    spare -= 1;
    if (count > kept) losses.set(registration, count - kept);
  }
  return losses;
}

const ALWAYS = Number.MAX_SAFE_INTEGER;
