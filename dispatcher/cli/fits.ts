/** The providers of one registration, to ask them what a wish becomes, which takes no remote call. */
import type { Provider } from '../../providers/provider.ts';
import { systemClock, systemRandom } from '../../time/clock.ts';
import { createBackends } from '../backends/pool.ts';
import type { Registration } from '../model/registration.ts';

export interface Fits {
  /** By the backend's name, without those whose options have a secret that is not on this machine. */
  readonly providers: ReadonlyMap<string, Provider>;
  close(): Promise<void>;
}

export async function loadFits(registration: Registration): Promise<Fits> {
  const backends = createBackends({ clock: systemClock, random: systemRandom });
  const providers = new Map<string, Provider>();
  for (const backend of registration.backends) {
    // The provider's schema could not read them.
    if (backend.options === undefined) continue;
    providers.set(backend.name, await backends.of(registration, backend.name));
  }
  return { providers, close: () => backends.close() };
}
