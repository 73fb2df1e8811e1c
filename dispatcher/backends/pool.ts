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
import { withFormer } from './former-provider.ts';

export interface ProviderPool {
  /**
   * Rejects with ProviderError, including when the module cannot be loaded or the provider created. `launchedAtMs`: of a
   * runner to be reached; if the backend has been configured otherwise since, it is looked for there too.
   */
  of(registration: Pick<Registration, 'name' | 'backends'>, backend: string, launchedAtMs?: number): Promise<Provider>;
  /** Undefined until `of` has resolved once. */
  loaded(registration: string, backend: string): Provider | undefined;
  /** The registration's backends are these now. What was launched before stays reachable. */
  reconfigure(registration: Pick<Registration, 'name' | 'backends'>): void;
  /** Nothing runs any more that was launched under an earlier configuration of the registration. */
  forgetFormer(registration: string): void;
  close(): Promise<void>;
}

/** An earlier configuration of a backend. */
interface Former {
  readonly provider: Promise<Provider>;
  readonly untilMs: number;
}

/** Of one backend. None is forgotten while it may have runners: with so many, the present one is not used until they are gone. */
const MAX_FORMER = 50;

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
  /** What each provider that was asked for was made of, by registration and backend. */
  const madeOf = new Map<string, Map<string, Backend>>();
  const former = new Map<string, readonly Former[]>();

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

  /** A backend that is not configured any more has formers alone. */
  async function reaching(present: Promise<Provider>, earlier: readonly Former[]): Promise<Provider> {
    const settled = await Promise.allSettled([present, ...earlier.map(({ provider }) => provider)]);
    const [now, ...before] = settled.map((one) => (one.status === 'fulfilled' ? one.value : undefined));
    const known = before.flatMap((provider) => (provider === undefined || provider === now ? [] : [provider]));
    return known.length === 0 ? await present : withFormer(now, known);
  }

  /** In the background: what it still does for others' sake takes as long as it takes. */
  function closeUnused({ provider }: Former): void {
    provider
      .then(async (unused) => {
        const inUse = [...made.values()].includes(unused) || (await isFormer(unused));
        if (inUse) return;
        for (const [digest, one] of alike) if (one === unused) alike.delete(digest);
        await unused.close();
      })
      .catch((error: unknown) => log?.info('provider-not-closed', { error }));
  }

  async function isFormer(provider: Provider): Promise<boolean> {
    const all = await Promise.allSettled([...former.values()].flat().map((one) => one.provider));
    return all.some((one) => one.status === 'fulfilled' && one.value === provider);
  }

  return {
    of(registration, name, launchedAtMs) {
      const key = `${registration.name}/${name}`;
      const earlier = (former.get(key) ?? []).filter(({ untilMs }) => (launchedAtMs ?? untilMs + 1) <= untilMs);
      if (earlier.length > 0) return reaching(this.of(registration, name), earlier);
      const known = making.get(key);
      if (known !== undefined) return known;
      const backend = registration.backends.find((candidate) => candidate.name === name);
      if (backend === undefined) {
        const words = `registration ${registration.name} has no backend ${name} any more: put it back until its runners are gone`;
        return Promise.reject(new ProviderError('invalid', 'provider load', words));
      }
      if ((former.get(key) ?? []).length >= MAX_FORMER) {
        const words = `backend ${name} of ${registration.name} was changed ${MAX_FORMER} times while it had runners: nothing is launched until they are gone`;
        return Promise.reject(new ProviderError('unauthorized', 'provider load', words));
      }
      const provider = make(key, backend).catch((error: unknown) => {
        throw unmade(backend, error);
      });
      making.set(key, provider);
      madeOf.set(registration.name, (madeOf.get(registration.name) ?? new Map()).set(name, backend));
      // Retry a module that could not be loaded.
      provider.catch(() => making.delete(key));
      return provider;
    },
    loaded: (registration, backend) => made.get(`${registration}/${backend}`),
    reconfigure({ name: registration, backends }) {
      const known = madeOf.get(registration);
      for (const [name, before] of known ?? []) {
        const now = backends.find((backend) => backend.name === name);
        if (now !== undefined && isAlike(before, now)) {
          known?.set(name, now);
          continue;
        }
        const key = `${registration}/${name}`;
        const provider = making.get(key);
        known?.delete(name);
        making.delete(key);
        made.delete(key);
        if (provider === undefined) continue;
        former.set(key, [{ provider, untilMs: clock.now() }, ...(former.get(key) ?? [])]);
      }
    },
    forgetFormer(registration) {
      for (const [key, all] of [...former]) {
        if (!key.startsWith(`${registration}/`)) continue;
        former.delete(key);
        for (const one of all) closeUnused(one);
      }
    },
    async close() {
      await Promise.all([...alike.values()].map((provider) => provider.close()));
    },
  };
}

function isAlike(one: Backend, other: Backend): boolean {
  const made = ({ closed, from, kind, options }: Backend) => JSON.stringify([kind, options, closed, from]);
  return made(one) === made(other);
}
