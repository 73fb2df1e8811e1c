/** What of the dispatcher a viewer sees: everything, or what belongs to its tenants. Pure. */
import { type TenantLookup, tenantLookup } from '../config/tenants.ts';
import type { Quarantined, Registration, TenantEntry } from '../model/registration.ts';
import type { Viewer } from './viewer.ts';

export interface SightSources {
  registrations(): readonly Registration[];
  /** Those that are set aside. */
  quarantined?(): readonly Quarantined[];
  /** Undefined: there are no tenants. */
  tenants?(): readonly TenantEntry[] | undefined;
}

export interface Sight {
  /** Null: of the whole platform. */
  readonly tenants: readonly string[] | null;
  readonly registrations: readonly Registration[];
  readonly quarantined: readonly Quarantined[];
  /** Of a registration by its name, in force or not; null: of what belongs to none. */
  sees(registration: string | null): boolean;
  /** The tenant that the registration belongs to; undefined: the platform. */
  tenantOf(registration: string): string | undefined;
  /** Whether it may see what a service said to the platform's own account. */
  seesBackend(registration: string, backend: string): boolean;
}

const NO_TENANTS: readonly TenantEntry[] = [];
const lookups = new WeakMap<readonly TenantEntry[], TenantLookup>();

/** Made once for each list of tenants: each request asks. */
function ownersAmong(tenants: readonly TenantEntry[]): TenantLookup {
  const known = lookups.get(tenants);
  if (known !== undefined) return known;
  const lookup = tenantLookup(tenants);
  lookups.set(tenants, lookup);
  return lookup;
}

/**
 * By the names that dispatcher.yaml gives each tenant, and not by what is configured now: the history of a registration
 * that was removed still belongs to its tenant.
 */
export function sightOf(viewer: Pick<Viewer, 'tenants'>, sources: SightSources): Sight {
  const { tenants } = viewer;
  const tenantOf = (registration: string): string | undefined => {
    const [owner, another] = ownersAmong(sources.tenants?.() ?? NO_TENANTS)(registration);
    return another === undefined ? owner?.name : undefined;
  };
  const sees = (registration: string | null): boolean => {
    if (tenants === null) return true;
    const owner = registration === null ? undefined : tenantOf(registration);
    return owner !== undefined && tenants.includes(owner);
  };
  const registrations = sources.registrations().filter(({ name }) => sees(name));
  return {
    tenants,
    registrations,
    quarantined: (sources.quarantined?.() ?? []).filter(({ name }) => sees(name)),
    sees,
    tenantOf,
    seesBackend: (registration, backend) =>
      tenants === null ||
      registrations.some(
        ({ name, backends }) =>
          name === registration && backends.some((one) => one.name === backend && one.shared !== true),
      ),
  };
}
