import type { ContainerHostOptions } from '../containers/host.ts';

export interface CloudRunSimulatorOptions extends ContainerHostOptions {
  /** Existing resources; requests for any others are refused as the service does. */
  readonly project?: string;
  readonly region?: string;
  /** Names of existing VPC networks, subnetworks and connectors. Undefined: any. */
  readonly networks?: readonly string[];
  /** E-mail addresses of service accounts that runners may use. Undefined: any. */
  readonly serviceAccounts?: readonly string[];
  readonly host?: string;
  readonly grpcPort?: number;
  readonly httpPort?: number;
  /** From CreateJob until the definition is ready. A few seconds in reality. */
  readonly readyMs?: number;
  /** From RunJob until the container starts. Ten seconds or more in reality. */
  readonly startMs?: number;
  /** Grace period between SIGTERM and SIGKILL. Ten seconds in reality. */
  readonly graceMs?: number;
  /** Simulated time for timeouts runs faster by this factor. */
  readonly timeScale?: number;
  /** Page size limit, whatever is asked for. */
  readonly pageSize?: number;
  readonly limits?: Partial<Limits>;
}

export interface Limits {
  readonly jobRunsPerMinute: number;
  readonly writesPerMinute: number;
  readonly jobs: number;
  readonly runningExecutions: number;
  /** In thousandths of a core, for all running executions together: `CpuAllocPerProjectRegion`. */
  readonly milliCpu: number;
}

/** Generous enough for tests; the real ones are in the provider's README. */
export const defaultLimits: Limits = {
  jobRunsPerMinute: 10_000,
  writesPerMinute: 10_000,
  jobs: 1000,
  runningExecutions: 1000,
  milliCpu: 1_000_000,
};
