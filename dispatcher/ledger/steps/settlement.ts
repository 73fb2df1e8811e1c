/** Which jobs are to be decided on, and what was decided. */
import type { JobIdentity, RunWord, Visibility } from '../../jobs/facts.ts';
import type { LaneSpec } from '../../jobs/lane.ts';
import type { JobPlace, JobRow, JobSettlement, OnUnreadable, RunPlace } from '../ledger.ts';
import { NOT_HELD } from '../merge.ts';
import * as jobCheckQueries from '../queries/job-checks.ts';
import * as jobQueries from '../queries/jobs.ts';
import * as rows from '../rows.ts';
import { job } from './jobs.ts';
import { kept } from './kept-words.ts';
import { putLane } from './lanes.ts';
import { compare, sortedByKey } from './order.ts';
import type { Context, Step } from './step.ts';

export function* unsettledJobs(context: Context, limit: number, unreadable: OnUnreadable): Step<readonly JobRow[]> {
  return rows.readable((yield jobQueries.unsettledJobs(context.builder, limit)).rows, rows.jobRow, unreadable);
}

/** Later than every time there is. Among themselves they keep their order. */
const AFTER_ALL_OTHERS_MS = 1e15;

export function* putUnsettledLast(context: Context, key: string, nowMs: number): Step<void> {
  yield jobQueries.putUnsettledLast(context.builder, nowMs + AFTER_ALL_OTHERS_MS, key);
}

export function* settleJobs(context: Context, settlements: readonly JobSettlement[]): Step<void> {
  const lanes = new Map<string, LaneSpec>();
  const inOrder = [...settlements].sort((a, b) => compare(a.key, b.key));
  for (const settlement of inOrder) {
    if (yield* settleJob(context, settlement)) {
      const lane = settlement.admission?.lane;
      if (lane) lanes.set(lane.key, lane);
    }
  }
  for (const [, lane] of sortedByKey(lanes)) yield* putLane(context, lane);
}

/** False if a fact came in between: the job stays unchanged and unsettled. */
function* settleJob(context: Context, { key, version, admission }: JobSettlement): Step<boolean> {
  if (admission === undefined) {
    return (yield jobQueries.settleJob(context.builder, key, version)).changed > 0;
  }
  const belongs = admission.state === 'lane' || admission.state === 'observed';
  if (belongs !== (admission.lane !== null)) {
    throw new TypeError(`job ${key}: admission "${admission.state}" ${admission.lane ? 'with' : 'without'} a lane`);
  }
  const row = yield* job(context, key);
  if (row === undefined || row.version !== version) return false;
  const admitted: JobRow = {
    ...row,
    admission: admission.state,
    registration: admission.registration,
    laneKey: admission.lane?.key ?? null,
    reasonCode: admission.reasonCode,
    reason: admission.reason === null ? null : kept(admission.reason),
    cure: admission.cure,
    // What was learned in another lane does not apply to this one, and an observed job waits for no runner of ours.
    ...((admission.lane?.key ?? null) === row.laneKey && admission.state !== 'observed' ? {} : NOT_HELD),
    disputed: row.disputed || (yield* hasNamesake(context, row, admission)),
  };
  yield jobQueries.admitJob(context.builder, rows.jobColumns(admitted, null, context.areStrangers));
  return true;
}

/** The same id under another name: before it gets its own runner, GitHub is asked whether it is another job. */
function* hasNamesake(
  context: Context,
  row: JobRow,
  { registration }: NonNullable<JobSettlement['admission']>,
): Step<boolean> {
  if (registration === null || row.status === 'completed' || row.verifiedAtMs !== null) return false;
  return (yield jobCheckQueries.namesakes(context.builder, { ...row, registration })).rows.length > 0;
}

export function* unsettleOpenJobs(context: Context, sinceMs: number): Step<number> {
  return (yield jobQueries.unsettleOpenJobs(context.builder, sinceMs, context.nowMs)).changed;
}

/** Places in one query: each becomes two parameters. */
const PLACES_A_QUERY = 200;

export interface JobsOf {
  readonly registrations: readonly string[];
  readonly places: readonly JobPlace[];
  readonly sinceMs: number;
}

export function* unsettleJobsOf(context: Context, { registrations, places, sinceMs }: JobsOf): Step<number> {
  const { builder, nowMs } = context;
  let changed = 0;
  for (const registration of registrations) {
    changed += (yield jobQueries.unsettleOpenJobsOf(builder, registration, sinceMs, nowMs)).changed;
  }
  const ranges = places.map(keysAt);
  for (let from = 0; from < ranges.length; from += PLACES_A_QUERY) {
    const some = ranges.slice(from, from + PLACES_A_QUERY);
    changed += (yield jobQueries.unsettleOpenJobsWithin(builder, some, sinceMs, nowMs)).changed;
  }
  return changed;
}

/** Between which keys its jobs are: `0` follows `/`. */
function keysAt({ host, owner, repository }: JobPlace): { readonly from: string; readonly to: string } {
  const name = (repository === undefined ? `${host}/${owner}` : `${host}/${owner}/${repository}`).toLowerCase();
  return { from: `${name}/`, to: `${name}0` };
}

export function* tellVisibility(
  context: Context,
  { host, owner, repository }: Pick<JobIdentity, 'host' | 'owner' | 'repository'>,
  visibility: Visibility | undefined,
): Step<number> {
  const name = `${host}/${owner}/${repository}`.toLowerCase();
  // `0` follows `/`.
  const keys = { from: `${name}/`, to: `${name}0` };
  return (yield jobQueries.tellVisibility(context.builder, keys, visibility, context.nowMs)).changed;
}

export function* tellRun(context: Context, run: RunPlace, word: RunWord | undefined): Step<number> {
  return (yield jobQueries.tellRun(context.builder, keysAt(run), run, word ?? {}, context.nowMs)).changed;
}

export function* unsettleRefused(context: Context, registration: string, reasonCode: string): Step<number> {
  return (yield jobQueries.unsettleRefused(context.builder, registration, reasonCode, context.nowMs)).changed;
}
