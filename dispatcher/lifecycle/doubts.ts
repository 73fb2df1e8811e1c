/**
 * Reads jobs at GitHub when an untrusted source reports something surprising. Always uses the credential of the
 * registration concerned, and never so often that false reports could use up that registration's share of GitHub.
 */

import { backoffMs } from '../../time/backoff.ts';
import { MINUTE, SECOND } from '../../time/units.ts';
import { githubFailure } from '../failures/failure.ts';
import { GithubError } from '../github/github.ts';
import type { JobRow, Ledger, RunnerRow } from '../ledger/ledger.ts';
import { type EngineOptions, lineOfNamed } from './ports.ts';
import type { RunnerContext } from './runner-context.ts';
import { SharedMemory } from './shared-memory.ts';

/** GETs per registration and minute: 1,200 of the 5,000 requests per hour. */
const READS_A_MINUTE = 20;
/** Between two doubts of one runner, or two reads of one job: at first, and after many. */
const PAUSE_FIRST_MS = 15 * SECOND;
const MAX_PAUSE_MS = 10 * MINUTE;
/** Per tenant: at a GitHub that does not answer, each read takes half a minute. */
const AT_ONCE_EACH = 4;
/** Of all together. */
const AT_ONCE = 128;
/** Of one tenant. */
const MAX_WAITING = 500;
/** Of one tenant. */
const MAX_REMEMBERED = 10_000;

interface Task {
  readonly registration: string;
  readonly keys: readonly string[];
  /** The job is known only from an untrusted source: if GitHub does not know it either, it was made up. */
  readonly unconfirmed: boolean;
}

/** The reads requested for one tenant. */
interface Line {
  readonly waiting: Task[];
  reading: number;
}

export interface DoubtsOptions extends Pick<EngineOptions, 'log' | 'tenants'> {
  readonly context: RunnerContext;
  readonly ledger: Pick<Ledger, 'job' | 'recordFacts' | 'settleJobs'>;
}

export class Doubts {
  readonly #options: DoubtsOptions;
  readonly #context: RunnerContext;
  /** In the order of their turns. */
  readonly #lines = new Map<string, Line>();
  readonly #reading = new Set<Promise<void>>();
  /** By runner or job: when it may be read again. */
  readonly #pauses = new SharedMemory<{ readonly count: number; readonly untilMs: number }>(MAX_REMEMBERED);
  /** GETs by registration in the current minute. */
  readonly #spent = new Map<string, { readonly sinceMs: number; count: number }>();

  constructor(options: DoubtsOptions) {
    this.#options = options;
    this.#context = options.context;
  }

  /** The runner's registration reads the jobs, in order. The result reaches the runner when they are settled. */
  ask(runner: Pick<RunnerRow, 'name' | 'registration'>, jobKeys: readonly string[]): void {
    this.#take(runner.name, { registration: runner.registration, keys: jobKeys, unconfirmed: false });
  }

  /** The registration that would serve the job checks whether it exists. */
  confirm(job: Pick<JobRow, 'key' | 'registration'>): void {
    if (job.registration === null) return;
    this.#take(job.key, { registration: job.registration, keys: [job.key], unconfirmed: true });
  }

  /** Resolves when the reads in flight have ended. */
  async whenSettled(): Promise<void> {
    this.#lines.clear();
    await Promise.allSettled(this.#reading);
  }

  #take(about: string, task: Task): void {
    const now = this.#context.now();
    const pause = this.#pauses.get(about);
    if (pause !== undefined && pause.untilMs > now) return;
    const name = lineOfNamed(this.#options.tenants, task.registration);
    const line = this.#lines.get(name) ?? { waiting: [], reading: 0 };
    if (line.waiting.length >= MAX_WAITING || !this.#spend(task, now)) {
      this.#options.log.debug('doubt-postponed', { about, registration: task.registration });
      return;
    }
    const count = (pause?.count ?? 0) + 1;
    const pauseMs = backoffMs(PAUSE_FIRST_MS, MAX_PAUSE_MS, count - 1);
    this.#pauses.set(name, about, { count, untilMs: now + pauseMs });
    line.waiting.push(task);
    this.#lines.set(name, line);
    this.#pump();
  }

  #spend({ registration, keys }: Task, now: number): boolean {
    const before = this.#spent.get(registration);
    const spent = before !== undefined && Math.abs(now - before.sinceMs) < MINUTE ? before : { sinceMs: now, count: 0 };
    this.#spent.set(registration, spent);
    if (spent.count + keys.length > READS_A_MINUTE) return false;
    spent.count += keys.length;
    return true;
  }

  /** One of each line in turn. */
  #pump(): void {
    for (let started = true; started; ) {
      started = false;
      for (const [name, line] of [...this.#lines]) {
        if (this.#reading.size >= AT_ONCE || !this.#context.working()) return;
        if (line.reading >= AT_ONCE_EACH) continue;
        const task = line.waiting.shift();
        if (task !== undefined || line.reading === 0) this.#lines.delete(name);
        if (task === undefined) continue;
        this.#lines.set(name, line);
        this.#start(line, task);
        started = true;
      }
    }
  }

  #start(line: Line, task: Task): void {
    line.reading += 1;
    const reading = this.#read(task)
      .catch((error: unknown) => this.#options.log.error('doubt-broken', { jobs: task.keys, error }))
      .finally(() => {
        line.reading -= 1;
        this.#reading.delete(reading);
        this.#pump();
      });
    this.#reading.add(reading);
  }

  async #read({ registration, keys, unconfirmed }: Task): Promise<void> {
    const { states } = this.#context;
    const { ledger, tenants } = this.#options;
    const tenant = tenants.get(registration);
    if (tenant === undefined) return;
    for (const key of keys) {
      const job = await ledger.job(key);
      if (job === undefined || job.host !== tenant.registration.host.toLowerCase()) continue;
      const about = { registration, repository: `${job.owner}/${job.repository}` };
      try {
        const fact = await tenant.github.readJob(job.owner, job.repository, job.jobId);
        states.well('job-not-read', about);
        if (fact !== undefined) await ledger.recordFacts([fact]);
        else if (unconfirmed) await ledger.settleJobs([madeUp(job)]);
      } catch (error) {
        if (!(error instanceof GithubError)) throw error;
        states.failed('job-not-read', about, githubFailure(error, this.#context.now()), { job: key });
        break;
      }
    }
    this.#context.wake();
  }
}

/** It keeps its registration: should it exist after all, the first authoritative fact has it admitted again. */
function madeUp({ key, version, registration }: JobRow) {
  return {
    key,
    version,
    admission: {
      state: 'not-ours',
      registration,
      lane: null,
      reasonCode: 'unconfirmed',
      reason: 'only the webhook of another tenant tells of it, and GitHub does not know it',
      cure: null,
    },
  } as const;
}
