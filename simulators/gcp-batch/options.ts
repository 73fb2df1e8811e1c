/** What there is, how fast it goes, and what can be made to go wrong in this world. */
import { z } from 'zod';
import type { ContainerHostOptions } from '../containers/host.ts';

export interface GcpBatchSimulatorOptions extends ContainerHostOptions {
  readonly host?: string;
  /** For gRPC. 0, the default, takes a free one. */
  readonly port?: number;
  /** For tokens, Cloud Logging and control. */
  readonly httpPort?: number;
  readonly project?: string;
  /** Where jobs may be; elsewhere is no location. */
  readonly regions?: readonly string[];
  /** The accounts that machines may run as; another one is refused. */
  readonly serviceAccounts?: readonly string[];
  readonly timings?: Partial<Timings>;
  /** `ListJobs` gives at most so many at once, whatever was asked for. */
  readonly largestPage?: number;
  readonly nowMs?: () => number;
  readonly random?: () => number;
}

/** Real ones are minutes. */
export interface Timings {
  readonly queuedMs: number;
  readonly scheduledMs: number;
  /** From the end of the container to the end of the machine. */
  readonly deletingMs: number;
  readonly stopGraceMs: number;
}

export const usualTimings: Timings = { queuedMs: 20, scheduledMs: 20, deletingMs: 20, stopGraceMs: 300 };

/**
 * Faults of this service alone; those of every Google service are in simulators/google/faults.ts. By
 * `POST /_simulator/conditions`; each call replaces all.
 */
export const conditions = z.strictObject({
  /** Jobs are accepted and get no machine. `spot`: only spot machines are out of stock. */
  noStock: z.enum(['all', 'spot', 'none']).default('none'),
  /** Cores of all machines at once. What is beyond waits, and its events tell why. */
  cpuQuota: z.int().min(0).optional(),
  /** The subnetworks, all called `default`, let machines without a public address reach Google. */
  privateGoogleAccess: z.boolean().default(true),
  /** Jobs are accepted and then fail with these words, before they get a machine. */
  failScheduling: z.string().min(1).optional(),
  /** Jobs stay as they are now: QUEUED, or SCHEDULED, and in silence. */
  stall: z.enum(['QUEUED', 'SCHEDULED', 'none']).default('none'),
  /** A deleted job stays until this is taken back. */
  stallDeletion: z.boolean().default(false),
  /** A failed job's own events do not tell the exit code; those of its task do. */
  terseEvents: z.boolean().default(false),
  /** `ListJobs` says that it could not reach these. */
  unreachable: z.array(z.string()).default([]),
  /** The state of these jobs is said as a number that nobody knows. */
  oddStates: z.array(z.string()).default([]),
  /** Creations and deletions in any 60 s; the next is refused. */
  mutationsPerMinute: z.int().min(0).optional(),
});

export type Conditions = z.output<typeof conditions>;
export type ConditionsInput = z.input<typeof conditions>;
