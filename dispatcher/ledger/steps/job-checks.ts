/** Jobs whose state is in doubt, or old: they are read again from GitHub, or given up. */
import type { LaneSpec } from '../../jobs/lane.ts';
import type { JobOf, JobRow, ObservedJobs, OnUnreadable } from '../ledger.ts';
import { isUnconfirmed } from '../merge.ts';
import * as heldJobQueries from '../queries/held-jobs.ts';
import * as jobCheckQueries from '../queries/job-checks.ts';
import * as laneQueries from '../queries/lanes.ts';
import { expiredWords } from '../queue-age.ts';
import * as rows from '../rows.ts';
import { compare } from './order.ts';
import type { Context, Step } from './step.ts';

export function* staleJobs(context: Context, beforeMs: number, limit: number): Step<readonly JobOf[]> {
  return (yield jobCheckQueries.staleJobs(context.builder, beforeMs, limit)).rows.map(rows.jobOf);
}

export function* staleObservedJobs(
  context: Context,
  sinceMs: number,
  beforeMs: number,
  limit: number,
): Step<readonly JobOf[]> {
  return (yield jobCheckQueries.staleObservedJobs(context.builder, sinceMs, beforeMs, limit)).rows.map(rows.jobOf);
}

/** What one report may cost: each row is checked as it is read. */
const MAX_OBSERVED = 2_000;

export function* observedJobs(
  context: Context,
  registration: string,
  sinceMs: number,
  unreadable: OnUnreadable,
): Step<ObservedJobs> {
  const found = (yield jobCheckQueries.observedJobs(context.builder, MAX_OBSERVED + 1, registration, sinceMs)).rows;
  const known = rows.readable(found.slice(0, MAX_OBSERVED), rows.jobRow, unreadable);
  const jobs = known.filter((row) => !isUnconfirmed(row, context.areStrangers));
  const lanes = new Map<string, LaneSpec>();
  for (const key of new Set(jobs.map(({ laneKey }) => laneKey ?? ''))) {
    const row = yield laneQueries.laneByKey(context.builder, key);
    const [lane] = rows.readable(row.rows, rows.laneSpec, unreadable);
    if (lane !== undefined) lanes.set(key, lane);
  }
  return { jobs, more: found.length > MAX_OBSERVED, lanes };
}

export function* disputedJobs(context: Context, limit: number, unreadable: OnUnreadable): Step<readonly JobRow[]> {
  return rows.readable((yield jobCheckQueries.disputedJobs(context.builder, limit)).rows, rows.jobRow, unreadable);
}

export function* unconfirmedJobs(context: Context, limit: number, unreadable: OnUnreadable): Step<readonly JobRow[]> {
  return rows.readable((yield jobCheckQueries.unconfirmedJobs(context.builder, limit)).rows, rows.jobRow, unreadable);
}

export function* unconfirmedJobsOf(
  context: Context,
  registration: string,
  limit: number,
  unreadable: OnUnreadable,
): Step<readonly JobRow[]> {
  const found = yield jobCheckQueries.unconfirmedJobsOf(context.builder, limit, registration);
  return rows.readable(found.rows, rows.jobRow, unreadable);
}

export function* expireJobs(context: Context, beforeMs: number, limit: number): Step<readonly string[]> {
  const overdue = [
    ...(yield jobCheckQueries.overdueJobs(context.builder, beforeMs, limit)).rows.map(rows.jobInLane),
    ...(yield heldJobQueries.overdueHeldJobs(context.builder, beforeMs, limit)).rows.map(rows.jobInLane),
    ...(yield jobCheckQueries.overdueUnconfirmed(context.builder, beforeMs, limit)).rows.map(rows.jobInLane),
  ];
  const inOrder = [...overdue].sort((a, b) => compare(a.key, b.key));
  for (const { key, queuedSinceMs } of inOrder) {
    yield jobCheckQueries.expireJob(context.builder, key, expiredWords(queuedSinceMs));
  }
  return [...new Set(overdue.map(({ laneKey }) => laneKey))].sort(compare);
}
