import type { ShapeWish } from '../../providers/provider.ts';
import type { Visibility } from './facts.ts';
import type { GithubScope } from './scope.ts';

/** What all runners of a lane have in common. Two jobs of one lane can take each other's runner. */
export interface LaneSpec {
  /** Hash of registration, host, scope, runner group and label set (case folded). `[a-z0-9]{16}`. */
  readonly key: string;
  readonly registration: string;
  readonly host: string;
  readonly scope: GithubScope;
  readonly runnerGroup: string;
  /** The job's labels as written, without duplicates: the runner registers with exactly these. */
  readonly labels: readonly string[];
  readonly wish: ShapeWish;
  /** Names of the backends that may run it, in order of preference. */
  readonly backends: readonly string[];
  /** Hash of `wish` and `backends`: a runner made for another spec does not count as supply. */
  readonly specHash: string;
}

/** What was decided about a job. */
export type Admission =
  | { readonly outcome: 'lane'; readonly lane: LaneSpec }
  | {
      readonly outcome: 'refused';
      readonly registration: string;
      /** For display and for metrics (`code`). */
      readonly code: string;
      readonly reason: string;
      readonly cure: string;
      /** The line of dispatcher.yaml that decided, if a tenant's grant did. */
      readonly place?: string;
      /** The field of the registration's file that decided, if that did. */
      readonly field?: string;
    }
  /** Not claimed by a registration. Kept for a day, and admitted again when registrations change. */
  | { readonly outcome: 'not-ours'; readonly reason: string };

/** The inputs of admission. */
export interface JobSubject {
  readonly host: string;
  readonly owner: string;
  readonly repository: string;
  readonly labels: readonly string[];
  /** As GitHub names them; null or absent: it has not said. */
  readonly workflow?: string | null;
  readonly branch?: string | null;
  /** What started its run. Only GitHub, asked for the run, tells; null or absent: it was not asked, or has not said. */
  readonly event?: string | null;
  /** Logins: who started the run, and who started this attempt. */
  readonly actors?: readonly string[] | null;
  /**
   * Whether its code comes from another repository: only GitHub, asked for the run, tells. Null: it has not said. Absent:
   * nothing depends on it, as for containers that wait for jobs.
   */
  readonly isFork?: boolean | null;
  readonly visibility: Visibility | undefined;
  /**
   * Only the webhook of a tenant tells of the visibility: good enough for the policy, which is the tenant's own, and not for
   * its grant. Absent: GitHub or the platform's own webhook has told.
   */
  readonly isVisibilityUnproven?: boolean;
}

/** Pure: the same job and registrations always give the same answer. */
export type Admit = (job: JobSubject) => Admission;
