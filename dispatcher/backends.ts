/** The providers behind the configured backends, as the service and the commands that try them out have them. */
import { createHash } from 'node:crypto';
import { loadProvider } from '../providers/index.ts';
import type { Provider } from '../providers/provider.ts';
import { type Clock, type Random, sleep } from './clock.ts';
import type { Backend, Registration } from './config/model.ts';

export interface Backends {
  of(registration: Pick<Registration, 'name' | 'backends'>, backend: string): Promise<Provider>;
  /** Undefined until `of` has resolved once. */
  loaded(registration: string, backend: string): Provider | undefined;
  close(): Promise<void>;
}

/**
 * One provider for each backend of each registration, made when it is first asked for. Backends of the same kind and
 * options are the same one, such as a backend of `dispatcher.yaml` that many registrations use: its budget of calls is
 * the account's.
 */
export function createBackends(clock: Clock, random: Random): Backends {
  const making = new Map<string, Promise<Provider>>();
  const made = new Map<string, Provider>();
  /** By kind and options; a digest, because these hold secrets. */
  const alike = new Map<string, Provider>();

  async function make(key: string, backend: Backend): Promise<Provider> {
    const module = await loadProvider(backend.kind);
    const options = module.options.parse(backend.options);
    const digest = createHash('sha256')
      .update(JSON.stringify([backend.kind, options]))
      .digest('hex');
    const provider =
      alike.get(digest) ??
      module.create(options, {
        now: () => clock.now(),
        sleep: (ms) => sleep(clock, ms),
        random,
      });
    alike.set(digest, provider);
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
      await Promise.all([...alike.values()].map((provider) => provider.close()));
    },
  };
}
