/** All endpoints of the admin API, and the one way in which each of them is answered. */
import { createHash } from 'node:crypto';
import type { Express, Request, RequestHandler, Response } from 'express';
import type { Role } from '../ledger/ledger.ts';
import { accessEndpoints } from './access-endpoints.ts';
import { AdminProblem } from './admin-problem.ts';
import type { AdminSources } from './admin-sources.ts';
import { AuditTrail } from './audit-trail.ts';
import { documentEndpoints } from './document-endpoints.ts';
import type { Answered, Asked, Endpoint, EndpointScope } from './endpoint.ts';
import { jobEndpoints } from './job-endpoints.ts';
import { observedEndpoints } from './observed-endpoints.ts';
import { asFarAs } from './oidc/rights.ts';
import { sessionEndpoints } from './oidc/session-endpoints.ts';
import { withDocument } from './openapi.ts';
import { pauseEndpoints } from './pause-endpoints.ts';
import { registrationEndpoints } from './registration-endpoints.ts';
import { runnerEndpoints } from './runner-endpoints.ts';
import { type OpenBodies, sentWith } from './sent-document.ts';
import { sightOf } from './sight.ts';
import { isAtLeast, type Viewer } from './viewer.ts';
import { WriteRates } from './write-rates.ts';

export function adminEndpoints(sources: AdminSources): readonly Endpoint[] {
  return withDocument([
    ...registrationEndpoints(sources),
    ...documentEndpoints(sources),
    ...observedEndpoints(sources),
    ...jobEndpoints(sources),
    ...runnerEndpoints(sources),
    ...accessEndpoints(sources),
    ...(sources.sessions === undefined ? [] : sessionEndpoints(sources.sessions)),
    ...pauseEndpoints(sources),
  ]);
}

export type ViewerOf = (request: Request) => Viewer;

/** `viewerOf`: of a request that is authenticated. */
export function mountEndpoints(app: Express, sources: AdminSources, viewerOf: ViewerOf): void {
  const trail = new AuditTrail(sources);
  const bodies: OpenBodies = new Map();
  const writes = new WriteRates(sources.clock, sources.log);
  for (const endpoint of adminEndpoints(sources)) {
    const handler: RequestHandler = async (request, response) => {
      const viewer = asFarAs(viewerOf(request), endpoint.role);
      const sight = sightOf(viewer, sources);
      const sent = sentWith(request, viewer, bodies);
      const asked = { viewer, sight, sent, params: request.params, query: request.query };
      const answered = await answerOf(endpoint, asked, { trail, writes });
      if (answered.tag !== undefined) {
        response.set({ ETag: `"${answered.tag}"`, Vary: 'Authorization, Cookie' });
        response.status(answered.status ?? 200).json(answered.body);
      } else if (endpoint.method === 'GET') sendTagged(request, response, answered);
      else response.status(answered.status ?? 200).json(answered.body);
    };
    switch (endpoint.method) {
      case 'GET':
        app.get(endpoint.path, handler);
        break;
      case 'POST':
        app.post(endpoint.path, handler);
        break;
      case 'PUT':
        app.put(endpoint.path, handler);
        break;
      case 'DELETE':
        app.delete(endpoint.path, handler);
        break;
    }
  }
}

interface Records {
  readonly trail: AuditTrail;
  readonly writes: WriteRates;
}

async function answerOf(
  endpoint: Endpoint,
  asked: Asked<unknown, unknown>,
  { trail, writes }: Records,
): Promise<Answered> {
  const { viewer, sight } = asked;
  const { action } = endpoint;
  // First: what is refused for the role is recorded, too.
  if (action !== undefined) writes.spend(viewer);
  // Before anything is looked at: a refusal for the role says nothing about what there is.
  const refusal = roleRefusal(viewer, endpoint.role) ?? scopeRefusal(viewer, endpoint.scope);
  if (refusal !== undefined && action !== undefined) {
    await trail.refused({ viewer, sight, action, target: { subject: endpoint.path, registration: null } }, refusal);
  }
  if (refusal !== undefined) throw refusal;
  const question = endpoint.ask(asked);
  if (action === undefined) return await question.answer();
  return await trail.during({ viewer, sight, action, target: await question.target() }, () => question.answer());
}

export function roleRefusal({ name, role, rights }: Viewer, least: Role): AdminProblem | undefined {
  if (isAtLeast(role, least)) return undefined;
  return new AdminProblem(
    403,
    `${rights === undefined ? 'the token ' : ''}${name} has the role ${role}, and this needs ${least}`,
    `Ask an administrator for a ${rights === undefined ? 'token' : 'group'} with that role.`,
  );
}

function scopeRefusal({ name, tenants }: Viewer, scope: EndpointScope): AdminProblem | undefined {
  if (scope !== 'platform' || tenants === null) return undefined;
  return new AdminProblem(403, `the token ${name} is for tenants, and this concerns all`, 'Ask the platform to do it.');
}

/** A reader that sends back the tag of what it has gets no body while nothing has changed. */
function sendTagged(request: Request, response: Response, { status = 200, body }: Answered): void {
  const text = JSON.stringify(body);
  const tag = `"${createHash('sha256').update(text).digest('base64url').slice(0, 27)}"`;
  response.set({ ETag: tag, Vary: 'Authorization, Cookie' });
  if (isKnown(request.get('if-none-match'), tag)) {
    response.status(304).end();
    return;
  }
  response.status(status).type('application/json').send(text);
}

/** Not Express' own: fetch sends `Cache-Control: no-cache` beside the tag, and means that it decides by itself. */
function isKnown(given: string | undefined, tag: string): boolean {
  const tags = given?.split(',').map((one) => one.trim().replace(/^W\//, '')) ?? [];
  return tags.includes(tag) || tags.includes('*');
}
