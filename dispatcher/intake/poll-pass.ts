/** One poll of all open runs of a registration. */
import { type Clock, jitter, type Random } from '../../time/clock.ts';
import { pause } from '../../time/deadline.ts';
import { mapLimited } from '../../time/workers.ts';
import { aboutOwner, GithubError } from '../github/github.ts';
import { openRunStatuses, type PolledRepository, type PollFailure, type PollSource } from '../github/poll-source.ts';
import type { JobFact } from '../jobs/facts.ts';
import type { PassPlace } from './pass-places.ts';
import type { OpenRuns } from './poll-memory.ts';

export interface PassInput {
  readonly source: PollSource;
  readonly repositories: readonly PolledRepository[];
  /** As left by the last pass. */
  readonly open: OpenRuns;
  readonly record: (facts: readonly JobFact[]) => Promise<void>;
  readonly clock: Clock;
  readonly random: Random;
  readonly signal: AbortSignal;
  /** GitHub, or our own budget for it, asks for a pause. */
  readonly onWait: (untilMs: number) => void;
  readonly place: PassPlace;
}

export interface PassOutcome {
  readonly open: OpenRuns;
  readonly failures: readonly PollFailure[];
  /** Lists truncated by GitHub or by us. */
  readonly cut: readonly string[];
  readonly jobs: number;
  readonly unreadableJobs: number;
  readonly unreadableRuns: number;
  /** Why the pass had to end: credentials refused, GitHub down, ledger failed, stopped. */
  readonly failure: unknown;
}

/** The sweep may use an eighth of GitHub's concurrency; several registrations may share it. */
const REPOSITORIES_AT_ONCE = 4;
/** Owners with separate limits are polled concurrently: one that has to wait does not hold up another. */
const OWNERS_AT_ONCE = 8;
/** A run that left the open lists with unfinished jobs (a concurrency group held it back) is read again this often. */
const READS_AFTER_LEAVING = 3;
/** GitHub is down, not a repository: the rest of the pass would only wait for timeouts. */
const TROUBLES_IN_A_ROW = 8;
/** After this the pass gives up, and the next one starts where this one did. */
const MAX_WAITS_MS = 3_600_000;
/** For one owner among several: the next pass, which polls the others again, does not wait for it. */
const MAX_WAITS_OF_ONE_OWNER_MS = 60_000;

export function repositoryKey(repository: Pick<PolledRepository, 'owner' | 'repository'>): string {
  return `${repository.owner}/${repository.repository}`.toLowerCase();
}

/** Does not reject: what was seen before a failure counts. */
export async function pollPass(input: PassInput): Promise<PassOutcome> {
  const pass = new Pass(input);
  const byOwner = ({ owner }: PolledRepository) => (input.source.ownersApart ? owner.toLowerCase() : '');
  const owners = [...Map.groupBy(input.repositories, byOwner).values()];
  await mapLimited(owners, OWNERS_AT_ONCE, (repositories) =>
    mapLimited(repositories, REPOSITORIES_AT_ONCE, (repository) => pass.look(repository)),
  );
  return pass.outcome();
}

/** Waits as long as GitHub or our budget asks for, so that a large claim takes longer instead of failing. */
export async function patiently<T>(
  input: Pick<PassInput, 'clock' | 'random' | 'signal' | 'onWait' | 'place'> & {
    readonly source: Pick<PollSource, 'ownersApart'>;
  },
  work: () => Promise<T>,
): Promise<T> {
  const startedAtMs = input.clock.now();
  const longestMs = input.source.ownersApart ? MAX_WAITS_OF_ONE_OWNER_MS : MAX_WAITS_MS;
  for (;;) {
    try {
      return await work();
    } catch (error) {
      const waitMs = error instanceof GithubError && error.kind === 'rate-limited' ? error.retryAfterMs : undefined;
      const nowMs = input.clock.now();
      if (waitMs === undefined || nowMs + waitMs - startedAtMs > longestMs) throw error;
      const ms = jitter(Math.max(1_000, waitMs), input.random) + 1_000;
      input.onWait(nowMs + ms);
      await input.place.rest(() => pause(input.clock, ms, input.signal));
    }
  }
}

class Pass {
  readonly #input: PassInput;
  readonly #open: Map<string, ReadonlyMap<number, number>>;
  readonly #failures: PollFailure[] = [];
  /** Owners with refused credentials or exhausted limits: skipped for the rest of this pass. */
  readonly #shut = new Set<string>();
  readonly #cut: string[] = [];
  #troubles = 0;
  #failure: unknown;
  #jobs = 0;
  #unreadableJobs = 0;
  #unreadableRuns = 0;

  constructor(input: PassInput) {
    this.#input = input;
    // A repository that was not polled keeps what is known; one that has left the claim is forgotten.
    const keys = new Set(input.repositories.map(repositoryKey));
    this.#open = new Map([...input.open].filter(([key]) => keys.has(key)));
  }

  outcome(): PassOutcome {
    const nothingLeft =
      this.#shut.size > 0 && this.#input.repositories.every(({ owner }) => this.#shut.has(owner.toLowerCase()));
    if (nothingLeft) this.#failure ??= this.#failures.find(({ error }) => error.owner !== undefined)?.error;
    return {
      open: this.#open,
      failures: nothingLeft ? this.#failures.filter(({ error }) => error.owner === undefined) : this.#failures,
      cut: this.#cut,
      jobs: this.#jobs,
      unreadableJobs: this.#unreadableJobs,
      unreadableRuns: this.#unreadableRuns,
      failure: this.#failure,
    };
  }

  async look(repository: PolledRepository): Promise<void> {
    // Another worker has found that it is pointless.
    if (this.#failure !== undefined || this.#shut.has(repository.owner.toLowerCase())) return;
    try {
      this.#input.signal.throwIfAborted();
      await this.#runsOf(repository);
      this.#troubles = 0;
    } catch (error) {
      const failure = this.#own(repository, error);
      if (failure === undefined) this.#failure ??= error;
      else this.#note(failure);
    }
  }

  /** The failure, if it concerns only that repository or owner; undefined if it concerns all of them. */
  #own({ owner, repository }: PolledRepository, error: unknown): PollFailure | undefined {
    if (!(error instanceof GithubError) || this.#input.signal.aborted) return undefined;
    const about = `${owner}/${repository}`;
    if (error.owner !== undefined) return { about: owner, error };
    switch (error.kind) {
      case 'unauthorized':
      case 'rate-limited':
        return this.#input.source.ownersApart ? { about: owner, error: aboutOwner(error, owner) } : undefined;
      case 'transient':
        // An unknown response format concerns only the repository; no response at all may concern all of them.
        if (error.status === undefined || error.status >= 500) this.#troubles += 1;
        return this.#troubles < TROUBLES_IN_A_ROW ? { about, error } : undefined;
      case 'forbidden':
      case 'not-found':
      case 'conflict':
      case 'invalid':
        return { about, error };
    }
  }

  #note(failure: PollFailure): void {
    if (failure.error.owner !== undefined) {
      const key = failure.about.toLowerCase();
      if (this.#shut.has(key)) return;
      this.#shut.add(key);
    }
    this.#failures.push(failure);
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
      this.#unreadableRuns += runs.unreadable;
    }
    if (!complete) this.#cut.push(`${key}: more than 1,000 open runs`);

    // Remembered before their jobs are read: a failure along the way must not lose the others.
    const open = new Map(known);
    for (const runId of listed) open.set(runId, 0);
    this.#open.set(key, open);
    for (const runId of listed) await this.#jobsOf(repository, runId);
    for (const [runId, reads] of known) {
      // A run missing from a truncated list may still be open: it is read as if it were listed.
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
