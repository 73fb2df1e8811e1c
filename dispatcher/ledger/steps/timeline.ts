/** The steps of a runner. */
import type { RunnerRow, TimelineEntry } from '../ledger.ts';
import * as timelineQueries from '../queries/timeline.ts';
import * as rows from '../rows.ts';
import { kept } from './kept-words.ts';
import type { Context, Step } from './step.ts';

/** A runner whose drain is refused for weeks must not fill the disk: only the first and the latest steps are kept. */
const TIMELINE_FIRST = 100;
const TIMELINE_LATEST = 400;
const THIN_EVERY = 50;

export function* append(context: Context, { name, version }: RunnerRow, entries: readonly TimelineEntry[]): Step<void> {
  for (const [position, { failure, reason, details, ...entry }] of entries.entries()) {
    yield timelineQueries.insertTimeline(context.builder, {
      runner: name,
      version,
      position,
      ...entry,
      reason: kept(reason),
      details: details === null ? null : kept(details),
      ...rows.failureColumns(failure),
    });
  }
  if (version > TIMELINE_FIRST + TIMELINE_LATEST && version % THIN_EVERY === 0) {
    yield timelineQueries.thinTimeline(context.builder, name, TIMELINE_FIRST, version - TIMELINE_LATEST);
  }
}

export function* timeline(context: Context, name: string): Step<readonly TimelineEntry[]> {
  return (yield timelineQueries.timelineOf(context.builder, name)).rows.map(rows.timelineEntry);
}
