/** What a person may do by the groups that the issuer names. Pure. */
import type { Role } from '../../ledger/ledger.ts';
import type { GroupAccess } from '../../model/registration.ts';
import { isAtLeast, type Rights, ROLES, type Viewer } from '../viewer.ts';

/** In each tenant the widest role that one of the groups has there. Never more than what is listed. */
export function rightsOf(groups: ReadonlySet<string>, access: readonly GroupAccess[]): Rights {
  const held = access.filter(({ group }) => groups.has(group));
  const within = (least: Role): readonly string[] | null => {
    const enough = held.filter(({ role }) => isAtLeast(role, least));
    if (enough.some(({ tenants }) => tenants === null)) return null;
    return [...new Set(enough.flatMap(({ tenants }) => tenants ?? []))].toSorted();
  };
  return { viewer: within('viewer'), operator: within('operator'), admin: within('admin') };
}

/** Undefined: none at all. */
export function widestRole(rights: Rights): Role | undefined {
  return ROLES.findLast((role) => rights[role] === null || rights[role].length > 0);
}

/**
 * The viewer before something that needs `least`: it has only the places where it has that role, and of roles the widest
 * that it has in all of these. Without that role anywhere it stays as it is, for the refusal to say so.
 */
export function asFarAs(viewer: Viewer, least: Role): Viewer {
  const { rights } = viewer;
  const tenants = rights?.[least];
  if (rights === undefined || tenants === undefined || tenants?.length === 0) return viewer;
  const role = ROLES.findLast((one) => isSame(rights[one], tenants)) ?? least;
  return { ...viewer, role, tenants };
}

function isSame(one: readonly string[] | null, other: readonly string[] | null): boolean {
  if (one === null || other === null) return one === other;
  return one.length === other.length && one.every((tenant, index) => tenant === other[index]);
}
