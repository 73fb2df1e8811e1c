/** What can happen to a runner, and what the machine answers. */
import type { Failure } from '../../failures/failure.ts';
import type { RunnerRow, RunnerStep } from '../../ledger/ledger.ts';

export type RunnerEvent =
  /** The JIT configuration exists if it needs one, and the provider is about to be called: from here on an instance may exist. */
  | {
      readonly kind: 'calling';
      readonly backend: string;
      /** Null: it is launched ahead of its job, and has no registration. */
      readonly runnerId: number | null;
      readonly instanceDeadlineAtMs: number;
      /** Of the token for its call-backs; absent: it makes none. */
      readonly callbackHash?: string;
      /** The image, where it is the registration's candidate and not its lane's. */
      readonly candidate?: string;
    }
  /** A backend refused definitely; another one may follow. */
  | { readonly kind: 'backend-refused'; readonly backend: string; readonly failure: Failure }
  /** The provider accepted the launch. */
  | { readonly kind: 'accepted'; readonly backend: string; readonly instanceId: string }
  /** Every backend refused definitely: nothing was created. */
  | { readonly kind: 'launch-refused'; readonly failure: Failure }
  /** The launch was given up, but an instance may exist. */
  | { readonly kind: 'launch-abandoned'; readonly failure: Failure }
  | {
      readonly kind: 'instance';
      readonly state: 'pending' | 'running' | 'ended' | 'unknown';
      readonly backend: string;
      readonly instanceId: string;
      /** Of one that has ended: why. */
      readonly ended?: Failure;
      /** Of one that has not ended: why it does not start, or what happened to it. */
      readonly failure?: Failure;
    }
  /** The provider said that the instance does not exist. One such answer does not prove it. */
  | { readonly kind: 'instance-missing' }
  | { readonly kind: 'github'; readonly runnerId: number; readonly online: boolean; readonly busy: boolean }
  | { readonly kind: 'github-missing' }
  | ({ readonly kind: 'job-started' } & JobWord)
  | ({ readonly kind: 'job-completed' } & JobWord)
  /** `unheard`: why GitHub, asked about the runner, did not answer. */
  | { readonly kind: 'deadline'; readonly unheard?: Failure }
  /** A job has waited beside it for longer than runners may wait for theirs: GitHub does not give it this one. */
  | { readonly kind: 'overlooked' }
  /** Its container, launched ahead of its job, asks for a JIT configuration. It may wait for one until then. */
  | { readonly kind: 'waits'; readonly untilMs: number }
  /** It gets a job: GitHub is about to be asked to register it. */
  | {
      readonly kind: 'claimed';
      readonly jobKey: string;
      readonly lane: Pick<RunnerRow, 'laneKey' | 'labels' | 'scope' | 'runnerGroup' | 'specHash'>;
      readonly instanceDeadlineAtMs: number;
    }
  /** GitHub has registered it. */
  | { readonly kind: 'registered'; readonly runnerId: number }
  /** Its own container says so, which proves nothing: it is looked at now. */
  | { readonly kind: 'heard'; readonly what: string; readonly details?: string; readonly usage?: RunnerUsage }
  | { readonly kind: 'drain'; readonly reason: string }
  /** An operator gives the runner up. Twice: even if part of it cannot be verified. */
  | { readonly kind: 'forget' }
  /** DELETE was refused with 422: proof that it runs a job. */
  | { readonly kind: 'delete-refused' }
  | { readonly kind: 'deregistered' }
  /** Its container is about to be stopped: from here on, its end may be our doing. */
  | { readonly kind: 'stopping' }
  /** The service accepted the stop. */
  | { readonly kind: 'stop-sent' }
  /** GitHub refuses our credentials for this runner. */
  | { readonly kind: 'credentials-refused'; readonly failure: Failure }
  | { readonly kind: 'step-failed'; readonly failure: Failure; readonly retryAfterMs?: number };

/** What a container measured of itself; null: it could not. */
export type RunnerUsage = Pick<RunnerRow, 'memoryPeakBytes' | 'cpuMs' | 'diskBytes' | 'oomKills'>;

/** What a source says of a job and the runner that GitHub gave it to. */
export interface JobWord {
  readonly jobKey: string;
  /**
   * `read`: GitHub's answer when asked for this job. `stranger`: the webhook of another tenant's
   * registration, whose secret that tenant knows. `told`: everything else.
   */
  readonly word: 'told' | 'stranger' | 'read';
  /** The job that the runner was bound to at the time, if GitHub now says that it is not on this runner. */
  readonly refuted: string | null;
}

export type RunnerEventKind = RunnerEvent['kind'];

export interface MachineContext {
  readonly nowMs: number;
  readonly launchTimeoutMs: number;
  /** How long it may wait for its backend's stock before another backend gets the job. */
  readonly stockPatienceMs: number;
  readonly idleTimeoutMs: number;
  /** An earlier incarnation made its row, which may be of an older copy of the ledger: what it lacks may have happened. */
  readonly isInherited?: boolean;
}

/** `read`: the jobs to read at GitHub before what was said can be believed, or because something proves it wrong. */
export type Answer = { readonly read?: readonly string[] } & (
  | { readonly kind: 'step'; readonly step: RunnerStep }
  | { readonly kind: 'ignored'; readonly because: string }
);
