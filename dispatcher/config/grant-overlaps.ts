/**
 * Finds tenants that were granted the same label in the same repositories: a mistake in dispatcher.yaml, reported
 * before either of them writes a registration.
 */
import { globsOverlap, isGlob } from '../labels/glob.ts';
import type { Grant, TenantEntry } from '../model/registration.ts';
import type { Reading } from './reading.ts';

interface Claimed {
  readonly grant: Grant;
  readonly field: 'owners' | 'repositories';
  readonly index: number;
  readonly name: string;
}

export function findGrantOverlaps(reading: Reading, tenants: readonly TenantEntry[]): void {
  /** By host and owner: only these can overlap. */
  const byOwner = new Map<string, Claimed[]>();
  const told = new Set<string>();
  for (const { grant } of tenants) {
    if (grant === undefined) continue;
    for (const host of grant.hosts) {
      for (const claimed of claimedBy(grant)) {
        const key = `${host} ${claimed.field} ${claimed.name.split('/')[0]}`;
        const rivals = byOwner.get(key) ?? [];
        for (const rival of rivals) {
          // Once, however many hosts they share.
          const pair = `${grant.tenant} ${claimed.name} ${rival.grant.tenant} ${rival.name}`;
          if (!told.has(pair)) tell(reading, claimed, rival);
          told.add(pair);
        }
        rivals.push(claimed);
        byOwner.set(key, rivals);
      }
    }
  }
}

function claimedBy(grant: Grant): readonly Claimed[] {
  return (['owners', 'repositories'] as const).flatMap((field) =>
    grant[field].map((name, index) => ({ grant, field, index, name })),
  );
}

function tell(reading: Reading, claimed: Claimed, rival: Claimed): void {
  const { grant, field, index, name } = claimed;
  if (grant.tenant === rival.grant.tenant || !sameRank(name, rival.name) || !globsOverlap(name, rival.name)) return;
  const label = labelInCommon(grant.labels, rival.grant.labels);
  if (label === undefined) return;
  const where = rival.grant.places[field] ?? 'dispatcher.yaml';
  reading.problem(
    ['tenants', grant.tenant, field, index],
    `tenant \`${rival.grant.tenant}\` is granted the label \`${label}\` in ${name === '*' ? 'every owner' : name} too (${where})`,
    'Give each label in a repository to one tenant: take the place or the label from one of them.',
  );
}

/** A literal repository takes precedence over a glob: those do not conflict. */
function sameRank(one: string, other: string): boolean {
  return one === other || (isGlob(one) && isGlob(other));
}

/** A label that both may use, in the narrower of the two spellings. */
export function labelInCommon(some: readonly string[], others: readonly string[]): string | undefined {
  const exact = new Set(others);
  const shared = some.find((label) => exact.has(label));
  if (shared !== undefined) return shared;
  for (const label of some) {
    for (const other of others) {
      if (globsOverlap(label, other)) return isGlob(label) ? other : label;
    }
  }
  return undefined;
}
