/**
 * The providers behind the configured backends, for the service and for the commands that try them out. The only
 * place that creates them, so that each one is contained.
 */
import { createHash } from 'node:crypto';
import { z } from 'zod';
import { loadProvider } from '../../providers/index.ts';
import type { ProviderPackage } from '../../providers/package.ts';
import {
  type Capabilities,
  isProviderError,
  type Provider,
  ProviderError,
  type ProviderHost,
  type ProviderModule,
} from '../../providers/provider.ts';
import { type Clock, type Random, sleep } from '../../time/clock.ts';
import type { Backend, Registration } from '../model/registration.ts';
import { containProvider, outerLimits } from './contained-provider.ts';

export interface ProviderPool {
  /** Rejects with ProviderError, including when the module cannot be loaded or the provider created. */
  of(registration: Pick<Registration, 'name' | 'backends'>, backend: string): Promise<Provider>;
  /** Undefined until `of` has resolved once. */
  loaded(registration: string, backend: string): Provider | undefined;
  close(): Promise<void>;
}

export interface ProviderPoolOptions {
  readonly clock: Clock;
  readonly random: Random;
  /** Where adapter defects are reported. Absent for a command, whose output shows them. */
  readonly log?: {
    info(event: string, fields?: Readonly<Record<string, unknown>>): void;
    error(event: string, fields?: Readonly<Record<string, unknown>>): void;
  };
  /** `loadProvider`, except in tests. */
  readonly load?: (kind: string, from?: ProviderPackage) => Promise<ProviderModule>;
}

const capabilities = z.object({
  architectures: z.array(z.enum(['x64', 'arm64'])).min(1),
  spot: z.boolean(),
  dockerInDocker: z.boolean(),
  disk: z.boolean(),
  bucket: z.boolean(),
  subnet: z.boolean(),
  securityGroup: z.boolean(),
  logs: z.boolean(),
  secretEnvironment: z.boolean(),
  longestLifeMs: z.number().positive().optional(),
} satisfies Record<keyof Capabilities, z.ZodType>);

/** The process's time and randomness, as a provider gets them. */
export function providerHost(clock: Clock, random: Random): ProviderHost {
  return {
    now: () => clock.now(),
    after: (ms, action) => clock.after(ms, action),
    sleep: (ms) => sleep(clock, ms),
    random,
  };
}

/**
 * One provider for each backend of each registration, created on first use. Backends with the same kind and options
 * share one, such as a backend of `dispatcher.yaml` that many registrations use: its call budget belongs to the
 * account.
 */
export function createProviderPool({ clock, random, log, load = loadProvider }: ProviderPoolOptions): ProviderPool {
  const making = new Map<string, Promise<Provider>>();
  const made = new Map<string, Provider>();
  /** By kind and options; hashed, because the options contain secrets. */
  const alike = new Map<string, Provider>();

  async function make(key: string, backend: Backend): Promise<Provider> {
    // Definite, and no reason to refuse its jobs: they wait, or go to another backend.
    if (backend.closed !== undefined) throw new ProviderError('unauthorized', `${backend.kind} load`, backend.closed);
    const module = await load(backend.kind, backend.from);
    const options = module.options.parse(backend.options);
    const digest = createHash('sha256')
      .update(JSON.stringify([backend.kind, options]))
      .digest('hex');
    const provider = alike.get(digest) ?? create(module, options, key);
    alike.set(digest, provider);
    made.set(key, provider);
    return provider;
  }

  function create(module: ProviderModule, options: unknown, backend: string): Provider {
    const provider = module.create(options, providerHost(clock, random));
    capabilities.parse(provider.capabilities);
    return containProvider(provider, {
      kind: module.kind,
      clock,
      limits: outerLimits(options),
      onDefect: (defect) => log?.error('provider-defect', { backend, ...defect }),
      onMended: (operation, times) => log?.info('provider-defect-over', { backend, operation, times }),
    });
  }

  /** A kind that cannot be loaded explains itself; anything else is a defect of the module, possibly temporary. */
  function unmade(backend: Backend, error: unknown): ProviderError {
    if (isProviderError(error)) return error;
    const message = error instanceof Error ? `${error.name}: ${error.message.slice(0, 300)}` : 'it threw no error';
    log?.error('provider-defect', { backend: backend.name, operation: `${backend.kind} create`, message });
    const details = { code: 'defect', cause: error };
    return new ProviderError('transient', `${backend.kind} create`, `a defect in the adapter: ${message}`, details);
  }

  return {
    of(registration, name) {
      const key = `${registration.name}/${name}`;
      const known = making.get(key);
      if (known !== undefined) return known;
      const backend = registration.backends.find((candidate) => candidate.name === name);
      if (backend === undefined) {
        const words = `registration ${registration.name} has no backend ${name} any more: put it back until its runners are gone`;
        return Promise.reject(new ProviderError('invalid', 'provider load', words));
      }
      const provider = make(key, backend).catch((error: unknown) => {
        throw unmade(backend, error);
      });
      making.set(key, provider);
      // Retry a module that could not be loaded.
      provider.catch(() => making.delete(key));
      return provider;
    },
    loaded: (registration, backend) => made.get(`${registration}/${backend}`),
    async close() {
      await Promise.all([...alike.values()].map((provider) => provider.close()));
    },
  };
}
