import type { Clock, Random } from '../../time/clock.ts';
import type { FaultInput } from './faults.ts';
import type { RunnerRelease } from './payloads/application.ts';

/** Everything has a default: `startGithubSimulator()` creates the organization `acme`, user `octocat` and one App. */
export interface SimulatorOptions {
  /** 0 (the default) picks a free port. */
  readonly port?: number;
  /** The address to listen on; `0.0.0.0` or a bridge's gateway is reachable from containers. Default `127.0.0.1`. */
  readonly host?: string;
  /** The address in links and payloads for clients. Default `http://<host>:<port>`. */
  readonly publicUrl?: string;
  /** The address in the JIT blob: how *runners* reach the simulator. Default `publicUrl`. */
  readonly runnerUrl?: string;
  readonly clock?: Clock;
  /** Either a source of randomness, or a seed for the built-in one. */
  readonly random?: Random;
  readonly seed?: number;
  /**
   * Simulated time runs faster than the clock by this factor: with 60, the 60 s of an ignored assignment pass in 1 s.
   */
  readonly timeScale?: number;
  readonly times?: Partial<SimulatedTimes>;
  readonly limits?: Partial<LimitSettings>;
  readonly enterprises?: readonly EnterpriseOptions[];
  readonly owners?: readonly OwnerOptions[];
  readonly apps?: readonly AppOptions[];
  readonly tokens?: readonly TokenOptions[];
  /** A GHES too old for `generate-jitconfig` answers 404 to it. */
  readonly jit?: boolean;
  /** The newest release of the runner, as `…/actions/runners/downloads` lists it. Default: 2.335.0, without checksums. */
  readonly runnerRelease?: RunnerRelease;
  readonly faults?: FaultInput;
}

/** In simulated milliseconds: each is divided by `timeScale`. */
export interface SimulatedTimes {
  /** An assignment that no runner accepts is requeued after this time. GitHub: about 60 s. */
  readonly pickupMs: number;
  /** A queued job is cancelled after this time. GitHub: 24 h. */
  readonly queueMs: number;
  /** An ephemeral runner that is offline this long is removed. GitHub: 1 day. */
  readonly ephemeralOfflineMs: number;
  /** A runner counts as offline after this long without a sign of life. */
  readonly silenceMs: number;
  /** A running job is lost and fails after this long without a heartbeat. */
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

/** In real milliseconds: clients compare `x-ratelimit-reset` with their own clock. */
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
  /** In addition to the default group, whose id is 1. Organizations only. */
  readonly runnerGroups?: readonly RunnerGroupOptions[];
}

export interface RepositoryOptions {
  readonly name: string;
  /** Default `private`. */
  readonly visibility?: 'public' | 'private' | 'internal';
  /** Environments that need no approval. Every other one holds its jobs until they are approved. */
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
  /** PEM; by default, a new RSA key is generated. */
  readonly privateKey?: string;
  /** The App's own webhook. */
  readonly webhook?: WebhookOptions;
  /** Default: every owner. */
  readonly installations?: readonly InstallationOptions[];
}

export interface InstallationOptions {
  readonly account: string;
  /** By name; default: all of the account's. */
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
  /** Generated when absent. */
  readonly token?: string;
  /** The token's user. */
  readonly login: string;
  /** Owners and enterprises that it can access; `*` for all. */
  readonly owners: readonly string[];
  /** `read` can only read, `admin` can also register runners and hooks. */
  readonly access: 'read' | 'admin';
}
