/** Turns new facts about jobs into admissions and runner events. */

import { eventLoopTurn } from '../../time/clock.ts';
import { absenceWords } from '../config/absent.ts';
import { type Failure, placedWords } from '../failures/failure.ts';
import type { Admission } from '../jobs/lane.ts';
import type { AdmissionState, JobRow, JobSettlement, RunnerRow } from '../ledger/ledger.ts';
import { expiredWords, QUEUE_LIMIT_MS, queuedSince } from '../ledger/queue-age.ts';
import type { Backends } from './backends.ts';
import type { Doubts } from './doubts.ts';
import type { Ghosts } from './ghosts.ts';
import type { JobWord } from './machine.ts';
import { reachOf } from './reach.ts';
import { absenceOf, type RunnerContext } from './runner-context.ts';
import { sayTimeLimit } from './time-limit.ts';
import type { Verifier } from './verify.ts';

const BATCH = 500;
/** Admissions in one go: what a tenant's labels and globs cost must not keep others' deliveries waiting. */
const SLICE_MS = 5;
/** Of each registration, looked at after a batch: as many as it may read in a minute. */
const MAX_UNCONFIRMED = 20;

export interface Settler {
  readonly context: RunnerContext;
  readonly backends: Backends;
  readonly verifier: Verifier;
  readonly doubts: Doubts;
  readonly ghosts: Ghosts;
}

/** Settles until nothing is left unsettled, or the engine stops. */
export async function settleJobs(settler: Settler): Promise<void> {
  const { backends, doubts, context, verifier } = settler;
  const { ledger } = context.options;
  while (context.working()) {
    const jobs = await ledger.unsettledJobs(BATCH);
    if (jobs.length === 0) return;
    const bound = await bindAll(settler, jobs);
    const settlements: JobSettlement[] = [];
    let restedAtMs = context.now();
    for (const job of jobs) {
      // A clock that was set back must not end the pauses.
      if (Math.abs(context.now() - restedAtMs) >= SLICE_MS) {
        await eventLoopTurn();
        restedAtMs = context.now();
      }
      const registration = job.registration ?? bound.get(job.key)?.registration ?? null;
      settlements.push(settle(context, backends, job, registration));
    }
    await ledger.settleJobs(settlements);
    await stirHeld(context, jobs);
    for (const [index, job] of jobs.entries()) {
      if (job.disputed) verifier.ask(job.key, settlements[index]?.admission?.registration ?? job.registration);
    }
    for (const registration of toldOfByAnother(jobs, settlements)) {
      for (const job of await ledger.unconfirmedJobsOf(registration, MAX_UNCONFIRMED)) doubts.confirm(job);
    }
    for (const { admission } of settlements) if (admission?.lane) context.laneChanged(admission.lane.key);
  }
}

/** Registrations whose lanes the jobs were admitted to by the word of another registration's webhook. */
function toldOfByAnother(jobs: readonly JobRow[], settlements: readonly JobSettlement[]): ReadonlySet<string> {
  const registrations = new Set<string>();
  for (const [index, { registration, statusSource, statusToldBy }] of jobs.entries()) {
    const admitted = settlements[index]?.admission?.registration ?? registration;
    const isOthers = statusSource === 'webhook' && statusToldBy !== null && statusToldBy !== admitted;
    if (isOthers && admitted !== null) registrations.add(admitted);
  }
  return registrations;
}

/** Where a job starts or ends, GitHub may give out one of its run or lane that it held back. */
async function stirHeld(context: RunnerContext, jobs: readonly JobRow[]): Promise<void> {
  const { ledger } = context.options;
  if ((await ledger.nextProbeAt()) === null) return;
  for (const job of jobs) {
    if (job.status !== 'in_progress' && job.status !== 'completed') continue;
    for (const laneKey of await ledger.stir(job.key, context.now())) context.laneChanged(laneKey);
  }
}

/** Our runners that the jobs were assigned to. Concurrently, since each is a write; in order for each runner. */
async function bindAll(settler: Settler, jobs: readonly JobRow[]): Promise<ReadonlyMap<string, RunnerRow>> {
  const { context } = settler;
  const byRunner = new Map<string, JobRow[]>();
  for (const job of jobs) {
    if (job.laneKey !== null) context.laneChanged(job.laneKey);
    if (job.runnerName === null || !job.runnerName.startsWith(`${context.options.dispatcherId}-`)) continue;
    const known = byRunner.get(job.runnerName);
    if (known === undefined) byRunner.set(job.runnerName, [job]);
    else known.push(job);
  }
  const bound = new Map<string, RunnerRow>();
  await Promise.all(
    [...byRunner].map(async ([runner, jobsOfRunner]) => {
      for (const job of jobsOfRunner) {
        const row = await bind(settler, runner, job);
        if (row !== undefined) bound.set(job.key, row);
      }
    }),
  );
  return bound;
}

/**
 * `in_progress` and `completed` bind by runner name, before labels are looked at: GitHub hands our runners foreign,
 * refused and other registrations' jobs too, as long as the runner's scope covers their repository. Answers our runner
 * that it came to.
 */
async function bind(
  { backends, context, ghosts }: Settler,
  runnerName: string,
  job: JobRow,
): Promise<RunnerRow | undefined> {
  const { ledger, log, metrics, tenants } = context.options;
  if (job.status !== 'in_progress' && job.status !== 'completed') return undefined;
  const before = await ledger.runner(runnerName);
  if (before === undefined) return undefined;
  const reach = reachOf(before, tenants.get(before.registration)?.registration.claim, job);
  if (reach !== 'covered') {
    // At debug level: what any holder of a secret can send must not fill the log.
    log.debug('out-of-reach', { job: job.key, runner: before.name, reach, toldBy: job.statusToldBy });
    return undefined;
  }
  const after = await context.tell(runnerName, {
    kind: job.status === 'in_progress' ? 'job-started' : 'job-completed',
    jobKey: job.key,
    word: wordOn(before, job),
    refuted: await refutedBinding(context, before, job),
  });
  if (before.jobKey !== null || after?.jobKey !== job.key) return before;
  if (before.failure?.kind === 'time-limit') await sayTimeLimit(context, job.key, before);
  await ghosts.worked(before);
  if (before.backend !== null) {
    const { registration, backend, specHash, name } = before;
    await backends.cameOnline({ registration, backend, specHash, runner: name });
  }
  const queuedAtMs = job.createdAtMs ?? job.firstSeenAtMs;
  const startedAtMs = job.startedAtMs ?? context.now();
  metrics.queueToStart(before.registration, before.backend ?? 'none', Math.max(0, startedAtMs - queuedAtMs));
  return before;
}

function wordOn(runner: RunnerRow, { statusSource, statusToldBy }: JobRow): JobWord['word'] {
  if (statusSource === 'read') return 'read';
  const own = statusToldBy === null || statusToldBy === runner.registration;
  return statusSource === 'webhook' && !own ? 'stranger' : 'told';
}

/** The job that the runner is bound to, where GitHub, asked for it, named no runner or another one. */
async function refutedBinding(context: RunnerContext, runner: RunnerRow, named: JobRow): Promise<string | null> {
  if (runner.jobKey === null || runner.jobKey === named.key) return null;
  const bound = await context.options.ledger.job(runner.jobKey);
  const isRefuted = bound === undefined || (bound.statusSource === 'read' && bound.runnerName !== runner.name);
  return isRefuted ? runner.jobKey : null;
}

/** `registration`: the one that it was admitted to before, or whose runner it came to. */
function settle(context: RunnerContext, backends: Backends, job: JobRow, registration: string | null): JobSettlement {
  const settled = { key: job.key, version: job.version };
  const open = job.status !== 'completed';
  if (job.admission === 'expired' || (job.admission !== 'pending' && !open)) return settled;
  const admission = context.options.admit({
    host: job.host,
    owner: job.owner,
    repository: job.repository,
    labels: job.labels,
    visibility: job.visibility ?? undefined,
  });
  const fresh = tooOld(job, absent(context, registration, admission) ?? decision(admission, backends), context.now());
  const { reasonCode, reason, cure } = job;
  const decided =
    reasonCode === 'time-limit' && fresh.reasonCode === null ? { ...fresh, reasonCode, reason, cure } : fresh;
  const changed =
    decided.state !== job.admission ||
    decided.reasonCode !== job.reasonCode ||
    (decided.lane?.key ?? null) !== job.laneKey;
  if (changed) {
    context.options.metrics.jobAdmitted(decided.registration, metricOutcome(decided.state), decided.reasonCode);
    context.options.log.info('job', {
      job: job.key,
      repository: `${job.owner}/${job.repository}`,
      registration: decided.registration,
      admission: decided.state,
      reason: decided.reason,
    });
  }
  return { ...settled, admission: decided };
}

type Decision = NonNullable<JobSettlement['admission']>;

function decision(admission: Admission, backends: Backends): Decision {
  switch (admission.outcome) {
    case 'lane': {
      const { lane } = admission;
      const refusals = backends.refusal(lane);
      // One that is due to be tried again takes the job: it may be the launch that heals it.
      if (refusals !== undefined && backends.usable(lane).open.length === 0)
        return refusedByBackends(lane.registration, refusals);
      return { state: 'lane', registration: lane.registration, lane, reasonCode: null, reason: null, cure: null };
    }
    case 'refused': {
      const { registration, code, reason, cure } = admission;
      return { state: 'refused', registration, lane: null, reasonCode: code, reason, cure };
    }
    case 'not-ours':
      return {
        state: 'not-ours',
        registration: null,
        lane: null,
        reasonCode: null,
        reason: admission.reason,
        cure: null,
      };
  }
}

/** A job that belonged to a registration which is not in force now is still that one's, where no other takes it. */
function absent(context: RunnerContext, registration: string | null, { outcome }: Admission): Decision | undefined {
  if (outcome !== 'not-ours' || registration === null) return undefined;
  const absence = absenceOf(context, registration);
  if (absence === undefined) return undefined;
  return {
    state: 'refused',
    registration,
    lane: null,
    reasonCode: `registration-${absence}`,
    ...absenceWords(absence),
  };
}

export const BACKEND_REFUSED = 'backend-refused';

export function refusedByBackends(registration: string, refusals: readonly Failure[]): Decision {
  return {
    state: 'refused',
    registration,
    lane: null,
    reasonCode: BACKEND_REFUSED,
    reason: `no backend accepts this image or shape: ${refusals.map(placedWords).join('; ')}`,
    cure: refusals.every(({ kind }) => kind === 'unfit')
      ? 'Correct the image or shape in the job or the registration.'
      : `Correct the image or shape in the job or the registration. It is tried again every 15 minutes, and at once after \`shr backends reset ${registration}\`.`,
  };
}

/** Whenever we first saw it: GitHub gives a job up after a day, and may go on calling it queued for months. */
function tooOld(job: JobRow, decided: Decision, nowMs: number): Decision {
  const queuedSinceMs = queuedSince(job);
  if (decided.state !== 'lane' || job.status !== 'queued' || nowMs - queuedSinceMs < QUEUE_LIMIT_MS) return decided;
  return { ...decided, ...expiredWords(queuedSinceMs), state: 'expired', lane: null };
}

function metricOutcome(state: AdmissionState): 'lane' | 'refused' | 'not-ours' {
  return state === 'lane' || state === 'refused' ? state : 'not-ours';
}
