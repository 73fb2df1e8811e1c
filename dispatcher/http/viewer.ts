/** Who asks the admin API, and how far that goes. */
import type { Role, TokenRow } from '../ledger/ledger.ts';

/** For each role, where one has at least that; null: everywhere. */
export type Rights = Readonly<Record<Role, readonly string[] | null>>;

export interface Viewer {
  readonly id: string;
  /** Of the token, or of the person after `person:`, for the log and the audit trail. */
  readonly name: string;
  readonly role: Role;
  /** Null: the whole platform. */
  readonly tenants: readonly string[] | null;
  /** Null: never. */
  readonly expiresAtMs: number | null;
  /** Of a person: the role above holds somewhere, and these say where. A token has its role wherever it sees. */
  readonly rights?: Rights;
  /** Of a person's browser: what its page sends along with each write. */
  readonly csrfToken?: string;
  /** Of a person, or of a token that was made with it: what is made with either ends with it. */
  readonly sessionId?: string | null;
}

/** The holder of `adminToken` of dispatcher.yaml. */
export const PLATFORM_ADMIN: Viewer = {
  id: 'adminToken',
  name: 'adminToken',
  role: 'admin',
  tenants: null,
  expiresAtMs: null,
};

/** A program on this machine, where no token is set. */
export const LOCAL_ADMIN: Viewer = { ...PLATFORM_ADMIN, id: 'local', name: 'local' };

/** Names that no token may take: they stand for what needs no row. */
export const RESERVED_NAMES: readonly string[] = [PLATFORM_ADMIN.name.toLowerCase(), LOCAL_ADMIN.name];

/** Each may do what those before it may. */
export const ROLES: readonly Role[] = ['viewer', 'operator', 'admin'];

export function isAtLeast(role: Role, least: Role): boolean {
  return ROLES.indexOf(role) >= ROLES.indexOf(least);
}

export function viewerOf({ id, name, role, tenants, expiresAtMs, sessionId }: TokenRow): Viewer {
  return { id, name, role, tenants, expiresAtMs, sessionId };
}

/** Whether everything within `inner` is within `outer`. */
export function isWithin(inner: readonly string[] | null, outer: readonly string[] | null): boolean {
  return outer === null || (inner?.every((tenant) => outer.includes(tenant)) ?? false);
}
