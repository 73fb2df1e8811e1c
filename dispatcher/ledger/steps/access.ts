/** Tokens of the admin API, and the audit trail. */
import {
  type AuditFilter,
  type AuditRow,
  MAX_AUDIT_ROWS,
  MAX_TOKENS,
  MAX_TOKENS_OF_TENANT,
  type TokenRow,
} from '../ledger.ts';
import * as accessQueries from '../queries/access.ts';
import * as rows from '../rows.ts';
import { type Context, firstOf, type Step } from './step.ts';

/** The place of one of its own that has been over the longest is taken. */
export function* createToken(context: Context, token: TokenRow): Step<'created' | 'taken' | 'full'> {
  const { builder, nowMs } = context;
  const known = (yield accessQueries.tokensFor(builder, token.tenants)).rows.map(rows.token);
  const own = known.filter((one) => shareOf(one) === shareOf(token));
  const over = own.filter((one) => endOf(one) <= nowMs).sort((one, other) => endOf(one) - endOf(other));
  const inForce = known.filter((one) => endOf(one) > nowMs);
  // Others' names are not told, and a tenant takes no places from others.
  if (inForce.some((one) => one.name === token.name && scopeOf(one) === scopeOf(token))) return 'taken';
  const held = (tenant: string): number => inForce.filter(({ tenants }) => tenants?.includes(tenant)).length;
  if (token.tenants?.some((tenant) => held(tenant) >= MAX_TOKENS_OF_TENANT)) return 'full';
  if (own.length >= (token.tenants === null ? MAX_TOKENS : 2 * MAX_TOKENS_OF_TENANT)) {
    const [oldest] = over;
    if (oldest === undefined) return 'full';
    yield accessQueries.deleteToken(builder, oldest.id);
  }
  yield accessQueries.insertToken(builder, rows.tokenColumns(token));
  return 'created';
}

export function* tokenByHash(context: Context, hash: string): Step<TokenRow | undefined> {
  return firstOf(yield accessQueries.tokenByHash(context.builder, hash), rows.token);
}

export function* token(context: Context, id: string): Step<TokenRow | undefined> {
  return firstOf(yield accessQueries.tokenById(context.builder, id), rows.token);
}

export function* tokens(context: Context): Step<readonly TokenRow[]> {
  const known = (yield accessQueries.allTokens(context.builder)).rows.map(rows.token);
  const isOver = (one: TokenRow) => endOf(one) <= context.nowMs;
  return [...known.filter((one) => !isOver(one)), ...known.filter(isOver)];
}

export function* revokeToken(context: Context, id: string, by: string, nowMs: number): Step<TokenRow | undefined> {
  yield accessQueries.revokeToken(context.builder, id, by, nowMs);
  return yield* token(context, id);
}

export function* beginAudit(context: Context, entry: AuditRow): Step<void> {
  yield accessQueries.insertAudit(context.builder, entry);
}

export function* endAudit(context: Context, id: string, status: number, outcome: string | null): Step<void> {
  yield accessQueries.endAudit(context.builder, id, status, outcome);
}

export function* audits(context: Context, filter: AuditFilter): Step<readonly AuditRow[]> {
  // Not every database takes an empty list.
  if (filter.tenants?.length === 0) return [];
  return (yield accessQueries.auditsMatching(context.builder, filter)).rows.map(rows.audit);
}

const AUDIT_KEPT_MS = 400 * 24 * 3_600_000;

/**
 * Beyond the number, of the longest share the longest trail: a tenant that does the same again and again, with however many
 * tokens, pushes out only that.
 */
export function* pruneAudit(context: Context, nowMs: number, limit: number, most = MAX_AUDIT_ROWS): Step<number> {
  const { builder } = context;
  const aged = (yield accessQueries.pruneAudit(builder, nowMs - AUDIT_KEPT_MS, limit)).changed;
  if (aged > 0) return aged;
  const trails = (yield accessQueries.auditsByActor(builder)).rows.map(rows.auditCount);
  const excess = trails.reduce((sum, { count }) => sum + count, 0) - most;
  const shares = new Map<string, number>();
  for (const { count, share } of trails) shares.set(share, (shares.get(share) ?? 0) + count);
  const [share, nextShare] = [...shares].map(([name, count]) => ({ name, count })).sort((a, b) => b.count - a.count);
  const [longest, next] = trails.filter((one) => one.share === share?.name);
  if (excess <= 0 || share === undefined || longest === undefined) return 0;
  const leads = [share.count - (nextShare?.count ?? 0), longest.count - (next?.count ?? 0)];
  const count = Math.min(limit, excess, ...leads.map((lead) => Math.max(1, lead)));
  return (yield accessQueries.pruneAuditOf(builder, longest, count)).changed;
}

/** Whose places it takes: of several tenants the first one's. */
function shareOf({ tenants }: TokenRow): string | null {
  return tenants?.toSorted()[0] ?? null;
}

function scopeOf({ tenants }: TokenRow): string | null {
  return tenants === null ? null : tenants.toSorted().join(',');
}

function endOf({ expiresAtMs, revokedAtMs }: TokenRow): number {
  return Math.min(expiresAtMs ?? Number.POSITIVE_INFINITY, revokedAtMs ?? Number.POSITIVE_INFINITY);
}
