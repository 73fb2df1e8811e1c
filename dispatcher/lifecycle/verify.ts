/** Reads single jobs at GitHub where facts conflict, are missing, or would cost a second runner. */

import { backoffMs } from '../../time/backoff.ts';
import { jitter } from '../../time/clock.ts';
import { MINUTE, SECOND } from '../../time/units.ts';
import { defectFailure, githubFailure } from '../failures/failure.ts';
import { type CallPurpose, GithubError } from '../github/github.ts';
import { type JobRow, type Ledger, type RunnerRow, UnreadableRowError } from '../ledger/ledger.ts';
import { type EngineOptions, lineOfNamed, type Tenant } from './ports.ts';
import type { Resting } from './resting.ts';
import type { RunnerContext } from './runner-context.ts';
import { SharedMemory } from './shared-memory.ts';

/** Of all tenants together. GitHub's own limits are kept credential by credential. */
const AT_ONCE = 256;
/** Of one tenant: at a GitHub that does not answer, each read takes half a minute. */
const AT_ONCE_EACH = 8;
/** Of one tenant. */
const MAX_WAITING = 10_000;
/** Of one tenant: jobs that were not found, and jobs of which a read settled nothing. */
const MAX_REMEMBERED = 10_000;
/** A job that was just read is not read again within this time. */
const FRESH_MS = 5 * SECOND;
const RETRY_FIRST_MS = 2 * SECOND;
const MAX_RETRY_MS = 2 * MINUTE;
/** Jobs read before a container is stopped because nothing names it. */
const MAX_SUSPECTS = 20;
/** Queued jobs of its lane that they are chosen from. */
const MAX_LOOKED_AT = 1000;
/** After a 404 the job is asked for again in this time; the last one repeats. Together they span what a proof needs. */
const ASK_AGAIN_MS = [5 * SECOND, 30 * SECOND, 150 * SECOND] as const;
const PROOF_MISSES = 3;
const PROOF_SPAN_MS = 3 * MINUTE;
/** How often to look for a job of a repository that the credentials cannot see. */
const UNSEEN_REPOSITORY_MS = 5 * MINUTE;

const RUN_ENDED = {
  reasonCode: 'run-completed',
  reason: 'GitHub calls this job queued although its run has completed: no job of a completed run starts',
  cure: 'Nothing needs to be done; run the workflow again where the job is wanted.',
} as const;

interface Misses {
  readonly count: number;
  readonly firstMs: number;
  readonly untilMs: number;
  /** The repository is not visible either: asking again at once is pointless. */
  readonly proven: boolean;
}

/** The jobs of one tenant that are to be read. */
interface Line {
  /** With the registration whose credentials to use, for jobs without a registration. */
  readonly waiting: Map<string, string | null>;
  /** Of those that wait: a launch waits for them. They are read first, and with a launch's share of GitHub's budget. */
  readonly urgent: Set<string>;
  reading: number;
}

export interface VerifierOptions extends Pick<EngineOptions, 'clock' | 'log' | 'random' | 'tenants'> {
  readonly context: RunnerContext;
  readonly ledger: Pick<
    Ledger,
    'dropJob' | 'holdUnseen' | 'job' | 'jobs' | 'putHeldOff' | 'recordFacts' | 'runner' | 'setJobAside'
  >;
  /** Of jobs. */
  readonly resting: Pick<Resting, 'restUnreadable'>;
}

export class Verifier {
  readonly #options: VerifierOptions;
  readonly #context: RunnerContext;
  /** In the order of their turns: however long one tenant's line is, the others have theirs. */
  readonly #lines = new Map<string, Line>();
  readonly #reading = new Map<string, Promise<boolean>>();
  /** Jobs that could not be read, or that are still in doubt afterwards. */
  readonly #failures = new SharedMemory<{ readonly count: number; readonly untilMs: number }>(MAX_REMEMBERED);
  /** Jobs that GitHub answered 404 for, since it last showed them. */
  readonly #misses = new SharedMemory<Misses>(MAX_REMEMBERED);

  constructor(options: VerifierOptions) {
    this.#options = options;
    this.#context = options.context;
  }

  /**
   * Asks for a GET of the job, soon. Asked twice is read once. `registration`: of the job, or of the runner that it is
   * bound to; a job that is not ours has none of its own, and yet its end is the end of our runner.
   */
  ask(jobKey: string, registration: string | null = null, purpose: 'verify' | 'launch' = 'verify'): void {
    if (this.#reading.has(jobKey)) return;
    const name = this.#lineOf(jobKey, registration);
    const line = this.#lines.get(name) ?? { waiting: new Map(), urgent: new Set(), reading: 0 };
    if (line.waiting.size >= MAX_WAITING) return;
    if (this.isResting(jobKey)) return;
    line.waiting.set(jobKey, registration ?? line.waiting.get(jobKey) ?? null);
    if (purpose === 'launch') line.urgent.add(jobKey);
    this.#lines.set(name, line);
    this.#pump();
  }

  /** It could not be read, is in doubt all the same, or GitHub did not know it: asking for it does nothing for now. */
  isResting(jobKey: string): boolean {
    const untilMs = Math.max(this.#failures.get(jobKey)?.untilMs ?? 0, this.#misses.get(jobKey)?.untilMs ?? 0);
    return untilMs > this.#context.now();
  }

  /** Where it is not known whose the job is, its host tells at least who could keep it waiting. */
  #lineOf(jobKey: string, registration: string | null): string {
    if (registration === null) return `host ${jobKey.slice(0, jobKey.indexOf('/'))}`;
    return lineOfNamed(this.#options.tenants, registration);
  }

  /**
   * True when GitHub says of each job that could be running on it that it is not, or has answered 404 for the job and for
   * its repository for as long as that proves something: otherwise one job that is out of sight would keep all runners of
   * its lane. What it says is in the ledger then, and reaches the runner through the settling of jobs. False also when a
   * job could not be read, or belongs to a registration that is not in force.
   */
  async confirmSilence(runner: RunnerRow): Promise<boolean> {
    const { ledger } = this.#options;
    const unreadable: string[] = [];
    const filter = { laneKey: runner.laneKey, status: 'queued', limit: MAX_LOOKED_AT } as const;
    const queued = await ledger.jobs(filter, ({ key }) => void unreadable.push(key));
    // What only another registration's webhook tells of comes last: made-up jobs must not crowd out the real one.
    const vouched = queued.filter(({ statusSource, statusToldBy }) => {
      return statusSource !== 'webhook' || statusToldBy === null || statusToldBy === runner.registration;
    });
    const suspects = new Set([...vouched, ...queued].slice(0, MAX_SUSPECTS).map((job) => job.key));
    if (runner.forJobKey !== null) suspects.add(runner.forJobKey);
    for (const key of unreadable.slice(0, MAX_SUSPECTS)) suspects.add(key);
    for (const key of suspects) if (!(await this.#runsElsewhere(key, runner))) return false;
    return true;
  }

  /** False also if that is not known. */
  async #runsElsewhere(key: string, runner: RunnerRow): Promise<boolean> {
    try {
      if (!(await this.#read(key, runner.registration))) return false;
      const job = await this.#options.ledger.job(key);
      return job === undefined || job.runnerName !== runner.name || job.status === 'completed';
    } catch (error) {
      if (!(error instanceof UnreadableRowError)) throw error;
      return await this.#runsElsewhereAtGithub(key, runner);
    }
  }

  /** Where the job's row cannot be read or written: only GitHub's answer counts, and it is not kept. */
  async #runsElsewhereAtGithub(key: string, runner: RunnerRow): Promise<boolean> {
    const tenant = this.#options.tenants.get(runner.registration);
    const [host, owner, repository, jobId] = key.split('/');
    if (tenant === undefined || owner === undefined || repository === undefined || jobId === undefined) return false;
    // Another host's job never runs on it.
    if (host !== tenant.registration.host.toLowerCase()) return true;
    try {
      const fact = await tenant.github.readJob(owner, repository, Number(jobId), 'verify');
      return fact === undefined || fact.runnerName !== runner.name || fact.status === 'completed';
    } catch (error) {
      if (error instanceof GithubError) return false;
      throw error;
    }
  }

  /** Resolves when the reads under way have ended. */
  async whenSettled(): Promise<void> {
    await Promise.allSettled(this.#reading.values());
  }

  /** One of each line in turn. */
  #pump(): void {
    for (let started = true; started; ) {
      started = false;
      for (const [name, line] of [...this.#lines]) {
        if (this.#reading.size >= AT_ONCE || !this.#context.working()) return;
        if (line.waiting.size === 0 && line.reading === 0) this.#lines.delete(name);
        if (line.waiting.size === 0 || line.reading >= AT_ONCE_EACH) continue;
        this.#lines.delete(name);
        this.#lines.set(name, line);
        this.#readNext(line);
        started = true;
      }
    }
  }

  #readNext(line: Line): void {
    const [key = ''] = line.urgent.size > 0 ? line.urgent : line.waiting.keys();
    const registration = line.waiting.get(key) ?? null;
    line.waiting.delete(key);
    const purpose = line.urgent.delete(key) ? 'launch' : 'verify';
    line.reading += 1;
    this.#read(key, registration, purpose)
      .then(() => this.#context.states.well('verify-failed', { job: key }))
      .catch((error: unknown) => this.#recordDefect(key, registration, error))
      .finally(() => {
        line.reading -= 1;
        this.#pump();
      });
  }

  /** Such as a row that cannot be read. Who asked would ask again at once, and for as long as the cause lasts. */
  async #recordDefect(key: string, registration: string | null, error: unknown): Promise<void> {
    if (this.#context.ledgerFailed(error)) return;
    const now = this.#context.now();
    this.#context.states.failed('verify-failed', { job: key }, defectFailure(error, now), { error });
    const pauseMs = this.#postpone({ key, registration });
    await this.#options.ledger.putHeldOff(key, now + pauseMs).catch((failure: unknown) => {
      if (!this.#context.ledgerFailed(failure)) throw failure;
    });
  }

  #read(key: string, registration: string | null, purpose: CallPurpose = 'verify'): Promise<boolean> {
    const running = this.#reading.get(key);
    if (running !== undefined) return running;
    const reading = this.#readOnce(key, registration, purpose).finally(() => this.#reading.delete(key));
    this.#reading.set(key, reading);
    return reading;
  }

  /** Whether what can be known of the job now is in the ledger. */
  async #readOnce(key: string, registration: string | null, purpose: CallPurpose): Promise<boolean> {
    const { ledger, resting, tenants } = this.#options;
    const { states } = this.#context;
    const job = await ledger.job(key);
    if (job === undefined || (job.status === 'completed' && !job.disputed)) return true;
    if (job.verifiedAtMs !== null && !job.disputed && this.#context.now() - job.verifiedAtMs < FRESH_MS) return true;
    const missed = this.#misses.get(key);
    if (missed !== undefined && missed.untilMs > this.#context.now()) return missed.proven;
    const tenant = tenants.get(job.registration ?? registration ?? '');
    if (tenant === undefined) {
      await this.#restUnseen(job, UNSEEN_REPOSITORY_MS);
      return false;
    }
    const about = { registration: tenant.registration.name, repository: `${job.owner}/${job.repository}` };
    try {
      const fact = await tenant.github.readJob(job.owner, job.repository, job.jobId, purpose);
      states.well('job-not-read', about);
      if (fact === undefined) return await this.#recordMiss(job, tenant);
      this.#misses.delete(key);
      // Its run first: as soon as the job counts as read, a second runner may be launched for it.
      const ended = fact.status === 'queued' && job.launches > 0 && (await this.#runHasEnded(job, tenant, purpose));
      if (ended) await ledger.setJobAside(key, RUN_ENDED);
      else await ledger.recordFacts([fact], (row) => resting.restUnreadable('job', row));
      if (await this.#isInDoubt(key)) await this.#askLater(job, registration);
      else this.#failures.delete(key);
      return true;
    } catch (error) {
      if (!(error instanceof GithubError)) throw error;
      states.failed('job-not-read', about, githubFailure(error, this.#context.now()), { job: key });
      await this.#restUnseen(job, this.#postpone(job, error.retryAfterMs));
      return false;
    } finally {
      if (job.laneKey !== null) this.#context.replanLane(job.laneKey);
      this.#context.wake();
    }
  }

  /** What was told of it counts as later than the answer: it came meanwhile. */
  async #isInDoubt(key: string): Promise<boolean> {
    const job = await this.#options.ledger.job(key);
    return job?.disputed === true;
  }

  /** Who waits for the answer would ask again at once, for as long as nothing settles the doubt. */
  async #askLater(job: JobRow, registration: string | null): Promise<void> {
    const pauseMs = this.#postpone(job);
    await this.#restUnseen(job, pauseMs);
    this.#options.clock.after(pauseMs, () => this.ask(job.key, registration));
  }

  /** A run that has completed has no jobs that wait, and yet GitHub may go on calling one of them queued for months. */
  async #runHasEnded(job: JobRow, tenant: Tenant, purpose: CallPurpose): Promise<boolean> {
    const run = await tenant.github.readRun(job.owner, job.repository, job.runId, purpose);
    if (run === undefined || !run.completed || run.attempt < job.runAttempt) return false;
    this.#options.log.info('job-of-ended-run', { job: job.key, registration: job.registration });
    return true;
  }

  /**
   * A 404 may be GitHub's lag or a bad day: the job is asked for again before it is believed, and then its repository,
   * because credentials that lost sight of it get the same answer. Meanwhile it is held, so that nothing waits for it.
   */
  async #recordMiss(job: JobRow, tenant: Tenant): Promise<boolean> {
    const { ledger, log } = this.#options;
    const now = this.#context.now();
    const before = this.#misses.get(job.key);
    const count = (before?.count ?? 0) + 1;
    const firstMs = before?.firstMs ?? now;
    if (count < PROOF_MISSES || now - firstMs < PROOF_SPAN_MS) {
      const pauseMs = ASK_AGAIN_MS[Math.min(count, ASK_AGAIN_MS.length) - 1] ?? MINUTE;
      this.#askAgain(job, { count, firstMs, untilMs: now + pauseMs, proven: false });
      await ledger.holdUnseen(job.key, null, now + pauseMs, now);
      return false;
    }
    const { owner, repository } = job;
    if (await tenant.github.seesRepository(owner, repository)) {
      this.#misses.delete(job.key);
      await ledger.dropJob(job.key, 'GitHub does not know this job any more', now);
      return true;
    }
    const runner = job.runnerName === null ? undefined : await ledger.runner(job.runnerName);
    if (job.status === 'in_progress' && (runner === undefined || runner.state === 'gone')) {
      this.#misses.delete(job.key);
      await ledger.dropJob(job.key, `GitHub shows neither the job nor ${owner}/${repository}`, now);
      return true;
    }
    if (before?.proven !== true) {
      log.warn('repository-not-seen', {
        job: job.key,
        registration: job.registration,
        repository: `${owner}/${repository}`,
      });
    }
    this.#askAgain(job, { count, firstMs, untilMs: now + UNSEEN_REPOSITORY_MS, proven: true });
    await ledger.holdUnseen(
      job.key,
      {
        reasonCode: 'unseen',
        reason: `GitHub answers 404 for the job and for ${owner}/${repository}: the credentials of ${tenant.registration.name} do not see the repository`,
        cure: `Give the App or token access to ${owner}/${repository}; the job is looked for every 5 minutes.`,
      },
      now + UNSEEN_REPOSITORY_MS,
      now,
    );
    return true;
  }

  #askAgain(job: JobRow, misses: Misses): void {
    this.#misses.set(this.#lineOf(job.key, job.registration), job.key, misses);
    this.#options.clock.after(misses.untilMs - this.#context.now(), () => {
      if (this.#misses.has(job.key)) this.ask(job.key, job.registration);
    });
  }

  /** It is due until it was asked for: where that came to nothing, it must not be due again at once. */
  async #restUnseen({ hold, key }: JobRow, pauseMs: number): Promise<void> {
    const now = this.#context.now();
    if (hold === 'unseen') await this.#options.ledger.holdUnseen(key, null, now + pauseMs, now);
  }

  /** Returns for how long. */
  #postpone(job: Pick<JobRow, 'key' | 'registration'>, atLeastMs = 0): number {
    const count = (this.#failures.get(job.key)?.count ?? 0) + 1;
    const ownMs = jitter(backoffMs(RETRY_FIRST_MS, MAX_RETRY_MS, count - 1), this.#options.random);
    const pauseMs = Math.max(atLeastMs, ownMs);
    this.#failures.set(this.#lineOf(job.key, job.registration), job.key, {
      count,
      untilMs: this.#context.now() + pauseMs,
    });
    this.#options.clock.after(pauseMs, () => this.#context.wake());
    return pauseMs;
  }
}
