/** Jobs: read, written, and ended where GitHub does not know them. */
import { jobKeyPrefix } from '../../jobs/facts.ts';
import type { JobFilter, JobRow, JobWords, OnUnreadable, RunJobs } from '../ledger.ts';
import { NOT_HELD } from '../merge.ts';
import type { Query } from '../queries/fixed.ts';
import * as jobQueries from '../queries/jobs.ts';
import * as laneQueries from '../queries/lanes.ts';
import * as rows from '../rows.ts';
import { bounded, each } from './filter.ts';
import { compare } from './order.ts';
import { jobCounted } from './shares.ts';
import { all, type Context, firstOf, type Step } from './step.ts';

const MAX_JOBS = 1000;
const MAX_NAMESAKES = 10;

/** Writes a job that facts changed, and marks it for settlement. */
export function* putJob(context: Context, row: JobRow, before: JobRow | undefined): Step<void> {
  yield* all(yield* jobWritten(context, row, before));
}

/** What `putJob` does. */
export function* jobWritten(context: Context, row: JobRow, before: JobRow | undefined): Step<readonly Query[]> {
  const comesBack =
    before !== undefined &&
    rows.isDemand(row, context.areStrangers) &&
    !rows.isDemand(before, context.areStrangers) &&
    row.laneKey !== null;
  const laneIsGone = comesBack && (yield laneQueries.laneByKey(context.builder, row.laneKey ?? '')).rows.length === 0;
  // Its lane was deleted as empty while the job was completed: it has to be admitted anew.
  const written: JobRow = laneIsGone ? { ...row, admission: 'pending' } : row;
  const columns = rows.jobColumns(written, context.nowMs, context.areStrangers);
  return [jobQueries.putFacts(context.builder, columns), ...jobCounted(context, written, before)];
}

export function* job(context: Context, key: string): Step<JobRow | undefined> {
  return firstOf(yield jobQueries.jobByKey(context.builder, key), rows.jobRow);
}

export function* jobsOfRun(
  context: Context,
  { runId, within }: RunJobs,
  unreadable: OnUnreadable,
): Step<readonly JobRow[]> {
  const prefix = within === undefined ? '' : jobKeyPrefix(within);
  const found = yield jobQueries.jobsOfRun(context.builder, runId, prefix, MAX_JOBS);
  return rows.readable(found.rows, rows.jobRow, unreadable);
}

export function* jobsWithId(context: Context, jobId: number, unreadable: OnUnreadable): Step<readonly JobRow[]> {
  const found = yield jobQueries.jobsWithId(context.builder, jobId, MAX_NAMESAKES);
  return rows.readable(found.rows, rows.jobRow, unreadable);
}

export function* jobs(context: Context, filter: JobFilter, unreadable: OnUnreadable): Step<readonly JobRow[]> {
  const { registrations, limit, ...choice } = filter;
  const most = bounded(limit, 100, MAX_JOBS);
  const found: JobRow[] = [];
  // One by one, since one index holds each registration's jobs in order: together they would have to be sorted.
  for (const registration of each(registrations)) {
    const answer = yield jobQueries.jobsMatching(context.builder, { ...choice, registration }, most);
    found.push(...rows.readable(answer.rows, rows.jobRow, unreadable));
  }
  found.sort((a, b) => b.firstSeenAtMs - a.firstSeenAtMs || compare(b.key, a.key));
  return found.slice(0, most);
}

export function* dropJob(context: Context, key: string, reason: string, nowMs: number): Step<void> {
  const row = yield* job(context, key);
  if (row === undefined) return;
  const verified = { disputed: false, verifiedAtMs: nowMs, version: row.version + 1 };
  const dropped: JobRow =
    row.status === 'completed'
      ? { ...row, ...verified }
      : {
          ...row,
          ...verified,
          ...NOT_HELD,
          status: 'completed',
          conclusion: 'unknown',
          runnerId: null,
          runnerName: null,
          runnerGroup: null,
          statusSinceMs: nowMs,
          statusObservedAtMs: nowMs,
          statusSource: 'read',
          reasonCode: 'dropped',
          reason,
          cure: null,
        };
  yield* putJob(context, dropped, row);
}

export function* explainJob(context: Context, key: string, words: JobWords): Step<void> {
  yield jobQueries.explainJob(context.builder, key, words);
}
