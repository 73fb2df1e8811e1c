/** GitHub's own description of its REST API: judges what we ask, and makes up what it would answer. */
import { existsSync, readFileSync } from 'node:fs';
import { Ajv, type ValidateFunction } from 'ajv';
import addFormats from 'ajv-formats';
import { z } from 'zod';
import type { Asked, Says } from './scripted-github.ts';

const FILE = new URL('../../../shared/specs/github-rest-actions-runners.openapi.json', import.meta.url);

const anything = z.record(z.string(), z.unknown());
type Anything = z.infer<typeof anything>;

const operationShape = z.object({
  parameters: z.array(z.unknown()).default([]),
  requestBody: z.unknown().optional(),
  responses: z.record(z.string(), z.unknown()),
});

const parameterShape = z.object({ name: z.string(), in: z.string(), schema: anything });
const contentShape = z.object({ content: z.record(z.string(), z.object({ schema: anything })).optional() });

/** Undefined when the file is not there; in CI that is a failure. */
export function readVendorSpec(): VendorSpec | undefined {
  if (existsSync(FILE)) return new VendorSpec(anything.parse(JSON.parse(readFileSync(FILE, 'utf8'))));
  if (process.env['REQUIRE_DESCRIPTIONS'] === '1')
    throw new Error(`the vendor's description is missing: ${FILE.pathname}`);
  return undefined;
}

export class VendorSpec {
  readonly #document: Anything;
  readonly #ajv: Ajv;
  readonly #compiled = new Map<string, ValidateFunction>();

  constructor(document: Anything) {
    this.#document = document;
    this.#ajv = new Ajv({ strict: false, allErrors: true, coerceTypes: true });
    addFormats.default(this.#ajv);
    this.#ajv.addSchema({ ...anything.parse(nullableAnywhere(document)), $id: 'spec' }, 'spec');
  }

  /** What is wrong with the request; empty when nothing is. */
  objections(asked: Asked): readonly string[] {
    const found = this.#find(asked);
    if (found === undefined) return [`${asked.method} ${asked.path} is not in the description`];
    const operation = operationShape.parse(this.#at(found.pointer));
    const queries = operation.parameters
      .map((parameter) => parameterShape.parse(this.#resolve(parameter)))
      .filter((parameter) => parameter.in === 'query');
    const wrong: string[] = [];
    for (const [name, value] of asked.query) {
      const parameter = queries.find((one) => one.name === name);
      if (parameter === undefined) wrong.push(`no parameter ${name} at ${found.pointer.join(' ')}`);
      else if (!this.#valid(parameter.schema, { value }, true)) wrong.push(`${name} must not be ${value}`);
    }
    if (operation.requestBody === undefined) {
      if (asked.body !== '') wrong.push(`no body is foreseen at ${found.pointer.join(' ')}`);
      return wrong;
    }
    const schema = this.#json(operation.requestBody);
    const body: unknown = asked.body === '' ? {} : JSON.parse(asked.body);
    if (schema !== undefined && !this.#valid(schema, body)) wrong.push(this.#ajv.errorsText());
    return wrong;
  }

  /** An answer as the description has it, made of its own examples. */
  answer(asked: Asked): Says {
    const found = this.#find(asked);
    if (found === undefined) return { status: 404, body: { message: 'Not Found' } };
    const operation = operationShape.parse(this.#at(found.pointer));
    const status = Object.keys(operation.responses).find((code) => code.startsWith('2')) ?? '500';
    const schema = this.#json(operation.responses[status]);
    if (schema === undefined) return { status: Number(status) };
    const body = this.#sample(schema);
    if (!this.#valid(schema, structuredClone(body))) throw new Error(`bad sample for ${asked.path}: ${this.#errors}`);
    return { status: Number(status), body };
  }

  #errors = '';

  #find(asked: Asked): { readonly pointer: readonly string[] } | undefined {
    const segments = asked.path.split('/');
    const matching = Object.keys(anything.parse(this.#document['paths']))
      .filter((template) => {
        const parts = template.split('/');
        return (
          parts.length === segments.length &&
          parts.every((part, index) => part.startsWith('{') || part === segments[index])
        );
      })
      .sort((one, other) => one.split('{').length - other.split('{').length);
    for (const template of matching) {
      const pointer = ['paths', template, asked.method.toLowerCase()];
      if (this.#at(pointer) !== undefined) return { pointer };
    }
    return undefined;
  }

  #at(pointer: readonly string[]): unknown {
    let value: unknown = this.#document;
    for (const name of pointer) value = anything.safeParse(value).data?.[name];
    return value;
  }

  #resolve(value: unknown): unknown {
    const reference = anything.safeParse(value).data?.['$ref'];
    if (typeof reference !== 'string') return value;
    return this.#resolve(this.#at(reference.replace('#/', '').split('/')));
  }

  #json(holder: unknown): Anything | undefined {
    return contentShape.parse(this.#resolve(holder)).content?.['application/json']?.schema;
  }

  #valid(schema: Anything, value: unknown, wrapped = false): boolean {
    const key = JSON.stringify([schema, wrapped]);
    let validate = this.#compiled.get(key);
    if (validate === undefined) {
      // References of a part are references into the whole.
      const whole = anything.parse(JSON.parse(JSON.stringify(nullableAnywhere(schema)).replaceAll('"#/', '"spec#/')));
      validate = this.#ajv.compile(wrapped ? { type: 'object', properties: { value: whole } } : whole);
      this.#compiled.set(key, validate);
    }
    const valid = validate(value);
    this.#errors = valid ? '' : this.#ajv.errorsText(validate.errors);
    return valid;
  }

  #sample(given: unknown, depth = 0, name = ''): unknown {
    const schema = anything.parse(this.#resolve(given));
    if (schema['example'] !== undefined && schema['properties'] === undefined) return schema['example'];
    if (Array.isArray(schema['enum'])) return schema['enum'][0];
    for (const choice of ['anyOf', 'oneOf']) {
      const options = schema[choice];
      if (Array.isArray(options)) return this.#sample(options[0], depth + 1);
    }
    if (Array.isArray(schema['allOf'])) {
      return Object.assign({}, ...schema['allOf'].map((part) => this.#sample(part, depth + 1)));
    }
    if (schema['nullable'] === true && depth > 3) return null;
    switch (schema['type']) {
      case 'integer':
      case 'number':
        return 1;
      case 'boolean':
        return false;
      case 'array':
        return depth > 8 ? [] : [this.#sample(schema['items'], depth + 1)];
      case 'string':
        // `expires_at` of a token is described as a mere string.
        if (schema['format'] === 'date-time' || name.endsWith('_at')) return '2026-01-05T13:00:00Z';
        return schema['format'] === 'uri' ? 'https://api.github.com/x' : 'text';
      default: {
        const required = z.array(z.string()).default([]).parse(schema['required']);
        const properties = anything.default({}).parse(schema['properties']);
        return Object.fromEntries(
          Object.entries(properties)
            .filter(([name]) => required.includes(name) || depth < 4)
            .map(([name, property]) => [name, this.#sample(property, depth + 1, name)]),
        );
      }
    }
  }
}

/** OpenAPI 3.0 allows `nullable` without a type, Ajv does not. */
function nullableAnywhere(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(nullableAnywhere);
  const holder = anything.safeParse(value).data;
  if (holder === undefined) return value;
  const inner = Object.fromEntries(Object.entries(holder).map(([name, part]) => [name, nullableAnywhere(part)]));
  if (inner['nullable'] !== true || typeof inner['type'] === 'string') return inner;
  const { nullable: _, ...rest } = inner;
  return { anyOf: [rest, { type: 'null' }] };
}
