/** One look at all open runs of a registration. */
import { type Clock, jitter, type Random } from '../clock.ts';
import { pause } from '../github/deadline.ts';
import { GithubError } from '../github/github.ts';
import { openRunStatuses, type PolledRepository, type PollSource } from '../github/poll-source.ts';
import type { JobFact } from '../ledger/facts.ts';
import type { OpenRuns } from './poll-memory.ts';

export interface PassInput {
  readonly source: PollSource;
  readonly repositories: readonly PolledRepository[];
  /** As the last pass left them. */
  readonly open: OpenRuns;
  readonly record: (facts: readonly JobFact[]) => Promise<void>;
  readonly clock: Clock;
  readonly random: Random;
  readonly signal: AbortSignal;
  /** GitHub, or our own budget for it, wants a rest. */
  readonly onWait: (untilMs: number) => void;
}

export interface PassOutcome {
  readonly open: OpenRuns;
  readonly failures: readonly { readonly repository: string; readonly error: GithubError }[];
  /** Lists that GitHub or we have cut short. */
  readonly cut: readonly string[];
  readonly jobs: number;
  readonly unreadableJobs: number;
  /** Why nothing more could come of it: credentials refused, GitHub down, ledger failed, stopped. */
  readonly failure: unknown;
}

/** The sweep has an eighth of GitHub's concurrency; several registrations may share it. */
const REPOSITORIES_AT_ONCE = 4;
/** A run that left the open lists with unfinished jobs (a concurrency group held it back) is read again so often. */
const READS_AFTER_LEAVING = 3;
/** GitHub is down, not a repository: the rest of the pass would only wait for timeouts. */
const TROUBLES_IN_A_ROW = 8;
/** Then the pass gives up, and the next one begins where this one did. */
const LONGEST_WAITS_MS = 3_600_000;

export function repositoryKey(repository: Pick<PolledRepository, 'owner' | 'repository'>): string {
  return `${repository.owner}/${repository.repository}`.toLowerCase();
}

/** Does not reject: what was seen until a failure counts. */
export async function pollPass(input: PassInput): Promise<PassOutcome> {
  const pass = new Pass(input);
  const queue = input.repositories.values();
  // Each takes the next repository when it has finished one.
  const workers = Array.from({ length: REPOSITORIES_AT_ONCE }, async () => {
    for (const repository of queue) await pass.look(repository);
  });
  await Promise.all(workers);
  return pass.outcome();
}

/** Waits out what GitHub or our budget asks for, so that a large claim takes longer instead of failing. */
export async function patiently<T>(
  input: Pick<PassInput, 'clock' | 'random' | 'signal' | 'onWait'>,
  work: () => Promise<T>,
): Promise<T> {
  const startedAtMs = input.clock.now();
  for (;;) {
    try {
      return await work();
    } catch (error) {
      const waitMs = error instanceof GithubError && error.kind === 'rate-limited' ? error.retryAfterMs : undefined;
      const nowMs = input.clock.now();
      if (waitMs === undefined || nowMs + waitMs - startedAtMs > LONGEST_WAITS_MS) throw error;
      const ms = jitter(Math.max(1_000, waitMs), input.random) + 1_000;
      input.onWait(nowMs + ms);
      await pause(input.clock, ms, input.signal);
    }
  }
}

class Pass {
  readonly #input: PassInput;
  readonly #open: Map<string, ReadonlyMap<number, number>>;
  readonly #failures: PassOutcome['failures'][number][] = [];
  readonly #cut: string[] = [];
  #troubles = 0;
  #failure: unknown;
  #jobs = 0;
  #unreadableJobs = 0;

  constructor(input: PassInput) {
    this.#input = input;
    // A repository that was not looked at keeps what is known; one that has left the claim is forgotten.
    const keys = new Set(input.repositories.map(repositoryKey));
    this.#open = new Map([...input.open].filter(([key]) => keys.has(key)));
  }

  outcome(): PassOutcome {
    return {
      open: this.#open,
      failures: this.#failures,
      cut: this.#cut,
      jobs: this.#jobs,
      unreadableJobs: this.#unreadableJobs,
      failure: this.#failure,
    };
  }

  async look(repository: PolledRepository): Promise<void> {
    // Another worker has found out that it is no use.
    if (this.#failure !== undefined) return;
    try {
      this.#input.signal.throwIfAborted();
      await this.#runsOf(repository);
      this.#troubles = 0;
    } catch (error) {
      if (error instanceof GithubError && this.#belongsTo(error)) {
        this.#failures.push({ repository: `${repository.owner}/${repository.repository}`, error });
        return;
      }
      this.#failure ??= error;
    }
  }

  /** Whether the failure is that repository's own affair. */
  #belongsTo(error: GithubError): boolean {
    if (this.#input.signal.aborted) return false;
    switch (error.kind) {
      case 'unauthorized':
      case 'rate-limited':
        return false;
      case 'transient':
        this.#troubles += 1;
        return this.#troubles < TROUBLES_IN_A_ROW;
      case 'forbidden':
      case 'not-found':
      case 'conflict':
      case 'invalid':
        return true;
    }
  }

  async #runsOf(repository: PolledRepository): Promise<void> {
    const { source, signal } = this.#input;
    const key = repositoryKey(repository);
    const known = this.#open.get(key) ?? new Map<number, number>();
    const listed = new Set<number>();
    let complete = true;
    for (const status of openRunStatuses) {
      const runs = await patiently(this.#input, () => source.listRuns(repository, status, signal));
      for (const runId of runs.runIds) listed.add(runId);
      complete &&= runs.complete;
    }
    if (!complete) this.#cut.push(`${key}: more than 1,000 open runs`);

    // Remembered before their jobs are read: a failure on the way must not lose the others.
    const open = new Map(known);
    for (const runId of listed) open.set(runId, 0);
    this.#open.set(key, open);
    for (const runId of listed) await this.#jobsOf(repository, runId);
    for (const [runId, reads] of known) {
      // Of a list that was cut nothing has left for certain: those are read as if they were still in it.
      if (listed.has(runId)) continue;
      const unfinished = await this.#jobsOf(repository, runId);
      if (unfinished && reads + 1 < READS_AFTER_LEAVING) open.set(runId, reads + 1);
      else open.delete(runId);
    }
  }

  /** True while it has jobs that are not completed. */
  async #jobsOf(repository: PolledRepository, runId: number): Promise<boolean> {
    const { source, signal } = this.#input;
    const jobs = await patiently(this.#input, () => source.listJobs(repository, runId, signal));
    if (jobs === undefined) return false;
    this.#jobs += jobs.facts.length;
    this.#unreadableJobs += jobs.unreadable;
    if (!jobs.complete) this.#cut.push(`${repositoryKey(repository)}: more jobs in run ${runId} than are read`);
    if (jobs.facts.length > 0) await this.#input.record(jobs.facts);
    return jobs.facts.some((fact) => fact.status !== 'completed');
  }
}
