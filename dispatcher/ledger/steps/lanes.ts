/** Lanes: what they need, and what they have. */
import type { LaneSpec } from '../../jobs/lane.ts';
import type { LaneCounts, OnUnreadable, Waiting } from '../ledger.ts';
import * as heldJobQueries from '../queries/held-jobs.ts';
import * as laneQueries from '../queries/lanes.ts';
import { UNBOUND, type Unbound } from '../queries/terms.ts';
import * as rows from '../rows.ts';
import { type Context, firstOf, type Step } from './step.ts';

export function* laneCounts(
  context: Context,
  keys: readonly string[],
  unreadable: OnUnreadable,
): Step<readonly LaneCounts[]> {
  const counts: LaneCounts[] = [];
  for (const key of new Set(keys)) {
    const found = yield laneQueries.laneByKey(context.builder, key);
    const [lane] = rows.readable(found.rows, rows.laneSpec, unreadable);
    if (lane === undefined) continue;
    const demand = firstOf(yield laneQueries.laneDemand(context.builder, key), rows.laneDemand);
    const held = firstOf(yield heldJobQueries.laneHeld(context.builder, key), rows.laneHeld);
    const present: Record<Unbound, number> = { creating: 0, starting: 0, online: 0 };
    let outdated = 0;
    for (const state of UNBOUND) {
      const supply = (yield laneQueries.laneSupply(context.builder, key, state)).rows.map(rows.laneSupply);
      for (const { specHash, count } of supply) {
        if (specHash === lane.specHash) present[state] += count;
        else outdated += count;
      }
    }
    counts.push({
      lane,
      demand: demand?.demand ?? 0,
      held: held?.held ?? 0,
      oldestQueuedSinceMs: earliest(demand?.oldestQueuedSinceMs ?? null, held?.oldestQueuedSinceMs ?? null),
      ...present,
      outdated,
    });
  }
  return counts;
}

function earliest(one: number | null, other: number | null): number | null {
  return one === null || other === null ? (one ?? other) : Math.min(one, other);
}

export function* lanesInUse(context: Context): Step<readonly string[]> {
  return (yield laneQueries.lanesInUse(context.builder)).rows.map(rows.laneKeyOf);
}

export function* waitingJobs(
  context: Context,
  laneKey: string,
  limit: number,
  unreadable: OnUnreadable,
  besides: readonly number[] = [],
): Step<readonly Waiting[]> {
  const waiting = yield besides.length === 0
    ? laneQueries.waitingJobs(context.builder, limit, laneKey)
    : laneQueries.waitingJobsBesides(context.builder, limit, laneKey, besides);
  return rows.readable(waiting.rows, rows.waiting, unreadable);
}

export function* laneRuns(
  { builder }: Context,
  laneKey: string,
  specHash: string,
): Step<readonly { readonly runId: number; readonly demand: number; readonly supply: number }[]> {
  const demand = (yield laneQueries.laneDemandByRun(builder, laneKey)).rows.map(rows.runCount);
  const supply = (yield laneQueries.laneSupplyByRun(builder, laneKey, specHash)).rows.map(rows.runCount);
  const supplied = new Map(supply.map(({ runId, count }) => [runId, count]));
  return demand.map(({ runId, count }) => ({ runId, demand: count, supply: supplied.get(runId) ?? 0 }));
}

export function* putLane({ builder, nowMs }: Context, lane: LaneSpec): Step<void> {
  const { key, registration, specHash } = lane;
  yield laneQueries.putLane(builder, { key, registration, specHash, spec: JSON.stringify(lane), changedAtMs: nowMs });
}

export function* deleteEmptyLanes(context: Context): Step<number> {
  return (yield laneQueries.deleteEmptyLanes(context.builder)).changed;
}
