/** Runners: their rows change by steps, each with its entries in the timeline. */
import { DAY } from '../../../time/units.ts';
import type { LaneSpec } from '../../jobs/lane.ts';
import type { OnUnreadable, RunnerFilter, RunnerRow, RunnerStep, RunnersLeftOut } from '../ledger.ts';
import type { Query } from '../queries/fixed.ts';
import * as launchCountQueries from '../queries/launch-counts.ts';
import * as runnerQueries from '../queries/runners.ts';
import { UNBOUND } from '../queries/terms.ts';
import * as rows from '../rows.ts';
import { bounded, each } from './filter.ts';
import { kept } from './kept-words.ts';
import { putLane } from './lanes.ts';
import { compare } from './order.ts';
import { all, type Context, firstOf, type Step } from './step.ts';
import { appended } from './timeline.ts';

const MAX_RUNNERS = 100_000;
/** From the creation of a runner to its job. */
const MOST_WAIT_MS = DAY;

export function* createRunner(context: Context, runner: RunnerRow, reason: string, lane?: LaneSpec): Step<void> {
  if (lane !== undefined) yield* putLane(context, lane);
  const { builder } = context;
  const entry = { atMs: runner.createdAtMs, state: runner.state, reason, details: null, failure: null };
  yield* all([
    runnerQueries.insertRunner(builder, rows.runnerColumns(runner)),
    ...appended(context, runner, [entry]),
    ...(runner.forJobKey === null ? [] : [launchCountQueries.countPlanned(builder, 1, runner.forJobKey)]),
  ]);
}

export function* stepRunner(
  context: Context,
  name: string,
  decide: (runner: RunnerRow) => RunnerStep | undefined,
): Step<{ readonly before: RunnerRow; readonly after: RunnerRow } | undefined> {
  const before = yield* runner(context, name);
  if (before === undefined) return undefined;
  const step = decide(before);
  if (step === undefined) return { before, after: before };
  const { drainReason } = step.patch;
  const after: RunnerRow = {
    ...before,
    ...step.patch,
    // Failures are scrubbed where they are made.
    ...(typeof drainReason === 'string' ? { drainReason: kept(drainReason) } : {}),
    version: before.version + 1,
  };
  const jobKey = step.launch === 'claimed' ? after.forJobKey : before.forJobKey;
  yield* all([
    runnerQueries.putRunner(context.builder, rows.runnerColumns(after)),
    ...appended(context, after, step.entries),
    ...(step.launch === undefined || jobKey === null ? [] : launchCounted(context, step.launch, jobKey)),
  ]);
  return { before, after };
}

function launchCounted(
  { builder, nowMs }: Context,
  launch: NonNullable<RunnerStep['launch']>,
  jobKey: string,
): readonly Query[] {
  switch (launch) {
    case 'claimed':
      return [
        launchCountQueries.countPlanned(builder, 1, jobKey),
        launchCountQueries.countLaunch(builder, nowMs, jobKey),
      ];
    case 'called':
      return [launchCountQueries.countLaunch(builder, nowMs, jobKey)];
    case 'given-back':
      return [launchCountQueries.countPlanned(builder, -1, jobKey)];
    case 'refused':
      return [launchCountQueries.uncountLaunch(builder, jobKey)];
    case 'forgiven':
      return [launchCountQueries.forgiveLaunch(builder, jobKey)];
    case 'stolen':
      return [launchCountQueries.countStolen(builder, jobKey)];
  }
}

export function* runner(context: Context, name: string): Step<RunnerRow | undefined> {
  return firstOf(yield runnerQueries.runnerByName(context.builder, name), rows.runnerRow);
}

export function* runners(context: Context, filter: RunnerFilter, unreadable: OnUnreadable): Step<readonly RunnerRow[]> {
  const { registrations, limit, ...choice } = filter;
  if (choice.states?.length === 0) return [];
  const most = bounded(limit, MAX_RUNNERS, MAX_RUNNERS);
  const found: RunnerRow[] = [];
  for (const registration of each(registrations)) {
    const all = limit === undefined ? 'all' : undefined;
    const answer = yield runnerQueries.runnersMatching(context.builder, { ...choice, registration }, most, all);
    found.push(...rows.readable(answer.rows, rows.runnerRow, unreadable));
  }
  return found.sort(latestFirst).slice(0, most);
}

type Aged = Pick<RunnerRow, 'createdAtMs' | 'name'>;

function latestFirst(a: Aged, b: Aged): number {
  return b.createdAtMs - a.createdAtMs || compare(b.name, a.name);
}

export function* runnersDue(
  context: Context,
  nowMs: number,
  limit: number,
  unreadable: OnUnreadable,
  except?: RunnersLeftOut,
): Step<readonly RunnerRow[]> {
  const due = yield runnerQueries.runnersDue(context.builder, nowMs, limit, except);
  return rows.readable(due.rows, rows.runnerRow, unreadable);
}

export function* putOff(context: Context, name: string, untilMs: number): Step<void> {
  yield runnerQueries.putOff(context.builder, untilMs, name);
}

export function* hastenLaunchesOf(context: Context, otherThan: string, nowMs: number): Step<number> {
  return (yield runnerQueries.hastenLaunchesOf(context.builder, nowMs, otherThan)).changed;
}

export function* nextCheckAt(context: Context): Step<number | null> {
  return firstOf(yield runnerQueries.nextCheckAt(context.builder), rows.momentOf) ?? null;
}

export function* liveCountsByRun(
  { builder }: Context,
  registrations: readonly string[],
): Step<readonly (rows.RunCount & { readonly registration: string })[]> {
  const counts: (rows.RunCount & { readonly registration: string })[] = [];
  for (const registration of registrations) {
    const found = (yield runnerQueries.liveCountsByRun(builder, registration)).rows.map(rows.runCount);
    counts.push(...found.map((count) => ({ registration, ...count })));
  }
  return counts;
}

export function* liveCounts(context: Context): Step<readonly rows.LiveCount[]> {
  return (yield runnerQueries.liveCounts(context.builder)).rows.map(rows.liveCount);
}

export function* registrationsWithRunners(context: Context): Step<readonly string[]> {
  return (yield runnerQueries.registrationsWithRunners(context.builder)).rows.map(rows.registrationOf);
}

export function* scopesWithRunners(context: Context, registration: string): Step<readonly string[]> {
  return (yield runnerQueries.scopesWithRunners(context.builder, registration)).rows.map(rows.scopeOf);
}

export function* jobStarts(
  context: Context,
  registration: string,
  specHash: string,
  sinceMs: number,
): Step<readonly number[]> {
  const first = firstOf(yield runnerQueries.firstOfStarts(context.builder, registration), rows.momentOf) ?? 0;
  const createdSinceMs = Math.max(first, sinceMs - MOST_WAIT_MS);
  const found = yield runnerQueries.jobStarts(context.builder, registration, createdSinceMs, specHash, sinceMs);
  return found.rows.map(rows.momentOf).toSorted((one, other) => one - other);
}

export function* surplusRunners(
  context: Context,
  laneKey: string,
  limit: number,
  unreadable: OnUnreadable,
): Step<readonly RunnerRow[]> {
  const unbound = (yield runnerQueries.unboundRunners(context.builder, laneKey)).rows.map(rows.unboundRunner);
  const states: readonly RunnerRow['state'][] = UNBOUND;
  const rank = ({ state }: Pick<RunnerRow, 'state'>) => states.indexOf(state);
  const surplus = unbound.sort((a, b) => rank(a) - rank(b) || latestFirst(a, b)).slice(0, Math.max(0, limit));
  const found: RunnerRow[] = [];
  for (const { name } of surplus) {
    const answer = yield runnerQueries.runnerByName(context.builder, name);
    found.push(...rows.readable(answer.rows, rows.runnerRow, unreadable));
  }
  return found;
}
