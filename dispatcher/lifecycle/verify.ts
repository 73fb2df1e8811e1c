/** Reads single jobs at GitHub where facts conflict, are missing, or would cost a second runner. */
import { jitter } from '../clock.ts';
import { failureFields, githubFailure } from '../failure.ts';
import { GithubError } from '../github/github.ts';
import type { JobRow, RunnerRow } from '../ledger/ledger.ts';
import type { Floor } from './floor.ts';

const SECOND = 1000;
const AT_ONCE = 8;
const MOST_WAITING = 10_000;
/** A job that was just read is not read again before this. */
const FRESH_MS = 5 * SECOND;
const RETRY_FIRST_MS = 2 * SECOND;
const RETRY_MOST_MS = 2 * 60 * SECOND;
/** Jobs read before a container is stopped because nothing names it. */
const MOST_SUSPECTS = 20;

export class Verifier {
  readonly #floor: Floor;
  /** With the registration whose credentials to use, for jobs that are nobody's. */
  readonly #waiting = new Map<string, string | null>();
  readonly #reading = new Map<string, Promise<boolean>>();
  readonly #failures = new Map<string, { readonly count: number; readonly untilMs: number }>();

  constructor(floor: Floor) {
    this.#floor = floor;
  }

  /**
   * Asks for a GET of the job, soon. Asked twice is read once. `registration`: of the runner that the job is bound to;
   * a job that is not ours has none of its own, and yet its end is the end of our runner.
   */
  ask(jobKey: string, registration: string | null = null): void {
    if (this.#reading.has(jobKey) || this.#waiting.size >= MOST_WAITING) return;
    const failed = this.#failures.get(jobKey);
    if (failed !== undefined && failed.untilMs > this.#floor.now()) return;
    this.#waiting.set(jobKey, registration ?? this.#waiting.get(jobKey) ?? null);
    this.#pump();
  }

  /**
   * True when GitHub says of each job that could be running on it that it is not. What it says is in the ledger then,
   * and reaches the runner through the settling of jobs; false also when a job could not be read.
   */
  async confirmSilence(runner: RunnerRow): Promise<boolean> {
    const { ledger } = this.#floor.options;
    const queued = await ledger.jobs({ laneKey: runner.laneKey, status: 'queued', limit: MOST_SUSPECTS });
    const suspects = new Set(queued.map((job) => job.key));
    if (runner.forJobKey !== null) suspects.add(runner.forJobKey);
    for (const key of suspects) {
      if (!(await this.#read(key, runner.registration))) return false;
      const job = await ledger.job(key);
      if (job !== undefined && job.runnerName === runner.name && job.status !== 'completed') return false;
    }
    return true;
  }

  /** Resolves when the reads under way have ended. */
  async settled(): Promise<void> {
    await Promise.allSettled(this.#reading.values());
  }

  #pump(): void {
    for (const [key, registration] of this.#waiting) {
      if (this.#reading.size >= AT_ONCE || !this.#floor.working()) return;
      this.#waiting.delete(key);
      this.#read(key, registration).then(
        () => this.#pump(),
        (error: unknown) => {
          this.#floor.options.log.error('verify-failed', { job: key, error });
          this.#pump();
        },
      );
    }
  }

  #read(key: string, registration: string | null): Promise<boolean> {
    const running = this.#reading.get(key);
    if (running !== undefined) return running;
    const reading = this.#readOnce(key, registration).finally(() => this.#reading.delete(key));
    this.#reading.set(key, reading);
    return reading;
  }

  async #readOnce(key: string, registration: string | null): Promise<boolean> {
    const { ledger, tenants, log } = this.#floor.options;
    const job = await ledger.job(key);
    if (job === undefined || (job.status === 'completed' && !job.disputed)) return true;
    if (job.verifiedAtMs !== null && !job.disputed && this.#floor.now() - job.verifiedAtMs < FRESH_MS) return true;
    const tenant = tenants.get(job.registration ?? registration ?? '');
    if (tenant === undefined) return true;
    try {
      const fact = await tenant.github.readJob(job.owner, job.repository, job.jobId);
      if (fact === undefined) await ledger.dropJob(key, 'GitHub does not know this job any more', this.#floor.now());
      else await ledger.recordFacts([fact]);
      this.#failures.delete(key);
      if (job.laneKey !== null) this.#floor.laneChanged(job.laneKey);
      return true;
    } catch (error) {
      if (!(error instanceof GithubError)) throw error;
      const told = failureFields(githubFailure(error, this.#floor.now()));
      log.warn('job-not-read', { job: key, registration: job.registration, ...told });
      this.#postpone(job, error);
      return false;
    } finally {
      this.#floor.wake();
    }
  }

  #postpone(job: JobRow, error: GithubError): void {
    const count = (this.#failures.get(job.key)?.count ?? 0) + 1;
    const backoffMs = Math.min(RETRY_MOST_MS, RETRY_FIRST_MS * 2 ** Math.min(count - 1, 10));
    const pauseMs = Math.max(error.retryAfterMs ?? 0, jitter(backoffMs, this.#floor.options.random));
    if (this.#failures.size >= MOST_WAITING) this.#failures.clear();
    this.#failures.set(job.key, { count, untilMs: this.#floor.now() + pauseMs });
    this.#floor.options.clock.after(pauseMs, () => this.#floor.wake());
  }
}
