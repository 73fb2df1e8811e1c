/** The vendor's own description of its calls (OpenMeta): judges what the provider asks and what the simulator answers. */
import { existsSync, readFileSync } from 'node:fs';
import { z } from 'zod';

const FILES = {
  '2018-08-08': new URL('../../../../shared/specs/alibaba-eci-2018-08-08.openmeta.json', import.meta.url),
  '2016-04-28': new URL('../../../../shared/specs/alibaba-vpc-2016-04-28.openmeta.json', import.meta.url),
} as const;

interface Schema {
  readonly type?: string | undefined;
  readonly required?: boolean | undefined;
  readonly minimum?: string | undefined;
  readonly maximum?: string | undefined;
  readonly maxItems?: number | undefined;
  readonly items?: Schema | undefined;
  readonly properties?: Readonly<Record<string, Schema>> | undefined;
}

const schema: z.ZodType<Schema> = z.object({
  type: z.string().optional(),
  required: z.boolean().optional(),
  minimum: z.string().optional(),
  maximum: z.string().optional(),
  maxItems: z.number().optional(),
  get items() {
    return schema.optional();
  },
  get properties() {
    return z.record(z.string(), schema).optional();
  },
});

const file = z.object({
  endpoints: z.array(z.object({ regionId: z.string(), endpoint: z.string() })),
  apis: z.record(
    z.string(),
    z.object({
      methods: z.array(z.string()),
      parameters: z.array(z.object({ name: z.string(), schema })),
      responses: z.record(z.string(), z.object({ schema })),
      errorCodes: z
        .record(z.string(), z.array(z.object({ errorCode: z.string(), errorMessage: z.string() })))
        .nullish(),
    }),
  ),
});
type File = z.infer<typeof file>;

export interface Description {
  readonly version: string;
  readonly endpoints: File['endpoints'];
  readonly actions: readonly string[];
  /** Down to the last field, without the numbers of lists: `Container.VolumeMount.Name`. */
  parameterFields(action: string): readonly string[];
  /** With the HTTP status that the description gives it. */
  errorCodes(action: string): readonly { readonly status: number; readonly code: string; readonly message: string }[];
  /** What is wrong with these flat parameters, in words; empty where nothing is. */
  refuseParameters(action: string, flat: Readonly<Record<string, string>>): readonly string[];
  refuseAnswer(action: string, answer: unknown): readonly string[];
}

/** Undefined when the file is not there; in CI that is a failure. */
export function readDescription(version: keyof typeof FILES): Description | undefined {
  const place = FILES[version];
  if (existsSync(place)) return describe(version, file.parse(JSON.parse(readFileSync(place, 'utf8'))));
  if (process.env['REQUIRE_DESCRIPTIONS'] === '1')
    throw new Error(`the vendor's description is missing: ${place.pathname}`);
  return undefined;
}

function describe(version: string, { apis, endpoints }: File): Description {
  const api = (action: string) => {
    const found = apis[action];
    if (found === undefined) throw new Error(`${action} is not in the description of ${version}`);
    return found;
  };
  return {
    version,
    endpoints,
    actions: Object.keys(apis),
    parameterFields: (action) => [
      ...new Set(api(action).parameters.flatMap((parameter) => fieldsOf(parameter.schema, parameter.name))),
    ],
    errorCodes: (action) =>
      Object.entries(api(action).errorCodes ?? {}).flatMap(([status, codes]) =>
        codes.map(({ errorCode, errorMessage }) => ({
          status: Number(status),
          code: errorCode,
          message: errorMessage,
        })),
      ),
    refuseParameters: (action, flat) => {
      const top: Schema = {
        type: 'object',
        properties: Object.fromEntries(api(action).parameters.map((parameter) => [parameter.name, parameter.schema])),
      };
      const problems = Object.entries(flat).flatMap(([name, value]) => refuseFlat(top, name, value, name));
      for (const [name, { required }] of Object.entries(top.properties ?? {})) {
        const there = Object.keys(flat).some((key) => key === name || key.startsWith(`${name}.`));
        if (required === true && !there) problems.push(`${name} is missing`);
      }
      return problems;
    },
    refuseAnswer: (action, answer) => {
      const described = api(action).responses['200'];
      return described === undefined
        ? [`${action} has no described answer`]
        : refuseValue(described.schema, answer, action);
    },
  };
}

function fieldsOf(schema: Schema, path: string): string[] {
  if (schema.items !== undefined) return fieldsOf(schema.items, path);
  if (schema.properties === undefined) return [path];
  return Object.entries(schema.properties).flatMap(([name, field]) => fieldsOf(field, `${path}.${name}`));
}

/** `rest` is what is left of the name inside of this schema. Names of fields may hold dots themselves. */
function refuseFlat(within: Schema, rest: string, value: string, whole: string): string[] {
  if (within.type === 'array') {
    const match = /^(\d+)(?:\.(.+))?$/.exec(rest);
    const index = Number(match?.[1] ?? 0);
    if (index < 1) return [`${whole}: a list is counted from 1`];
    if (within.maxItems !== undefined && index > within.maxItems)
      return [`${whole}: more than ${within.maxItems} items`];
    return refuseFlat(within.items ?? {}, match?.[2] ?? '', value, whole);
  }
  if (within.type === 'object') {
    const name = Object.keys(within.properties ?? {})
      .filter((field) => rest === field || rest.startsWith(`${field}.`))
      .sort((one, other) => other.length - one.length)[0];
    const field = name === undefined ? undefined : within.properties?.[name];
    if (name === undefined || field === undefined) return [`${whole} is not described`];
    return refuseFlat(field, rest.slice(name.length + 1), value, whole);
  }
  if (rest !== '') return [`${whole} goes deeper than the description`];
  return refuseText(within, value).map((problem) => `${whole}: ${problem}`);
}

function refuseText({ type, minimum, maximum }: Schema, value: string): string[] {
  if (type === 'boolean') return ['true', 'false'].includes(value) ? [] : [`${value} is no boolean`];
  if (type === 'integer' && !/^-?\d+$/.test(value)) return [`${value} is no integer`];
  if (type === 'number' && !/^-?\d+(\.\d+)?$/.test(value)) return [`${value} is not a number`];
  if (type !== 'integer' && type !== 'number') return [];
  if (minimum !== undefined && Number(value) < Number(minimum)) return [`${value} is less than ${minimum}`];
  if (maximum !== undefined && Number(value) > Number(maximum)) return [`${value} is more than ${maximum}`];
  return [];
}

function refuseValue(described: Schema, value: unknown, path: string): string[] {
  switch (described.type) {
    case 'array':
      if (!Array.isArray(value)) return [`${path} is no list`];
      return value.flatMap((item, index) => refuseValue(described.items ?? {}, item, `${path}[${index}]`));
    case 'object': {
      if (typeof value !== 'object' || value === null || Array.isArray(value)) return [`${path} is no object`];
      const { properties } = described;
      // ListUsage leaves the fields of its Attributes open.
      if (properties === undefined) return [];
      return Object.entries(value).flatMap(([name, field]) => {
        const of = properties[name];
        return of === undefined ? [`${path}.${name} is not described`] : refuseValue(of, field, `${path}.${name}`);
      });
    }
    case 'integer':
      return Number.isInteger(value) ? [] : [`${path} is no integer`];
    case 'number':
      return typeof value === 'number' ? [] : [`${path} is not a number`];
    case 'boolean':
      return typeof value === 'boolean' ? [] : [`${path} is no boolean`];
    case 'string':
      return typeof value === 'string' ? [] : [`${path} is no text`];
    default:
      return [`${path}: the description says nothing of its type`];
  }
}
