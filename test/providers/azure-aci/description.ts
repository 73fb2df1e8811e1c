/** The vendor's own description of its calls (Swagger 2.0): judges what the provider asks and what the simulator answers. */
import { existsSync, readFileSync } from 'node:fs';
import { z } from 'zod';
import type { Call } from '../../../simulators/azure-aci/index.ts';

const FILE = new URL('../../../../shared/specs/azure-container-instances-2025-09-01.json', import.meta.url);

interface Schema {
  readonly $ref?: string | undefined;
  readonly type?: string | undefined;
  readonly enum?: readonly unknown[] | undefined;
  readonly 'x-ms-enum'?: { readonly modelAsString?: boolean | undefined } | undefined;
  readonly required?: readonly string[] | undefined;
  readonly readOnly?: boolean | undefined;
  readonly 'x-ms-secret'?: boolean | undefined;
  readonly items?: Schema | undefined;
  readonly properties?: Readonly<Record<string, Schema>> | undefined;
  readonly additionalProperties?: Schema | boolean | undefined;
  readonly allOf?: readonly Schema[] | undefined;
}

const schema: z.ZodType<Schema> = z.object({
  $ref: z.string().optional(),
  type: z.string().optional(),
  enum: z.array(z.unknown()).optional(),
  'x-ms-enum': z.object({ modelAsString: z.boolean().optional() }).optional(),
  required: z.array(z.string()).optional(),
  readOnly: z.boolean().optional(),
  'x-ms-secret': z.boolean().optional(),
  get items() {
    return schema.optional();
  },
  get properties() {
    return z.record(z.string(), schema).optional();
  },
  get additionalProperties() {
    return schema.or(z.boolean()).optional();
  },
  get allOf() {
    return z.array(schema).optional();
  },
});

const operation = z.object({
  operationId: z.string(),
  parameters: z
    .array(
      z.object({
        $ref: z.string().optional(),
        in: z.string().optional(),
        name: z.string().optional(),
        schema: schema.optional(),
      }),
    )
    .default([]),
  responses: z.record(z.string(), z.object({ schema: schema.optional() })),
});
type Operation = z.infer<typeof operation>;

const file = z.object({
  info: z.object({ version: z.string() }),
  paths: z.record(z.string(), z.record(z.string(), operation)),
  definitions: z.record(z.string(), schema),
});

/** What the simulator calls an operation, by the description's name for it. */
const ids: Readonly<Record<Call['operation'], string>> = {
  create: 'ContainerGroups_CreateOrUpdate',
  get: 'ContainerGroups_Get',
  list: 'ContainerGroups_ListByResourceGroup',
  delete: 'ContainerGroups_Delete',
  logs: 'Containers_ListLogs',
  usages: 'Location_ListUsage',
  capabilities: 'Location_ListCapabilities',
  operation: 'polling',
  subnet: 'looking at a subnet',
  token: 'signing in',
  unknown: 'unknown',
};

/**
 * Where the SDK's version (2023-05-01) and the description's (2025-09-01) differ, or the description is silent. Each is
 * left out of the judgement by its words, and by nothing wider.
 */
export const differences: readonly { readonly words: RegExp; readonly why: string }[] = [
  {
    words: /^polling: there is no such operation$/,
    why: 'polling follows the URL that the service itself gives (azure-asyncoperation, location); no version describes it',
  },
  { words: /^signing in: there is no such operation$/, why: 'of Entra ID, not of this service' },
  { words: /^looking at a subnet: there is no such operation$/, why: 'of the network service, for `shr doctor` alone' },
  {
    words: /^[A-Za-z]+_[A-Za-z]+: api-version 2023-05-01$/,
    why: 'the newest release of the SDK (9.1) speaks 2023-05-01; the description at hand is 2025-09-01',
  },
  {
    words: /^ContainerGroups_ListByResourceGroup: \?\$skiptoken is not described$/,
    why: 'of nextLink, which the service makes as it likes and the SDK follows as it is',
  },
  {
    words: /^ContainerGroups_CreateOrUpdate: the header if-none-match is not described$/,
    why: "of the vendor's guidelines for all resource providers; a service that ignores it does no harm by it",
  },
];

export interface Description {
  readonly version: string;
  readonly operations: readonly string[];
  /** What is wrong with the call, in words; empty where nothing is. */
  problems(call: Call): readonly string[];
}

/** Undefined when the file is not there; in CI that is a failure. */
export function readDescription(): Description | undefined {
  if (existsSync(FILE)) return describe(file.parse(JSON.parse(readFileSync(FILE, 'utf8'))));
  if (process.env['REQUIRE_DESCRIPTIONS'] === '1')
    throw new Error(`the vendor's description is missing: ${FILE.pathname}`);
  return undefined;
}

/** All that is wrong, but for the named differences. */
export function problemsOf(calls: readonly Call[], description: Description): readonly string[] {
  return calls
    .flatMap((call) => description.problems(call))
    .filter((problem) => !differences.some(({ words }) => words.test(problem)));
}

function describe({ info, paths, definitions }: z.infer<typeof file>): Description {
  const operations = new Map<string, { readonly method: string; readonly path: string; readonly it: Operation }>();
  for (const [path, methods] of Object.entries(paths)) {
    for (const [method, it] of Object.entries(methods)) operations.set(it.operationId, { method, path, it });
  }
  const judge = new Judge(definitions);
  return {
    version: info.version,
    operations: [...operations.keys()],
    problems: (call) => {
      const id = ids[call.operation];
      const found = operations.get(id);
      if (found === undefined) return [`${id}: there is no such operation`];
      const url = new URL(call.url, 'https://service');
      const version = url.searchParams.get('api-version') ?? 'none';
      const pattern = found.path.replaceAll('.', '\\.').replaceAll(/\{[^}]+\}/g, '[^/]+');
      const known = ['api-version', ...found.it.parameters.flatMap(({ name }) => name ?? [])];
      const body = found.it.parameters.find((parameter) => parameter.in === 'body')?.schema;
      const answer = found.it.responses[String(call.status)];
      const said = answer === undefined && call.status >= 400 ? found.it.responses['default']?.schema : answer?.schema;
      return [
        ...(found.method.toUpperCase() === call.method ? [] : [`the method is ${call.method}`]),
        ...(new RegExp(`^${pattern}$`, 'i').test(url.pathname) ? [] : [`the path is ${url.pathname}`]),
        ...(version === info.version ? [] : [`api-version ${version}`]),
        ...[...url.searchParams.keys()]
          .filter((name) => !known.includes(name))
          .map((name) => `?${name} is not described`),
        ...(call.headers['if-none-match'] === undefined ? [] : ['the header if-none-match is not described']),
        ...(body === undefined ? [] : judge.refuse(body, call.body, 'body', 'request')),
        ...(answer === undefined && call.status < 400 ? [`${call.status} is not described`] : []),
        // 202 and 204 may say nothing.
        ...(said === undefined || call.answer === undefined ? [] : judge.refuse(said, call.answer, 'answer', 'answer')),
      ].map((problem) => `${id}: ${problem}`);
    },
  };
}

class Judge {
  readonly #definitions: Readonly<Record<string, Schema>>;

  constructor(definitions: Readonly<Record<string, Schema>>) {
    this.#definitions = definitions;
  }

  refuse(given: Schema, value: unknown, path: string, side: 'request' | 'answer'): string[] {
    const described = this.#whole(given);
    // An open list may have new values in an answer, but not in what we ask.
    const isOpen = side === 'answer' && described['x-ms-enum']?.modelAsString === true;
    if (described.enum !== undefined && !isOpen && !described.enum.includes(value)) {
      return [`${path}: ${JSON.stringify(value)} is none of ${described.enum.join(', ')}`];
    }
    if (described.type === 'array') {
      if (!Array.isArray(value)) return [`${path} is no list`];
      return value.flatMap((item, index) => this.refuse(described.items ?? {}, item, `${path}[${index}]`, side));
    }
    if (described.properties !== undefined || described.additionalProperties !== undefined) {
      return this.#refuseObject(described, value, path, side);
    }
    const type = described.type === 'integer' ? 'number' : described.type;
    if (type === 'number' || type === 'string' || type === 'boolean') {
      return typeof value === type ? [] : [`${path} is no ${described.type}`];
    }
    return [];
  }

  #refuseObject(described: Schema, value: unknown, path: string, side: 'request' | 'answer'): string[] {
    if (typeof value !== 'object' || value === null || Array.isArray(value)) return [`${path} is no object`];
    const { properties = {}, additionalProperties } = described;
    const missing = (described.required ?? []).filter(
      (name) =>
        !Object.hasOwn(value, name) &&
        // Secrets may be required, and are in no answer all the same [the vendor's own examples].
        !(side === 'answer' && this.#whole(properties[name] ?? {})['x-ms-secret'] === true),
    );
    return [
      ...missing.map((name) => `${path}.${name} is missing`),
      ...Object.entries(value).flatMap(([name, field]) => {
        const of = Object.hasOwn(properties, name) ? properties[name] : undefined;
        if (of !== undefined) {
          if (side === 'request' && this.#whole(of).readOnly === true) return [`${path}.${name} is only read`];
          return this.refuse(of, field, `${path}.${name}`, side);
        }
        if (typeof additionalProperties === 'object') {
          return this.refuse(additionalProperties, field, `${path}.${name}`, side);
        }
        return additionalProperties === true ? [] : [`${path}.${name} is not described`];
      }),
    ];
  }

  /** References and `allOf` resolved. */
  #whole(given: Schema): Schema {
    let described = given;
    if (given.$ref !== undefined) {
      const name = given.$ref.replace(/^#\/definitions\//, '');
      const found = this.#definitions[name];
      if (found === undefined) throw new Error(`${given.$ref} is not in the description`);
      described = { ...found, ...(given.readOnly === undefined ? {} : { readOnly: given.readOnly }) };
    }
    const parents = (described.allOf ?? []).map((parent) => this.#whole(parent));
    if (parents.length === 0) return described;
    return {
      ...described,
      properties: Object.assign({}, ...parents.map((parent) => parent.properties ?? {}), described.properties ?? {}),
      required: [...parents.flatMap((parent) => parent.required ?? []), ...(described.required ?? [])],
    };
  }
}
