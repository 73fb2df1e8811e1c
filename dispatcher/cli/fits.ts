/** The providers of one registration, to ask them what a wish becomes. They call nobody for that. */
import { loadProvider } from '../../providers/index.ts';
import type { Provider } from '../../providers/provider.ts';
import { sleep, systemClock, systemRandom } from '../clock.ts';
import type { Registration } from '../config/model.ts';

/** By the backend's name, without those whose options have a secret that is not on this machine. To be closed. */
export async function loadFits(registration: Registration): Promise<Map<string, Provider>> {
  const fits = new Map<string, Provider>();
  for (const backend of registration.backends) {
    // The provider's schema could not read them.
    if (backend.options === undefined) continue;
    const module = await loadProvider(backend.kind);
    const host = { now: () => systemClock.now(), sleep: (ms: number) => sleep(systemClock, ms), random: systemRandom };
    fits.set(backend.name, module.create(backend.options, host));
  }
  return fits;
}
