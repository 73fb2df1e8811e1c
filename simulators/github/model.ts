/** What exists on the simulated GitHub. Plain mutable records, owned by the World. */
import type { Value } from './expressions.ts';
import type { PlannedStep, WorkflowJob } from './workflow.ts';

export interface Account {
  readonly id: number;
  readonly login: string;
  readonly type: 'Organization' | 'User';
  readonly createdAtMs: number;
}

export interface Enterprise {
  readonly id: number;
  readonly slug: string;
  /** Logins, lower case. */
  readonly organizations: ReadonlySet<string>;
  readonly createdAtMs: number;
}

export type Visibility = 'public' | 'private' | 'internal';

export interface Repository {
  readonly id: number;
  readonly owner: Account;
  readonly name: string;
  readonly visibility: Visibility;
  readonly openEnvironments: ReadonlySet<string>;
  readonly createdAtMs: number;
  /** On the default branch, by path. */
  readonly files: Map<string, string>;
  runCount: number;
}

export type RunnerScope =
  | { readonly kind: 'enterprise'; readonly enterprise: Enterprise }
  | { readonly kind: 'organization'; readonly account: Account }
  | { readonly kind: 'repository'; readonly repository: Repository };

/** Also the scope's path in the REST API, lower case: `orgs/acme`. */
export function scopeKey(scope: RunnerScope): string {
  switch (scope.kind) {
    case 'enterprise':
      return `enterprises/${scope.enterprise.slug}`.toLowerCase();
    case 'organization':
      return `orgs/${scope.account.login}`.toLowerCase();
    case 'repository':
      return `repos/${fullName(scope.repository)}`.toLowerCase();
  }
}

export function fullName(repository: Repository): string {
  return `${repository.owner.login}/${repository.name}`;
}

export interface RunnerGroup {
  readonly id: number;
  readonly scope: RunnerScope;
  readonly name: string;
  readonly isDefault: boolean;
  readonly visibility: 'all' | 'selected' | 'private';
  readonly repositoryIds: ReadonlySet<number>;
  readonly allowsPublicRepositories: boolean;
}

export interface RunnerLabel {
  readonly id: number;
  readonly name: string;
  readonly type: 'read-only' | 'custom';
}

/** A job assigned to a runner, or running on it. */
export interface Assignment {
  readonly job: Job;
  readonly runner: Runner;
  readonly assignedAtMs: number;
  /** Undefined until the runner accepts it. */
  execution: Execution | undefined;
  cancelPickupTimer: () => void;
}

export interface Runner {
  readonly id: number;
  readonly name: string;
  readonly scope: RunnerScope;
  readonly group: RunnerGroup;
  labels: readonly RunnerLabel[];
  readonly ephemeral: boolean;
  /** The credential that the JIT blob carries. */
  readonly token: string;
  readonly createdAtMs: number;
  os: string;
  version: string | null;
  session: string | undefined;
  lastSeenAtMs: number | undefined;
  assignment: Assignment | undefined;
  /** The conclusion of its finished job, in case the runner did not receive the answer. */
  lastConclusion: Conclusion | undefined;
  /** Ignored an assignment: gets no other until it polls again. */
  missedPickup: boolean;
  /** False once deleted, or after an ephemeral runner's job. */
  registered: boolean;
  /** Resolves the open long poll, if there is one. */
  wake: (() => void) | undefined;
}

export type JobStatus = 'queued' | 'waiting' | 'in_progress' | 'completed';
export type Conclusion = 'success' | 'failure' | 'cancelled' | 'skipped';

export interface JobStep {
  readonly number: number;
  readonly name: string;
  readonly plan: PlannedStep | undefined;
  status: 'queued' | 'in_progress' | 'completed';
  conclusion: Conclusion | null;
  startedAtMs: number | null;
  completedAtMs: number | null;
}

export interface JobRunner {
  readonly id: number;
  readonly name: string;
  readonly groupId: number;
  readonly groupName: string;
}

export interface Job {
  readonly id: number;
  readonly run: Run;
  readonly attempt: number;
  /** The key in the workflow's `jobs`. */
  readonly key: string;
  readonly name: string;
  readonly labels: readonly string[];
  readonly group: string | undefined;
  readonly hosted: boolean;
  readonly environment: string | undefined;
  readonly environmentVariables: Readonly<Record<string, string>>;
  /** What the `if:` of a step may refer to. */
  readonly names: Readonly<Record<string, Value>>;
  readonly failFast: boolean;
  readonly timeoutMinutes: number;
  readonly deploymentId: number;
  readonly createdAtMs: number;
  status: JobStatus;
  conclusion: Conclusion | null;
  startedAtMs: number;
  completedAtMs: number | null;
  steps: JobStep[];
  runner: JobRunner | null;
  assignment: Assignment | undefined;
  cancelRequested: boolean;
  /** The end of the steps' output. */
  log: string;
  cancelTimers: (() => void)[];
}

export interface Run {
  readonly id: number;
  readonly repository: Repository;
  readonly workflowId: number;
  readonly workflowName: string;
  readonly path: string;
  readonly runNumber: number;
  readonly event: string;
  readonly headSha: string;
  readonly headBranch: string;
  /** Full name; another one than the run's own for a pull request from a fork. */
  readonly headRepository: string;
  readonly actor: Account;
  readonly createdAtMs: number;
  readonly workflowJobs: readonly WorkflowJob[];
  readonly environmentVariables: Readonly<Record<string, string>>;
  attempt: number;
  startedAtMs: number;
  updatedAtMs: number;
  status: 'queued' | 'in_progress' | 'waiting' | 'completed';
  conclusion: Conclusion | null;
  cancelRequested: boolean;
  /** Workflow keys whose jobs exist in this attempt. The others wait for their `needs`. */
  created: Set<string>;
  /** Jobs of every attempt. */
  jobs: Job[];
}

/** One runner running one job, once: the record that shows whether a job ran exactly once. */
export interface Execution {
  readonly jobId: number;
  readonly jobName: string;
  readonly repository: string;
  readonly runnerId: number;
  readonly runnerName: string;
  readonly hosted: boolean;
  readonly startedAtMs: number;
  endedAtMs: number | null;
  /** `abandoned`: the runner died during the job. */
  conclusion: Conclusion | 'abandoned' | null;
}

export interface App {
  readonly id: number;
  readonly slug: string;
  readonly name: string;
  readonly owner: Account;
  /** PEM; generated on first use. */
  readonly keys: () => { readonly privateKey: string; readonly publicKey: string };
  readonly createdAtMs: number;
}

export interface Installation {
  readonly id: number;
  readonly app: App;
  readonly account: Account;
  /** Undefined: all of the account's. */
  readonly repositoryIds: ReadonlySet<number> | undefined;
  readonly permissions: Readonly<Record<string, 'read' | 'write'>>;
  readonly createdAtMs: number;
}

export type HookOwner =
  | { readonly kind: 'app'; readonly app: App }
  | { readonly kind: 'organization'; readonly account: Account }
  | { readonly kind: 'repository'; readonly repository: Repository };

export interface Hook {
  readonly id: number;
  readonly owner: HookOwner;
  url: string;
  contentType: 'json' | 'form';
  secret: string | undefined;
  readonly events: readonly string[];
  readonly active: boolean;
  readonly createdAtMs: number;
}

export interface CheckRun {
  readonly id: number;
  readonly repository: Repository;
  readonly headSha: string;
  name: string;
  status: string;
  conclusion: string | null;
  detailsUrl: string | null;
  externalId: string;
  startedAtMs: number | null;
  completedAtMs: number | null;
  output: { title: string | null; summary: string | null; text: string | null };
}
