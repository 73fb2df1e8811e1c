/** Turns new facts about jobs into admissions and runner events. */

import { eventLoopTurn } from '../../time/clock.ts';
import { SECOND } from '../../time/units.ts';
import { dependsOnFork } from '../admission/fork.ts';
import { dependsOnRun } from '../admission/origin.ts';
import { absenceWords } from '../config/absent.ts';
import { type Failure, placedWords } from '../failures/failure.ts';
import { type AreStrangers, isStrangersWord } from '../jobs/facts.ts';
import type { Admission } from '../jobs/lane.ts';
import type {
  AdmissionState,
  JobPlace,
  JobRow,
  JobSettlement,
  Ledger,
  RunnerRow,
  UnreadableRow,
} from '../ledger/ledger.ts';
import { expiredWords, QUEUE_LIMIT_MS, queuedSince } from '../ledger/queue-age.ts';
import type { Backends } from './backends.ts';
import type { Doubts } from './doubts.ts';
import type { Ghosts } from './ghosts.ts';
import type { JobWord } from './machine/event.ts';
import { OBSERVED_WORDS } from './maintenance.ts';
import type { EngineOptions, LifecycleMetrics } from './ports.ts';
import { reachOf } from './reach.ts';
import { sayRefusedInRunner } from './refused-in-runner.ts';
import type { Resting } from './resting.ts';
import type { RunOrigins } from './run-origins.ts';
import { absenceOf, type RunnerContext } from './runner-context.ts';
import { subjectOf } from './subject.ts';
import { sayTimeLimit } from './time-limit.ts';
import type { Verifier } from './verify.ts';
import type { Visibilities } from './visibility.ts';

/** Jobs settled in a pass: those behind them have theirs at once, and runners are visited in between. */
const JOBS_A_PASS = 500;
/** Admissions in one go: what a tenant's labels and globs cost must not keep others' deliveries waiting. */
const SLICE_MS = 5;
/** Of each registration, looked at after a batch: as many as it may read in a minute. */
const MAX_UNCONFIRMED = 20;

export interface Settler
  extends Pick<EngineOptions, 'admit' | 'areStrangers' | 'dispatcherId' | 'log' | 'setAside' | 'tenants'> {
  readonly context: RunnerContext;
  readonly ledger: Pick<
    Ledger,
    | 'explainJob'
    | 'job'
    | 'nextProbeAt'
    | 'putUnsettledLast'
    | 'runner'
    | 'settleJobs'
    | 'stir'
    | 'timeline'
    | 'unconfirmedJobsOf'
    | 'unsettledJobs'
    | 'unsettleJobsOf'
    | 'unsettleOpenJobs'
  >;
  readonly metrics: Pick<LifecycleMetrics, 'jobAdmitted' | 'queueToStart'>;
  readonly backends: Backends;
  readonly verifier: Verifier;
  readonly doubts: Doubts;
  readonly ghosts: Ghosts;
  readonly visibilities: Visibilities;
  readonly runOrigins: RunOrigins;
  /** Jobs that could not be settled. */
  readonly resting: Resting;
}

interface Settled {
  readonly job: JobRow;
  readonly settlement: JobSettlement;
}

/** Registrations that have changed: what becomes of their waiting jobs is decided anew. */
interface Readmission {
  readonly registrations: ReadonlySet<string>;
  readonly places: 'all' | readonly JobPlace[];
  /** The jobs are unsettled in the ledger: once there is no unsettled one, it is over. */
  marked: boolean;
}

export class SettleLoop {
  readonly #settler: Settler;
  #isCaughtUp = false;
  readonly #readmissions = new Set<Readmission>();

  constructor(settler: Settler) {
    this.#settler = settler;
  }

  /**
   * Whether every job that can be has been settled since the start. Until then a lane may have jobs that the
   * registrations, which may have changed meanwhile, no longer admit to it.
   */
  get isCaughtUp(): boolean {
    return this.#isCaughtUp;
  }

  /** When a job that could not be settled is tried again. */
  get nextMs(): number | undefined {
    const { context, resting } = this.#settler;
    const nextMs = resting.nextMs();
    return nextMs === undefined ? undefined : Math.max(nextMs, context.now() + SECOND);
  }

  /** The jobs of these registrations, and those at these places, are admitted anew. */
  readmit(registrations: readonly string[], places: 'all' | readonly JobPlace[]): void {
    this.#readmissions.add({ registrations: new Set(registrations), places, marked: false });
  }

  isReadmitting(registration: string): boolean {
    for (const { registrations } of this.#readmissions) if (registrations.has(registration)) return true;
    return false;
  }

  /** Settles as many jobs as a pass may; where there are more, the next pass follows at once. */
  async run(): Promise<void> {
    const { context } = this.#settler;
    const marked = await this.#markForReadmission();
    for (let taken = 0; taken < JOBS_A_PASS; ) {
      if (!context.working()) return;
      const some = await this.#settleSome();
      taken += some;
      if (some > 0) continue;
      this.#isCaughtUp = true;
      for (const one of marked) this.#readmissions.delete(one);
      return;
    }
    context.wake();
  }

  /** Where the ledger fails, the next pass tries again. */
  async #markForReadmission(): Promise<readonly Readmission[]> {
    const { context, ledger } = this.#settler;
    const waiting = [...this.#readmissions];
    for (const one of waiting) {
      if (one.marked) continue;
      const sinceMs = context.now() - QUEUE_LIMIT_MS;
      if (one.places === 'all') await ledger.unsettleOpenJobs(sinceMs);
      else await ledger.unsettleJobsOf([...one.registrations], one.places, sinceMs);
      one.marked = true;
    }
    return waiting;
  }

  /** Returns how many were taken up: none where all that are left rest. */
  async #settleSome(): Promise<number> {
    const { context, ledger, resting } = this.#settler;
    const unreadable: UnreadableRow[] = [];
    const unsettled = await ledger.unsettledJobs(JOBS_A_PASS, (row) => void unreadable.push(row));
    const jobs = unsettled.filter(({ key }) => !resting.has(key));
    const broken = unreadable.filter(({ key }) => !resting.has(key));
    for (const row of broken) {
      resting.restUnreadable('job', row);
      await ledger.putUnsettledLast(row.key, context.now());
    }
    if (jobs.length > 0) await this.#settle(jobs);
    const isAll = unsettled.length + unreadable.length < JOBS_A_PASS;
    if (isAll) this.#forgetSettled(new Set([...unsettled, ...unreadable].map(({ key }) => key)));
    return jobs.length + broken.length;
  }

  async #settle(jobs: readonly JobRow[]): Promise<void> {
    const { context, doubts, ledger, resting, verifier } = this.#settler;
    const settled = await this.#write(await this.#decide(jobs));
    for (const { job, settlement } of settled) {
      resting.resume({ kind: 'job', key: job.key });
      if (settlement.admission?.lane) context.replanLane(settlement.admission.lane.key);
      // Whose credentials read it is known once GitHub has said what its admission waits for.
      const isAwaited = settlement.admission === undefined && job.admission === 'pending';
      if (job.disputed && !isAwaited) verifier.ask(job.key, settlement.admission?.registration ?? job.registration);
    }
    // Once they are written: one that is first seen at its end was admitted with them.
    await sayRefused(this.#settler, settled);
    await stirHeld(this.#settler, jobs);
    for (const registration of toldOfByAnother(settled)) {
      // One that cannot be read cannot be confirmed either; settling it says so.
      for (const job of await ledger.unconfirmedJobsOf(registration, MAX_UNCONFIRMED, () => {})) doubts.confirm(job);
    }
  }

  async #decide(jobs: readonly JobRow[]): Promise<readonly Settled[]> {
    const { context } = this.#settler;
    const { bound, failed } = await bindAll(this.#settler, jobs);
    const decided: Settled[] = [];
    let restedAtMs = context.now();
    for (const job of jobs) {
      // A clock that was set back must not end the pauses.
      if (Math.abs(context.now() - restedAtMs) >= SLICE_MS) {
        await eventLoopTurn();
        restedAtMs = context.now();
      }
      if (failed.has(job.key)) continue;
      const registration = job.registration ?? bound.get(job.key)?.registration ?? null;
      try {
        decided.push({ job, settlement: settle(this.#settler, job, registration) });
      } catch (error) {
        failed.set(job.key, { job, error });
      }
    }
    for (const { job, error } of failed.values()) await this.#setAside(job, error);
    return decided;
  }

  /** Together; where that fails, one by one, so that one cannot fail the others. */
  async #write(decided: readonly Settled[]): Promise<readonly Settled[]> {
    const { context, ledger } = this.#settler;
    try {
      await ledger.settleJobs(decided.map(({ settlement }) => settlement));
      return decided;
    } catch (error) {
      if (context.ledgerFailed(error)) throw error;
    }
    const written: Settled[] = [];
    for (const one of decided) {
      try {
        await ledger.settleJobs([one.settlement]);
        written.push(one);
      } catch (error) {
        await this.#setAside(one.job, error);
      }
    }
    return written;
  }

  /** It rests, and the others go on. What closes the ledger is no fault of the job. */
  async #setAside({ key, laneKey, registration }: JobRow, error: unknown): Promise<void> {
    const { context, ledger, resting } = this.#settler;
    if (context.ledgerFailed(error)) throw error;
    resting.rest({ kind: 'job', key, registration }, error);
    await ledger.putUnsettledLast(key, context.now());
    if (laneKey !== null) context.replanLane(laneKey);
  }

  /** What rested and is not unsettled any more was settled elsewhere, or deleted. */
  #forgetSettled(unsettled: ReadonlySet<string>): void {
    const { resting } = this.#settler;
    for (const key of [...resting.keys()]) if (!unsettled.has(key)) resting.resume({ kind: 'job', key });
  }
}

/** Registrations whose lanes the jobs were admitted to by the word of another registration's webhook. */
function toldOfByAnother(settled: readonly Settled[]): ReadonlySet<string> {
  const registrations = new Set<string>();
  for (const { job, settlement } of settled) {
    const admitted = settlement.admission?.registration ?? job.registration;
    const isOthers = job.statusSource === 'webhook' && job.statusToldBy !== null && job.statusToldBy !== admitted;
    if (isOthers && admitted !== null) registrations.add(admitted);
  }
  return registrations;
}

/** For people only: what cannot be read of a runner keeps no job. */
async function sayRefused(
  { context, dispatcherId, ledger, log, tenants }: Settler,
  settled: readonly Settled[],
): Promise<void> {
  const registration = (name: string) => tenants.get(name)?.registration;
  for (const { job } of settled) {
    try {
      await sayRefusedInRunner({ dispatcherId, ledger, registration }, job);
    } catch (error) {
      if (context.ledgerFailed(error)) throw error;
      log.error('refusal-not-told', { job: job.key, error });
    }
  }
}

/** Where a job starts or ends, GitHub may give out one of its run or lane that it held back. */
async function stirHeld({ context, ledger, log }: Settler, jobs: readonly JobRow[]): Promise<void> {
  if ((await ledger.nextProbeAt()) === null) return;
  for (const job of jobs) {
    if (job.status !== 'in_progress' && job.status !== 'completed') continue;
    try {
      // One that cannot be read rests where its own time comes.
      for (const laneKey of await ledger.stir(job.key, context.now(), () => {})) context.replanLane(laneKey);
    } catch (error) {
      if (context.ledgerFailed(error)) throw error;
      // Held jobs try again by themselves, only later.
      log.error('held-jobs-not-stirred', { job: job.key, error });
    }
  }
}

interface Bindings {
  /** By job. */
  readonly bound: ReadonlyMap<string, RunnerRow>;
  readonly failed: Map<string, { readonly job: JobRow; readonly error: unknown }>;
}

/** Our runners that the jobs were assigned to. Concurrently, since each is a write; in order for each runner. */
async function bindAll(settler: Settler, jobs: readonly JobRow[]): Promise<Bindings> {
  const { context, dispatcherId } = settler;
  const byRunner = new Map<string, JobRow[]>();
  for (const job of jobs) {
    if (job.laneKey !== null) context.replanLane(job.laneKey);
    if (job.runnerName === null || !job.runnerName.startsWith(`${dispatcherId}-`)) continue;
    const known = byRunner.get(job.runnerName);
    if (known === undefined) byRunner.set(job.runnerName, [job]);
    else known.push(job);
  }
  const bound = new Map<string, RunnerRow>();
  const failed: Bindings['failed'] = new Map();
  await Promise.all(
    [...byRunner].map(async ([runner, jobsOfRunner]) => {
      for (const job of jobsOfRunner) {
        try {
          const row = await bind(settler, runner, job);
          if (row !== undefined) bound.set(job.key, row);
        } catch (error) {
          failed.set(job.key, { job, error });
        }
      }
    }),
  );
  return { bound, failed };
}

/**
 * `in_progress` and `completed` bind by runner name, before labels are looked at: GitHub hands our runners foreign,
 * refused and other registrations' jobs too, as long as the runner's scope covers their repository. Answers our runner
 * that it came to.
 */
async function bind(settler: Settler, runnerName: string, job: JobRow): Promise<RunnerRow | undefined> {
  const { areStrangers, backends, context, ghosts, ledger, log, metrics, tenants, verifier } = settler;
  if (job.status !== 'in_progress' && job.status !== 'completed') return undefined;
  const before = await ledger.runner(runnerName);
  if (before === undefined) return undefined;
  const reach = reachOf(before, tenants.get(before.registration)?.registration.claim, job);
  if (reach !== 'covered') {
    // At debug level: what any holder of a secret can send must not fill the log.
    log.debug('out-of-reach', { job: job.key, runner: before.name, reach, toldBy: job.statusToldBy });
    return undefined;
  }
  if (before.state === 'gone') {
    // Its end is not awaited by that runner any more, and may have been told of to none: nothing else would read it.
    if (job.status === 'in_progress' && job.statusSource !== 'read') verifier.ask(job.key, before.registration);
    return before;
  }
  const after = await context.tell(runnerName, {
    kind: job.status === 'in_progress' ? 'job-started' : 'job-completed',
    jobKey: job.key,
    word: wordOn(before, job, areStrangers),
    refuted: await refutedBinding(ledger, before, job),
  });
  if (before.jobKey !== null || after?.jobKey !== job.key) return before;
  if (before.failure?.kind === 'time-limit') await sayTimeLimit(ledger, job.key, before);
  await ghosts.recordWork(before);
  if (before.backend !== null) {
    const { candidate, registration, backend, specHash, name } = before;
    await backends.recordOnline({ registration, backend, specHash, runner: name, candidate });
  }
  const queuedAtMs = job.createdAtMs ?? job.firstSeenAtMs;
  const startedAtMs = job.startedAtMs ?? context.now();
  metrics.queueToStart(before.registration, before.backend ?? 'none', Math.max(0, startedAtMs - queuedAtMs));
  return before;
}

function wordOn(runner: RunnerRow, job: JobRow, areStrangers: AreStrangers): JobWord['word'] {
  if (job.statusSource === 'read') return 'read';
  const word = { source: job.statusSource, toldBy: job.statusToldBy };
  return isStrangersWord(runner.registration, word, areStrangers) ? 'stranger' : 'told';
}

/** The job that the runner is bound to, where GitHub, asked for it, named no runner or another one. */
async function refutedBinding(ledger: Pick<Ledger, 'job'>, runner: RunnerRow, named: JobRow): Promise<string | null> {
  if (runner.jobKey === null || runner.jobKey === named.key) return null;
  const bound = await ledger.job(runner.jobKey);
  const isRefuted = bound === undefined || (bound.statusSource === 'read' && bound.runnerName !== runner.name);
  return isRefuted ? runner.jobKey : null;
}

/** `registration`: the one that it was admitted to before, or whose runner it came to. */
function settle(settler: Settler, job: JobRow, registration: string | null): JobSettlement {
  const { admit, backends, context, log, metrics } = settler;
  const settled = { key: job.key, version: job.version };
  const open = job.status !== 'completed';
  if (job.admission === 'expired' || (job.admission !== 'pending' && !open)) return settled;
  const admission = admit(subjectOf(job));
  // A new job waits for GitHub's answer; one that was decided on must not keep what its tenant may have lost.
  const awaits = open && (awaitsVisibility(settler, job, admission) || awaitsRun(settler, job, admission));
  if (awaits && job.admission === 'pending') return settled;
  const served = tooOld(job, absent(settler, registration, admission) ?? decision(admission, backends), context.now());
  const fresh = observedInstead(settler, job, served);
  const { reasonCode, reason, cure } = job;
  const decided =
    reasonCode === 'time-limit' && fresh.reasonCode === null ? { ...fresh, reasonCode, reason, cure } : fresh;
  const changed =
    decided.state !== job.admission ||
    decided.reasonCode !== job.reasonCode ||
    (decided.lane?.key ?? null) !== job.laneKey;
  if (changed) {
    metrics.jobAdmitted(decided.registration, metricOutcome(decided.state), decided.reasonCode);
    log.info('job', {
      job: job.key,
      repository: `${job.owner}/${job.repository}`,
      registration: decided.registration,
      admission: decided.state,
      reason: decided.reason,
    });
  }
  return { ...settled, admission: decided };
}

/** Asks GitHub for what the tenant's grant depends on, where only the tenant has told. False also if GitHub does not answer. */
function awaitsVisibility({ tenants, visibilities }: Settler, job: JobRow, admission: Admission): boolean {
  const taker = takerOf(admission);
  const registration = taker === undefined ? undefined : tenants.get(taker)?.registration;
  if (registration?.grant === undefined || registration.grant.powers.publicRepositories) return false;
  if (job.visibilityProven || job.visibility === 'public') return false;
  if (!registration.backends.some(({ shared }) => shared === true)) return false;
  return visibilities.ask(job, registration) === 'asked';
}

/** Likewise for what started its run, who, and whether its code comes from a fork. */
function awaitsRun({ tenants, runOrigins }: Settler, job: JobRow, admission: Admission): boolean {
  const taker = takerOf(admission);
  const registration = taker === undefined ? undefined : tenants.get(taker)?.registration;
  if (registration === undefined) return false;
  const isOriginUnknown = admission.outcome === 'refused' && admission.code === 'unknown-origin';
  const origin = isOriginUnknown && job.runEvent === null && dependsOnRun(registration);
  // A workflow or branch that is not known yet: the run does not tell, and the next delivery does.
  if (isOriginUnknown && !origin) return false;
  const repository = `${job.owner}/${job.repository}`;
  const fork = job.runHead === null && dependsOnFork(registration, repository, job.visibility ?? undefined);
  return (origin || fork) && runOrigins.ask(job, registration, { origin, fork }) === 'asked';
}

/** The registration that takes the job, or would if it were known to be private. */
function takerOf(admission: Admission): string | undefined {
  switch (admission.outcome) {
    case 'lane':
      return admission.lane.registration;
    case 'refused':
      return admission.code === 'not-granted' ||
        admission.code === 'unknown-visibility' ||
        admission.code === 'unknown-origin' ||
        admission.code === 'unknown-fork' ||
        admission.code === 'no-backend'
        ? admission.registration
        : undefined;
    case 'not-ours':
      return undefined;
  }
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
function absent(
  settler: Pick<Settler, 'setAside' | 'tenants'>,
  registration: string | null,
  { outcome }: Admission,
): Decision | undefined {
  if (outcome !== 'not-ours' || registration === null) return undefined;
  const absence = absenceOf(settler, registration);
  if (absence === undefined) return undefined;
  return {
    state: 'refused',
    registration,
    lane: null,
    reasonCode: `registration-${absence}`,
    ...absenceWords(absence, settler.tenants.has(registration)),
  };
}

/** What a registration that only observes would serve. A job that is on a runner of ours stays in its lane to its end. */
function observedInstead({ dispatcherId, tenants }: Settler, job: JobRow, decided: Decision): Decision {
  if (decided.state !== 'lane' || decided.registration === null) return decided;
  if (tenants.get(decided.registration)?.registration.observe !== true) return decided;
  if (job.runnerName?.startsWith(`${dispatcherId}-`) === true) return decided;
  return {
    ...decided,
    state: 'observed',
    reasonCode: 'observed',
    reason: `${OBSERVED_WORDS}: the job is left to other runners`,
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

function metricOutcome(state: AdmissionState): 'lane' | 'observed' | 'refused' | 'not-ours' {
  return state === 'lane' || state === 'observed' || state === 'refused' ? state : 'not-ours';
}
