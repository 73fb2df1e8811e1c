import type { RunnerRow } from '../ledger/ledger.ts';
import type { Tenant } from '../lifecycle/engine.ts';

/** The output of a container that has not been removed, from its service. Rejects with ProviderError. */
export async function liveOutput(
  tenants: ReadonlyMap<string, Tenant>,
  runner: Pick<RunnerRow, 'registration' | 'backend' | 'name' | 'instanceId' | 'createdAtMs'>,
): Promise<string | undefined> {
  const tenant = tenants.get(runner.registration);
  if (tenant === undefined || runner.backend === null) return undefined;
  const provider = await tenant.provider(runner.backend, runner.createdAtMs);
  return await provider.logs({
    name: runner.name,
    ...(runner.instanceId === null ? {} : { id: runner.instanceId }),
  });
}
