/** The real engine with one registration, on a ledger in memory and virtual time, in front of providers that a test makes. */

import { z } from 'zod';
import { createAdmit } from '../../dispatcher/admission/admit.ts';
import { createProviderPool } from '../../dispatcher/backends/pool.ts';
import type { Github } from '../../dispatcher/github/github.ts';
import type { JobFact } from '../../dispatcher/jobs/facts.ts';
import { neverStrangers } from '../../dispatcher/jobs/facts.ts';
import type { Ledger } from '../../dispatcher/ledger/ledger.ts';
import { openSqliteLedger } from '../../dispatcher/ledger/sqlite.ts';
import { createEngine, type Engine, type LifecycleMetrics } from '../../dispatcher/lifecycle/engine.ts';
import type { Registration } from '../../dispatcher/model/registration.ts';
import { type Instance, type Provider, ProviderError, type ProviderModule } from '../../providers/provider.ts';
import type { Clock } from '../../time/clock.ts';
import { fact, NOW, registration } from '../http/admin-fixture.ts';
import { VirtualClock } from '../simulation/virtual-clock.ts';

export interface LogLine {
  readonly event: string;
  readonly fields: Readonly<Record<string, unknown>>;
}

export interface SmallFixture {
  readonly clock: VirtualClock;
  readonly ledger: Ledger;
  readonly engine: Engine;
  readonly registration: Registration;
  readonly log: readonly LogLine[];
  queueJob(jobId: number, some?: Partial<JobFact>): Promise<void>;
  tell(told: JobFact): Promise<void>;
  close(): Promise<void>;
}

const silentMetrics: LifecycleMetrics = {
  jobAdmitted: () => {},
  queueToStart: () => {},
  launched: () => {},
  launchFailed: () => {},
  imageStart: () => {},
  tornDown: () => {},
};

/** A GitHub that registers each runner and shows it offline: nothing ever takes a job. */
function quietGithub(jobs: ReadonlyMap<number, JobFact>, now: () => number): Github {
  let ids = 0;
  const runners = new Map<number, string>();
  return {
    async createJitRunner({ name }) {
      ids += 1;
      runners.set(ids, name);
      return { runnerId: ids, encodedJitConfig: 'eyIuZmFrZSI6IjAifQ==' };
    },
    async deleteRunner(_scope, id) {
      return runners.delete(id) ? 'deleted' : 'absent';
    },
    async getRunner(_scope, id) {
      const name = runners.get(id);
      return name === undefined ? undefined : { id, name, status: 'offline', busy: false, labels: [] };
    },
    async findRunner(_scope, wanted) {
      const [id, name] = [...runners].find(([, known]) => known === wanted) ?? [];
      return id === undefined || name === undefined
        ? undefined
        : { id, name, status: 'offline', busy: false, labels: [] };
    },
    async listRunners() {
      return [...runners].map(([id, name]) => ({ id, name, status: 'offline', busy: false, labels: [] }) as const);
    },
    async readJob(_owner, _repository, jobId) {
      const job = jobs.get(jobId);
      return job === undefined ? undefined : { ...job, source: 'read', observedAtMs: now() };
    },
    readRun: async () => ({ completed: false, attempt: 1, isFork: false }),
    seesRepository: async () => true,
    readVisibility: async () => 'private',
  };
}

export interface FixtureOptions {
  /** Shared by houses that live side by side. */
  readonly clock?: VirtualClock;
  readonly incarnation?: string;
  readonly seed?: number;
  /** An earlier fixture's, which is not closed then. */
  readonly ledger?: Ledger;
  readonly registration?: Partial<Registration>;
  /** Another one than the quiet one. */
  readonly github?: (clock: Clock) => Github;
}

/** `providers`: each backend's, by name, in order of preference. */
export async function openSmallFixture(
  providers: Readonly<Record<string, Provider>>,
  options: FixtureOptions = {},
): Promise<SmallFixture> {
  const clock = options.clock ?? new VirtualClock(NOW);
  const log: LogLine[] = [];
  const line = (event: string, fields: Readonly<Record<string, unknown>> = {}): void =>
    void log.push({ event, fields });
  const logger = { debug: line, info: line, warn: line, error: line };
  const ledger = options.ledger ?? (await openSqliteLedger({ path: ':memory:', now: () => clock.now() }));
  const jobs = new Map<number, JobFact>();
  let seed = options.seed ?? 1;
  const random = (): number => {
    seed = (seed * 16_807) % 2_147_483_647;
    return seed / 2_147_483_647;
  };
  const own = registration('acme', {
    defaults: { image: 'runner:1', cpu: 1, memoryGiB: 2 },
    backends: Object.keys(providers).map((name) => ({
      name,
      kind: name,
      region: undefined,
      options: {},
      maxRunners: 5,
    })),
    ...options.registration,
  });
  const load = async (kind: string): Promise<ProviderModule> => ({
    kind,
    options: z.object({}),
    withCommand: (options) => options,
    demo: () => Promise.reject(new Error('no demo')),
    create: () => {
      const provider = providers[kind];
      if (provider === undefined) throw new ProviderError('invalid', 'provider load', `no provider of kind ${kind}`);
      return provider;
    },
  });
  const backends = createProviderPool({ clock, random, log: logger, load });
  const engine = createEngine({
    dispatcherId: 'acme',
    incarnation: options.incarnation ?? 'life-1',
    ledger,
    clock,
    random,
    log: logger,
    metrics: silentMetrics,
    admit: createAdmit([own], { backendFit: (name, backend) => backends.loaded(name, backend) }),
    tenants: new Map([
      [
        'acme',
        {
          registration: own,
          github: options.github?.(clock) ?? quietGithub(jobs, () => clock.now()),
          provider: (name: string) => backends.of(own, name),
        },
      ],
    ]),
    areStrangers: neverStrangers,
    maxRunners: 10,
    maxLaunches: 10,
  });
  return {
    clock,
    ledger,
    engine,
    registration: own,
    log,
    async tell(told) {
      await ledger.recordFacts([told]);
      engine.wake();
    },
    async queueJob(jobId, some = {}) {
      const observedAtMs = clock.now();
      const job = fact(jobId, 'acme', { observedAtMs, createdAtMs: observedAtMs, ...some });
      jobs.set(jobId, job);
      await ledger.recordDeliveries([
        {
          delivery: {
            endpoint: 'acme',
            guid: `guid-${jobId}`,
            event: 'workflow_job',
            action: 'queued',
            receivedAtMs: observedAtMs,
          },
          fact: job,
        },
      ]);
      engine.wake();
    },
    async close() {
      const stopped = engine.stop(0);
      await clock.advance(60_000);
      await stopped;
      if (options.ledger === undefined) await ledger.close();
    },
  };
}

/** One that does everything right, and whose containers run for ever: what a test is about is changed. */
export function honestProvider(changes: Partial<Provider> = {}): Provider {
  const instances = new Map<string, Instance>();
  return {
    capabilities: {
      architectures: ['x64'],
      spot: true,
      dockerInDocker: true,
      disk: true,
      bucket: true,
      subnet: true,
      securityGroup: true,
      logs: true,
      secretEnvironment: true,
    },
    fit: (wish) => ({ fits: true, shape: { ...wish, cpu: wish.cpu ?? 1, memoryGiB: wish.memoryGiB ?? 2 } }),
    async launch({ name, tags }) {
      const instance: Instance = instances.get(name) ?? { ref: { name, id: `id-${name}` }, state: 'running', tags };
      instances.set(name, instance);
      return instance;
    },
    inspect: async ({ name }) => instances.get(name),
    list: async ({ dispatcher }) => [...instances.values()].filter(({ tags }) => tags?.dispatcher === dispatcher),
    async stop({ name }) {
      instances.delete(name);
    },
    logs: async () => undefined,
    check: async () => [{ subject: 'engine', ok: true, message: 'fine' }],
    close: async () => {},
    ...changes,
  };
}
