import { type AreStrangers, PLATFORM } from '../jobs/facts.ts';
import type { Configuration } from '../model/registration.ts';

/** Registrations of one tenant trust each other's webhooks, as do the platform's own. Unknown ones are not trusted. */
export function strangersAmong(registrations: Configuration['registrations']): AreStrangers {
  const tenants = new Map(registrations.map(({ name, grant }) => [name, grant?.tenant]));
  const tenantOf = (name: string) => (name === PLATFORM || tenants.has(name) ? tenants.get(name) : `${name} (gone)`);
  return (one, other) => tenantOf(one) !== tenantOf(other);
}
