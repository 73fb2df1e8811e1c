/**
 * Judges what was said by gRPC by Google's own description ("discovery document") of the REST form of the same API: names,
 * types, enums, patterns, what may not be sent.
 */
import { existsSync, readFileSync } from 'node:fs';
import { z } from 'zod';
import type { Exchange } from '../../../simulators/google/grpc.ts';

interface Schema {
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
  id: z.string(),
  parameters: z.record(z.string(), schema.and(z.object({ required: z.boolean().optional() }))).default({}),
  request: z.object({ $ref: z.string() }).optional(),
  response: z.object({ $ref: z.string() }),
});
type Method = z.infer<typeof method>;

interface Resource {
  readonly methods?: Readonly<Record<string, Method>> | undefined;
  readonly resources?: Readonly<Record<string, Resource>> | undefined;
}
const resource: z.ZodType<Resource> = z.lazy(() =>
  z.object({ methods: z.record(z.string(), method).optional(), resources: z.record(z.string(), resource).optional() }),
);
const document = z.object({
  revision: z.string(),
  schemas: z.record(z.string(), schema),
  resources: z.record(z.string(), resource),
});

export interface Rules {
  /** The id of the described method for each call, and the field of the request that is its body (`*`: all that is no parameter). */
  readonly methods: Readonly<Record<string, { readonly id: string; readonly body?: string }>>;
  /** `google.x.Message` → the schema, for messages in an Any. Undefined where the description is known to have none. */
  schemaOf(message: string): string | undefined;
}

/** Undefined where the description is not at hand; in CI that is a failure. */
export function readDiscovery(file: string, rules: Rules): Discovery | undefined {
  const url = new URL(`../../../../shared/specs/${file}`, import.meta.url);
  if (existsSync(url)) return new Discovery(document.parse(JSON.parse(readFileSync(url, 'utf8'))), rules);
  if (process.env['REQUIRE_DESCRIPTIONS'] === '1')
    throw new Error(`the vendor's description is missing: ${url.pathname}`);
  return undefined;
}

export class Discovery {
  readonly revision: string;
  readonly schemas: Readonly<Record<string, Schema>>;
  readonly #methods = new Map<string, Method>();
  readonly #rules: Rules;

  constructor({ revision, schemas, resources }: z.infer<typeof document>, rules: Rules) {
    this.revision = revision;
    this.schemas = schemas;
    this.#rules = rules;
    const walk = (one: Resource): void => {
      for (const found of Object.values(one.methods ?? {})) this.#methods.set(found.id, found);
      Object.values(one.resources ?? {}).forEach(walk);
    };
    Object.values(resources).forEach(walk);
  }

  /** What is wrong with a call and its reply; empty where the description allows all of it. */
  problemsOf({ call, request, reply }: Pick<Exchange, 'call' | 'request' | 'reply'>): string[] {
    const rule = this.#rules.methods[call];
    const described = rule === undefined ? undefined : this.#methods.get(rule.id);
    if (rule === undefined || described === undefined) return [`${call} is not described`];
    const problems: string[] = [];
    const body: Record<string, unknown> = {};
    for (const [key, value] of Object.entries(request)) {
      const parameter = described.parameters[key];
      if (parameter !== undefined) problems.push(...this.#judge(value, parameter, key, false));
      else if (rule.body === key && described.request !== undefined) {
        problems.push(...this.#judge(value, described.request, key, false));
      } else if (rule.body === '*') body[key] = value;
      else problems.push(`${key}: no parameter of ${call}`);
    }
    for (const [key, parameter] of Object.entries(described.parameters)) {
      if ((parameter.required === true || isRequired(parameter)) && !Object.hasOwn(request, key))
        problems.push(`${key}: is required`);
    }
    if (rule.body === '*' && described.request !== undefined) {
      problems.push(...this.#judge(body, described.request, 'request', false));
    }
    if (reply !== undefined) problems.push(...this.#judge(reply, described.response, 'reply', true));
    return problems;
  }

  #judge(value: unknown, wanted: Schema, path: string, isReply: boolean): string[] {
    const found = wanted.$ref === undefined ? wanted : this.schemas[wanted.$ref];
    if (found === undefined) return [`${path}: ${wanted.$ref} is not described`];
    if (!isReply && wanted.readOnly === true) return [`${path}: is read-only`];
    if (found.enum !== undefined) {
      const known = typeof value === 'string' && found.enum.includes(value);
      return known ? [] : [`${path}: ${JSON.stringify(value)} is none of ${found.enum.join(', ')}`];
    }
    switch (found.type) {
      case 'object':
        return this.#judgeObject(value, found, path, isReply);
      case 'array':
        if (!Array.isArray(value)) return [`${path}: is no list`];
        return value.flatMap((item, index) => this.#judge(item, found.items ?? {}, `${path}.${index}`, isReply));
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

  #judgeObject(value: unknown, found: Schema, path: string, isReply: boolean): string[] {
    if (typeof value !== 'object' || value === null || Array.isArray(value)) return [`${path}: is no object`];
    const { '@type': packed, ...fields }: Record<string, unknown> = { ...value };
    if (typeof packed === 'string') {
      const message = packed.replace(/^type\.googleapis\.com\//, '');
      const $ref = this.#rules.schemaOf(message);
      return $ref === undefined ? [] : this.#judge(fields, { $ref }, `${path}(${message})`, isReply);
    }
    const { properties = {}, additionalProperties } = found;
    const problems = Object.entries(value).flatMap(([key, one]) => {
      const property = properties[key] ?? additionalProperties;
      if (property === undefined) return [`${path}.${key}: is not described`];
      return this.#judge(one, property, `${path}.${key}`, isReply);
    });
    for (const [key, property] of Object.entries(properties)) {
      if (!isReply && isRequired(property) && !Object.hasOwn(value, key)) problems.push(`${path}.${key}: is required`);
    }
    return problems;
  }
}

/** Of a field, the description marks it in words alone. "Required for some …" and "Required if …" are not meant. */
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
