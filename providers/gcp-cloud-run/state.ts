/** Converts Cloud Run's answers to instances. Pure. */
import { z } from 'zod';
import { decodeTags } from '../kit/tags.ts';
import type { EndKind, Instance, InstanceReason, InstanceState, InstanceTags } from '../provider.ts';
import { DISPATCHER_LABEL, NAME_VARIABLE, TAGS_VARIABLE } from './request.ts';

/** gax returns strings; the metadata of an operation has protobuf's own Long. */
const int64 = z.preprocess(
  (value) => (typeof value === 'object' && value !== null ? String(value) : value),
  z.coerce.number(),
);
const timestamp = z.object({ seconds: int64.default(0), nanos: z.number().default(0) }).nullish();
const count = z.number().nullish();

const variable = z.object({ name: z.string(), value: z.string().nullish() });
const condition = z.object({
  type: z.string().default(''),
  // A name, or a number for which this SDK has no name.
  state: z.union([z.string(), z.number()]).default('STATE_UNSPECIFIED'),
  message: z.string().nullish(),
  reason: z.union([z.string(), z.number()]).nullish(),
  executionReason: z.union([z.string(), z.number()]).nullish(),
});

export const executionSchema = z.object({
  name: z.string(),
  uid: z.string().default(''),
  labels: z.record(z.string(), z.string()).nullish(),
  createTime: timestamp,
  startTime: timestamp,
  completionTime: timestamp,
  deleteTime: timestamp,
  runningCount: count,
  succeededCount: count,
  failedCount: count,
  cancelledCount: count,
  conditions: z.array(condition).nullish(),
  template: z.object({ containers: z.array(z.object({ env: z.array(variable).nullish() })).nullish() }).nullish(),
});
export type ExecutionAnswer = z.infer<typeof executionSchema>;

/** From the task's `lastAttemptResult`: the only place that has the exit code. */
export const taskSchema = z.object({
  lastAttemptResult: z
    .object({
      exitCode: z.number().nullish(),
      termSignal: z.number().nullish(),
      status: z.object({ code: z.number().nullish(), message: z.string().nullish() }).nullish(),
    })
    .nullish(),
});
export type TaskAnswer = z.infer<typeof taskSchema>;

/** An execution with a runner's name in its environment. */
export interface Sighting {
  /** `<job>/<execution>`: all that GetExecution needs. */
  readonly id: string;
  readonly name: string;
  /** Undefined if the execution has the name but is not ours. */
  readonly tags: InstanceTags | undefined;
  readonly createdAt: CreatedAt;
}

/** With nanosecond precision, comparable as a string. */
export type CreatedAt = string;

/** Undefined for executions unrelated to runners. */
export function sighting(execution: ExecutionAnswer): Sighting | undefined {
  const variables = execution.template?.containers?.[0]?.env ?? [];
  const read = (name: string): string | undefined => variables.find((one) => one.name === name)?.value ?? undefined;
  const name = read(NAME_VARIABLE);
  const id = idOf(execution.name);
  if (name === undefined || id === undefined) return undefined;
  const tags = readTags(read(TAGS_VARIABLE));
  const ours = tags !== undefined && tags.runner === name && execution.labels?.[DISPATCHER_LABEL] === tags.dispatcher;
  return { id, name, tags: ours ? tags : undefined, createdAt: createdAtOf(execution) };
}

export function createdAtOf(execution: Pick<ExecutionAnswer, 'createTime'>): CreatedAt {
  const { seconds = 0, nanos = 0 } = execution.createTime ?? {};
  return `${String(seconds).padStart(12, '0')}.${String(nanos).padStart(9, '0')}`;
}

/** The time this much earlier. */
export function before(createdAt: CreatedAt, seconds: number): CreatedAt {
  const [whole = '0', rest = ''] = createdAt.split('.');
  return `${String(Math.max(0, Number(whole) - seconds)).padStart(12, '0')}.${rest}`;
}

/** A deletion after the container has ended: the execution will not appear again. */
export function isGone(execution: ExecutionAnswer): boolean {
  return isSet(execution.deleteTime) && isSet(execution.completionTime);
}

export function hasEnded(execution: ExecutionAnswer): boolean {
  return isSet(execution.completionTime);
}

/** `task` only if the execution has ended. */
export function instanceOf(execution: ExecutionAnswer, seen: Sighting, task?: TaskAnswer): Instance {
  const { state, reason } = stateOf(execution, task);
  return {
    ref: { name: seen.name, id: seen.id },
    state,
    ...(reason === undefined ? {} : { reason }),
    ...(seen.tags === undefined ? {} : { tags: seen.tags }),
  };
}

/** `projects/P/locations/R/jobs/J/executions/E` → `J/E` */
export function idOf(executionName: string): string | undefined {
  const match = /\/jobs\/([^/]+)\/executions\/([^/]+)$/.exec(executionName);
  return match === null ? undefined : `${match[1]}/${match[2]}`;
}

/** Condition.State. The metadata of an operation has the numbers, everything else the names. */
const states: readonly (readonly [string, number, Exclude<InstanceState, 'unknown'>])[] = [
  ['CONDITION_PENDING', 1, 'pending'],
  ['CONDITION_RECONCILING', 2, 'running'],
  ['CONDITION_FAILED', 3, 'failed'],
  ['CONDITION_SUCCEEDED', 4, 'succeeded'],
];

function stateOf(execution: ExecutionAnswer, task?: TaskAnswer): { state: InstanceState; reason?: InstanceReason } {
  const conditions = execution.conditions ?? [];
  const completed = conditions.find((one) => one.type === 'Completed');
  // A new one has no conditions yet.
  if (completed === undefined) return { state: (execution.runningCount ?? 0) > 0 ? 'running' : 'pending' };
  const said = states.find(([name, number]) => name === completed.state || number === completed.state)?.[2];
  switch (said) {
    case undefined:
      return { state: 'unknown' };
    case 'succeeded':
      return { state: 'succeeded', reason: { kind: 'exited', message: completed.message ?? '', exitCode: 0 } };
    case 'failed':
      return { state: 'failed', reason: endOf(execution, completed, task) };
    default: {
      if ((execution.runningCount ?? 0) > 0) return { state: 'running' };
      // Not running, and one of the conditions says why.
      const stuck = conditions.find((one) => one.state === 'CONDITION_FAILED' || one.state === 3);
      return stuck === undefined
        ? { state: 'pending' }
        : { state: 'pending', reason: { kind: kindOfText(stuck) ?? 'unknown', message: stuck.message ?? '' } };
    }
  }
}

function endOf(execution: ExecutionAnswer, completed: z.infer<typeof condition>, task?: TaskAnswer): InstanceReason {
  const result = task?.lastAttemptResult;
  const message = [completed.message, result?.status?.message]
    .filter((text, index, all) => text !== undefined && text !== null && text !== '' && all.indexOf(text) === index)
    .join(' ');
  const { executionReason } = completed;
  if (executionReason === 'CANCELLED' || executionReason === 'DELETED' || (execution.cancelledCount ?? 0) > 0) {
    return { kind: 'stopped', message };
  }
  const said = kindOfText({ ...completed, message });
  // "The configured timeout was reached" comes with exit code 0, which is not an exit code then.
  if (said !== undefined) return { kind: said, message };
  const signal = result?.termSignal ?? 0;
  // The service kills for two reasons, timeout and memory; the message names the first one.
  if (signal === 9) return { kind: 'out-of-memory', message, exitCode: 137 };
  if (signal > 0) return { kind: 'exited', message, exitCode: 128 + signal };
  const fromWords = /exit code: (\d+)/.exec(message)?.[1];
  const exitCode = result?.exitCode ?? (fromWords === undefined ? undefined : Number(fromWords));
  if (executionReason === 'NON_ZERO_EXIT_CODE' || (exitCode ?? 0) > 0) {
    return { kind: 'exited', message, ...(exitCode === undefined ? {} : { exitCode }) };
  }
  return { kind: 'unknown', message };
}

const commonReasons: Readonly<Record<string, EndKind>> = {
  CONTAINER_MISSING: 'image-pull-failed',
  CONTAINER_PERMISSION_DENIED: 'image-pull-failed',
  CONTAINER_IMAGE_UNAUTHORIZED: 'image-pull-failed',
  CONTAINER_IMAGE_AUTHORIZATION_CHECK_FAILED: 'image-pull-failed',
};

/** Messages seen in the conditions and tasks of executions. First match wins. */
export const endWords: readonly (readonly [RegExp, EndKind])[] = [
  [/configured timeout was reached|maximum timeout of/i, 'time-limit'],
  [/memory limit|out of memory|terminated on signal 9/i, 'out-of-memory'],
  [
    /image .*(not found|could not be (pulled|imported))|failed to (pull|import|download) .*image|manifest .*unknown/i,
    'image-pull-failed',
  ],
  // The dispatcher tries the next backend for both: an exhausted quota counts as no stock.
  [/quota|(CpuAlloc|MemAlloc)PerProjectRegion/i, 'no-stock'],
  [
    /no (available )?(capacity|instance)|(not enough|insufficient) (capacity|resources)|resources? .*(un|not )available/i,
    'no-stock',
  ],
];

function kindOfText(said: z.infer<typeof condition>): EndKind | undefined {
  const byReason = typeof said.reason === 'string' ? commonReasons[said.reason] : undefined;
  return byReason ?? endWords.find(([pattern]) => pattern.test(said.message ?? ''))?.[1];
}

const flatTags = z.record(z.string(), z.string());

function readTags(text: string | undefined): InstanceTags | undefined {
  if (text === undefined) return undefined;
  try {
    const flat = flatTags.safeParse(JSON.parse(text));
    return flat.success ? decodeTags(flat.data) : undefined;
  } catch {
    return undefined;
  }
}

/** protobuf's zero time counts as missing. */
function isSet(time: z.infer<typeof timestamp>): boolean {
  return time !== null && time !== undefined && (time.seconds > 0 || time.nanos > 0);
}
