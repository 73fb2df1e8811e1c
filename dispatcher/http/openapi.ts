/** The document that describes the admin API (OpenAPI 3.1), made of what its endpoints declare. */
import { z } from 'zod';
import program from '../../package.json' with { type: 'json' };
import { jsonSchemaOf } from '../config/schema.ts';
import { noQuery } from './admin-query.ts';
import { problemSchema } from './admin-shapes.ts';
import { type Endpoint, type EndpointDescription, endpoint } from './endpoint.ts';
import { WRITES_OF_A_TENANT, WRITES_OF_A_TOKEN } from './write-rates.ts';

type Json = Readonly<Record<string, unknown>>;

/** Itself included. */
export function withDocument(endpoints: readonly Endpoint[]): readonly Endpoint[] {
  let document: Json | undefined;
  const own = endpoint({
    method: 'GET',
    path: '/api/openapi.json',
    summary: 'This document',
    role: 'viewer',
    scope: 'anyone',
    params: noQuery,
    query: noQuery,
    answer: z.record(z.string(), z.unknown()),
    handle() {
      document ??= openApi(all);
      return { body: document };
    },
  });
  const all = [...endpoints, own];
  return all;
}

function openApi(endpoints: readonly EndpointDescription[]): Json {
  const paths: Record<string, Record<string, Json>> = {};
  for (const one of endpoints) {
    const path = one.path.replace(/:(\w+)/g, '{$1}');
    paths[path] = { ...paths[path], [one.method.toLowerCase()]: operationOf(one) };
  }
  return {
    openapi: '3.1.0',
    info: {
      title: 'serverless-hosted-runner: the admin API of a dispatcher',
      version: program.version,
      description: 'Fields may be added: ignore those that you do not know. Requests have no body, unless it says so.',
      license: { name: 'Apache-2.0', identifier: 'Apache-2.0' },
    },
    security: [{ token: [] }],
    paths,
    components: {
      securitySchemes: { token: { type: 'http', scheme: 'bearer', description: 'Made by `shr token create`.' } },
      schemas: { Problem: schemaOf(problemSchema, 'output') },
    },
  };
}

function operationOf({
  method,
  path,
  summary,
  role,
  scope,
  statuses,
  params,
  query,
  answer,
  document,
  action,
}: EndpointDescription): Json {
  const answers = (statuses ?? [200]).map((status) => [
    String(status),
    {
      description: 'Done',
      ...(method === 'GET' ? { headers: { ETag: { schema: { type: 'string' } } } } : {}),
      content: { 'application/json': { schema: schemaOf(answer, 'output') } },
    },
  ]);
  return {
    operationId: operationId(method, path),
    summary,
    description: `Role: ${role}.${scope === 'tenants' ? " A token of tenants is answered with what is theirs; what is another's is a 404." : ''}`,
    parameters: [
      ...parametersIn('path', params),
      ...parametersIn('query', query),
      ...(method === 'PUT' || method === 'DELETE' ? PRECONDITIONS : []),
    ],
    ...(document === undefined ? {} : { requestBody: REQUEST_BODY }),
    responses: {
      ...Object.fromEntries(answers),
      ...(method === 'GET'
        ? { 304: { description: 'Nothing has changed: the tag of If-None-Match is the present one' } }
        : {}),
      ...(action === undefined ? {} : { 429: TOO_MANY }),
      default: {
        description: 'Refused or failed: `error` says what is wrong, `cure` what to do',
        content: { 'application/problem+json': { schema: { $ref: '#/components/schemas/Problem' } } },
      },
    },
    'x-shr-role': role,
  };
}

const TOO_MANY: Json = {
  description: `Too many writes in a minute: the limit is ${WRITES_OF_A_TOKEN} for a token, and ${WRITES_OF_A_TENANT} for all tokens of a tenant`,
  headers: { 'Retry-After': { description: 'Seconds', required: true, schema: { type: 'integer', minimum: 1 } } },
  content: { 'application/problem+json': { schema: { $ref: '#/components/schemas/Problem' } } },
};

const PRECONDITIONS: readonly Json[] = [
  ['If-Match', 'Only if it is still what this ETag was of; `*`: only if it is there. Otherwise 412.'],
  ['If-None-Match', '`*`: only if it is not there. Otherwise 412.'],
].map(([name, description]) => ({ name, in: 'header', required: false, description, schema: { type: 'string' } }));

const REQUEST_BODY: Json = {
  required: true,
  description: 'A registration, as it would be in its file: docs/registrations.md. Secrets are references or sealed.',
  content: {
    'application/json': { schema: jsonSchemaOf('registration') },
    'application/yaml': { schema: { type: 'string' } },
  },
};

/** `GET /api/runners/:name` is `getRunnersByName`. */
function operationId(method: string, path: string): string {
  const words = path.replace(/^\/api\//, '').split(/[/.]/);
  const names = words.map((word) => (word.startsWith(':') ? `By${capital(word.slice(1))}` : capital(word)));
  return `${method.toLowerCase()}${names.join('')}`;
}

function capital(word: string): string {
  return word.charAt(0).toUpperCase() + word.slice(1);
}

const objectSchema = z.object({
  properties: z.record(z.string(), z.record(z.string(), z.unknown())).default({}),
  required: z.array(z.string()).default([]),
});

function parametersIn(place: 'path' | 'query', schema: z.ZodType): readonly Json[] {
  const { properties, required } = objectSchema.parse(schemaOf(schema, 'input'));
  return Object.entries(properties).map(([name, one]) => ({
    name,
    in: place,
    required: place === 'path' || required.includes(name),
    schema: one,
  }));
}

/** Open to fields that are added later: what is sent today is no promise that nothing else will be. */
function schemaOf(schema: z.ZodType, io: 'input' | 'output'): Json {
  const { $schema, ...rest } = z.toJSONSchema(schema, {
    io,
    unrepresentable: 'any',
    override: ({ jsonSchema }) => {
      if (jsonSchema.additionalProperties === false) delete jsonSchema.additionalProperties;
    },
  });
  return rest;
}
