/** Tokens of the admin API, and the audit trail. */
import type { AuditFilter } from '../ledger.ts';
import type { Tables } from '../tables.ts';
import type { Builder, Query } from './fixed.ts';
import { atMost } from './terms.ts';

export function insertToken(builder: Builder, token: Tables['tokens']): Query {
  return builder.insertInto('tokens').values(token).compile();
}

export function tokenByHash(builder: Builder, hash: string): Query {
  return builder.selectFrom('tokens').selectAll().where('hash', '=', hash).compile();
}

export function tokenById(builder: Builder, id: string): Query {
  return builder.selectFrom('tokens').selectAll().where('id', '=', id).compile();
}

export function allTokens(builder: Builder): Query {
  return builder.selectFrom('tokens').selectAll().orderBy('name').orderBy('id').compile();
}

/** Names of tenants have no character that means something here. */
export function tokensFor(builder: Builder, tenants: readonly string[] | null): Query {
  const all = builder.selectFrom('tokens').selectAll().orderBy('name').orderBy('id');
  if (tenants === null) return all.where('tenants', 'is', null).compile();
  return all.where(({ eb, or }) => or(tenants.map((name) => eb('tenants', 'like', `%"${name}"%`)))).compile();
}

export function revokeToken(builder: Builder, id: string, by: string, nowMs: number): Query {
  return builder
    .updateTable('tokens')
    .set({ revokedAtMs: nowMs, revokedBy: by })
    .where('id', '=', id)
    .where('revokedAtMs', 'is', null)
    .compile();
}

export function deleteToken(builder: Builder, id: string): Query {
  return builder.deleteFrom('tokens').where('id', '=', id).compile();
}

export function insertAudit(builder: Builder, entry: Tables['audit']): Query {
  return builder.insertInto('audit').values(entry).compile();
}

export function endAudit(builder: Builder, id: string, status: number, outcome: string | null): Query {
  return builder.updateTable('audit').set({ status, outcome }).where('id', '=', id).compile();
}

export function auditsMatching(builder: Builder, { tenants, actor, action, before, limit }: AuditFilter): Query {
  let query = builder.selectFrom('audit').selectAll().orderBy('id', 'desc').limit(atMost(limit));
  if (tenants !== undefined) query = query.where('tenant', 'in', tenants);
  if (actor !== undefined) query = query.where('actorName', '=', actor);
  if (action !== undefined) query = query.where('action', '=', action);
  if (before !== undefined) query = query.where('id', '<', before);
  return query.compile();
}

export function pruneAudit(builder: Builder, beforeMs: number, limit: number): Query {
  return builder
    .deleteFrom('audit')
    .where('id', 'in', ({ selectFrom }) =>
      selectFrom('audit').select('id').where('atMs', '<', beforeMs).orderBy('id').limit(atMost(limit)),
    )
    .compile();
}

/** The longest trail first. */
export function auditsByActor(builder: Builder): Query {
  return builder
    .selectFrom('audit')
    .select(({ fn }) => ['share', 'actorId', fn.countAll<number>().as('count')])
    .groupBy(['share', 'actorId'])
    .orderBy('count', 'desc')
    .orderBy('actorId')
    .orderBy('share')
    .compile();
}

export function pruneAuditOf(
  builder: Builder,
  { actorId, share }: { readonly actorId: string; readonly share: string },
  limit: number,
): Query {
  return builder
    .deleteFrom('audit')
    .where('id', 'in', ({ selectFrom }) =>
      selectFrom('audit')
        .select('id')
        .where('actorId', '=', actorId)
        .where('share', '=', share)
        .orderBy('id')
        .limit(atMost(limit)),
    )
    .compile();
}
