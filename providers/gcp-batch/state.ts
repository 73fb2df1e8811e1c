/** Converts Batch's description of a job to the contract's instance. Pure. */
import { z } from 'zod';
import { type EndKind, type Instance, type InstanceReason, ProviderError } from '../provider.ts';
import type { GcpBatchOptions } from './options.ts';
import { jobIdOf } from './request.ts';
import { fromLabels } from './tags.ts';

const texts = z
  .string()
  .nullish()
  .transform((text) => text ?? '');
/** By name; a number if the SDK is older than the service. */
const state = z.union([z.string(), z.number()]).nullish();
const timestamp = z.object({ seconds: z.coerce.number(), nanos: z.number().nullish() }).nullish();

const events = z
  .array(
    z.object({
      type: texts,
      description: texts,
      eventTime: timestamp,
      taskExecution: z.object({ exitCode: z.number().nullish() }).nullish(),
    }),
  )
  .nullish()
  .transform((list) => list ?? []);
export type Events = z.infer<typeof events>;

const job = z.object({
  name: z.string().min(1),
  uid: z.string().min(1),
  labels: z
    .record(z.string(), z.string())
    .nullish()
    .transform((labels) => labels ?? {}),
  createTime: timestamp,
  taskGroups: z.array(z.object({ name: texts })).nullish(),
  status: z
    .object({ state, statusEvents: events })
    .nullish()
    .transform((status) => status ?? { state: undefined, statusEvents: [] }),
});
export type Job = z.infer<typeof job>;

const task = z.object({ status: z.object({ state, statusEvents: events }).nullish() });

const created = job.pick({ uid: true });

/** State of a job that has just been created. */
export function readUid(answer: unknown): string {
  const parsed = created.safeParse(answer);
  if (parsed.success) return parsed.data.uid;
  throw new ProviderError('transient', 'gcp-batch CreateJob', 'a job without a uid');
}

export function readJob(operation: string, answer: unknown): Job {
  const parsed = job.safeParse(answer);
  if (parsed.success) return parsed.data;
  throw new ProviderError('transient', operation, `a job that cannot be read: ${z.prettifyError(parsed.error)}`);
}

/** The events of all given tasks. Unreadable tasks are skipped, because the job's own events describe it too. */
export function readTaskEvents(answer: readonly unknown[]): Events {
  return answer.flatMap((one) => {
    const parsed = task.safeParse(one);
    return parsed.success ? (parsed.data.status?.statusEvents ?? []) : [];
  });
}

/** The last part of `projects/P/locations/R/jobs/ID`. */
function idOf(found: Job): string {
  return found.name.slice(found.name.lastIndexOf('/') + 1);
}

export function taskGroupOf(found: Job): string {
  const name = found.taskGroups?.[0]?.name ?? '';
  return name === '' ? `${found.name}/taskGroups/group0` : name;
}

export function isBeingDeleted(found: Job): boolean {
  return found.status.state === 'DELETION_IN_PROGRESS';
}

export function failed(found: Job): boolean {
  return found.status.state === 'FAILED';
}

/** The exit code, if the job's own events contain it. */
export function exitCodeIn(list: Events): number | undefined {
  for (const { description, taskExecution } of [...list].reverse()) {
    const said = /exit code (\d+)/i.exec(description)?.[1];
    const code = taskExecution?.exitCode ?? (said === undefined ? undefined : Number(said));
    if (code !== undefined) return code;
  }
  return undefined;
}

/**
 * What Batch reports about a machine that it cannot get; it then retries by itself for two days. The codes are those of
 * Compute Engine prefixed with CODE_GCE_, in events of a job that stays QUEUED or SCHEDULED.
 */
const NO_STOCK =
  /RESOURCE_POOL_EXHAUSTED|does not have enough resources|stockout|QUOTA_EXCEEDED|quota '?[\w-]+'? exceeded|IP_SPACE_EXHAUSTED/i;

export interface StateContext {
  readonly nowMs: number;
  readonly queueTimeoutMs: GcpBatchOptions['queueTimeoutMs'];
  readonly stockoutGraceMs: GcpBatchOptions['stockoutGraceMs'];
  /** Read for failed jobs whose own events do not contain the exit code. */
  readonly taskEvents?: Events;
}

/** Undefined if the job is not ours. */
export function toInstance(found: Job, context: StateContext): Instance | undefined {
  const tags = fromLabels(found.labels);
  if (tags === undefined || jobIdOf(tags.runner) !== idOf(found)) return undefined;
  return { ref: { name: tags.runner, id: found.uid }, ...stateOf(found, context), tags };
}

function stateOf(found: Job, context: StateContext): Pick<Instance, 'state' | 'reason'> {
  const { state: now, statusEvents } = found.status;
  switch (now) {
    case 'STATE_UNSPECIFIED':
    case 'QUEUED':
    case 'SCHEDULED':
    case null:
    case undefined:
      return waiting(found, context);
    case 'RUNNING':
      return { state: 'running' };
    case 'SUCCEEDED':
      return { state: 'succeeded', reason: { kind: 'exited', message: 'exited with 0', exitCode: 0 } };
    case 'FAILED':
      return { state: 'failed', reason: whyFailed(statusEvents, context.taskEvents ?? []) };
    case 'CANCELLATION_IN_PROGRESS':
    case 'CANCELLED':
      return { state: 'failed', reason: { kind: 'stopped', message: lastWords(statusEvents) ?? 'it was cancelled' } };
    case 'DELETION_IN_PROGRESS':
      return { state: 'failed', reason: { kind: 'stopped', message: 'it is being deleted' } };
    default:
      return { state: 'unknown' };
  }
}

/**
 * Where others refuse, Batch queues silently for up to two days. After too long a wait the job counts as out of stock;
 * the dispatcher then deletes it and tries the next backend.
 */
function waiting(found: Job, context: StateContext): Pick<Instance, 'state' | 'reason'> {
  const createdAtMs = timeOf(found.createTime);
  const waitedMs = createdAtMs === undefined ? 0 : context.nowMs - createdAtMs;
  const noted = found.status.statusEvents.filter((event) => NO_STOCK.test(event.description));
  const saidAtMs = timeOf(noted[0]?.eventTime) ?? createdAtMs;
  const saidForMs = noted.length === 0 || saidAtMs === undefined ? 0 : context.nowMs - saidAtMs;
  const late = waitedMs > context.queueTimeoutMs || saidForMs > context.stockoutGraceMs;
  if (noted.length === 0 && !late) return { state: 'pending' };
  const words = noted.at(-1)?.description ?? `${String(found.status.state ?? 'QUEUED')}: no machine yet`;
  const message = late ? `${words} (after ${Math.round(waitedMs / 1000)} s)` : words;
  return { state: late ? 'failed' : 'pending', reason: { kind: 'no-stock', message } };
}

/** https://cloud.google.com/batch/docs/troubleshooting#reserved-exit-codes */
const reserved: Readonly<Record<number, readonly [EndKind, string]>> = {
  50000: ['unknown', 'Batch could not run the task'],
  50001: ['spot-reclaimed', 'the spot machine was reclaimed'],
  50002: ['unknown', 'the machine stopped reporting'],
  50003: ['unknown', 'the machine was rebooted while the task ran'],
  50004: ['unknown', 'neither the machine nor the task answered: as a rule they were short of memory'],
  50005: ['time-limit', 'the task ran longer than its time limit'],
  50006: ['unknown', 'the machine was made anew while the task ran'],
};

function whyFailed(jobEvents: Events, taskEvents: Events): InstanceReason {
  const exitCode = exitCodeIn(taskEvents) ?? exitCodeIn(jobEvents);
  const words = lastWords(taskEvents) ?? lastWords(jobEvents);
  if (exitCode === undefined) {
    const ran = jobEvents.some(({ description }) => /^Job state is set from \w+ to RUNNING\b/.test(description));
    const stock = ran ? undefined : jobEvents.findLast((event) => NO_STOCK.test(event.description));
    if (stock !== undefined) return { kind: 'no-stock', message: stock.description };
    return { kind: 'unknown', message: words ?? 'it failed, and Batch does not say why' };
  }
  const known = reserved[exitCode];
  if (known !== undefined) {
    const [kind, meaning] = known;
    // A code of Batch's own: the container's exit code is unknown.
    return { kind, message: words === undefined ? meaning : `${meaning}: ${words}` };
  }
  switch (exitCode) {
    case 125:
      // `docker run` itself failed. Batch does not say why; the details are in batch_agent_logs.
      return {
        kind: 'image-pull-failed',
        message: 'the container could not be started (exit code 125): usually the image cannot be pulled',
        exitCode,
      };
    case 137:
      // Only the kernel kills on a machine used by this runner alone: a job that we stop is deleted, not FAILED.
      return {
        kind: 'out-of-memory',
        message: 'ended by signal 9 (exit code 137): usually the kernel, out of memory',
        exitCode,
      };
    default: {
      const message =
        exitCode > 128 && exitCode < 193 ? `ended by signal ${exitCode - 128}` : `exited with ${exitCode}`;
      return { kind: 'exited', message, exitCode };
    }
  }
}

/** The latest event that says more than a state change; for a job without a machine it precedes the last one. */
function lastWords(list: Events): string | undefined {
  const said = list.map((event) => event.description).filter((description) => description !== '');
  return said.findLast((description) => !BARE_CHANGE.test(description)) ?? said.at(-1);
}

const BARE_CHANGE = /^(Job|Task) state is \w+ from \w+ to \w+( for job \S+)?\.?$/;

function timeOf(time: z.infer<typeof timestamp>): number | undefined {
  return time === null || time === undefined ? undefined : time.seconds * 1000 + Math.floor((time.nanos ?? 0) / 1e6);
}
