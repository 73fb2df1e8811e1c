/** Registrations for which no further job is to run here, while their runners are still looked after. */
import { OBSERVED_WORDS } from './maintenance.ts';
import type { EngineOptions } from './ports.ts';

/** Why runners of the registration that have no job are of no use any more; undefined: they are. */
export function unservedWords({ tenants }: Pick<EngineOptions, 'tenants'>, registration: string): string | undefined {
  const tenant = tenants.get(registration);
  // Without credentials nothing can be taken down at GitHub.
  if (tenant === undefined) return undefined;
  if (tenant.leaving === 'removed') return 'its registration is no longer in the configuration';
  if (tenant.leaving === 'set-aside') return 'its registration is set aside';
  return tenant.registration.observe === true ? OBSERVED_WORDS : undefined;
}
