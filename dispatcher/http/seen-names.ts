/** The registrations whose rows a viewer may list. */
import type { AdminSources } from './admin-sources.ts';
import type { Sight } from './sight.ts';

/** Those that are configured, and those that are not and still have runners. Undefined: all. */
export async function seenNames(
  { ledger }: Pick<AdminSources, 'ledger'>,
  sight: Sight,
  asked: string | undefined,
): Promise<readonly string[] | undefined> {
  if (asked !== undefined) return sight.sees(asked) ? [asked] : [];
  if (sight.tenants === null) return undefined;
  const left = await ledger.registrationsWithRunners();
  const configured = [...sight.registrations, ...sight.quarantined].map(({ name }) => name);
  return [...new Set([...configured, ...left.filter((name) => sight.sees(name))])];
}
