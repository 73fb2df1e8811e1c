/** The steps of a runner. */
import type { RunnerRow, TimelineEntry } from '../ledger.ts';
import type { Query } from '../queries/fixed.ts';
import * as timelineQueries from '../queries/timeline.ts';
import * as rows from '../rows.ts';
import { kept } from './kept-words.ts';
import type { Context, Step } from './step.ts';

/** A runner whose drain is refused for weeks must not fill the disk: only the first and the latest steps are kept. */
const TIMELINE_FIRST = 100;
const TIMELINE_LATEST = 400;
const THIN_EVERY = 50;

/** What appends them, after the row of the runner was written. */
export function appended(
  { builder }: Context,
  { name, version }: RunnerRow,
  entries: readonly TimelineEntry[],
): readonly Query[] {
  const inserts = entries.map(({ failure, reason, details, ...entry }, position) =>
    timelineQueries.insertTimeline(builder, {
      runner: name,
      version,
      position,
      ...entry,
      reason: kept(reason),
      details: details === null ? null : kept(details),
      ...rows.failureColumns(failure),
    }),
  );
  if (version <= TIMELINE_FIRST + TIMELINE_LATEST || version % THIN_EVERY !== 0) return inserts;
  return [...inserts, timelineQueries.thinTimeline(builder, name, TIMELINE_FIRST, version - TIMELINE_LATEST)];
}

export function* timeline(context: Context, name: string): Step<readonly TimelineEntry[]> {
  return (yield timelineQueries.timelineOf(context.builder, name)).rows.map(rows.timelineEntry);
}
