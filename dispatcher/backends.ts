/** The providers behind the configured backends, as the service and the commands that try them out have them. */
import { loadProvider } from '../providers/index.ts';
import type { Provider } from '../providers/provider.ts';
import { type Clock, type Random, sleep } from './clock.ts';
import type { Backend, Registration } from './config/model.ts';

export interface Backends {
  of(registration: Registration, backend: string): Promise<Provider>;
  /** Undefined until `of` has resolved once. */
  loaded(registration: string, backend: string): Provider | undefined;
  close(): Promise<void>;
}

/** One provider for each backend of each registration, made when it is first asked for. */
export function createBackends(clock: Clock, random: Random): Backends {
  const making = new Map<string, Promise<Provider>>();
  const made = new Map<string, Provider>();

  async function make(key: string, backend: Backend): Promise<Provider> {
    const module = await loadProvider(backend.kind);
    const options = module.options.parse(backend.options);
    const provider = module.create(options, {
      now: () => clock.now(),
      sleep: (ms) => sleep(clock, ms),
      random,
    });
    made.set(key, provider);
    return provider;
  }

  return {
    of(registration, name) {
      const key = `${registration.name}/${name}`;
      const known = making.get(key);
      if (known !== undefined) return known;
      const backend = registration.backends.find((candidate) => candidate.name === name);
      if (backend === undefined)
        return Promise.reject(new Error(`registration ${registration.name} has no backend ${name}`));
      const provider = make(key, backend);
      making.set(key, provider);
      // A module that could not be loaded is tried again.
      provider.catch(() => making.delete(key));
      return provider;
    },
    loaded: (registration, backend) => made.get(`${registration}/${backend}`),
    async close() {
      await Promise.all([...made.values()].map((provider) => provider.close()));
    },
  };
}
