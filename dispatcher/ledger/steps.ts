/**
 * The ledger's methods, each a generator of the queries of one transaction: it yields a query and receives its result.
 * SQLite runs a step to its end without interruption; PostgreSQL will run the same steps with an
 * `await` at each query. The steps do not know which.
 */
import { LOG_BYTES } from '../../providers/provider.ts';
import { scrub, scrubOutput } from '../failures/scrub.ts';
import { type Delivery, type JobFact, jobKey } from '../jobs/facts.ts';
import type { LaneSpec } from '../jobs/lane.ts';
import { breakerUpTo, runnerUpTo } from './future.ts';
import * as heldQueries from './held-job-queries.ts';
import type {
  Breaker,
  DeliveryResult,
  JobFilter,
  JobOf,
  JobRow,
  JobSettlement,
  JobWords,
  LaneCounts,
  OnUnreadable,
  Retention,
  RunnerFilter,
  RunnerRow,
  RunnerStep,
  RunnersLeftOut,
  TimelineEntry,
  Waiting,
} from './ledger.ts';
import { mergeFact, NOT_HELD } from './merge.ts';
import type { Query } from './queries.ts';
import * as queries from './queries.ts';
import { expiredWords } from './queue-age.ts';
import * as rows from './rows.ts';
import { countDeleted, countJob, hasRoom, type OpenCounts, pruneLongest } from './shares.ts';
import type { Answer, Context, Step } from './step.ts';

export type { Answer, Context, Step } from './step.ts';

/** GitHub ends a workflow run, including waits for approval, after 35 days (docs.github.com, "Actions limits"). */
const MAX_RUN_MS = 35 * 24 * 3_600_000;
const MAX_JOBS = 1000;
const MAX_NAMESAKES = 10;
const MAX_RUNNERS = 100_000;
/** A runner whose drain is refused for weeks must not fill the disk: only the first and the latest steps are kept. */
const TIMELINE_FIRST = 100;
const TIMELINE_LATEST = 400;
const THIN_EVERY = 50;

// ── intake ───────────────────────────────────────────────────────────────────────────────────────────────────────

export function* recordDeliveries(
  context: Context,
  batch: readonly { readonly delivery: Delivery; readonly fact: JobFact | null }[],
): Step<readonly DeliveryResult[]> {
  const answers = batch.map((): DeliveryResult => 'duplicate');
  const counts: OpenCounts = new Map();
  const fresh: JobFact[] = [];
  const inOrder = batch
    .map((entry, index) => ({ ...entry, index }))
    .sort((a, b) => compare(a.delivery.endpoint, b.delivery.endpoint) || compare(a.delivery.guid, b.delivery.guid));
  for (const { delivery, fact, index } of inOrder) {
    if (fact !== null && !(yield* hasRoom(context, fact, counts, batch.length))) {
      answers[index] = 'full';
      continue;
    }
    const { endpoint, guid, event, action, receivedAtMs } = delivery;
    const inserted = yield queries.insertDelivery(context.builder, { endpoint, guid, event, action, receivedAtMs });
    if (inserted.changed > 0) answers[index] = 'recorded';
  }
  batch.forEach(({ fact }, index) => {
    if (fact !== null && answers[index] === 'recorded') fresh.push(fact);
  });
  yield* recordFacts(context, fresh);
  return answers;
}

export function* recordFacts(context: Context, facts: readonly JobFact[]): Step<number> {
  const byJob = new Map<string, JobFact[]>();
  for (const fact of facts) {
    const key = jobKey(fact);
    const known = byJob.get(key);
    if (known) known.push(fact);
    else byJob.set(key, [fact]);
  }
  let changedJobs = 0;
  const counts: OpenCounts = new Map();
  for (const [key, factsOfJob] of sortedByKey(byJob)) {
    const before = yield* job(context, key);
    let row = before;
    for (const fact of factsOfJob) row = mergeFact(row, fact, context.areStrangers).row;
    if (row === undefined || row === before) continue;
    const [first] = factsOfJob;
    if (before === undefined && first && !(yield* hasRoom(context, first, counts, byJob.size))) continue;
    yield* putJob(context, row, before);
    if (factsOfJob.some(({ source }) => source === 'read')) yield* endNamesakes(context, row);
    changedJobs += 1;
  }
  return changedJobs;
}

/**
 * A repository was renamed or transferred while the job was open: GitHub knows it by its new name, and an id identifies
 * one job on a host. The job under the old name ends, and its runners move to the new one.
 */
function* endNamesakes(context: Context, row: JobRow): Step<void> {
  if (row.registration === null) return;
  const old = (yield queries.namesakes(context.builder, { ...row, registration: row.registration })).rows;
  for (const namesake of old.map(rows.jobRow)) {
    if (namesake.runId !== row.runId || (namesake.verifiedAtMs ?? 0) > (row.verifiedAtMs ?? 0)) continue;
    yield queries.renameJob(context.builder, 'jobKey', namesake.key, row.key);
    yield queries.renameJob(context.builder, 'forJobKey', namesake.key, row.key);
    yield* dropJob(context, namesake.key, `its repository is called ${row.owner}/${row.repository} now`, context.nowMs);
  }
}

/** Writes a job that facts changed, and marks it for settlement. */
export function* putJob(context: Context, row: JobRow, before: JobRow | undefined): Step<void> {
  const comesBack =
    before !== undefined &&
    rows.isDemand(row, context.areStrangers) &&
    !rows.isDemand(before, context.areStrangers) &&
    row.laneKey !== null;
  const laneIsGone = comesBack && (yield queries.laneByKey(context.builder, row.laneKey ?? '')).rows.length === 0;
  // Its lane was deleted as empty while the job was completed: it has to be admitted anew.
  const written: JobRow = laneIsGone ? { ...row, admission: 'pending' } : row;
  yield queries.putFacts(context.builder, rows.jobColumns(written, context.nowMs, context.areStrangers));
  yield* countJob(context, written, before);
}

// ── jobs ─────────────────────────────────────────────────────────────────────────────────────────────────────────

export function* job(context: Context, key: string): Step<JobRow | undefined> {
  return firstOf(yield queries.jobByKey(context.builder, key), rows.jobRow);
}

export function* jobsOfRun(context: Context, runId: number): Step<readonly JobRow[]> {
  return (yield queries.jobsOfRun(context.builder, runId, MAX_JOBS)).rows.map(rows.jobRow);
}

export function* jobsWithId(context: Context, jobId: number): Step<readonly JobRow[]> {
  return (yield queries.jobsWithId(context.builder, jobId, MAX_NAMESAKES)).rows.map(rows.jobRow);
}

export function* unsettledJobs(context: Context, limit: number, unreadable?: OnUnreadable): Step<readonly JobRow[]> {
  return rows.readable((yield queries.unsettledJobs(context.builder, limit)).rows, rows.jobRow, unreadable);
}

/** Later than every time there is. Among themselves they keep their order. */
const AFTER_ALL_OTHERS_MS = 1e15;

export function* putUnsettledLast(context: Context, key: string, nowMs: number): Step<void> {
  yield queries.putUnsettledLast(context.builder, nowMs + AFTER_ALL_OTHERS_MS, key);
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
  for (const [key, lane] of sortedByKey(lanes)) {
    yield queries.putLane(context.builder, {
      key,
      registration: lane.registration,
      specHash: lane.specHash,
      spec: JSON.stringify(lane),
      changedAtMs: context.nowMs,
    });
  }
}

/** False if a fact came in between: the job stays unchanged and unsettled. */
function* settleJob(context: Context, { key, version, admission }: JobSettlement): Step<boolean> {
  if (admission === undefined) {
    return (yield queries.settleJob(context.builder, key, version)).changed > 0;
  }
  if ((admission.state === 'lane') !== (admission.lane !== null)) {
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
    // What was learned in another lane does not apply to this one.
    ...((admission.lane?.key ?? null) === row.laneKey ? {} : NOT_HELD),
    disputed: row.disputed || (yield* hasNamesake(context, row, admission)),
  };
  yield queries.admitJob(context.builder, rows.jobColumns(admitted, null, context.areStrangers));
  return true;
}

/** The same id under another name: before it gets its own runner, GitHub is asked whether it is another job. */
function* hasNamesake(
  context: Context,
  row: JobRow,
  { registration }: NonNullable<JobSettlement['admission']>,
): Step<boolean> {
  if (registration === null || row.status === 'completed' || row.verifiedAtMs !== null) return false;
  return (yield queries.namesakes(context.builder, { ...row, registration })).rows.length > 0;
}

export function* jobs(context: Context, filter: JobFilter): Step<readonly JobRow[]> {
  const { registrations, limit, ...choice } = filter;
  const most = bounded(limit, 100, MAX_JOBS);
  const found: JobRow[] = [];
  // One by one, since one index holds each registration's jobs in order: together they would have to be sorted.
  for (const registration of each(registrations)) {
    found.push(
      ...(yield queries.jobsMatching(context.builder, { ...choice, registration }, most)).rows.map(rows.jobRow),
    );
  }
  found.sort((a, b) => b.firstSeenAtMs - a.firstSeenAtMs || compare(b.key, a.key));
  return found.slice(0, most);
}

export function* unsettleOpenJobs(context: Context, sinceMs: number): Step<number> {
  return (yield queries.unsettleOpenJobs(context.builder, sinceMs, context.nowMs)).changed;
}

export function* unsettleRefused(context: Context, registration: string, reasonCode: string): Step<number> {
  return (yield queries.unsettleRefused(context.builder, registration, reasonCode, context.nowMs)).changed;
}

export function* staleJobs(context: Context, beforeMs: number, limit: number): Step<readonly JobOf[]> {
  return (yield queries.staleJobs(context.builder, beforeMs, limit)).rows.map(rows.jobOf);
}

export function* disputedJobs(context: Context, limit: number, unreadable?: OnUnreadable): Step<readonly JobRow[]> {
  return rows.readable((yield queries.disputedJobs(context.builder, limit)).rows, rows.jobRow, unreadable);
}

export function* unconfirmedJobs(context: Context, limit: number, unreadable?: OnUnreadable): Step<readonly JobRow[]> {
  return rows.readable((yield queries.unconfirmedJobs(context.builder, limit)).rows, rows.jobRow, unreadable);
}

export function* unconfirmedJobsOf(
  context: Context,
  registration: string,
  limit: number,
  unreadable?: OnUnreadable,
): Step<readonly JobRow[]> {
  const found = yield queries.unconfirmedJobsOf(context.builder, limit, registration);
  return rows.readable(found.rows, rows.jobRow, unreadable);
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
          status: 'completed',
          conclusion: 'unknown',
          runnerId: null,
          runnerName: null,
          statusSinceMs: nowMs,
          statusObservedAtMs: nowMs,
          statusSource: 'read',
          reasonCode: 'dropped',
          reason,
        };
  yield* putJob(context, dropped, row);
}

export function* explainJob(context: Context, key: string, words: JobWords): Step<void> {
  yield queries.explainJob(context.builder, key, words);
}

export function* expireJobs(context: Context, beforeMs: number, limit: number): Step<readonly string[]> {
  const overdue = [
    ...(yield queries.overdueJobs(context.builder, beforeMs, limit)).rows.map(rows.jobInLane),
    ...(yield heldQueries.overdueHeldJobs(context.builder, beforeMs, limit)).rows.map(rows.jobInLane),
    ...(yield queries.overdueUnconfirmed(context.builder, beforeMs, limit)).rows.map(rows.jobInLane),
  ];
  const inOrder = [...overdue].sort((a, b) => compare(a.key, b.key));
  for (const { key, queuedSinceMs } of inOrder) {
    yield queries.expireJob(context.builder, key, expiredWords(queuedSinceMs));
  }
  return [...new Set(overdue.map(({ laneKey }) => laneKey))].sort(compare);
}

// ── lanes ────────────────────────────────────────────────────────────────────────────────────────────────────────

export function* laneCounts(context: Context, keys: readonly string[]): Step<readonly LaneCounts[]> {
  const counts: LaneCounts[] = [];
  for (const key of new Set(keys)) {
    const lane = firstOf(yield queries.laneByKey(context.builder, key), rows.laneSpec);
    if (lane === undefined) continue;
    const demand = firstOf(yield queries.laneDemand(context.builder, key), rows.laneDemand);
    const held = firstOf(yield heldQueries.laneHeld(context.builder, key), rows.laneHeld);
    const supply = (yield queries.laneSupply(context.builder, key)).rows.map(rows.laneSupply);
    const present = (state: LaneSupply['state']) =>
      sum(supply.filter((group) => group.specHash === lane.specHash && group.state === state));
    counts.push({
      lane,
      demand: demand?.demand ?? 0,
      held: held?.held ?? 0,
      oldestQueuedSinceMs: earliest(demand?.oldestQueuedSinceMs ?? null, held?.oldestQueuedSinceMs ?? null),
      creating: present('creating'),
      starting: present('starting'),
      online: present('online'),
      outdated: sum(supply.filter((group) => group.specHash !== lane.specHash)),
    });
  }
  return counts;
}

function earliest(one: number | null, other: number | null): number | null {
  return one === null || other === null ? (one ?? other) : Math.min(one, other);
}

type LaneSupply = ReturnType<typeof rows.laneSupply>;

function sum(groups: readonly LaneSupply[]): number {
  return groups.reduce((total, group) => total + group.count, 0);
}

export function* lanesInUse(context: Context): Step<readonly string[]> {
  return (yield queries.lanesInUse(context.builder)).rows.map(rows.laneKeyOf);
}

export function* waitingJobs(context: Context, laneKey: string, limit: number): Step<readonly Waiting[]> {
  return (yield queries.waitingJobs(context.builder, limit, laneKey)).rows.map(rows.waiting);
}

export function* deleteEmptyLanes(context: Context): Step<number> {
  return (yield queries.deleteEmptyLanes(context.builder)).changed;
}

// ── runners ──────────────────────────────────────────────────────────────────────────────────────────────────────

export function* createRunner(context: Context, runner: RunnerRow, reason: string): Step<void> {
  yield queries.insertRunner(context.builder, rows.runnerColumns(runner));
  yield* append(context, runner, [
    { atMs: runner.createdAtMs, state: runner.state, reason, details: null, failure: null },
  ]);
  if (runner.forJobKey !== null) yield queries.countPlanned(context.builder, 1, runner.forJobKey);
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
  yield queries.putRunner(context.builder, rows.runnerColumns(after));
  yield* append(context, after, step.entries);
  if (step.launch !== undefined && before.forJobKey !== null) {
    yield launchCounted(context, step.launch, before.forJobKey);
  }
  return { before, after };
}

function launchCounted({ builder, nowMs }: Context, launch: NonNullable<RunnerStep['launch']>, jobKey: string): Query {
  switch (launch) {
    case 'called':
      return queries.countLaunch(builder, nowMs, jobKey);
    case 'given-back':
      return queries.countPlanned(builder, -1, jobKey);
    case 'refused':
      return queries.uncountLaunch(builder, jobKey);
    case 'stolen':
      return queries.countStolen(builder, jobKey);
  }
}

function* append(context: Context, { name, version }: RunnerRow, entries: readonly TimelineEntry[]): Step<void> {
  for (const [position, { failure, reason, details, ...entry }] of entries.entries()) {
    yield queries.insertTimeline(context.builder, {
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
    yield queries.thinTimeline(context.builder, name, TIMELINE_FIRST, version - TIMELINE_LATEST);
  }
}

export function* runner(context: Context, name: string): Step<RunnerRow | undefined> {
  return firstOf(yield queries.runnerByName(context.builder, name), rows.runnerRow);
}

export function* runners(context: Context, filter: RunnerFilter): Step<readonly RunnerRow[]> {
  const { registrations, limit, ...choice } = filter;
  if (choice.states?.length === 0) return [];
  const most = bounded(limit, MAX_RUNNERS, MAX_RUNNERS);
  const found: RunnerRow[] = [];
  for (const registration of each(registrations)) {
    const answer = yield queries.runnersMatching(context.builder, { ...choice, registration }, most);
    found.push(...answer.rows.map(rows.runnerRow));
  }
  found.sort((a, b) => b.createdAtMs - a.createdAtMs || compare(b.name, a.name));
  return found.slice(0, most);
}

/** Returns how many runners, jobs and breakers had times in the future. */
export function* cutToNow(context: Context): Step<number> {
  const { builder, nowMs } = context;
  let cut = (yield queries.cutJobsToNow(builder, nowMs)).changed;
  for (const runner of rows.readable((yield queries.liveRunners(builder)).rows, rows.runnerRow, () => {})) {
    const inOrder = runnerUpTo(nowMs, runner);
    if (inOrder === runner) continue;
    yield queries.putRunner(builder, rows.runnerColumns(inOrder));
    cut += 1;
  }
  for (const breaker of rows.readable((yield queries.allBreakers(builder)).rows, rows.breaker, () => {})) {
    const inOrder = breakerUpTo(nowMs, breaker);
    if (inOrder === breaker) continue;
    yield* putBreaker(context, inOrder);
    cut += 1;
  }
  return cut;
}

export function* runnersDue(
  context: Context,
  nowMs: number,
  limit: number,
  except?: RunnersLeftOut,
  unreadable?: OnUnreadable,
): Step<readonly RunnerRow[]> {
  const due = yield queries.runnersDue(context.builder, nowMs, limit, except);
  return rows.readable(due.rows, rows.runnerRow, unreadable);
}

export function* putOff(context: Context, name: string, untilMs: number): Step<void> {
  yield queries.putOff(context.builder, untilMs, name);
}

export function* hastenLaunchesOf(context: Context, otherThan: string, nowMs: number): Step<number> {
  return (yield queries.hastenLaunchesOf(context.builder, nowMs, otherThan)).changed;
}

export function* nextCheckAt(context: Context): Step<number | null> {
  return firstOf(yield queries.nextCheckAt(context.builder), rows.momentOf) ?? null;
}

export function* liveCounts(context: Context): Step<readonly rows.LiveCount[]> {
  return (yield queries.liveCounts(context.builder)).rows.map(rows.liveCount);
}

export function* surplusRunners(
  context: Context,
  laneKey: string,
  limit: number,
  unreadable?: OnUnreadable,
): Step<readonly RunnerRow[]> {
  const surplus = yield queries.surplusRunners(context.builder, laneKey, limit);
  return rows.readable(surplus.rows, rows.runnerRow, unreadable);
}

export function* timeline(context: Context, name: string): Step<readonly TimelineEntry[]> {
  return (yield queries.timelineOf(context.builder, name)).rows.map(rows.timelineEntry);
}

export function* keepOutput(context: Context, name: string, output: string, nowMs: number): Step<void> {
  if ((yield* runner(context, name)) === undefined) return;
  yield queries.putOutput(context.builder, name, lastBytes(scrubOutput(output), LOG_BYTES), nowMs);
}

export function* output(context: Context, name: string): Step<string | undefined> {
  return firstOf(yield queries.outputOf(context.builder, name), rows.outputOf);
}

/** The end of the text, cut between characters. Containers may print NUL, which PostgreSQL cannot store. */
function lastBytes(text: string, most: number): string {
  const bytes = Buffer.from(text.replaceAll('\0', ''), 'utf8');
  let start = Math.max(0, bytes.length - most);
  // 0b10xxxxxx is a continuation byte in UTF-8.
  while (start < bytes.length && ((bytes[start] ?? 0) & 0b1100_0000) === 0b1000_0000) start += 1;
  return bytes.toString('utf8', start);
}

// ── breakers, leases, cursors ────────────────────────────────────────────────────────────────────────────────────

export function* breakers(context: Context): Step<readonly Breaker[]> {
  return (yield queries.allBreakers(context.builder)).rows.map(rows.breaker);
}

export function* putBreaker(context: Context, breaker: Breaker): Step<void> {
  yield queries.putBreaker(context.builder, rows.breakerColumns(breaker));
}

export function* deleteBreaker(context: Context, key: string): Step<void> {
  yield queries.deleteBreaker(context.builder, key);
}

export function* acquireLease(
  context: Context,
  name: string,
  holder: string,
  nowMs: number,
  ttlMs: number,
): Step<boolean> {
  const taken = yield queries.takeLease(context.builder, { name, holder, untilMs: nowMs + ttlMs }, nowMs);
  return taken.changed > 0;
}

export function* cursor(context: Context, name: string): Step<string | undefined> {
  return firstOf(yield queries.cursorByName(context.builder, name), rows.cursorValue);
}

export function* putCursor(context: Context, name: string, value: string, nowMs: number): Step<void> {
  yield queries.putCursor(context.builder, { name, value, changedAtMs: nowMs });
}

// ── housekeeping ─────────────────────────────────────────────────────────────────────────────────────────────────

export function* prune(context: Context, nowMs: number, retention: Retention, limit: number): Step<number> {
  const { builder } = context;
  const deliveries = yield queries.pruneDeliveries(builder, nowMs - retention.deliveriesMs, limit);
  const aged = yield queries.pruneEndedJobs(builder, nowMs - retention.jobsMs, limit);
  const jobsByAge = yield* countDeleted(context, aged.rows, 'ended');
  const forsakenBeforeMs = nowMs - Math.max(retention.jobsMs, MAX_RUN_MS);
  const left = yield queries.pruneForsakenJobs(builder, forsakenBeforeMs, limit - jobsByAge);
  const forsaken = yield* countDeleted(context, left.rows, 'open');
  const runnersByAge = yield queries.pruneGoneRunners(builder, nowMs - retention.runnersMs, limit);
  // Counting scans an index from end to end, so it waits until there is nothing left to delete by age.
  const jobsByCount =
    jobsByAge < limit ? yield* pruneJobsOver(context, retention.maxJobs, limit - jobsByAge - forsaken) : 0;
  const runnersByCount =
    runnersByAge.changed < limit
      ? yield* pruneRunnersOver(context, retention.maxRunners, limit - runnersByAge.changed)
      : 0;
  return deliveries.changed + jobsByAge + forsaken + jobsByCount + runnersByAge.changed + runnersByCount;
}

function* pruneJobsOver(context: Context, most: number, limit: number): Step<number> {
  const count = firstOf(yield queries.countEndedJobs(context.builder), rows.countOf) ?? 0;
  return count <= most || limit <= 0 ? 0 : yield* pruneLongest(context, count - most, limit);
}

function* pruneRunnersOver(context: Context, most: number, limit: number): Step<number> {
  const count = firstOf(yield queries.countGoneRunners(context.builder), rows.countOf) ?? 0;
  if (count <= most) return 0;
  return (yield queries.pruneGoneRunners(context.builder, ALWAYS, Math.min(limit, count - most))).changed;
}

const ALWAYS = Number.MAX_SAFE_INTEGER;

/** As much of a displayed text as fits. */
const KEPT_CHARACTERS = 4_000;

/** As it is stored: without anything shaped like a secret. */
function kept(text: string): string {
  return scrub(text, KEPT_CHARACTERS);
}

// ── small tools of the steps ─────────────────────────────────────────────────────────────────────────────────────

function firstOf<Row>(answer: Answer, decode: (row: unknown) => Row): Row | undefined {
  return answer.rows.length === 0 ? undefined : decode(answer.rows[0]);
}

/** Each registration that the filter names; undefined, for all of them, if it names none. */
function each(registrations: readonly string[] | undefined): readonly (string | undefined)[] {
  return registrations === undefined ? [undefined] : [...new Set(registrations)];
}

function bounded(wished: number | undefined, usual: number, most: number): number {
  return Math.max(0, Math.min(wished ?? usual, most));
}

/** Sorted by key: two writers that lock rows in the same order cannot deadlock. */
function sortedByKey<Value>(map: ReadonlyMap<string, Value>): [string, Value][] {
  return [...map].sort(([left], [right]) => compare(left, right));
}

function compare(left: string, right: string): number {
  return left < right ? -1 : left > right ? 1 : 0;
}
