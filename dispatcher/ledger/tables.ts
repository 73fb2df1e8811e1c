/**
 * The tables, as the queries see them. Columns have the names of their fields, so that a row needs no conversion:
 * milliseconds and GitHub ids are integers, booleans are 1 and 0, lists are JSON that queries do not look into.
 */
import type { ApiRegistration, AuditRow, Breaker, JobRow, RunnerRow, RunnerState, TokenRow } from './ledger.ts';

export type Bit = 0 | 1;

export interface DeliveriesTable {
  endpoint: string;
  guid: string;
  event: string;
  action: string | null;
  receivedAtMs: number;
}

type Columns<Row, Json extends keyof Row, Bits extends keyof Row> = {
  [Field in Exclude<keyof Row, Json | Bits>]: Row[Field];
} & { [Field in Json]: string } & { [Field in Bits]: Bit };

export type JobsTable = Columns<JobRow, 'labels', 'disputed' | 'probing' | 'visibilityProven'> & {
  /** Since when it has been in its current status, according to GitHub and our own observations: see `queuedSince`. */
  queuedSinceMs: number;
  /** 1: it asks for a runner now. Derived on every write, so that the planner can use a partial index. */
  demand: Bit;
  /** 1: open in a lane, but only reported by another tenant's webhook. Derived on every write. */
  unconfirmed: Bit;
  /** Since when a change has been waiting for its settlement; null when settled. */
  unsettledAtMs: number | null;
};

export interface LanesTable {
  key: string;
  registration: string;
  specHash: string;
  /** The whole LaneSpec as JSON. */
  spec: string;
  changedAtMs: number;
}

/** A failure in its columns: all null if there is none. */
export interface FailureColumns {
  failureSource: string | null;
  failureKind: string | null;
  failureCode: string | null;
  failureRequestId: string | null;
  /** Its message. */
  failure: string | null;
  failureAtMs: number | null;
}

export type RunnersTable = Columns<Omit<RunnerRow, 'failure'>, 'labels', 'forced'> &
  FailureColumns & {
    /** 1 until the runner is gone. Derived on every write: history must not slow queries for live runners. */
    live: Bit;
  };

export interface RunnerTimelineTable extends FailureColumns {
  runner: string;
  /** The runner's version after the step, and the entry's position within the step. */
  version: number;
  position: number;
  atMs: number;
  state: RunnerState;
  reason: string;
  details: string | null;
}

interface RunnerOutputsTable {
  runner: string;
  output: string;
  keptAtMs: number;
}

/** What was found in one of GitHub's logs of deliveries and is not in `deliveries`. */
export interface MissedDeliveriesTable {
  /** Whose log: see `hook-logs.ts`. */
  log: string;
  guid: string;
  /** By which GitHub knows the attempt: up to 64 bits, so a text. */
  deliveryId: string;
  /** Whose part of the bound it takes: a repository or an installation. */
  share: string;
  /** Whose log it is: the bound is of all logs of a tenant, or of a registration of the platform. */
  line: string;
  /** Of the App, in a log that several owners share; else the same for all. They take turns before repositories do. */
  installation: string;
  /** 0 for those that start jobs: they go first. */
  rank: number;
  deliveredAtMs: number;
  /** How often GitHub was asked to send it again. Counted before it is asked. */
  attempts: number;
  /** When it may be asked next. */
  dueAtMs: number;
  /** `arrived`, `answered` (for good, though not recorded) or `given-up`; null while it is open. */
  ended: string | null;
  changedAtMs: number;
}

type BreakersTable = Omit<Breaker, 'failure'> & FailureColumns;

interface LeasesTable {
  name: string;
  holder: string;
  untilMs: number;
}

interface CursorsTable {
  name: string;
  value: string;
  changedAtMs: number;
}

interface MigrationsTable {
  version: number;
  name: string;
  appliedAtMs: number;
}

/** How many jobs each share has, updated with the jobs: counting them takes too long in a burst. */
interface SharesTable {
  name: string;
  open: number;
  ended: number;
}

export interface RegistrationVersionsTable {
  name: string;
  /** Of the text, keyed: tells whether it is another one. */
  hash: string;
  /** The text, as only the holder of the key can read it. */
  sealed: string;
  keptAtMs: number;
}

type TokensTable = Omit<TokenRow, 'tenants'> & {
  /** A JSON list; null: the whole platform. */
  tenants: string | null;
};

export interface Tables {
  deliveries: DeliveriesTable;
  jobs: JobsTable;
  shares: SharesTable;
  lanes: LanesTable;
  runners: RunnersTable;
  runnerTimeline: RunnerTimelineTable;
  runnerOutputs: RunnerOutputsTable;
  missedDeliveries: MissedDeliveriesTable;
  breakers: BreakersTable;
  leases: LeasesTable;
  cursors: CursorsTable;
  tokens: TokensTable;
  audit: AuditRow;
  registrationVersions: RegistrationVersionsTable;
  apiRegistrations: ApiRegistration;
  migrations: MigrationsTable;
}
