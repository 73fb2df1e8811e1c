/** Judges what was said on the wire by Google's own description of the REST form of the same API (proto3 JSON). */
import { readFileSync } from 'node:fs';
import { z } from 'zod';
import type { Exchange } from '../../../simulators/google/grpc.ts';

const file = new URL('../../../../shared/specs/google-batch-v1.discovery.json', import.meta.url);

export interface Schema {
  readonly type?: string | undefined;
  readonly format?: string | undefined;
  readonly pattern?: string | undefined;
  readonly $ref?: string | undefined;
  readonly enum?: readonly string[] | undefined;
  readonly readOnly?: boolean | undefined;
  readonly description?: string | undefined;
  readonly items?: Schema | undefined;
  readonly properties?: Readonly<Record<string, Schema>> | undefined;
  readonly additionalProperties?: Schema | undefined;
}
const schema: z.ZodType<Schema> = z.lazy(() =>
  z.object({
    type: z.string().optional(),
    format: z.string().optional(),
    pattern: z.string().optional(),
    $ref: z.string().optional(),
    enum: z.array(z.string()).optional(),
    readOnly: z.boolean().optional(),
    description: z.string().optional(),
    items: schema.optional(),
    properties: z.record(z.string(), schema).optional(),
    additionalProperties: schema.optional(),
  }),
);
const method = z.object({
  parameters: z.record(z.string(), schema),
  request: z.object({ $ref: z.string() }).optional(),
  response: z.object({ $ref: z.string() }),
});
const jobs = z.object({
  methods: z.record(z.string(), method),
  resources: z.object({
    taskGroups: z.object({ resources: z.object({ tasks: z.object({ methods: z.record(z.string(), method) }) }) }),
  }),
});
const document = z.object({
  schemas: z.record(z.string(), schema),
  resources: z.object({
    projects: z.object({
      resources: z.object({
        locations: z.object({
          resources: z.object({ jobs, operations: z.object({ methods: z.record(z.string(), method) }) }),
        }),
      }),
    }),
  }),
});

/** Undefined where the description is not at hand; then CI fails and everybody else is told. */
export function readDescription(): Description | undefined {
  let text: string;
  try {
    text = readFileSync(file, 'utf8');
  } catch (error) {
    if (process.env['CI']) throw new Error('CI requires the API descriptions in ../shared/specs', { cause: error });
    return undefined;
  }
  return new Description(document.parse(JSON.parse(text)));
}

export class Description {
  readonly schemas: Readonly<Record<string, Schema>>;
  readonly #methods: Readonly<Record<string, z.infer<typeof method>>>;

  constructor({ schemas, resources }: z.infer<typeof document>) {
    this.schemas = schemas;
    const { jobs: found, operations } = resources.projects.resources.locations.resources;
    const tasks = found.resources.taskGroups.resources.tasks.methods;
    this.#methods = Object.fromEntries(
      [
        ['google.cloud.batch.v1.BatchService/CreateJob', found.methods['create']],
        ['google.cloud.batch.v1.BatchService/GetJob', found.methods['get']],
        ['google.cloud.batch.v1.BatchService/ListJobs', found.methods['list']],
        ['google.cloud.batch.v1.BatchService/DeleteJob', found.methods['delete']],
        ['google.cloud.batch.v1.BatchService/ListTasks', tasks['list']],
        ['google.longrunning.Operations/GetOperation', operations.methods['get']],
      ].flatMap(([name, described]) =>
        typeof name === 'string' && typeof described === 'object' ? [[name, described]] : [],
      ),
    );
  }

  /** What is wrong with a call and its reply; empty where the description allows all of it. */
  problemsOf({ call, request, reply }: Exchange): string[] {
    const described = this.#methods[call];
    if (described === undefined) return [`${call} is not described`];
    const problems: string[] = [];
    for (const [key, value] of Object.entries(request)) {
      const parameter = described.parameters[key];
      if (parameter !== undefined) problems.push(...this.#judge(value, parameter, key, 'request'));
      // The body of a create is the job itself; everything beside it is a parameter.
      else if (described.request !== undefined && key === 'job') {
        problems.push(...this.#judge(value, { $ref: described.request.$ref }, key, 'request'));
      } else problems.push(`${key}: no parameter of ${call}`);
    }
    for (const [key, parameter] of Object.entries(described.parameters)) {
      if (isRequired(parameter) && !Object.hasOwn(request, key)) problems.push(`${key}: is required`);
    }
    if (reply !== undefined) {
      problems.push(...this.#judge(reply, { $ref: described.response.$ref }, 'reply', 'reply'));
    }
    return problems;
  }

  #judge(value: unknown, wanted: Schema, path: string, side: 'request' | 'reply'): string[] {
    const found = wanted.$ref === undefined ? wanted : this.schemas[wanted.$ref];
    if (found === undefined) return [`${path}: ${wanted.$ref} is not described`];
    if (side === 'request' && wanted.readOnly === true) return [`${path}: is read-only`];
    if (found.enum !== undefined) {
      const known = typeof value === 'string' && found.enum.includes(value);
      return known ? [] : [`${path}: ${JSON.stringify(value)} is none of ${found.enum.join(', ')}`];
    }
    switch (found.type) {
      case 'object':
        return this.#judgeObject(value, found, path, side);
      case 'array':
        if (!Array.isArray(value)) return [`${path}: is no list`];
        return value.flatMap((item, index) => this.#judge(item, found.items ?? {}, `${path}.${index}`, side));
      case 'string':
        return judgeText(value, found, path);
      case 'boolean':
        return typeof value === 'boolean' ? [] : [`${path}: is no boolean`];
      case 'integer':
        return Number.isInteger(value) ? [] : [`${path}: is no integer`];
      case 'any':
        return [];
      default:
        return [`${path}: of type ${found.type}, which this test does not know`];
    }
  }

  #judgeObject(value: unknown, found: Schema, path: string, side: 'request' | 'reply'): string[] {
    if (typeof value !== 'object' || value === null || Array.isArray(value)) return [`${path}: is no object`];
    const { properties = {}, additionalProperties } = found;
    const problems = Object.entries(value).flatMap(([key, one]) => {
      const property = properties[key] ?? additionalProperties;
      if (property === undefined) return [`${path}.${key}: is not described`];
      return this.#judge(one, property, `${path}.${key}`, side);
    });
    for (const [key, property] of Object.entries(properties)) {
      if (side === 'request' && isRequired(property) && !Object.hasOwn(value, key)) {
        problems.push(`${path}.${key}: is required`);
      }
    }
    return problems;
  }
}

/** The description marks it in words alone. "Required for some …" and "Required if …" are not meant. */
function isRequired({ description = '' }: Schema): boolean {
  return /^Required\. /.test(description);
}

/** Decoded protobuf has times and durations as messages where proto3 JSON has texts. */
const moment = z.strictObject({
  seconds: z
    .string()
    .regex(/^-?\d+$/)
    .optional(),
  nanos: z.number().optional(),
});

function judgeText(value: unknown, found: Schema, path: string): string[] {
  switch (found.format) {
    case 'google-datetime':
    case 'google-duration':
      return moment.safeParse(value).success ? [] : [`${path}: is no ${found.format}`];
    case 'int64':
      return typeof value === 'string' && /^-?\d+$/.test(value) ? [] : [`${path}: is no int64`];
    default:
      if (typeof value !== 'string') return [`${path}: is no text`];
      if (found.pattern !== undefined && !new RegExp(found.pattern).test(value)) {
        return [`${path}: ${JSON.stringify(value)} does not match ${found.pattern}`];
      }
      return [];
  }
}
