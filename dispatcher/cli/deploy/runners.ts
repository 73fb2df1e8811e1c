/** What runs at the backends of a configuration, asked through their own providers. */
import type { LeftRunner } from '../../../deployers/destroy.ts';
import type { Provider } from '../../../providers/provider.ts';
import type { ProviderPool } from '../../backends/pool.ts';
import type { Configuration } from '../../model/registration.ts';

/** Every container with the dispatcher's id, on every backend. Rejects if one of them cannot be asked. */
export async function leftRunners(
  { dispatcher, registrations }: Configuration,
  pool: Pick<ProviderPool, 'of'>,
): Promise<readonly LeftRunner[]> {
  const providers = new Set<Provider>();
  for (const registration of registrations) {
    for (const { name } of registration.backends) providers.add(await pool.of(registration, name));
  }
  const found: LeftRunner[] = [];
  for (const provider of providers) {
    for (const { ref, state } of await provider.list({ dispatcher: dispatcher.id })) {
      found.push({ name: ref.name, state, stop: () => provider.stop(ref) });
    }
  }
  return found;
}
