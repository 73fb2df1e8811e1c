/** Converts values to columns, and validates what is read from the database before it is used. */
import { z } from 'zod';
import type { ShapeWish } from '../../providers/provider.ts';
import {
  type Failure,
  type FailureKind,
  type FailureSource,
  isFailureKind,
  isFailureSource,
} from '../failures/failure.ts';
import type { AreStrangers } from '../jobs/facts.ts';
import type { LaneSpec } from '../jobs/lane.ts';
import type {
  ApiRegistration,
  ApiRegistrationEntry,
  AuditRow,
  Breaker,
  JobOf,
  JobRow,
  LaneCounts,
  OnUnreadable,
  RegistrationVersion,
  RunnerRow,
  TimelineEntry,
  TokenRow,
  Waiting,
} from './ledger.ts';
import { isUnconfirmed } from './merge.ts';
import { queuedSince } from './queue-age.ts';
import type { Bit, FailureColumns, JobsTable, RunnersTable, Tables } from './tables.ts';

export function jobColumns(row: JobRow, unsettledAtMs: number | null, areStrangers: AreStrangers): JobsTable {
  return {
    ...row,
    labels: JSON.stringify(row.labels),
    visibilityProven: bit(row.visibilityProven),
    disputed: bit(row.disputed),
    probing: bit(row.probing),
    queuedSinceMs: queuedSince(row),
    demand: bit(isDemand(row, areStrangers)),
    unconfirmed: bit(row.admission === 'lane' && row.status !== 'completed' && isUnconfirmed(row, areStrangers)),
    unsettledAtMs,
  };
}

/**
 * Jobs that are queued, or may be: if facts conflict, a GET decides, and until then the job counts. One known only from
 * another tenant's webhook does not count until a GET has found it: it may be forged.
 */
export function isDemand(row: JobRow, areStrangers: AreStrangers): boolean {
  if (row.admission !== 'lane' || (row.hold !== null && !row.probing)) return false;
  if (isUnconfirmed(row, areStrangers)) return false;
  return row.status === 'queued' || (row.disputed && row.status !== 'completed');
}

export function runnerColumns({ failure, ...row }: RunnerRow): RunnersTable {
  return {
    ...row,
    ...failureColumns(failure),
    labels: JSON.stringify(row.labels),
    forced: bit(row.forced),
    live: bit(row.state !== 'gone'),
  };
}

export function failureColumns(failure: Failure | null): FailureColumns {
  return {
    failureSource: failure?.source ?? null,
    failureKind: failure?.kind ?? null,
    failureCode: failure?.code ?? null,
    failureRequestId: failure?.requestId ?? null,
    failure: failure?.message ?? null,
    failureAtMs: failure?.atMs ?? null,
  };
}

function bit(value: boolean): Bit {
  return value ? 1 : 0;
}

const text = z.string();
const integer = z.int();
const flag = z.union([z.literal(0), z.literal(1)]).transform((value) => value === 1);

function json<Schema extends z.ZodType>(schema: Schema) {
  return text
    .transform((value, context): unknown => {
      try {
        return JSON.parse(value);
      } catch {
        context.addIssue('is not JSON');
        return z.NEVER;
      }
    })
    .pipe(schema);
}

const failureFields = {
  failureSource: z.custom<FailureSource>((value) => typeof value === 'string' && isFailureSource(value)).nullable(),
  failureKind: z.custom<FailureKind>((value) => typeof value === 'string' && isFailureKind(value)).nullable(),
  failureCode: text.nullable(),
  failureRequestId: text.nullable(),
  failure: text.nullable(),
  failureAtMs: integer.nullable(),
} satisfies Record<keyof FailureColumns, z.ZodType>;

export const failureColumnNames = [
  'failureSource',
  'failureKind',
  'failureCode',
  'failureRequestId',
  'failure',
  'failureAtMs',
] as const satisfies readonly (keyof FailureColumns)[];

type FailureRead = { readonly [Name in keyof typeof failureFields]: z.output<(typeof failureFields)[Name]> };

/** The same row with its failure reassembled. */
function withFailure<Row extends FailureRead>(
  row: Row,
): Omit<Row, keyof FailureRead> & { readonly failure: Failure | null } {
  const { failureSource, failureKind, failureCode, failureRequestId, failure, failureAtMs, ...rest } = row;
  const isWhole = failureSource !== null && failureKind !== null;
  return { ...rest, failure: isWhole ? failureFrom({ ...row, failureSource, failureKind }) : null };
}

type WholeFailure = FailureRead & { readonly failureSource: FailureSource; readonly failureKind: FailureKind };

function failureFrom(row: WholeFailure): Failure {
  return {
    source: row.failureSource,
    kind: row.failureKind,
    code: row.failureCode,
    requestId: row.failureRequestId,
    message: row.failure ?? '',
    atMs: row.failureAtMs ?? 0,
  };
}

const jobSchema = z.object({
  key: text,
  host: text,
  jobId: integer,
  runId: integer,
  runAttempt: integer,
  owner: text,
  repository: text,
  repositoryId: integer.nullable(),
  visibility: z.enum(['public', 'private', 'internal']).nullable(),
  visibilityProven: flag,
  jobName: text,
  workflowName: text.nullable(),
  headBranch: text.nullable(),
  runEvent: text.nullable(),
  runActor: text.nullable(),
  runTriggeringActor: text.nullable(),
  runHead: z.enum(['own', 'fork']).nullable(),
  headSha: text,
  htmlUrl: text.nullable(),
  labels: json(z.array(text)),
  status: z.enum(['queued', 'waiting', 'pending', 'requested', 'in_progress', 'completed']),
  conclusion: text.nullable(),
  runnerId: integer.nullable(),
  runnerName: text.nullable(),
  runnerGroup: text.nullable(),
  createdAtMs: integer.nullable(),
  startedAtMs: integer.nullable(),
  completedAtMs: integer.nullable(),
  firstSeenAtMs: integer,
  statusSinceMs: integer,
  statusObservedAtMs: integer,
  statusSource: z.enum(['webhook', 'poll', 'read']),
  statusToldBy: text.nullable(),
  share: text,
  disputed: flag,
  verifiedAtMs: integer.nullable(),
  admission: z.enum(['pending', 'lane', 'observed', 'refused', 'not-ours', 'expired']),
  registration: text.nullable(),
  laneKey: text.nullable(),
  reasonCode: text.nullable(),
  reason: text.nullable(),
  cure: text.nullable(),
  planned: integer,
  launches: integer,
  lastLaunchAtMs: integer.nullable(),
  stolen: integer,
  passedOver: integer,
  passedOverBy: text.nullable(),
  hold: z.enum(['unserved', 'unseen']).nullable(),
  heldSinceMs: integer.nullable(),
  heldUntilMs: integer.nullable(),
  probing: flag,
  heldAtRunning: integer,
  version: integer,
});

export const jobColumnNames = [
  ...jobSchema.keyof().options,
  'queuedSinceMs',
  'demand',
  'unconfirmed',
  'unsettledAtMs',
] as const;

export function jobRow(row: unknown): JobRow {
  return jobSchema.parse(row);
}

const namesakeSchema = jobSchema.pick({ key: true, runId: true, verifiedAtMs: true });

/** As much of a job as tells whether another one is the same under a new name: the rest may be unreadable. */
export function namesake(row: unknown): z.output<typeof namesakeSchema> {
  return namesakeSchema.parse(row);
}

const runnerState = z.enum(['creating', 'parked', 'starting', 'online', 'busy', 'finishing', 'draining', 'gone']);

const runnerSchema = z.object({
  name: text,
  registration: text,
  host: text,
  scope: text,
  runnerGroup: text,
  laneKey: text,
  labels: json(z.array(text)),
  specHash: text,
  state: runnerState,
  stateSinceMs: integer,
  createdAtMs: integer,
  deadlineAtMs: integer.nullable(),
  nextCheckAtMs: integer.nullable(),
  incarnation: text,
  backend: text.nullable(),
  instanceDeadlineAtMs: integer,
  instanceId: text.nullable(),
  instanceState: z.enum(['none', 'maybe', 'pending', 'running', 'ended', 'absent']),
  githubRunnerId: integer.nullable(),
  standby: z.enum(['booting', 'ready']).nullable(),
  idleLimitMs: integer.nullable(),
  jobLimitMs: integer.nullable(),
  candidate: text.nullable(),
  forJobKey: text.nullable(),
  jobKey: text.nullable(),
  onlineAtMs: integer.nullable(),
  busyAtMs: integer.nullable(),
  finishedAtMs: integer.nullable(),
  endReadAtMs: integer.nullable(),
  misses: integer,
  firstMissAtMs: integer.nullable(),
  drainReason: text.nullable(),
  forced: flag,
  firstIdleAtMs: integer.nullable(),
  lastIdleAtMs: integer.nullable(),
  deregisteredAtMs: integer.nullable(),
  stopAskedAtMs: integer.nullable(),
  stopSentAtMs: integer.nullable(),
  callbackHash: text.nullable(),
  memoryPeakBytes: integer.nullable(),
  cpuMs: integer.nullable(),
  diskBytes: integer.nullable(),
  oomKills: integer.nullable(),
  refusedSinceMs: integer.nullable(),
  attempts: integer,
  ...failureFields,
  version: integer,
});

/** Of a row that cannot be read: whose it is, where at least that can be. */
const whoseSchema = z.object({
  key: text.exactOptional(),
  name: text.exactOptional(),
  registration: text.nullable().catch(null),
});

/** The rows that can be read. `unreadable` is told of each of the others, or the first one throws. */
export function readable<Row>(
  found: readonly unknown[],
  decode: (row: unknown) => Row,
  unreadable: OnUnreadable,
): readonly Row[] {
  if (unreadable === 'reject') return found.map(decode);
  return found.flatMap((row) => {
    try {
      return [decode(row)];
    } catch (error) {
      if (!(error instanceof z.ZodError)) throw error;
      const whose = whoseSchema.safeParse(row).data;
      const key = whose?.key ?? whose?.name;
      if (key === undefined) throw error;
      unreadable({ key, registration: whose?.registration ?? null, fault: rowFault(error) });
      return [];
    }
  });
}

/** Where a row is invalid, without its value. */
export function rowFault(error: z.ZodError): string {
  const issue = error.issues[0];
  return issue ? `column ${issue.path.join('.')}: ${issue.message}` : 'a row that does not fit its table';
}

export const runnerColumnNames = [...runnerSchema.keyof().options, 'live'] as const;

export function runnerRow(row: unknown): RunnerRow {
  return withFailure(runnerSchema.parse(row));
}

const scopeSchema = z.discriminatedUnion('kind', [
  z.object({ kind: z.literal('enterprise'), enterprise: text }),
  z.object({ kind: z.literal('organization'), organization: text }),
  z.object({ kind: z.literal('repository'), owner: text, repository: text }),
]);

// `satisfies` makes a field that ShapeWish or LaneSpec gains, and that would be lost here, an error of the compiler.
const wishSchema = z.object({
  cpu: z.number().exactOptional(),
  memoryGiB: z.number().exactOptional(),
  architecture: z.enum(['x64', 'arm64']),
  image: text,
  diskGiB: z.number().exactOptional(),
  bucket: text.exactOptional(),
  bucketPrefix: text.exactOptional(),
  subnet: text.exactOptional(),
  securityGroup: text.exactOptional(),
  region: text.exactOptional(),
  spot: z.boolean(),
  dockerInDocker: z.boolean(),
  timeLimitMs: z.number().exactOptional(),
} satisfies Record<keyof ShapeWish, z.ZodType>);

const laneSchema = z.object({
  spec: json(
    z.object({
      key: text,
      registration: text,
      host: text,
      scope: scopeSchema,
      runnerGroup: text,
      labels: z.array(text),
      wish: wishSchema,
      backends: z.array(text),
      specHash: text,
    } satisfies Record<keyof LaneSpec, z.ZodType>),
  ),
});

export function laneSpec(row: unknown): LaneSpec {
  return laneSchema.parse(row).spec;
}

const waitingSchema = z.object({
  key: text,
  host: text,
  owner: text,
  repository: text,
  jobId: integer,
  runId: integer,
  planned: integer,
  launches: integer,
  lastLaunchAtMs: integer.nullable(),
  stolen: integer,
  passedOver: integer,
  probing: flag,
  verifiedAtMs: integer.nullable(),
  statusSinceMs: integer,
  disputed: flag,
  createdAtMs: integer.nullable(),
  firstSeenAtMs: integer,
  statusSource: z.enum(['webhook', 'poll', 'read']),
});

export function waiting(row: unknown): Waiting {
  return waitingSchema.parse(row);
}

const timelineSchema = z.object({
  atMs: integer,
  state: runnerState,
  reason: text,
  details: text.nullable(),
  ...failureFields,
});

export function timelineEntry(row: unknown): TimelineEntry {
  return withFailure(timelineSchema.parse(row));
}

const breakerSchema = z.object({
  key: text,
  registration: text,
  backend: text,
  rule: z.enum(['account', 'capacity', 'refused', 'start', 'idle']),
  shape: text.nullable(),
  subject: text.nullable(),
  configuration: text,
  ...failureFields,
  failureSource: failureFields.failureSource.unwrap(),
  failureKind: failureFields.failureKind.unwrap(),
  failures: integer,
  sinceMs: integer,
  closedUntilMs: integer,
  changedAtMs: integer,
});

export function breaker(row: unknown): Breaker {
  const columns = breakerSchema.parse(row);
  return { ...withFailure(columns), failure: failureFrom(columns) };
}

export function breakerColumns({ failure, ...row }: Breaker): Tables['breakers'] {
  return { ...row, ...failureColumns(failure) };
}

const liveCountSchema = z.object({
  registration: text,
  backend: text.nullable(),
  count: integer,
  draining: integer,
  parked: integer,
});

export type LiveCount = z.output<typeof liveCountSchema>;

export function liveCount(row: unknown): LiveCount {
  return liveCountSchema.parse(row);
}

const runCountSchema = z.object({ runId: integer, count: integer });

export type RunCount = z.output<typeof runCountSchema>;

export function runCount(row: unknown): RunCount {
  return runCountSchema.parse(row);
}

const demandSchema = z.object({ demand: integer, oldestQueuedSinceMs: integer.nullable() });

export function laneDemand(row: unknown): Pick<LaneCounts, 'demand' | 'oldestQueuedSinceMs'> {
  return demandSchema.parse(row);
}

const heldSchema = z.object({ held: integer, oldestQueuedSinceMs: integer.nullable() });

export function laneHeld(row: unknown): Pick<LaneCounts, 'held' | 'oldestQueuedSinceMs'> {
  return heldSchema.parse(row);
}

const supplySchema = z.object({ specHash: text, count: integer });

export function laneSupply(row: unknown): z.output<typeof supplySchema> {
  return supplySchema.parse(row);
}

const unboundRunnerSchema = z.object({ name: text, state: runnerState, createdAtMs: integer });

export function unboundRunner(row: unknown): z.output<typeof unboundRunnerSchema> {
  return unboundRunnerSchema.parse(row);
}

const jobInLaneSchema = z.object({ key: text, laneKey: text, queuedSinceMs: integer });

export function jobInLane(row: unknown): z.output<typeof jobInLaneSchema> {
  return jobInLaneSchema.parse(row);
}

const registrationSchema = z.object({ registration: text });
const scopeColumnSchema = z.object({ scope: text });
const laneKeySchema = z.object({ laneKey: text });
const jobOfSchema = z.object({ key: z.string(), registration: z.string().nullable() });
const outputSchema = z.object({ output: text });
const versionHashSchema = z.object({ name: z.string(), hash: z.string() });
const registrationVersionSchema = versionHashSchema.extend({ sealed: z.string() });
const apiRegistrationEntrySchema = versionHashSchema.extend({
  tenant: z.string().nullable(),
  putBy: text,
  putAtMs: integer,
});
const apiRegistrationSchema = apiRegistrationEntrySchema.extend({ document: z.string() });
const cursorSchema = z.object({ value: text });
const momentSchema = z.object({ atMs: integer });
const countSchema = z.object({ count: integer });

export function jobOf(row: unknown): JobOf {
  return jobOfSchema.parse(row);
}

export function laneKeyOf(row: unknown): string {
  return laneKeySchema.parse(row).laneKey;
}

export function registrationOf(row: unknown): string {
  return registrationSchema.parse(row).registration;
}

export function scopeOf(row: unknown): string {
  return scopeColumnSchema.parse(row).scope;
}

export function outputOf(row: unknown): string {
  return outputSchema.parse(row).output;
}

export function registrationVersion(row: unknown): RegistrationVersion {
  return registrationVersionSchema.parse(row);
}

export function apiRegistration(row: unknown): ApiRegistration {
  return apiRegistrationSchema.parse(row);
}

export function apiRegistrationEntry(row: unknown): ApiRegistrationEntry {
  return apiRegistrationEntrySchema.parse(row);
}

export function versionHash(row: unknown): Pick<RegistrationVersion, 'name' | 'hash'> {
  return versionHashSchema.parse(row);
}

const guidSchema = z.object({ guid: text });
const dueDeliverySchema = z.object({ guid: text, deliveryId: text, attempts: integer });
const countOfMissedSchema = z.object({ of: z.string(), count: integer });
const logOfMissedSchema = z.object({ log: text, count: integer });

export function guidOf(row: unknown): string {
  return guidSchema.parse(row).guid;
}

export function dueDelivery(row: unknown): z.output<typeof dueDeliverySchema> {
  return dueDeliverySchema.parse(row);
}

export function countOfMissed(row: unknown): readonly [of: string, count: number] {
  const { of, count } = countOfMissedSchema.parse(row);
  return [of, count];
}

export function logOfMissed(row: unknown): readonly [log: string, count: number] {
  const { log, count } = logOfMissedSchema.parse(row);
  return [log, count];
}

export function cursorValue(row: unknown): string {
  return cursorSchema.parse(row).value;
}

export function momentOf(row: unknown): number {
  return momentSchema.parse(row).atMs;
}

export function countOf(row: unknown): number {
  return countSchema.parse(row).count;
}

const migrationSchema = z.object({ version: integer });

export function versionOf(row: unknown): number {
  return migrationSchema.parse(row).version;
}

const goneCountSchema = z.object({ registration: text, count: integer });

export function goneCount(row: unknown): z.output<typeof goneCountSchema> {
  return goneCountSchema.parse(row);
}

const shareNameSchema = z.object({ share: text });
const shareCountSchema = z.object({ name: text, open: integer, ended: integer });

export function shareNameOf(row: unknown): string {
  return shareNameSchema.parse(row).share;
}

export function shareCount(row: unknown): z.output<typeof shareCountSchema> {
  return shareCountSchema.parse(row);
}

const tokenSchema = z.object({
  id: text,
  name: text,
  hash: text,
  role: z.enum(['viewer', 'operator', 'admin']),
  tenants: json(z.array(text)).nullable(),
  createdAtMs: integer,
  createdBy: text,
  sessionId: text.nullable(),
  expiresAtMs: integer.nullable(),
  revokedAtMs: integer.nullable(),
  revokedBy: text.nullable(),
});

export function token(row: unknown): TokenRow {
  return tokenSchema.parse(row);
}

export function tokenColumns(token: TokenRow): Tables['tokens'] {
  return { ...token, tenants: token.tenants === null ? null : JSON.stringify(token.tenants) };
}

const auditSchema = z.object({
  id: text,
  atMs: integer,
  actorId: text,
  actorName: text,
  action: text,
  subject: text,
  tenant: text.nullable(),
  share: text,
  status: integer.nullable(),
  outcome: text.nullable(),
});

export function audit(row: unknown): AuditRow {
  return auditSchema.parse(row);
}

const auditCountSchema = z.object({ share: text, actorId: text, count: integer });

export function auditCount(row: unknown): z.output<typeof auditCountSchema> {
  return auditCountSchema.parse(row);
}
