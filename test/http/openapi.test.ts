import { Ajv2020 } from 'ajv/dist/2020.js';
import { expect } from 'chai';
import { z } from 'zod';
import { adminEndpoints } from '../../dispatcher/http/admin-routes.ts';
import type { Endpoint } from '../../dispatcher/http/endpoint.ts';
import { systemRandom } from '../../time/clock.ts';
import { breaker, failure } from '../failures/examples.ts';
import { acmeLane, backends, type Fixture, MINUTE, NOW, noPauses, runner, TOKEN } from './admin-fixture.ts';
import { keptDocuments, openTenants } from './tenants-fixture.ts';

const operationSchema = z.looseObject({
  operationId: z.string(),
  parameters: z.array(
    z.looseObject({ name: z.string(), in: z.enum(['path', 'query', 'header']), required: z.boolean() }),
  ),
  responses: z.record(
    z.string(),
    z.looseObject({
      content: z.record(z.string(), z.object({ schema: z.record(z.string(), z.unknown()) })).optional(),
    }),
  ),
});
const documentSchema = z.looseObject({
  openapi: z.literal('3.1.0'),
  paths: z.record(z.string(), z.record(z.string(), operationSchema)),
});

/** One real request for each endpoint. */
const REQUESTS: Readonly<Record<string, readonly string[]>> = {
  '/api/registrations': ['/api/registrations?limit=1', '/api/registrations'],
  '/api/backends': ['/api/backends'],
  '/api/backends/:registration/reset': ['/api/backends/acme/reset'],
  '/api/backends/:registration/:backend/reset': ['/api/backends/acme/main/reset'],
  '/api/lanes': ['/api/lanes'],
  '/api/registrations/:registration/observed': ['/api/registrations/acme/observed?since=1d'],
  '/api/jobs': ['/api/jobs', '/api/jobs?limit=1'],
  '/api/jobs/:host/:id': ['/api/jobs/github.com/1'],
  '/api/jobs/:host/:owner/:repository/:id': ['/api/jobs/github.com/acme/web/2'],
  '/api/runs/:host/:owner/:repository/:id': ['/api/runs/github.com/acme/web/101'],
  '/api/runners': ['/api/runners'],
  '/api/runners/:name': ['/api/runners/shr-failed?output=true', '/api/runners/shr-old'],
  '/api/runners/:name/forget': ['/api/runners/shr-acme/forget'],
  '/api/explain': ['/api/explain?repository=acme/web&labels=acme-runner'],
  'GET /api/registrations/:registration': ['/api/registrations/acme'],
  'PUT /api/registrations/:registration': ['/api/registrations/acme'],
  'DELETE /api/registrations/:registration': ['/api/registrations/acme'],
  '/api/pauses': ['/api/pauses'],
  '/api/pause': ['/api/pause?reason=why'],
  '/api/resume': ['/api/resume'],
  '/api/registrations/:registration/pause': ['/api/registrations/acme/pause'],
  '/api/registrations/:registration/resume': ['/api/registrations/acme/resume'],
  '/api/me': ['/api/me'],
  '/api/tokens': ['/api/tokens'],
  'POST /api/tokens': ['/api/tokens?name=ci&role=viewer'],
  '/api/tokens/:id/revoke': [],
  '/api/audit': ['/api/audit'],
  '/api/openapi.json': ['/api/openapi.json'],
};

describe('the OpenAPI document', () => {
  let fixture: Fixture;
  let endpoints: readonly Endpoint[];
  let document: z.infer<typeof documentSchema>;
  before(async () => {
    fixture = await openTenants({ documents: keptDocuments, admit: () => ({ outcome: 'lane', lane: acmeLane }) });
    const { ledger } = fixture;
    await ledger.putBreaker(breaker({ closedUntilMs: NOW + MINUTE, failure: failure({ atMs: NOW }) }));
    await ledger.createRunner(runner('shr-failed', acmeLane, { failure: failure({ atMs: NOW }) }), 'launched');
    await ledger.keepOutput('shr-failed', 'the last words', NOW);
    endpoints = adminEndpoints({
      ledger,
      clock: { now: () => NOW },
      random: systemRandom,
      log: { debug() {}, info() {}, warn() {}, error() {} },
      registrations: () => [],
      laneReason: async () => undefined,
      jobReason: async () => undefined,
      forgetRunner: async () => undefined,
      backends: () => backends,
      resetBackends: async () => undefined,
      pausing: noPauses,
    });
    document = documentSchema.parse(await (await fixture.ask('/api/openapi.json')).json());
  });
  after(() => fixture.close());

  it('has every endpoint, each with a name of its own and the parameters that its path names', () => {
    const described = Object.entries(document.paths).flatMap(([path, methods]) =>
      Object.entries(methods).map(([method, operation]) => ({ path, method, operation })),
    );
    expect(described.map(({ method, path }) => `${method.toUpperCase()} ${path}`)).to.have.members(
      endpoints.map(({ method, path }) => `${method} ${path.replace(/:(\w+)/g, '{$1}')}`),
    );
    expect(new Set(described.map(({ operation }) => operation.operationId)).size).to.equal(endpoints.length);
    for (const { path, operation } of described) {
      const named = [...path.matchAll(/\{(\w+)\}/g)].map(([, name]) => name);
      const inPath = operation.parameters.filter((one) => one.in === 'path' && one.required);
      expect(
        inPath.map(({ name }) => name),
        path,
      ).to.have.members(named);
    }
  });

  it('says of each write, and of nothing else, that there can be too many', () => {
    for (const { action, method, path } of endpoints) {
      const operation = document.paths[path.replace(/:(\w+)/g, '{$1}')]?.[method.toLowerCase()];
      const headers = Object.keys(operation?.responses['429']?.['headers'] ?? {});
      expect(headers, `${method} ${path}`).to.deep.equal(action === undefined ? [] : ['Retry-After']);
    }
  });

  it('says what the query of a list takes', () => {
    const names = document.paths['/api/jobs']?.['get']?.parameters.map(({ name }) => name);
    expect(names).to.deep.equal(['registration', 'lane', 'status', 'admission', 'limit', 'cursor']);
  });

  it('fits what is answered, and no answer has more than it says', async () => {
    let fitted = 0;
    for (const endpoint of endpoints) {
      const { method, path, answer } = endpoint;
      const requests = REQUESTS[`${method} ${path}`] ?? REQUESTS[path];
      expect(requests, `a request for ${method} ${path}`).to.not.equal(undefined);
      const operation = document.paths[path.replace(/:(\w+)/g, '{$1}')]?.[method.toLowerCase()];
      for (const request of requests ?? []) {
        const response = await fixture.ask(request, {
          method,
          ...(method === 'PUT' ? { body: '{}' } : {}),
          headers: {
            ...(method === 'PUT' ? { 'content-type': 'application/json' } : {}),
            authorization: `Bearer ${TOKEN}`,
          },
        });
        const body: unknown = await response.json();
        const described = operation?.responses[String(response.status)]?.content?.['application/json']?.schema;
        expect(described, `${method} ${request}: ${response.status}`).to.not.equal(undefined);
        // The same schema, closed to fields that it does not name.
        for (const schema of [described ?? {}, z.toJSONSchema(answer, { unrepresentable: 'any' })]) {
          const ajv = new Ajv2020({ strict: false, validateFormats: false });
          expect(ajv.validate(schema, body), `${request}: ${ajv.errorsText()}`).to.equal(true);
        }
        fitted += 1;
      }
    }
    expect(fitted).to.be.greaterThan(endpoints.length - 1);
  });

  it('fits what is refused', async () => {
    const response = await fixture.ask('/api/jobs?limit=0');
    const components = z.looseObject({ schemas: z.record(z.string(), z.record(z.string(), z.unknown())) });
    const problem = components.parse(document['components']).schemas['Problem'];
    const ajv = new Ajv2020({ strict: false });
    expect(ajv.validate(problem ?? false, await response.json()), ajv.errorsText()).to.equal(true);
    expect(response.headers.get('content-type')).to.equal('application/problem+json; charset=utf-8');
  });
});
