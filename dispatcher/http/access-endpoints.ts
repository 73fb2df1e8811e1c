/** Tokens, the audit trail, and who asks. */
import { z } from 'zod';
import { ulid } from '../../time/clock.ts';
import type { TokenRow } from '../ledger/ledger.ts';
import { AdminProblem } from './admin-problem.ts';
import { auditQuery, newTokenQuery, noQuery, tokenPath, tokensQuery } from './admin-query.ts';
import {
  auditListSchema,
  tokenCreatedSchema,
  tokenListSchema,
  tokenRevokedSchema,
  viewerSchema,
} from './admin-shapes.ts';
import type { AdminSources } from './admin-sources.ts';
import { auditView, tokenView } from './admin-views.ts';
import { hashOfToken, newToken } from './api-token.ts';
import { type Asked, type Endpoint, endpoint } from './endpoint.ts';
import { cursorOf, pageOf, placeOf } from './page.ts';
import { isAtLeast, isWithin, RESERVED_NAMES, type Viewer } from './viewer.ts';

const ID = /^[0-9a-z]{26}$/;
const auditPlace = z.tuple([z.string().regex(ID)]);

export function accessEndpoints(sources: AdminSources): readonly Endpoint[] {
  const { clock, ledger, log, random } = sources;

  return [
    endpoint({
      method: 'GET',
      path: '/api/me',
      summary: 'Who asks: name, role and scope of the token, or of the person who is logged in',
      role: 'viewer',
      scope: 'anyone',
      params: noQuery,
      query: noQuery,
      answer: viewerSchema,
      handle({ viewer: { id, name, role, tenants, expiresAtMs, rights, csrfToken } }) {
        const expiresAt = expiresAtMs === null ? null : new Date(expiresAtMs).toISOString();
        const session = rights === undefined || csrfToken === undefined ? null : { rights, csrfToken };
        return { body: { id, name, role, tenants: tenants === null ? null : [...tenants], expiresAt, session } };
      },
    }),

    endpoint({
      method: 'GET',
      path: '/api/tokens',
      summary: 'The tokens, without what they are; those that are over come last',
      role: 'admin',
      scope: 'tenants',
      params: noQuery,
      query: tokensQuery,
      answer: tokenListSchema,
      async handle({ viewer, query }) {
        const nowMs = clock.now();
        const seen = (await ledger.tokens()).filter(({ tenants }) => isWithin(tenants, viewer.tenants));
        const views = seen.map((token) => tokenView(token, nowMs));
        const { rows, next } = pageOf(views, ({ state, name, id }) => [state === 'in-force' ? 0 : 1, name, id], query);
        return { body: { tokens: rows, more: next !== null, next } };
      },
    }),

    endpoint({
      method: 'POST',
      path: '/api/tokens',
      summary: 'Make a token; the answer shows it once',
      role: 'admin',
      scope: 'tenants',
      action: 'token.create',
      params: noQuery,
      query: newTokenQuery,
      answer: tokenCreatedSchema,
      statuses: [201],
      target: ({ query }) => ({ subject: `token ${query.name}`, registration: null, tenants: query.tenants ?? null }),
      async handle({ viewer, query: { name, role, tenants, expires } }) {
        const nowMs = clock.now();
        const scope = tenants === undefined ? null : [...new Set(tenants)].toSorted();
        refuseMore(viewer, scope);
        refuseUnknown(scope);
        if (RESERVED_NAMES.includes(name)) {
          throw new AdminProblem(
            400,
            `${name} is not a name for a token`,
            'It stands for the dispatcher itself: choose another.',
          );
        }
        if (ID.test(name)) {
          throw new AdminProblem(
            400,
            `${name} is not a name for a token`,
            'It reads like the id of one: choose another.',
          );
        }
        const token = newToken(random);
        const row: TokenRow = {
          id: ulid(nowMs, random),
          name,
          hash: hashOfToken(token),
          role,
          tenants: scope,
          createdAtMs: nowMs,
          createdBy: viewer.name,
          sessionId: viewer.sessionId ?? null,
          expiresAtMs: earliest(expires === null ? null : nowMs + expires, viewer.expiresAtMs),
          revokedAtMs: null,
          revokedBy: null,
        };
        const outcome = await ledger.createToken(row);
        if (outcome === 'taken') {
          throw new AdminProblem(409, `a token in force is called ${name}`, 'Choose another name, or revoke that one.');
        }
        if (outcome === 'full') {
          throw new AdminProblem(409, 'there are as many tokens as may be', 'Revoke those that nobody uses any more.');
        }
        log.warn('admin.access.created', { name, role, scope: scope ?? 'platform', by: viewer.name, id: row.id });
        return {
          status: 201,
          body: { token, of: tokenView(row, nowMs) },
          remark: `${role} of ${scope?.join(', ') ?? 'the platform'}, ${untilWords(row.expiresAtMs)}, id ${row.id}`,
        };
      },
    }),

    endpoint({
      method: 'POST',
      path: '/api/tokens/:id/revoke',
      summary: 'Revoke a token: it is refused from now on',
      role: 'admin',
      scope: 'tenants',
      action: 'token.revoke',
      params: tokenPath,
      query: noQuery,
      answer: tokenRevokedSchema,
      async target(asked) {
        const token = await seenToken(asked);
        const { id } = asked.params;
        return { subject: `token ${token?.name ?? id}`, registration: null, tenants: token?.tenants ?? null };
      },
      async handle(asked) {
        const { id } = asked.params;
        const known = await seenToken(asked);
        const nowMs = clock.now();
        const revoked = known === undefined ? undefined : await ledger.revokeToken(id, asked.viewer.name, nowMs);
        if (revoked === undefined) {
          throw new AdminProblem(404, `no token ${id}`, '`shr token list` lists those that there are');
        }
        log.warn('admin.access.revoked', { name: revoked.name, id, by: asked.viewer.name });
        return { body: { of: tokenView(revoked, nowMs) }, remark: `id ${id}` };
      },
    }),

    endpoint({
      method: 'GET',
      path: '/api/audit',
      summary: 'What was done with the API: who, what, when, and how it ended; newest first',
      role: 'operator',
      scope: 'tenants',
      params: noQuery,
      query: auditQuery,
      answer: auditListSchema,
      async handle({ viewer, query: { actor, action, cursor, limit } }) {
        const before = placeOf(cursor, auditPlace)?.[0];
        const found = await ledger.audits({
          ...(viewer.tenants === null ? {} : { tenants: viewer.tenants }),
          ...(actor === undefined ? {} : { actor }),
          ...(action === undefined ? {} : { action }),
          ...(before === undefined ? {} : { before }),
          limit: limit + 1,
        });
        const shown = found.slice(0, limit);
        const last = shown.at(-1);
        const next = found.length > limit && last !== undefined ? cursorOf([last.id]) : null;
        return { body: { entries: shown.map(auditView), more: next !== null, next } };
      },
    }),
  ];

  /** One that is wider than the viewer's own scope is not there for it. */
  async function seenToken({ viewer, params }: Asked<{ readonly id: string }, unknown>): Promise<TokenRow | undefined> {
    const token = await ledger.token(params.id);
    return token !== undefined && isWithin(token.tenants, viewer.tenants) ? token : undefined;
  }

  function refuseUnknown(scope: readonly string[] | null): void {
    const known = sources.tenants?.()?.map(({ name }) => name) ?? [];
    const unknown = scope?.find((name) => !known.includes(name));
    if (unknown === undefined) return;
    const cure =
      known.length === 0
        ? 'dispatcher.yaml has no `tenants`: leave the scope out, and the token is for the platform.'
        : 'Write it as under `tenants` in dispatcher.yaml.';
    throw new AdminProblem(400, `there is no tenant ${unknown}`, cure);
  }
}

/** Nobody hands out more than they have. Roles above `admin` do not exist, so only the scope can be wider. */
function refuseMore(viewer: Viewer, scope: readonly string[] | null): void {
  if (isAtLeast(viewer.role, 'admin') && isWithin(scope, viewer.tenants)) return;
  throw new AdminProblem(
    403,
    'a token is for its own tenants at most',
    `Name them with --tenant: ${viewer.tenants?.join(', ') ?? 'none'}.`,
  );
}

/** A token that ends cannot outlive itself in another. */
function earliest(one: number | null, other: number | null): number | null {
  if (one === null || other === null) return one ?? other;
  return Math.min(one, other);
}

function untilWords(atMs: number | null): string {
  return atMs === null ? 'without an end' : `until ${new Date(atMs).toISOString()}`;
}
