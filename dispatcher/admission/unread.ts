/** Registrations that are set aside and whose files do not say which jobs they ask for. Pure. */
import { matchesAny } from '../labels/glob.ts';
import type { TenantEntry } from '../model/registration.ts';
import { listed } from './hints.ts';
import type { Holding } from './territory.ts';

/**
 * What to add to the reason of a job that no registration takes; undefined if none of them can be meant for it: a
 * tenant's registration gets only what its tenant was granted, and is named for no other job.
 */
export function unreadClaims(
  unread: readonly string[],
  tenants: readonly TenantEntry[] | undefined,
  holding: Holding | undefined,
): string | undefined {
  const holders = new Set(holding?.grants.map(({ tenant }) => tenant));
  const possible = unread.filter((name) => {
    if (tenants === undefined) return true;
    const owners = ownersOf(name, tenants);
    return owners.length > 0 && owners.every((owner) => owner.grant === undefined || holders.has(owner.name));
  });
  if (possible.length === 0) return undefined;
  const they = possible.length === 1 ? 'registration' : 'registrations';
  return `${they} ${listed(possible)}, set aside with problems, may ask for it: see \`shr validate\``;
}

/** A literal name takes precedence over globs. */
function ownersOf(registration: string, tenants: readonly TenantEntry[]): readonly TenantEntry[] {
  const named = tenants.filter(({ registrations }) => registrations.includes(registration));
  return named.length > 0 ? named : tenants.filter(({ registrations }) => matchesAny(registrations, registration));
}
