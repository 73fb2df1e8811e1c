/** What GitHub's logs of deliveries have that was never recorded, and how often GitHub was asked to send it again. */
import {
  type BegunRedeliveries,
  type DueDelivery,
  type ListedDeliveries,
  type ListedDelivery,
  MAX_MISSED_OF_LINE,
  MAX_MISSED_OF_SHARE,
  type NotedDeliveries,
  type WantedRedeliveries,
} from '../ledger.ts';
import { pruneCursors } from '../queries/cursors.ts';
import type { Builder } from '../queries/fixed.ts';
import * as queries from '../queries/missed-deliveries.ts';
import * as rows from '../rows.ts';
import { putCursor } from './cursors.ts';
import { type Context, firstOf, type Step } from './step.ts';

/** Longer than any GitHub keeps its log: what was given up is not begun anew. */
const KEPT_MS = 8 * 24 * 3_600_000;

export function* noteListed(context: Context, listed: ListedDeliveries): Step<NotedDeliveries> {
  const { builder } = context;
  const { log, endpoint, deliveries, nowMs, cursor } = listed;
  const guids = [...new Set(deliveries.map(({ guid }) => guid))].sort();
  const recorded = new Set(
    guids.length === 0 ? [] : (yield queries.recordedGuids(builder, endpoint, guids)).rows.map(rows.guidOf),
  );
  let noted = { missed: 0, dropped: 0 };
  if (listed.isOurs) {
    const seen = new Set(
      guids.length === 0 ? [] : (yield queries.missedByGuid(builder, log, guids)).rows.map(rows.guidOf),
    );
    const news = deliveries.filter(({ guid }) => !recorded.has(guid) && !seen.has(guid));
    if (news.length > 0) noted = yield* noteMissed(context, listed, news);
  }
  let answered = 0;
  if (listed.isOurs && listed.answered !== undefined && listed.answered.length > 0) {
    answered = (yield queries.endAnswered(builder, log, listed.answered, nowMs)).changed;
  }
  if (cursor !== undefined) yield* putCursor(context, cursor.name, cursor.value, nowMs);
  return { recorded: recorded.size, ...noted, answered };
}

function* noteMissed(
  context: Context,
  { log, line, nowMs }: ListedDeliveries,
  news: readonly ListedDelivery[],
): Step<Pick<NotedDeliveries, 'missed' | 'dropped'>> {
  const room = yield* roomOf(context, line, news);
  let dropped = 0;
  for (const delivery of news) {
    if (!(yield* makeRoom(context, room, delivery))) {
      dropped += 1;
      continue;
    }
    const row = { ...delivery, log, line, dueAtMs: nowMs, ended: null, changedAtMs: nowMs };
    yield queries.insertMissed(context.builder, row);
    room.open += 1;
    add(room.shares, delivery.share, 1);
    if (room.installations !== undefined) add(room.installations, delivery.installation, 1);
    const crowd = room.crowds.get(delivery.installation);
    if (crowd !== undefined) crowd.set(delivery.share, room.shares.get(delivery.share) ?? 1);
  }
  return { missed: news.length - dropped, dropped };
}

/** What a line has, as far as this page asks for it: however many shares it has, of some only the longest are read. */
interface Room {
  readonly line: string;
  open: number;
  ended: number;
  /** Open ones of the shares that this page has. */
  readonly shares: Map<string, number>;
  /** More can not become the longest while so many are added. */
  readonly most: number;
  /** Open ones of the installations that this page has, and of the longest. Undefined: not asked for yet. */
  installations: Map<string, number> | undefined;
  /** By installation: the longest of its shares. */
  readonly crowds: Map<string, Map<string, number>>;
  readonly installationNames: readonly string[];
}

function* roomOf({ builder }: Context, line: string, news: readonly ListedDelivery[]): Step<Room> {
  const shares = [...new Set(news.map(({ share }) => share))].sort();
  return {
    line,
    open: firstOf(yield queries.countMissed(builder, line, 'open'), rows.countOf) ?? 0,
    ended: firstOf(yield queries.countMissed(builder, line, 'ended'), rows.countOf) ?? 0,
    shares: new Map((yield queries.openOfThese(builder, line, 'share', shares)).rows.map(rows.countOfMissed)),
    most: news.length + 1,
    installations: undefined,
    crowds: new Map(),
    installationNames: [...new Set(news.map(({ installation }) => installation))].sort(),
  };
}

/**
 * What is over gives way first, then what has the most to what has fewer: a flood in one repository costs its own repair
 * alone, and one in many repositories of an owner costs that owner's.
 */
function* makeRoom({ builder }: Context, room: Room, { share, installation }: ListedDelivery): Step<boolean> {
  const { line, shares } = room;
  const own = shares.get(share) ?? 0;
  if (own >= MAX_MISSED_OF_SHARE) return false;
  if (room.open + room.ended < MAX_MISSED_OF_LINE) return true;
  if (room.ended > 0) {
    yield queries.dropEnded(builder, line);
    room.ended -= 1;
    return true;
  }
  room.installations ??= yield* installationsOf(builder, room);
  const [longest, count] = longestOf(room.installations);
  const isOther = count > (room.installations.get(installation) ?? 0) + 1;
  const giver = isOther ? longest : installation;
  const crowd = room.crowds.get(giver) ?? (yield* crowdOf(builder, room, giver));
  room.crowds.set(giver, crowd);
  const [victim, most] = longestOf(crowd);
  if (!isOther && most <= own + 1) return false;
  if ((yield queries.dropOpen(builder, { line, installation: giver, share: victim })).changed === 0) return false;
  room.open -= 1;
  add(room.installations, giver, -1);
  add(crowd, victim, -1);
  if (shares.has(victim)) add(shares, victim, -1);
  return true;
}

function* installationsOf(builder: Builder, { line, most, installationNames }: Room): Step<Map<string, number>> {
  const longest = (yield queries.openByInstallation(builder, line, most)).rows;
  const own = (yield queries.openOfThese(builder, line, 'installation', installationNames)).rows;
  return new Map([...longest, ...own].map(rows.countOfMissed));
}

function* crowdOf(builder: Builder, { line, most }: Room, installation: string): Step<Map<string, number>> {
  return new Map((yield queries.openByShare(builder, line, installation, most)).rows.map(rows.countOfMissed));
}

function longestOf(counts: ReadonlyMap<string, number>): readonly [name: string, count: number] {
  let longest: readonly [string, number] = ['', 0];
  for (const entry of counts) if (entry[1] > longest[1]) longest = entry;
  return longest;
}

function add(counts: Map<string, number>, name: string, more: number): void {
  counts.set(name, (counts.get(name) ?? 0) + more);
}

/** Counts each attempt before it is made: a process that is killed in between has made it. */
export function* beginRedeliveries({ builder }: Context, wanted: WantedRedeliveries): Step<BegunRedeliveries> {
  const { log, endpoint, mostAttempts, nowMs, limit } = wanted;
  const arrived = (yield queries.endArrived(builder, log, endpoint, nowMs)).changed;
  const givenUp = (yield queries.endHopeless(builder, log, mostAttempts, nowMs)).changed;
  const due = limit === 0 ? [] : (yield queries.dueMissed(builder, log, nowMs, limit)).rows.map(rows.dueDelivery);
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
  const beforeMs = nowMs - KEPT_MS;
  const missed = (yield queries.pruneMissed(builder, beforeMs, limit)).changed;
  // A log that is read has its position put at every look: these are of logs that are gone, or not to be read.
  return missed + (yield pruneCursors(builder, 'deliveries/', beforeMs, limit)).changed;
}
