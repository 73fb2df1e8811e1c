/**
 * Jobs that ask for no runner although GitHub calls them queued. `unserved`: GitHub assigns them to no matching
 * runner (`max-parallel`, concurrency, a runner group that excludes them). `unseen`: GitHub answers 404 for them.
 *
 * One held job of a run at a time may try again, with growing pauses, or at once when a job of its run or lane starts
 * or ends, or one of its repository ends: then GitHub may have made room for another.
 */

import { backoffMs } from '../../../time/backoff.ts';
import { MINUTE } from '../../../time/units.ts';
import { isStrangersWord } from '../../jobs/facts.ts';
import type { JobOf, JobRow, JobWords, OnUnreadable, RunnerRow, UnreadableRow } from '../ledger.ts';
import * as heldJobQueries from '../queries/held-jobs.ts';
import { expireJob } from '../queries/job-checks.ts';
import * as rows from '../rows.ts';
import { job } from './jobs.ts';
import type { Context, Step } from './step.ts';

/** Matching runners that must have idled beside a queued job before it is held. */
export const ENOUGH_EVIDENCE = 3;
const PAUSE_FIRST_MS = MINUTE;
const MAX_PAUSE_MS = 30 * MINUTE;
/** If other jobs of its lane or repository come and go, they must not make a held one try again all day. */
const PROMPT_PROBES = 10;
const PROBE_PAUSE_MS = 10 * MINUTE;
const MAX_JOBS = 1000;
const MAX_OF_A_LANE = 100;
/** Each may cost a launch, and one finished job makes room for only a few of them. */
const MAX_OF_A_REPOSITORY = 20;

export function* passOver(
  context: Context,
  runner: Pick<RunnerRow, 'name' | 'laneKey' | 'registration'>,
  {
    onlineAtMs,
    nowMs,
    unreadable,
  }: { readonly onlineAtMs: number; readonly nowMs: number; readonly unreadable: OnUnreadable },
): Step<{ readonly passed: number; readonly held: readonly string[] }> {
  const queued = yield heldJobQueries.jobsPassedOver(context.builder, runner, onlineAtMs, MAX_JOBS);
  const passed = rows.readable(queued.rows, rows.jobRow, unreadable);
  const held: string[] = [];
  const running = new Map<string, number>();
  for (const row of passed) {
    const passedOver = row.passedOver + 1;
    if (passedOver < ENOUGH_EVIDENCE) {
      yield* put(context, { ...row, passedOver, passedOverBy: runner.name });
      continue;
    }
    const run = runKey(row);
    const runs = running.get(run) ?? (yield* runningOf(context, row));
    running.set(run, runs);
    const pauseMs = backoffMs(PAUSE_FIRST_MS, MAX_PAUSE_MS, passedOver - ENOUGH_EVIDENCE);
    yield* put(context, {
      ...row,
      passedOver,
      passedOverBy: runner.name,
      hold: 'unserved',
      heldSinceMs: row.heldSinceMs ?? nowMs,
      heldUntilMs: nowMs + pauseMs,
      heldAtRunning: Math.max(row.heldAtRunning, runs),
      probing: false,
    });
    held.push(row.key);
  }
  return { passed: passed.length, held };
}

export function* stir(context: Context, key: string, nowMs: number, unreadable: OnUnreadable): Step<readonly string[]> {
  const stirred = yield* job(context, key);
  if (stirred === undefined) return [];
  const lanes = new Set<string>();
  const ofRun = yield* heldOfRun(context, stirred, unreadable);
  if (ofRun.length > 0) {
    const running = yield* runningOf(context, stirred);
    // With `max-parallel` no more of them run at once than before. If more do, something else held them back.
    const isOver = running > Math.max(...ofRun.map(({ heldAtRunning }) => heldAtRunning));
    if (isOver) for (const row of ofRun) yield* release(context, row, lanes);
    else yield* probe(context, ofRun, lanes);
  }
  const others = [
    ...(yield* heldBeside(context, stirred, unreadable)),
    ...(yield* heldElsewhere(context, stirred, unreadable)),
  ];
  const runs = Map.groupBy(
    others.filter((row) => runKey(row) !== runKey(stirred)),
    runKey,
  );
  for (const ofOther of runs.values()) {
    const [first] = ofOther;
    if (first === undefined) continue;
    const rests = first.passedOver >= PROMPT_PROBES && nowMs - (first.lastLaunchAtMs ?? 0) < PROBE_PAUSE_MS;
    if (!rests) yield* probe(context, ofOther, lanes);
  }
  return [...lanes];
}

function* heldOfRun(context: Context, run: heldJobQueries.RunOf, unreadable: OnUnreadable): Step<readonly JobRow[]> {
  const held = yield heldJobQueries.heldOfRun(context.builder, run, MAX_JOBS);
  return rows.readable(held.rows, rows.jobRow, unreadable);
}

function* heldBeside(context: Context, { laneKey }: JobRow, unreadable: OnUnreadable): Step<readonly JobRow[]> {
  if (laneKey === null) return [];
  const held = yield heldJobQueries.heldOfLane(context.builder, laneKey, MAX_OF_A_LANE);
  return rows.readable(held.rows, rows.jobRow, unreadable);
}

/** A concurrency group spans lanes, but not repositories: a job that ended in the repository may have occupied it. */
function* heldElsewhere(context: Context, ended: JobRow, unreadable: OnUnreadable): Step<readonly JobRow[]> {
  if (ended.status !== 'completed') return [];
  const word = { source: ended.statusSource, toldBy: ended.statusToldBy };
  const held = yield heldJobQueries.heldOfRepository(context.builder, ended, MAX_OF_A_REPOSITORY);
  return rows
    .readable(held.rows, rows.jobRow, unreadable)
    .filter((row) => row.laneKey !== ended.laneKey && !isStrangersWord(row.registration, word, context.areStrangers));
}

export function* hastenHeld(context: Context, nowMs: number): Step<number> {
  return (yield heldJobQueries.hastenHeld(context.builder, nowMs)).changed;
}

export function* hastenHeldOf(context: Context, registration: string, nowMs: number): Step<number> {
  return (yield heldJobQueries.hastenHeldOf(context.builder, nowMs, registration)).changed;
}

export function* probeHeld(
  context: Context,
  nowMs: number,
  limit: number,
  unreadable: OnUnreadable,
): Step<readonly string[]> {
  const lanes = new Set<string>();
  const broken: UnreadableRow[] = [];
  const found = yield heldJobQueries.heldToProbe(context.builder, nowMs, limit);
  const due = rows.readable(found.rows, rows.jobRow, unreadable === 'reject' ? unreadable : (row) => broken.push(row));
  // Those that cannot be read must not stay due, or they fill the next passes.
  for (const row of broken) {
    yield* putHeldOff(context, row.key, nowMs + MAX_PAUSE_MS);
    if (unreadable !== 'reject') unreadable(row);
  }
  const tried = new Set<string>();
  for (const row of due) {
    const run = runKey(row);
    const ofRun = tried.has(run) ? [] : yield* heldOfRun(context, row, unreadable);
    if (!tried.has(run) && ofRun.every(({ probing }) => !probing)) yield* probe(context, [row], lanes);
    // Another job of its run is trying: check again later.
    else yield* put(context, { ...row, heldUntilMs: nowMs + PAUSE_FIRST_MS });
    tried.add(run);
  }
  return [...lanes];
}

export function* putHeldOff(context: Context, key: string, untilMs: number): Step<void> {
  yield heldJobQueries.putHeldOff(context.builder, untilMs, key, untilMs);
}

export function* nextProbeAt(context: Context): Step<number | null> {
  const [found] = (yield heldJobQueries.nextProbe(context.builder)).rows;
  return found === undefined ? null : rows.momentOf(found);
}

export function* unseenJobs(context: Context, nowMs: number, limit: number): Step<readonly JobOf[]> {
  return (yield heldJobQueries.unseenJobs(context.builder, nowMs, limit)).rows.map(rows.jobOf);
}

export function* holdUnseen(
  context: Context,
  key: string,
  words: JobWords | null,
  untilMs: number,
  nowMs: number,
): Step<void> {
  const row = yield* job(context, key);
  if (row === undefined || row.status === 'completed') return;
  const held: JobRow = {
    ...row,
    hold: 'unseen',
    heldSinceMs: row.hold === 'unseen' ? row.heldSinceMs : nowMs,
    heldUntilMs: untilMs,
    probing: false,
  };
  yield* put(context, held, words ?? undefined);
}

export function* setJobAside(context: Context, key: string, words: JobWords): Step<void> {
  yield expireJob(context.builder, key, words);
}

/** One of the run's held jobs tries at once, unless one already does. */
function* probe(context: Context, ofRun: readonly JobRow[], lanes: Set<string>): Step<void> {
  const [first] = ofRun;
  if (first === undefined || ofRun.some(({ probing }) => probing)) return;
  yield* put(context, { ...first, probing: true });
  if (first.laneKey !== null) lanes.add(first.laneKey);
}

/** One more runner that idles beside it is enough to hold it again. */
function* release(context: Context, row: JobRow, lanes: Set<string>): Step<void> {
  yield* put(context, {
    ...row,
    hold: null,
    heldSinceMs: null,
    heldUntilMs: null,
    probing: false,
    passedOver: ENOUGH_EVIDENCE - 1,
    lastLaunchAtMs: null,
  });
  if (row.laneKey !== null) lanes.add(row.laneKey);
}

function* put(context: Context, row: JobRow, words?: JobWords): Step<void> {
  const { hold, heldSinceMs, heldUntilMs, heldAtRunning, probing, passedOver, passedOverBy, lastLaunchAtMs } = row;
  yield heldJobQueries.putHold(context.builder, row.key, {
    hold,
    heldSinceMs,
    heldUntilMs,
    heldAtRunning,
    probing,
    passedOver,
    passedOverBy,
    lastLaunchAtMs,
    demand: rows.isDemand(row, context.areStrangers),
    ...words,
  });
}

function* runningOf(context: Context, row: heldJobQueries.RunOf): Step<number> {
  const [found] = (yield heldJobQueries.runningOfRun(context.builder, row)).rows;
  return found === undefined ? 0 : rows.countOf(found);
}

function runKey({ host, owner, repository, runId }: heldJobQueries.RunOf): string {
  return `${host}/${owner}/${repository}/${runId}`;
}
