/**
 * How a fact changes a job. Pure, and the only place that knows.
 *
 * Webhooks come late, duplicated and out of order, without a sequence number; polls and GETs are sent at a known time.
 * So a webhook only moves a status forwards (queued, in progress, completed), a poll may raise a doubt, and a GET sent
 * after the current status was observed decides, backwards too: GitHub requeues a job whose runner vanished.
 *
 * A job admitted to one tenant's registration cannot be ended, started or exposed by another tenant, although both
 * may report on its repository (two tenants of one organization). Such a report raises a doubt, which a GET settles.
 */
import {
  type AreStrangers,
  isStrangersWord,
  isTenantsWord,
  type JobFact,
  type JobStatus,
  jobKey,
  neverStrangers,
  PLATFORM,
  shareOf,
} from '../jobs/facts.ts';
import type { JobRow } from './ledger.ts';

export interface Merged {
  readonly row: JobRow;
  /** False: the fact was not news, and the version stays. */
  readonly changed: boolean;
}

export function mergeFact(row: JobRow | undefined, fact: JobFact, areStrangers: AreStrangers = neverStrangers): Merged {
  if (row === undefined) return { row: firstRow(fact, areStrangers), changed: true };
  const told: JobRow = { ...row, ...changes(row, fact, areStrangers) };
  const moved = row.admission === 'expired' && told.status !== row.status ? { ...told, ...UNDECIDED } : told;
  const merged = row.hold === null ? moved : heldAfter(moved, fact);
  if (same(row, merged)) return { row, changed: false };
  return { row: { ...merged, version: row.version + 1 }, changed: true };
}

export const NOT_HELD = { hold: null, heldSinceMs: null, heldUntilMs: null, probing: false } as const;

/** A job that was given up, but changes after all, is evaluated anew. */
const UNDECIDED = { admission: 'pending', reasonCode: null, reason: null, cure: null } as const;

/** A job that GitHub assigned, ended, or shows again is no longer held. */
function heldAfter(row: JobRow, fact: JobFact): JobRow {
  if (row.status === 'in_progress' || row.status === 'completed') return { ...row, ...NOT_HELD };
  if (row.hold !== 'unseen' || fact.source === 'webhook') return row;
  const words = row.reasonCode === 'unseen' ? { reasonCode: null, reason: null, cure: null } : {};
  return { ...row, ...NOT_HELD, ...words };
}

/** An untrusted source can raise one doubt per job in this time, which costs its registration one GET. */
const STRANGERS_DOUBT_MS = 10 * 60_000;

function changes(row: JobRow, fact: JobFact, areStrangers: AreStrangers): Partial<JobRow> {
  if (isStrangersWord(row.registration, fact, areStrangers)) {
    // If the current status comes from an untrusted source too, there is nothing to doubt.
    return isUnconfirmed(row, areStrangers) ? {} : strangersDoubt(row, fact);
  }
  if (restsOnAnothersWord(row, fact, areStrangers)) return replaced(row, fact, areStrangers);
  return { ...unknownsFilled(row, fact, areStrangers), ...verdict(row, fact), ...rivalsDoubt(row, fact, areStrangers) };
}

/** The job's status comes only from another tenant's webhook. */
export function isUnconfirmed(
  row: Pick<JobRow, 'registration' | 'statusSource' | 'statusToldBy'>,
  areStrangers: AreStrangers,
): boolean {
  return isStrangersWord(row.registration, { source: row.statusSource, toldBy: row.statusToldBy }, areStrangers);
}

/** Everything known so far came from a tenant's webhook, and this is the first fact from an authoritative source. */
function restsOnAnothersWord(row: JobRow, fact: JobFact, areStrangers: AreStrangers): boolean {
  if (isUnconfirmed(row, areStrangers)) return true;
  if (row.registration !== null || row.statusSource !== 'webhook' || row.statusToldBy === null) return false;
  const knows = fact.source !== 'webhook' || fact.toldBy === null;
  return knows && areStrangers(row.statusToldBy, fact.toldBy ?? PLATFORM);
}

/** Labels, names and visibility may be forged as well: the job is recorded as if it were new. */
function replaced(row: JobRow, fact: JobFact, areStrangers: AreStrangers): JobRow {
  const { firstSeenAtMs, launches, lastLaunchAtMs, share, version } = row;
  return { ...firstRow(fact, areStrangers), firstSeenAtMs, launches, lastLaunchAtMs, share, version };
}

function strangersDoubt(row: JobRow, fact: JobFact): Partial<JobRow> {
  const tellsNews = fact.status !== row.status && rank(fact.status) >= rank(row.status);
  if (row.status === 'completed' || row.disputed || !tellsNews) return {};
  const settledLately = row.verifiedAtMs !== null && fact.observedAtMs - row.verifiedAtMs < STRANGERS_DOUBT_MS;
  return settledLately ? {} : { disputed: true };
}

/** Before a job is admitted its owner is unknown: if two registrations' webhooks disagree about it, a GET decides. */
function rivalsDoubt(row: JobRow, fact: JobFact, areStrangers: AreStrangers): Partial<JobRow> {
  if (row.registration !== null || row.statusSource !== 'webhook' || fact.source !== 'webhook') return {};
  const differ = row.status !== fact.status && row.statusToldBy !== fact.toldBy;
  return differ && areStrangers(row.statusToldBy ?? PLATFORM, fact.toldBy ?? PLATFORM) ? { disputed: true } : {};
}

function verified(row: JobRow, fact: JobFact): Partial<JobRow> {
  return fact.source === 'read' ? { verifiedAtMs: Math.max(row.verifiedAtMs ?? 0, fact.observedAtMs) } : {};
}

function rank(status: JobStatus): 0 | 1 | 2 {
  switch (status) {
    case 'queued':
    case 'waiting':
    case 'pending':
    case 'requested':
      return 0;
    case 'in_progress':
      return 1;
    case 'completed':
      return 2;
  }
}

/** The effect of the fact on the status and on the doubt about it. */
function verdict(row: JobRow, fact: JobFact): Partial<JobRow> {
  const sentLater = fact.observedAtMs > row.statusObservedAtMs;
  if (fact.source === 'read') {
    const read = verified(row, fact);
    return sentLater ? { ...read, ...outcome(row, fact), disputed: false } : read;
  }
  const climb = rank(fact.status) - rank(row.status);
  if (climb > 0) return { ...outcome(row, fact), disputed: disputedAfterClimb(row, fact) };
  const askedLater = fact.source === 'poll' && sentLater;
  // A webhook of a lower rank is late. A poll may have seen what a webhook has not reported yet: requeued.
  if (climb < 0) return askedLater ? { disputed: true } : {};
  if (rank(row.status) === 0) {
    if (fact.status === row.status) return askedLater && row.disputed ? { ...outcome(row, fact), disputed: false } : {};
    // Queued and waiting follow one another in both directions, and a webhook does not say which came first.
    return { ...outcome(row, fact), disputed: !askedLater };
  }
  if (agrees(row, fact)) return {};
  // The same status with another runner: requeued and assigned again between two deliveries, in an unknown order.
  return { ...outcome(row, fact), disputed: row.disputed || !askedLater };
}

/**
 * After a GET has set the status, a webhook or poll that moves it on may be older than that GET.
 * A doubt between `queued` and `waiting` is settled by any later stage, unless a GET came before; any doubt is settled
 * by the end of the job on the runner that was known to have it, because a job is assigned to a runner only once.
 */
function disputedAfterClimb(row: JobRow, fact: JobFact): boolean {
  const endsWhereItRan = fact.status === 'completed' && row.status === 'in_progress' && agreesOnRunner(row, fact);
  if (endsWhereItRan) return false;
  // What began after the GET is news. If a clock is off, the next poll raises the doubt.
  const beganLater = fact.startedAtMs !== null && row.verifiedAtMs !== null && fact.startedAtMs > row.verifiedAtMs;
  if (beganLater && rank(row.status) === 0 && !row.disputed) return false;
  if (row.statusSource === 'read') return true;
  if (rank(row.status) === 0 && row.verifiedAtMs === null) return false;
  return row.disputed;
}

function agreesOnRunner(row: JobRow, fact: JobFact): boolean {
  return row.runnerName !== null && row.runnerName === runnerOf(fact).runnerName;
}

/** Everything that belongs to the status changes with it: a requeued job has no runner, a cancelled one never had. */
function outcome(row: JobRow, fact: JobFact): Partial<JobRow> {
  return {
    status: fact.status,
    conclusion: fact.conclusion,
    ...runnerOf(fact),
    startedAtMs: fact.startedAtMs ?? row.startedAtMs,
    completedAtMs: fact.completedAtMs,
    statusSinceMs: fact.status === row.status ? row.statusSinceMs : fact.observedAtMs,
    statusObservedAtMs: fact.observedAtMs,
    statusSource: fact.source,
    statusToldBy: fact.toldBy,
  };
}

function unknownsFilled(row: JobRow, fact: JobFact, areStrangers: AreStrangers): Partial<JobRow> {
  const always = {
    repositoryId: row.repositoryId ?? fact.repositoryId,
    visibility: moreExposed(row.visibility, fact.visibility ?? null),
    visibilityProven: row.visibilityProven || provesVisibility(fact, areStrangers),
    workflowName: row.workflowName ?? fact.workflowName,
    headBranch: row.headBranch ?? fact.headBranch,
    htmlUrl: row.htmlUrl ?? fact.htmlUrl,
    createdAtMs: row.createdAtMs ?? fact.createdAtMs,
  };
  if (fact.status !== row.status || !agrees(row, fact)) return always;
  const runner = runnerOf(fact);
  return {
    ...always,
    conclusion: row.conclusion ?? fact.conclusion,
    runnerId: row.runnerId ?? runner.runnerId,
    runnerName: row.runnerName ?? runner.runnerName,
    runnerGroup: row.runnerGroup ?? runner.runnerGroup,
    startedAtMs: row.startedAtMs ?? fact.startedAtMs,
    completedAtMs: row.completedAtMs ?? fact.completedAtMs,
  };
}

/** A repository that became public meanwhile runs untrusted code: once reported, it stays public until the job ends. */
function moreExposed(known: JobRow['visibility'], told: JobRow['visibility']): JobRow['visibility'] {
  for (const visibility of ['public', 'internal', 'private'] as const) {
    if (known === visibility || told === visibility) return visibility;
  }
  return null;
}

/** A tenant could call its public repository private. */
function provesVisibility(fact: JobFact, areStrangers: AreStrangers): boolean {
  return fact.visibility !== undefined && !isTenantsWord(fact, areStrangers);
}

function agrees(row: JobRow, fact: JobFact): boolean {
  const runner = runnerOf(fact);
  return (
    compatible(row.conclusion, fact.conclusion) &&
    compatible(row.runnerId, runner.runnerId) &&
    compatible(row.runnerName, runner.runnerName)
  );
}

function compatible<T>(known: T | null, told: T | null): boolean {
  return known === null || told === null || known === told;
}

/** GitHub sends `runner_id: 0, runner_name: ""` for a job that never had a runner. */
function runnerOf(fact: JobFact): Pick<JobRow, 'runnerId' | 'runnerName' | 'runnerGroup'> {
  const runnerName = fact.runnerName?.toWellFormed() || null;
  return {
    runnerId: fact.runnerId || null,
    runnerName,
    runnerGroup: runnerName === null ? null : (fact.runnerGroup ?? null),
  };
}

function firstRow(fact: JobFact, areStrangers: AreStrangers): JobRow {
  return {
    key: jobKey(fact),
    host: fact.host,
    jobId: fact.jobId,
    runId: fact.runId,
    runAttempt: fact.runAttempt,
    owner: fact.owner,
    repository: fact.repository,
    repositoryId: fact.repositoryId,
    visibility: fact.visibility ?? null,
    visibilityProven: provesVisibility(fact, areStrangers),
    jobName: fact.jobName,
    workflowName: fact.workflowName,
    headBranch: fact.headBranch,
    // Facts do not have it: see `tellRun`.
    runEvent: null,
    runActor: null,
    runTriggeringActor: null,
    runHead: null,
    headSha: fact.headSha,
    htmlUrl: fact.htmlUrl,
    labels: fact.labels,
    status: fact.status,
    conclusion: fact.conclusion,
    ...runnerOf(fact),
    createdAtMs: fact.createdAtMs,
    startedAtMs: fact.startedAtMs,
    completedAtMs: fact.completedAtMs,
    firstSeenAtMs: fact.observedAtMs,
    statusSinceMs: fact.observedAtMs,
    statusObservedAtMs: fact.observedAtMs,
    statusSource: fact.source,
    statusToldBy: fact.toldBy,
    share: shareOf(fact),
    disputed: false,
    verifiedAtMs: fact.source === 'read' ? fact.observedAtMs : null,
    admission: 'pending',
    registration: null,
    laneKey: null,
    reasonCode: null,
    reason: null,
    cure: null,
    planned: 0,
    launches: 0,
    lastLaunchAtMs: null,
    stolen: 0,
    passedOver: 0,
    passedOverBy: null,
    ...NOT_HELD,
    heldAtRunning: 0,
    version: 1,
  };
}

/** Uses `for … in`, which does not allocate: it runs for each fact on the hot path. */
function same<Row extends object>(left: Row, right: Row): boolean {
  for (const field in left) if (left[field] !== right[field]) return false;
  return true;
}
