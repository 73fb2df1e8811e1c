/** What GitHub's logs of deliveries have that was never recorded, and how often GitHub was asked to send it again. */
import {
  type BegunRedeliveries,
  type DueDelivery,
  type ListedDeliveries,
  MAX_MISSED_OF_LOG,
  MAX_MISSED_OF_SHARE,
  type NotedDeliveries,
  type WantedRedeliveries,
} from '../ledger.ts';
import * as queries from '../queries/missed-deliveries.ts';
import * as rows from '../rows.ts';
import { putCursor } from './cursors.ts';
import type { Context, Step } from './step.ts';

/** Longer than any GitHub keeps its log: what was given up is not begun anew. */
const KEPT_MS = 8 * 24 * 3_600_000;

export function* noteListed(context: Context, listed: ListedDeliveries): Step<NotedDeliveries> {
  const { builder } = context;
  const { log, endpoint, deliveries, nowMs, cursor } = listed;
  const guids = [...new Set(deliveries.map(({ guid }) => guid))].sort();
  const recorded = new Set(
    guids.length === 0 ? [] : (yield queries.recordedGuids(builder, endpoint, guids)).rows.map(rows.guidOf),
  );
  let missed = 0;
  let dropped = 0;
  if (listed.isOurs) {
    const seen = new Set(
      guids.length === 0 ? [] : (yield queries.missedByGuid(builder, log, guids)).rows.map(rows.guidOf),
    );
    const news = deliveries.filter(({ guid }) => !recorded.has(guid) && !seen.has(guid));
    if (news.length > 0) {
      const counts = new Map((yield queries.missedByShare(builder, log)).rows.map(rows.shareOfMissed));
      for (const { guid, deliveryId, share, rank, deliveredAtMs, attempts } of news) {
        if (!(yield* makeRoom(context, log, share, counts))) {
          dropped += 1;
          continue;
        }
        const row = { log, guid, deliveryId, share, rank, deliveredAtMs, attempts };
        yield queries.insertMissed(builder, { ...row, dueAtMs: nowMs, ended: null, changedAtMs: nowMs });
        missed += 1;
      }
    }
  }
  if (cursor !== undefined) yield* putCursor(context, cursor.name, cursor.value, nowMs);
  return { recorded: recorded.size, missed, dropped };
}

/** The share with the most gives way to one that has fewer: a flood of one tenant costs that tenant's repair alone. */
function* makeRoom(context: Context, log: string, share: string, counts: Map<string, number>): Step<boolean> {
  const own = counts.get(share) ?? 0;
  if (own >= MAX_MISSED_OF_SHARE) return false;
  let sum = 0;
  let longest: readonly [string, number] = ['', 0];
  for (const entry of counts) {
    sum += entry[1];
    if (entry[1] > longest[1]) longest = entry;
  }
  if (sum >= MAX_MISSED_OF_LOG) {
    if (longest[1] <= own + 1) return false;
    yield queries.dropMissed(context.builder, log, longest[0]);
    counts.set(longest[0], longest[1] - 1);
  }
  counts.set(share, own + 1);
  return true;
}

/** Counts each attempt before it is made: a process that is killed in between has made it. */
export function* beginRedeliveries({ builder }: Context, wanted: WantedRedeliveries): Step<BegunRedeliveries> {
  const { log, endpoint, mostAttempts, nowMs, limit } = wanted;
  const arrived = (yield queries.endArrived(builder, log, endpoint, nowMs)).changed;
  const givenUp = (yield queries.endHopeless(builder, log, mostAttempts, nowMs)).changed;
  const due = (yield queries.dueMissed(builder, log, nowMs, limit)).rows.map(rows.dueDelivery);
  for (const { guid, attempts } of due) {
    const change = { attempts: attempts + 1, dueAtMs: wanted.nextDueAtMs(attempts + 1), changedAtMs: nowMs };
    yield queries.changeMissed(builder, { log, guid, ...change });
  }
  return { arrived, givenUp, due };
}

/** GitHub was not asked, or refused before it did anything: the attempt does not count. */
export function* takeBackRedeliveries(
  { builder }: Context,
  log: string,
  deliveries: readonly DueDelivery[],
  { dueAtMs, nowMs }: { readonly dueAtMs: number; readonly nowMs: number },
): Step<void> {
  for (const { guid, attempts } of deliveries) {
    yield queries.changeMissed(builder, { log, guid, attempts, dueAtMs, changedAtMs: nowMs });
  }
}

export function* giveUpRedelivery({ builder }: Context, log: string, guid: string, nowMs: number): Step<void> {
  yield queries.changeMissed(builder, { log, guid, ended: 'given-up', changedAtMs: nowMs });
}

export function* openMissed({ builder }: Context): Step<ReadonlyMap<string, number>> {
  return new Map((yield queries.openMissed(builder)).rows.map(rows.logOfMissed));
}

export function* pruneMissed({ builder }: Context, nowMs: number, limit: number): Step<number> {
  return (yield queries.pruneMissed(builder, nowMs - KEPT_MS, limit)).changed;
}
