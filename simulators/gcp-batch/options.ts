/** The simulated resources, their speed, and the faults that can be injected. */
import { z } from 'zod';
import type { ContainerHostOptions } from '../containers/host.ts';

export interface GcpBatchSimulatorOptions extends ContainerHostOptions {
  readonly host?: string;
  /** Port for gRPC. 0, the default, picks a free one. */
  readonly port?: number;
  /** Port for tokens, Cloud Logging and control. */
  readonly httpPort?: number;
  readonly project?: string;
  /** Locations in which jobs may run; all others are unknown. */
  readonly regions?: readonly string[];
  /** The accounts that machines may run as; any other is refused. */
  readonly serviceAccounts?: readonly string[];
  readonly timings?: Partial<Timings>;
  /** Page size limit of `ListJobs`, whatever was asked for. */
  readonly largestPage?: number;
  readonly nowMs?: () => number;
  readonly random?: () => number;
}

/** In reality these take minutes. */
export interface Timings {
  readonly queuedMs: number;
  readonly scheduledMs: number;
  /** From the end of the container to the end of the machine. */
  readonly deletingMs: number;
  readonly stopGraceMs: number;
}

export const usualTimings: Timings = { queuedMs: 20, scheduledMs: 20, deletingMs: 20, stopGraceMs: 300 };

/**
 * Faults of this service only; those of all Google services are in simulators/google/faults.ts. Set by
 * `POST /_simulator/conditions`; each call replaces all of them.
 */
export const conditions = z.strictObject({
  /** Jobs are accepted but get no machine. `spot`: only spot machines are out of stock. */
  noStock: z.enum(['all', 'spot', 'none']).default('none'),
  /** Total cores of all machines. Jobs beyond that wait, and their events say why. */
  cpuQuota: z.int().min(0).optional(),
  /** Whether the subnetworks, all called `default`, let machines without a public address reach Google. */
  privateGoogleAccess: z.boolean().default(true),
  /** Jobs are accepted, then fail with this message before they get a machine. */
  failScheduling: z.string().min(1).optional(),
  /** Jobs stay in their current state, QUEUED or SCHEDULED, without further events. */
  stall: z.enum(['QUEUED', 'SCHEDULED', 'none']).default('none'),
  /** Deletions do not finish until this is reset. */
  stallDeletion: z.boolean().default(false),
  /** A failed job's own events do not contain the exit code; those of its task do. */
  terseEvents: z.boolean().default(false),
  /** Locations that `ListJobs` reports as unreachable. */
  unreachable: z.array(z.string()).default([]),
  /** The state of these jobs is a number unknown to clients. */
  oddStates: z.array(z.string()).default([]),
  /** Maximum creations and deletions in any 60 s; the next one is refused. */
  mutationsPerMinute: z.int().min(0).optional(),
});

export type Conditions = z.output<typeof conditions>;
export type ConditionsInput = z.input<typeof conditions>;
