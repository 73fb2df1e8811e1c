/** Converts workflow YAML to jobs. Pure: ids, times and webhooks are handled by `runs.ts`. */
import { parse } from 'yaml';
import { z } from 'zod';
import {
  type ExpressionContext,
  ExpressionError,
  expandText,
  expandValue,
  toText,
  toValue,
  type Value,
} from './expressions.ts';

export class WorkflowError extends Error {}

const scalar = z.union([z.string(), z.number(), z.boolean()]);
const variables = z.record(z.string(), scalar.nullable()).default({});

const stepSchema = z.object({
  name: z.string().optional(),
  id: z.string().optional(),
  if: scalar.optional(),
  run: z.string().optional(),
  uses: z.string().optional(),
  with: z.record(z.string(), z.unknown()).optional(),
  env: variables,
  shell: z.string().optional(),
  'working-directory': z.string().optional(),
  'continue-on-error': z.union([z.boolean(), z.string()]).optional(),
  'timeout-minutes': z.union([z.number(), z.string()]).optional(),
});

const runsOnSchema = z.union([
  z.string(),
  z.array(z.string()),
  z.object({ group: z.string().optional(), labels: z.union([z.string(), z.array(z.string())]).optional() }),
]);

const jobSchema = z.object({
  name: z.string().optional(),
  needs: z.union([z.string(), z.array(z.string())]).optional(),
  if: scalar.optional(),
  'runs-on': runsOnSchema,
  environment: z.union([z.string(), z.object({ name: z.string() })]).optional(),
  strategy: z
    .object({
      matrix: z.union([z.string(), z.record(z.string(), z.unknown())]).optional(),
      'fail-fast': z.union([z.boolean(), z.string()]).optional(),
    })
    .optional(),
  env: variables,
  'timeout-minutes': z.union([z.number(), z.string()]).optional(),
  steps: z.array(stepSchema).max(1_000).default([]),
});

const workflowSchema = z.object({
  name: z.string().optional(),
  on: z.unknown().optional(),
  env: variables,
  jobs: z.record(z.string().regex(/^[A-Za-z_][\w-]*$/, 'a job id is letters, digits, - and _'), jobSchema),
});

type StepYaml = z.infer<typeof stepSchema>;
type JobYaml = z.infer<typeof jobSchema>;

export interface WorkflowJob {
  readonly key: string;
  readonly needs: readonly string[];
  readonly condition: string | undefined;
  readonly yaml: JobYaml;
}

export interface Workflow {
  readonly name: string | undefined;
  readonly environmentVariables: Readonly<Record<string, string>>;
  readonly jobs: readonly WorkflowJob[];
}

/** A step ready to run; `uses` steps have no script and succeed at once. */
export interface PlannedStep {
  readonly name: string;
  readonly condition: string;
  readonly script: string | undefined;
  readonly workingDirectory: string | undefined;
  readonly environmentVariables: Readonly<Record<string, string>>;
  readonly continueOnError: boolean;
  readonly timeoutMinutes: number | undefined;
}

export interface PlannedJob {
  readonly name: string;
  readonly labels: readonly string[];
  readonly group: string | undefined;
  readonly environment: string | undefined;
  readonly environmentVariables: Readonly<Record<string, string>>;
  readonly failFast: boolean;
  readonly timeoutMinutes: number;
  readonly steps: readonly PlannedStep[];
  /** What the `if:` of a step may refer to. */
  readonly names: Readonly<Record<string, Value>>;
}

const maxYamlBytes = 512 * 1024;
/** GitHub's own limit for one matrix. */
const maxMatrix = 256;

export function parseWorkflow(yaml: string): Workflow {
  if (Buffer.byteLength(yaml) > maxYamlBytes) throw new WorkflowError('the workflow is larger than 512 KB');
  let document: unknown;
  try {
    document = parse(yaml, { maxAliasCount: 100 });
  } catch (error) {
    throw new WorkflowError(`not YAML: ${error instanceof Error ? error.message : String(error)}`);
  }
  const parsed = workflowSchema.safeParse(document);
  if (!parsed.success) throw new WorkflowError(z.prettifyError(parsed.error));
  const jobs = Object.entries(parsed.data.jobs).map(([key, job]): WorkflowJob => {
    const needs = job.needs === undefined ? [] : [job.needs].flat();
    return { key, needs, condition: job.if === undefined ? undefined : String(job.if), yaml: job };
  });
  if (jobs.length === 0) throw new WorkflowError('a workflow needs at least one job');
  refuseCycles(jobs);
  return { name: parsed.data.name, environmentVariables: texts(parsed.data.env), jobs };
}

function refuseCycles(jobs: readonly WorkflowJob[]): void {
  const done = new Set<string>();
  let rest = [...jobs];
  for (const job of jobs) {
    for (const need of job.needs) {
      if (!jobs.some(({ key }) => key === need))
        throw new WorkflowError(`job ${job.key} needs ${need}, which is not there`);
    }
  }
  while (rest.length > 0) {
    const ready = rest.filter((job) => job.needs.every((need) => done.has(need)));
    if (ready.length === 0) throw new WorkflowError(`jobs need each other: ${rest.map(({ key }) => key).join(', ')}`);
    for (const job of ready) done.add(job.key);
    rest = rest.filter((job) => !done.has(job.key));
  }
}

/** The jobs created from one entry of `jobs:`: one for each combination of its matrix. */
export function planJobs(job: WorkflowJob, context: ExpressionContext): PlannedJob[] {
  const combinations = matrixOf(job, context);
  return combinations.map((matrix, index) => {
    const names = {
      ...context.names,
      matrix: matrix ?? null,
      strategy: { 'job-index': index, 'job-total': combinations.length, 'fail-fast': failFastOf(job) },
    };
    return planJob(job, matrix, { names, outcome: 'success' });
  });
}

function planJob(
  job: WorkflowJob,
  matrix: Readonly<Record<string, Value>> | undefined,
  context: ExpressionContext,
): PlannedJob {
  const { yaml } = job;
  const environmentVariables = expandAll(yaml.env, context);
  const known = {
    ...context,
    names: { ...context.names, env: { ...asRecord(context.names['env']), ...environmentVariables } },
  };
  const suffix = matrix ? ` (${Object.values(matrix).map(flat).join(', ')})` : '';
  const environment = typeof yaml.environment === 'object' ? yaml.environment.name : yaml.environment;
  return {
    name: yaml.name === undefined ? job.key + suffix : nameOf(yaml.name, suffix, context),
    ...runsOnOf(job, context),
    environment: environment === undefined ? undefined : expandText(environment, context) || undefined,
    environmentVariables,
    failFast: failFastOf(job),
    timeoutMinutes: minutes(yaml['timeout-minutes'], context) ?? 360,
    steps: yaml.steps.map((step) => planStep(step, known)),
    names: known.names,
  };
}

/** A name without an expression gets the matrix values appended, as on GitHub. */
function nameOf(name: string, suffix: string, context: ExpressionContext): string {
  return name.includes('${{') ? expandText(name, context) : name + suffix;
}

function planStep(step: StepYaml, context: ExpressionContext): PlannedStep {
  const environmentVariables = expandAll(step.env, context);
  const script = step.run === undefined ? undefined : expandText(step.run, context);
  const fallback = script === undefined ? `Run ${step.uses ?? 'nothing'}` : `Run ${script.trim().split('\n')[0] ?? ''}`;
  const directory = step['working-directory'];
  const continues = step['continue-on-error'];
  return {
    name: (step.name === undefined ? fallback : expandText(step.name, context)).slice(0, 200),
    condition: step.if === undefined ? 'success()' : String(step.if),
    script,
    workingDirectory: directory === undefined ? undefined : expandText(directory, context),
    environmentVariables,
    continueOnError: typeof continues === 'string' ? expandText(continues, context) === 'true' : (continues ?? false),
    timeoutMinutes: minutes(step['timeout-minutes'], context),
  };
}

function runsOnOf(job: WorkflowJob, context: ExpressionContext): { labels: string[]; group: string | undefined } {
  const runsOn = job.yaml['runs-on'];
  const listOf = (input: string | readonly string[] | undefined): string[] => {
    if (input === undefined) return [];
    const value =
      typeof input === 'string' ? expandValue(input, context) : input.map((item) => expandText(item, context));
    const items = Array.isArray(value) ? value.map(toText) : [toText(value)];
    return items.filter((item) => item !== '');
  };
  if (typeof runsOn === 'object' && !Array.isArray(runsOn)) {
    const group = runsOn.group === undefined ? undefined : expandText(runsOn.group, context);
    return { labels: listOf(runsOn.labels), group };
  }
  const labels = listOf(runsOn);
  if (labels.length === 0) throw new WorkflowError(`job ${job.key}: runs-on is empty`);
  return { labels, group: undefined };
}

function failFastOf(job: WorkflowJob): boolean {
  const wish = job.yaml.strategy?.['fail-fast'];
  return wish !== false && wish !== 'false';
}

function matrixOf(job: WorkflowJob, context: ExpressionContext): (Record<string, Value> | undefined)[] {
  const yaml = job.yaml.strategy?.matrix;
  if (yaml === undefined) return [undefined];
  const value = typeof yaml === 'string' ? expandValue(yaml, context) : toValue(yaml);
  const { include, exclude, ...axes } = asRecord(value);
  let combinations: Record<string, Value>[] = [{}];
  for (const [axis, input] of Object.entries(axes)) {
    const values = typeof input === 'string' ? expandValue(input, context) : input;
    if (!Array.isArray(values)) throw new WorkflowError(`job ${job.key}: matrix.${axis} is not a list`);
    combinations = combinations.flatMap((combination) =>
      values.map((item) => ({ ...combination, [axis]: typeof item === 'string' ? expandText(item, context) : item })),
    );
    if (combinations.length > maxMatrix)
      throw new WorkflowError(`job ${job.key}: a matrix has at most ${maxMatrix} jobs`);
  }
  const excluded = recordsOf(exclude);
  combinations = combinations.filter(
    (combination) => !excluded.some((entry) => Object.entries(entry).every(([key, item]) => combination[key] === item)),
  );
  return addIncluded(combinations, recordsOf(include), Object.keys(axes));
}

/** An entry of `include` is merged into every combination that it does not contradict, or else added as a new one. */
function addIncluded(
  combinations: readonly Record<string, Value>[],
  included: readonly Record<string, Value>[],
  axes: readonly string[],
): Record<string, Value>[] {
  const result = axes.length === 0 ? [] : combinations.map((combination) => ({ ...combination }));
  const originals = result.length;
  for (const entry of included) {
    let joined = false;
    for (const combination of result.slice(0, originals)) {
      const agrees = axes.every((axis) => !(axis in entry) || entry[axis] === combination[axis]);
      if (!agrees) continue;
      Object.assign(combination, entry);
      joined = true;
    }
    if (!joined) result.push({ ...entry });
  }
  return result;
}

function asRecord(value: Value | undefined): Record<string, Value> {
  if (value === null || typeof value !== 'object' || Array.isArray(value)) return {};
  return Object.fromEntries(Object.entries(value));
}

function recordsOf(value: Value | undefined): Record<string, Value>[] {
  return Array.isArray(value) ? value.map((item: Value) => asRecord(item)) : [];
}

function flat(value: Value): string {
  return value !== null && typeof value === 'object' ? Object.values(value).map(flat).join(', ') : toText(value);
}

function texts(input: Readonly<Record<string, string | number | boolean | null>>): Record<string, string> {
  return Object.fromEntries(Object.entries(input).map(([key, value]) => [key, value === null ? '' : String(value)]));
}

function expandAll(
  input: Readonly<Record<string, string | number | boolean | null>>,
  context: ExpressionContext,
): Record<string, string> {
  return Object.fromEntries(Object.entries(texts(input)).map(([key, value]) => [key, expandText(value, context)]));
}

function minutes(input: number | string | undefined, context: ExpressionContext): number | undefined {
  if (input === undefined) return undefined;
  const value = typeof input === 'number' ? input : Number(expandText(input, context));
  if (!Number.isFinite(value) || value <= 0)
    throw new ExpressionError(`timeout-minutes: ${String(input)} is not a number`);
  return value;
}
