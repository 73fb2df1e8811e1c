/** Reads on in one log of deliveries, from its end back to where the last reading began, a few pages at a time. */
import { createHash } from 'node:crypto';
import { z } from 'zod';
import type { LoggedDelivery, LogPage } from '../../github/delivery-log.ts';
import { GithubError } from '../../github/github.ts';
import type { ListedDelivery, MissedDeliveryLedger } from '../../ledger/ledger.ts';

/** How far a log was read. Times are GitHub's. */
export interface LogPosition {
  /** Everything that was delivered before is known. */
  readonly settledToMs: number;
  /** A reading that is not at its end yet. `headMs`: the newest entry when it began. */
  readonly reading?: { readonly cursor: string; readonly headMs: number; readonly pages: number } | undefined;
  /** Something in it arrived here. */
  readonly proven: boolean;
}

/** A log is of three days, and of a busy hook long: one look costs so many calls at most. */
export const PAGES_A_LOOK = 20;
/** GitHub puts no more on one. A server that does must not make the ledger write thousands of rows at once. */
const ENTRIES_A_PAGE = 100;
/** Of one whose deliveries may go elsewhere, so many of the newest are compared with what arrived. */
const PAGES_OF_A_PROOF = 3;
/** A server that pages without end is begun anew. */
const MOST_PAGES = 2_000;
/** What entries may come late to the log, or in another order than they were delivered. */
const OVERLAP_MS = 5 * 60_000;
/** Of a log that was never read: what was sent before this dispatcher was set up is not its business. */
const FIRST_LOOK_MS = 60 * 60_000;

const stored = z.object({
  version: z.literal(1),
  settledToMs: z.int(),
  reading: z.object({ cursor: z.string(), headMs: z.int(), pages: z.int() }).optional(),
  proven: z.boolean(),
});

/** What cannot be read counts as never read. `githubNowMs`: this machine's clock may be ahead, and nothing would be new. */
export function readPosition(text: string | undefined, githubNowMs: number): LogPosition {
  try {
    const { settledToMs, reading, proven } = stored.parse(JSON.parse(text ?? ''));
    return { settledToMs, reading, proven };
  } catch {
    return { settledToMs: githubNowMs - FIRST_LOOK_MS, proven: false };
  }
}

export function writePosition(position: LogPosition): string {
  return JSON.stringify({ version: 1, ...position });
}

export interface Reading {
  readonly log: string;
  /** Whose it is: see `WatchedLog`. */
  readonly line: string;
  readonly endpoint: string;
  readonly cursorName: string;
  readonly position: LogPosition;
  /** Its address is ours: it needs no proof. */
  readonly isCertain: boolean;
  readonly page: (cursor: string | undefined) => Promise<LogPage>;
  readonly ledger: Pick<MissedDeliveryLedger, 'noteListed'>;
  /** That it was answered for good, though not recorded. */
  readonly isAnswered: (guid: string) => boolean;
  readonly nowMs: () => number;
  /** By GitHub's clock. */
  readonly githubNowMs: number;
}

export interface ReadingResult {
  readonly position: LogPosition;
  readonly atEnd: boolean;
  readonly entries: number;
  readonly missed: number;
  readonly dropped: number;
  readonly unreadable: number;
  /** How many were sent again and answered for good. */
  readonly answered: number;
}

export async function readOn(options: Reading): Promise<ReadingResult> {
  const { ledger, log, line, endpoint, cursorName, isAnswered, nowMs } = options;
  let position = untilNow(options.position, options.githubNowMs);
  const sum = { entries: 0, missed: 0, dropped: 0, unreadable: 0, answered: 0 };
  for (let count = 0; count < PAGES_A_LOOK; count += 1) {
    const page = await pageAt(options, position);
    // A cursor that GitHub does not know any more: from the beginning.
    if (page === undefined) {
      position = { ...position, reading: undefined };
      continue;
    }
    const isOurs = options.isCertain || position.proven;
    const { next, atEnd } = advanced(position, page, options.githubNowMs);
    const settled = isOurs ? next : { settledToMs: position.settledToMs, reading: next.reading, proven: false };
    const isEnough = !isOurs && count + 1 === PAGES_OF_A_PROOF;
    const noted = await ledger.noteListed({
      ...{ log, line: kept(line), endpoint, isOurs, nowMs: nowMs() },
      deliveries: page.deliveries
        .filter(({ deliveredAtMs, guid }) => deliveredAtMs >= position.settledToMs && !isAnswered(guid))
        .flatMap(jobDelivery),
      answered: [...new Set(page.deliveries.map(({ guid }) => guid).filter(isAnswered))],
      cursor: { name: cursorName, value: writePosition(isEnough ? { ...settled, reading: undefined } : settled) },
    });
    sum.entries += page.deliveries.length;
    sum.missed += noted.missed;
    sum.dropped += noted.dropped;
    sum.answered += noted.answered;
    sum.unreadable += page.unreadable;
    position = settled;
    if (!isOurs && noted.recorded > 0) {
      // Some of it arrives here: now what does not counts, from its newest entry on.
      position = { settledToMs: position.settledToMs, proven: true };
      continue;
    }
    if (isEnough) return { position: { ...settled, reading: undefined }, atEnd: true, ...sum };
    if (atEnd) return { position, atEnd: true, ...sum };
  }
  return { position, atEnd: false, ...sum };
}

/** A log that a thousand tenants share names them all, and each of its rows has it. */
function kept(line: string): string {
  return line.length <= 200 ? line : createHash('sha256').update(line).digest('hex');
}

async function pageAt({ page }: Reading, { reading }: LogPosition): Promise<LogPage | undefined> {
  try {
    const { deliveries, unreadable, next } = await page(reading?.cursor);
    const left = Math.max(0, deliveries.length - ENTRIES_A_PAGE);
    return { deliveries: deliveries.slice(0, ENTRIES_A_PAGE), unreadable: unreadable + left, next };
  } catch (error) {
    const isUnknown = error instanceof GithubError && error.kind === 'invalid' && reading !== undefined;
    if (!isUnknown) throw error;
    return undefined;
  }
}

/**
 * That server's clock was ahead and is right again: until it is as late as it said, each new entry would be older than
 * all that is known. What was recorded meanwhile is known, so to read too much costs nothing but calls.
 */
function untilNow(position: LogPosition, githubNowMs: number): LogPosition {
  return position.settledToMs <= githubNowMs ? position : { ...position, settledToMs: githubNowMs - FIRST_LOOK_MS };
}

function advanced(
  { settledToMs, reading, proven }: LogPosition,
  { deliveries, next }: LogPage,
  githubNowMs: number,
): { readonly next: LogPosition; readonly atEnd: boolean } {
  const times = deliveries.map(({ deliveredAtMs }) => deliveredAtMs);
  // An entry of a time to come would end all reading until then.
  const headMs = Math.min(reading?.headMs ?? Math.max(settledToMs, ...times), githubNowMs);
  const pages = (reading?.pages ?? 0) + 1;
  const atEnd = next === undefined || next === reading?.cursor || Math.min(...times) < settledToMs;
  if (next !== undefined && !atEnd && pages < MOST_PAGES) {
    return { next: { settledToMs, reading: { cursor: next, headMs, pages }, proven }, atEnd: false };
  }
  return { next: { settledToMs: Math.max(settledToMs, headMs - OVERLAP_MS), proven }, atEnd: true };
}

/** As many attempts as one delivery gets. */
export const MOST_ATTEMPTS = 5;
/**
 * What we answer for good, if it was we who answered. A gateway before us may have, so it is sent again once: then we know.
 */
const FINAL: ReadonlySet<number> = new Set([400, 403, 413, 415]);

/** A redelivery is an entry of its own: the delivery itself was judged when its first entry was read. */
function jobDelivery(entry: LoggedDelivery): readonly ListedDelivery[] {
  if (entry.event !== 'workflow_job' || entry.redelivery) return [];
  const { guid, id, action, deliveredAtMs, repositoryId, installationId, statusCode } = entry;
  const installation = `installation ${installationId}`;
  const share = repositoryId === null ? installation : `repository ${repositoryId}`;
  const attempts = FINAL.has(statusCode) ? MOST_ATTEMPTS - 1 : 0;
  return [{ guid, deliveryId: id, share, installation, rank: rankOf(action), deliveredAtMs, attempts }];
}

/** What starts a job goes before what ends its runner, and that before what only tells. */
function rankOf(action: string | null): number {
  switch (action) {
    case 'completed':
      return 1;
    case 'in_progress':
      return 2;
    default:
      return 0;
  }
}
