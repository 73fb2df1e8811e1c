/** One registration's way to the GitHub in memory: it answers late, wrongly timed, or not at all, as the dice will. */

import type { GithubErrorKind } from '../../../dispatcher/failures/failure.ts';
import {
  type CallPurpose,
  type Github,
  GithubError,
  type GithubRun,
  type GithubRunner,
  type JitRequest,
  type JitRunner,
} from '../../../dispatcher/github/github.ts';
import type { JobFact, Visibility } from '../../../dispatcher/jobs/facts.ts';
import { type GithubScope, scopePath } from '../../../dispatcher/jobs/scope.ts';
import type { Clock } from '../../../time/clock.ts';
import type { Dice } from '../faults.ts';
import type { Stream } from '../random.ts';
import type { History } from '../trace.ts';
import type { GithubWorld } from './github.ts';

/** A time in which every call fails the same way: revoked credentials, an exhausted limit, a bad day of GitHub. */
export interface GithubOutage {
  readonly fromMs: number;
  readonly untilMs: number;
  readonly kind: Extract<GithubErrorKind, 'unauthorized' | 'forbidden' | 'rate-limited' | 'transient'>;
}

export interface GithubPortOptions {
  readonly world: GithubWorld;
  readonly clock: Clock;
  readonly dice: Dice;
  readonly history: History;
  readonly registration: string;
  readonly outages: readonly GithubOutage[];
  /** No poll succeeds now. */
  readonly blind: () => boolean;
  /** What the invariants want to hear of what was asked. */
  readonly asked?: {
    askedInOutage(registration: string): void;
    jobMissing(job: string): void;
    /** A call about this one runner. */
    lookedAt(subject: string): void;
  };
}

/** The client's own limit for a request. */
const TIMEOUT_MS = 30_000;

interface Fate {
  readonly latencyMs: number;
  readonly takesEffect: boolean;
  readonly error: GithubError | undefined;
}

export class GithubPort implements Github {
  readonly #options: GithubPortOptions;
  readonly #luck: Stream;

  constructor(options: GithubPortOptions) {
    this.#options = options;
    this.#luck = options.dice.stream(`github port ${options.registration}`);
  }

  get world(): GithubWorld {
    return this.#options.world;
  }

  createJitRunner(request: JitRequest): Promise<JitRunner> {
    const operation = 'POST generate-jitconfig';
    if (this.#outage() !== undefined) this.#options.asked?.askedInOutage(this.#options.registration);
    return this.#call(operation, [request.name], () => this.#options.world.registerJit(request, operation));
  }

  deleteRunner(scope: GithubScope, runnerId: number): Promise<'deleted' | 'absent' | 'busy'> {
    this.#lookedAt(scope, runnerId);
    return this.#call('DELETE runner', [], () => this.#options.world.delete(scope, runnerId));
  }

  getRunner(scope: GithubScope, runnerId: number, _purpose: CallPurpose): Promise<GithubRunner | undefined> {
    this.#lookedAt(scope, runnerId);
    return this.#call('GET runner', [], () => this.#options.world.runnerById(scope, runnerId));
  }

  findRunner(scope: GithubScope, name: string, _purpose: CallPurpose): Promise<GithubRunner | undefined> {
    this.#lookedAt(scope, name);
    return this.#call('GET runners?name=', [name], () => this.#listed(scope).find((runner) => runner.name === name));
  }

  listRunners(scope: GithubScope, _purpose: CallPurpose): Promise<readonly GithubRunner[]> {
    return this.#call('GET runners', [], () => this.#listed(scope));
  }

  readJob(owner: string, repository: string, jobId: number): Promise<JobFact | undefined> {
    const observedAtMs = this.#options.clock.now();
    return this.#call('GET job', [`job-${jobId}`], (): JobFact | undefined => {
      if (this.#options.dice.hits('jobUnread')) {
        throw new GithubError('transient', 'GET job', 'Bad gateway', { status: 502 });
      }
      const known = this.#options.world.fact(jobId);
      const isThere = known?.owner === owner && known.repository === repository;
      const fact = isThere && !this.#options.dice.hits('job404') ? known : undefined;
      if (fact === undefined) this.#options.asked?.jobMissing(`${owner}/${repository}/${jobId}`);
      return fact === undefined
        ? undefined
        : { ...fact, source: 'read', toldBy: this.#options.registration, observedAtMs };
    });
  }

  readRun(_owner: string, _repository: string, runId: number): Promise<GithubRun | undefined> {
    return this.#call('GET run', [], () => this.#options.world.run(runId));
  }

  seesRepository(owner: string, repository: string): Promise<boolean> {
    return this.#call(`GET ${owner}/${repository}`, [], () => true);
  }

  readVisibility(owner: string, repository: string): Promise<Visibility> {
    return this.#call(`GET ${owner}/${repository}`, [], () => 'private');
  }

  /** The poller's way in: not part of the port, but on the same credentials and through the same weather. */
  pollJobs(covered: (owner: string, repository: string) => boolean): Promise<readonly JobFact[]> {
    const observedAtMs = this.#options.clock.now();
    return this.#call('GET runs and jobs', [], () => {
      if (this.#options.dice.hits('pollFails') || this.#options.blind()) {
        throw new GithubError('transient', 'GET runs and jobs', 'half of the pages failed', { status: 502 });
      }
      const facts = this.#options.world.jobsOfOpenRuns(covered);
      return facts.map(
        (fact): JobFact => ({ ...fact, source: 'poll', toldBy: this.#options.registration, observedAtMs }),
      );
    });
  }

  #listed(scope: GithubScope): readonly GithubRunner[] {
    const runners = this.#options.world.runnersIn(scope);
    return runners.filter(() => !this.#options.dice.hits('githubListGap'));
  }

  #lookedAt(scope: GithubScope, runner: number | string): void {
    this.#options.asked?.lookedAt(`${scopePath(scope)} runner ${runner}`);
  }

  #outage(): GithubOutage | undefined {
    const { clock, outages } = this.#options;
    return outages.find(({ fromMs, untilMs }) => fromMs <= clock.now() && clock.now() < untilMs);
  }

  #fate(operation: string): Fate {
    const { clock, dice } = this.#options;
    const latencyMs = dice.hits('githubSlow') ? this.#luck.between(3_000, 25_000) : this.#luck.between(30, 600);
    const failure = (kind: GithubErrorKind, message: string, status: number, retryAfterMs?: number): GithubError =>
      new GithubError(kind, operation, message, {
        status,
        requestId: `${clock.now()}`,
        ...(retryAfterMs === undefined ? {} : { retryAfterMs }),
      });
    const outage = this.#outage();
    if (outage !== undefined) {
      switch (outage.kind) {
        case 'unauthorized':
          return { latencyMs, takesEffect: false, error: failure('unauthorized', 'Bad credentials', 401) };
        case 'forbidden':
          return { latencyMs, takesEffect: false, error: failure('forbidden', 'Resource not accessible', 403) };
        case 'rate-limited': {
          const error = failure('rate-limited', 'API rate limit exceeded', 403, outage.untilMs - clock.now());
          return { latencyMs, takesEffect: false, error };
        }
        case 'transient':
          return { latencyMs, takesEffect: false, error: failure('transient', 'We are having a problem', 503) };
      }
    }
    if (dice.hits('githubRateLimited')) {
      const error = failure('rate-limited', 'secondary rate limit', 429, this.#luck.whole(1, 60) * 1000);
      return { latencyMs, takesEffect: false, error };
    }
    if (dice.hits('github5xx')) {
      return { latencyMs, takesEffect: false, error: failure('transient', 'Bad gateway', 502) };
    }
    const timeout = new GithubError('transient', operation, 'no answer within 30 s');
    if (dice.hits('githubTimeoutBefore')) return { latencyMs: TIMEOUT_MS, takesEffect: false, error: timeout };
    if (dice.hits('githubTimeoutAfter')) return { latencyMs: TIMEOUT_MS, takesEffect: true, error: timeout };
    return { latencyMs, takesEffect: true, error: undefined };
  }

  /** The request arrives halfway through its time; what it does there stays, whatever becomes of the caller. */
  #call<T>(operation: string, subjects: readonly string[], effect: () => T): Promise<T> {
    const { clock, history, registration } = this.#options;
    const fate = this.#fate(operation);
    return new Promise((resolve, reject) => {
      const arrivesAfterMs = Math.min(fate.latencyMs / 2, 10_000);
      clock.after(arrivesAfterMs, () => {
        let answer: { readonly value: T } | { readonly error: unknown } = { error: fate.error };
        if (fate.takesEffect) {
          try {
            const value = effect();
            if (fate.error === undefined) answer = { value };
          } catch (error) {
            if (fate.error === undefined) answer = { error };
          }
        }
        clock.after(fate.latencyMs - arrivesAfterMs, () => {
          if ('value' in answer) {
            resolve(answer.value);
            return;
          }
          const words = answer.error instanceof Error ? answer.error.message : 'failed';
          history.record('github', [registration, ...subjects], words);
          reject(answer.error);
        });
      });
    });
  }
}
