/** The providers of one registration, to ask what a wish becomes; makes no remote calls. */
import type { Provider } from '../../providers/provider.ts';
import { systemClock, systemRandom } from '../../time/clock.ts';
import { createProviderPool } from '../backends/pool.ts';
import type { Registration } from '../model/registration.ts';

export interface Fits {
  /** By backend name, leaving out those whose options need a secret that is not on this machine. */
  readonly providers: ReadonlyMap<string, Provider>;
  close(): Promise<void>;
}

export async function loadFits(registration: Registration): Promise<Fits> {
  const backends = createProviderPool({ clock: systemClock, random: systemRandom });
  const providers = new Map<string, Provider>();
  for (const backend of registration.backends) {
    // The provider's schema could not parse them.
    if (backend.options === undefined) continue;
    providers.set(backend.name, await backends.of(registration, backend.name));
  }
  return { providers, close: () => backends.close() };
}
