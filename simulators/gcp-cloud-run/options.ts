import type { ContainerHostOptions } from '../containers/host.ts';

export interface CloudRunSimulatorOptions extends ContainerHostOptions {
  /** What there is; all else is refused as the service does. */
  readonly project?: string;
  readonly region?: string;
  /** Names of VPC networks, subnetworks and connectors that exist. Undefined: any. */
  readonly networks?: readonly string[];
  /** E-mail addresses of service accounts that runners may have. Undefined: any. */
  readonly serviceAccounts?: readonly string[];
  readonly host?: string;
  readonly grpcPort?: number;
  readonly httpPort?: number;
  /** From CreateJob until the definition is ready. A few seconds in reality. */
  readonly readyMs?: number;
  /** From RunJob until the container starts. Ten seconds and more in reality. */
  readonly startMs?: number;
  /** Between SIGTERM and SIGKILL. Ten seconds in reality. */
  readonly graceMs?: number;
  /** Simulated time for timeouts runs this much faster. */
  readonly timeScale?: number;
  /** At most so many in an answer, whatever is asked for. */
  readonly pageSize?: number;
  readonly limits?: Partial<Limits>;
}

export interface Limits {
  readonly jobRunsPerMinute: number;
  readonly writesPerMinute: number;
  readonly jobs: number;
  readonly runningExecutions: number;
  /** In thousandths of a core, of all running executions: `CpuAllocPerProjectRegion`. */
  readonly milliCpu: number;
}

/** Wide enough for tests; the real ones are in the README of the provider. */
export const defaultLimits: Limits = {
  jobRunsPerMinute: 10_000,
  writesPerMinute: 10_000,
  jobs: 1000,
  runningExecutions: 1000,
  milliCpu: 1_000_000,
};
