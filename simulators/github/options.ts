import type { Clock, Random } from '../../time/clock.ts';
import type { FaultInput } from './faults.ts';

/** Everything has a default: `startGithubSimulator()` alone gives organization `acme`, user `octocat` and one App. */
export interface SimulatorOptions {
  /** 0 (the default) takes a free port. */
  readonly port?: number;
  /** The address to listen on; `0.0.0.0` or a bridge's gateway lets containers in. Default `127.0.0.1`. */
  readonly host?: string;
  /** What clients are told in links and payloads. Default `http://<host>:<port>`. */
  readonly publicUrl?: string;
  /** What runners are told in the JIT blob: how *they* reach the simulator. Default `publicUrl`. */
  readonly runnerUrl?: string;
  readonly clock?: Clock;
  /** Either a source of randomness, or a seed for the built-in one. */
  readonly random?: Random;
  readonly seed?: number;
  /** Simulated time runs this much faster than the clock: with 60, the 60 s of an unpicked assignment pass in 1 s. */
  readonly timeScale?: number;
  readonly times?: Partial<SimulatedTimes>;
  readonly limits?: Partial<LimitSettings>;
  readonly enterprises?: readonly EnterpriseOptions[];
  readonly owners?: readonly OwnerOptions[];
  readonly apps?: readonly AppOptions[];
  readonly tokens?: readonly TokenOptions[];
  /** A GHES too old for `generate-jitconfig` answers 404 to it. */
  readonly jit?: boolean;
  readonly faults?: FaultInput;
}

/** In simulated milliseconds: each is divided by `timeScale`. */
export interface SimulatedTimes {
  /** An assignment that no runner picks up is requeued after this. GitHub: about 60 s. */
  readonly pickupMs: number;
  /** A job leaves the queue, cancelled, after this. GitHub: 24 h. */
  readonly queueMs: number;
  /** An ephemeral runner that is offline this long is removed. GitHub: 1 day. */
  readonly ephemeralOfflineMs: number;
  /** Without a sign of life this long, a runner reads offline. */
  readonly silenceMs: number;
  /** Without a heartbeat this long in the middle of a job, the job is lost and fails. */
  readonly abandonMs: number;
  /** A GitHub-hosted runner takes this long to start, and as long again to finish the job. */
  readonly hostedMs: number;
}

export const githubTimes: SimulatedTimes = {
  pickupMs: 60_000,
  queueMs: 24 * 3_600_000,
  ephemeralOfflineMs: 24 * 3_600_000,
  silenceMs: 60_000,
  abandonMs: 10 * 60_000,
  hostedMs: 500,
};

/** In real milliseconds: clients read `x-ratelimit-reset` against their own clock. */
export interface LimitSettings {
  readonly requestsPerHour: number;
  readonly anonymousPerHour: number;
  /** GET 1, everything else 5. */
  readonly pointsPerMinute: number;
  readonly concurrentRequests: number;
  readonly contentPerMinute: number;
  readonly contentPerHour: number;
  /** Runner registrations per scope in five minutes. */
  readonly registrationsPer5Minutes: number;
  readonly runnersPerGroup: number;
}

export const githubLimits: LimitSettings = {
  requestsPerHour: 5_000,
  anonymousPerHour: 60,
  pointsPerMinute: 900,
  concurrentRequests: 100,
  contentPerMinute: 80,
  contentPerHour: 500,
  registrationsPer5Minutes: 1_500,
  runnersPerGroup: 10_000,
};

export interface EnterpriseOptions {
  readonly slug: string;
  readonly organizations: readonly string[];
}

export interface OwnerOptions {
  readonly login: string;
  /** Default `Organization`. */
  readonly type?: 'Organization' | 'User';
  readonly repositories?: readonly RepositoryOptions[];
  /** Besides the default group, whose id is 1. Organizations only. */
  readonly runnerGroups?: readonly RunnerGroupOptions[];
}

export interface RepositoryOptions {
  readonly name: string;
  /** Default `private`. */
  readonly visibility?: 'public' | 'private' | 'internal';
  /** Environments that need no approval. Every other one holds its jobs until somebody approves. */
  readonly openEnvironments?: readonly string[];
}

export interface RunnerGroupOptions {
  readonly name: string;
  /** Default `all`. */
  readonly visibility?: 'all' | 'selected' | 'private';
  /** By name, for `selected`. */
  readonly repositories?: readonly string[];
  readonly allowsPublicRepositories?: boolean;
}

export interface AppOptions {
  readonly name?: string;
  readonly id?: number;
  /** PEM; a new RSA key is made without it. */
  readonly privateKey?: string;
  /** The App's own webhook. */
  readonly webhook?: WebhookOptions;
  /** Default: every owner there is. */
  readonly installations?: readonly InstallationOptions[];
}

export interface InstallationOptions {
  readonly account: string;
  /** By name; all of the account's when absent. */
  readonly repositories?: readonly string[];
  /** Default: what a dispatcher needs. */
  readonly permissions?: Readonly<Record<string, 'read' | 'write'>>;
}

export interface WebhookOptions {
  readonly url: string;
  readonly secret?: string;
  /** Default `workflow_job`. */
  readonly events?: readonly string[];
}

export interface TokenOptions {
  /** Made up when absent. */
  readonly token?: string;
  /** Whose token it is. */
  readonly login: string;
  /** Owners and enterprises it reaches; `*` for all. */
  readonly owners: readonly string[];
  /** `read` sees, `admin` also registers runners and hooks. */
  readonly access: 'read' | 'admin';
}
