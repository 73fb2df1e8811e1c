/**
 * The real engine on the real ledger under a virtual clock, between a GitHub and a container service that do exactly
 * what the test says. For stories of a few runners; the simulation tells the long and random ones.
 */
import { createAdmit } from '../../dispatcher/admission/admit.ts';
import type { Absence } from '../../dispatcher/config/absent.ts';
import type { Github, GithubRun } from '../../dispatcher/github/github.ts';
import {
  type AreStrangers,
  type JobFact,
  jobKey,
  neverStrangers,
  type Visibility,
} from '../../dispatcher/jobs/facts.ts';
import { scopePath } from '../../dispatcher/jobs/scope.ts';
import type { Ledger } from '../../dispatcher/ledger/ledger.ts';
import { openSqliteLedger } from '../../dispatcher/ledger/sqlite.ts';
import { createEngine, type Engine, type Reconfiguration, type Tenant } from '../../dispatcher/lifecycle/engine.ts';
import type { Log } from '../../dispatcher/log.ts';
import { type Registration, Secret } from '../../dispatcher/model/registration.ts';
import type { Instance, Provider } from '../../providers/provider.ts';
import { fact } from '../ledger/examples.ts';
import { closedPolicy } from '../registration-fixture.ts';
import { Stream } from '../simulation/random.ts';
import { eventLoopTurn, VirtualClock } from '../simulation/virtual-clock.ts';

export const MINUTE = 60_000;
export const DISPATCHER = 'd1';

/** A registration of an organization, with one backend. */
export function registration(name: string, change: Partial<Registration> = {}): Registration {
  return {
    name,
    host: 'github.com',
    apiUrl: 'https://api.github.com',
    claim: { kind: 'organization', organization: 'acme' },
    credentials: { kind: 'token', token: new Secret('not-used') },
    webhookSecrets: [],
    runnerGroup: 'Default',
    labels: [`${name}-runner`],
    priority: 0,
    defaults: { image: 'registry.example/runner:1' },
    imageRepository: undefined,
    images: {},
    shapes: {},
    policy: { ...closedPolicy, maxCpu: 8, maxMemoryGiB: 16, architectures: ['x64'] },
    backends: [{ name: 'main', kind: 'simulated', region: undefined, options: {}, maxRunners: 50 }],
    maxRunners: 50,
    poll: { intervalMs: null, repositories: [] },
    timeouts: { launchMs: 10 * MINUTE, idleMs: 5 * MINUTE },
    chargeLabels: {},
    ...change,
  };
}

export interface ListedRunner {
  readonly id: number;
  readonly name: string;
  readonly scope: string;
  online: boolean;
  busy: boolean;
}

export interface EngineFixture {
  readonly clock: VirtualClock;
  readonly ledger: Ledger;
  readonly engine: Engine;
  /** GitHub's truth, by `jobKey`: what a GET of the job answers. A job that is not here does not exist. */
  readonly jobs: Map<string, JobFact>;
  /** Of repositories that are not private, by `owner/name` in lower case. */
  readonly visibilities: Map<string, Visibility>;
  /** Of runs of which GitHub says more than that they go on, by id. */
  readonly runs: Map<number, GithubRun>;
  /** GitHub's runners, by name. */
  readonly runners: Map<string, ListedRunner>;
  readonly instances: Map<string, Instance>;
  /** `jit NAME`, `delete NAME`, `launch NAME`, `stop NAME`, `read KEY by REGISTRATION`, `visibility REPOSITORY by REGISTRATION`, in their order. */
  readonly calls: string[];
  /** Calls to the service of any kind, looks included. */
  readonly serviceCalls: () => number;
  /** How often GitHub was asked for the runners of a scope. */
  readonly listings: () => number;
  /** Events and their fields, as one line each. */
  readonly logged: string[];
  /** Writes the facts as intake does, and wakes the engine. */
  tell(...facts: readonly JobFact[]): Promise<void>;
  /** The configuration changes while the engine works: the engine is told as by a reload. */
  reconfigure(change: FixtureChange): void;
  advance(ms: number): Promise<void>;
  close(): Promise<void>;
}

export interface FixtureChange {
  /** All that are in force now. */
  readonly registrations: readonly Registration[];
  readonly changed?: readonly string[];
  readonly leaving?: Readonly<Record<string, Absence>>;
  readonly gone?: readonly string[];
  readonly readmit?: Reconfiguration['readmit'];
  readonly maxRunners?: number;
}

export interface FixtureOptions {
  readonly registrations: readonly Registration[];
  readonly ledgerPath?: string;
  readonly startMs?: number;
  readonly incarnation?: string;
  /** The ledger as the engine sees it, made from the real one. */
  readonly through?: (ledger: Ledger) => Ledger;
  /** Default 100 runners. */
  readonly maxRunners?: number;
  /** What GitHub does otherwise than the honest one. */
  readonly github?: (honest: Github) => Github;
  /** What a backend does otherwise than the honest one; `honest` is how that would have launched. */
  readonly provider?: (backend: string, honest: Provider) => Partial<Provider>;
  readonly areStrangers?: AreStrangers;
  readonly setAside?: (registration: string) => boolean;
  readonly callbackUrl?: string;
}

export async function openEngineFixture(options: FixtureOptions): Promise<EngineFixture> {
  const clock = new VirtualClock(options.startMs ?? Date.UTC(2026, 10, 1, 8));
  const ledger = await openSqliteLedger({
    path: options.ledgerPath ?? ':memory:',
    now: () => clock.now(),
    ...(options.areStrangers === undefined ? {} : { areStrangers: options.areStrangers }),
  });
  const jobs = new Map<string, JobFact>();
  const visibilities = new Map<string, Visibility>();
  const runs = new Map<number, GithubRun>();
  const runners = new Map<string, ListedRunner>();
  const instances = new Map<string, Instance>();
  const calls: string[] = [];
  const logged: string[] = [];
  let nextRunnerId = 900;
  let serviceCalls = 0;
  let listings = 0;

  const githubOf = (name: string): Github => {
    const listed = (runner: ListedRunner) => ({
      id: runner.id,
      name: runner.name,
      status: runner.online ? ('online' as const) : ('offline' as const),
      busy: runner.busy,
      labels: [],
    });
    const find = (is: (runner: ListedRunner) => boolean) => [...runners.values()].find(is);
    return {
      async createJitRunner(request) {
        calls.push(`jit ${request.name}`);
        nextRunnerId += 1;
        const scope = scopePath(request.scope);
        runners.set(request.name, { id: nextRunnerId, name: request.name, scope, online: false, busy: false });
        return { runnerId: nextRunnerId, encodedJitConfig: 'jit' };
      },
      async deleteRunner(_scope, runnerId) {
        const found = find(({ id }) => id === runnerId);
        if (found === undefined) return 'absent';
        calls.push(`delete ${found.name}`);
        if (found.busy) return 'busy';
        runners.delete(found.name);
        return 'deleted';
      },
      async getRunner(_scope, runnerId) {
        const found = find(({ id }) => id === runnerId);
        return found === undefined ? undefined : listed(found);
      },
      async findRunner(_scope, wanted) {
        const found = runners.get(wanted);
        return found === undefined ? undefined : listed(found);
      },
      async listRunners(scope) {
        listings += 1;
        return [...runners.values()].filter((runner) => runner.scope === scopePath(scope)).map(listed);
      },
      async readJob(owner, repository, jobId) {
        const key = jobKey({ host: 'github.com', owner, repository, jobId });
        calls.push(`read ${key} by ${name}`);
        const job = jobs.get(key);
        if (job === undefined) return undefined;
        return { ...job, source: 'read', toldBy: name, repositoryId: null, observedAtMs: clock.now() };
      },
      async readRun(owner, repository, runId) {
        const run = runs.get(runId);
        if (run !== undefined) calls.push(`run ${owner}/${repository} ${runId} by ${name}`);
        return { isFork: false, ...(run ?? { completed: false, attempt: 1 }) };
      },
      seesRepository: async () => true,
      async readVisibility(owner, repository) {
        calls.push(`visibility ${owner}/${repository} by ${name}`);
        return visibilities.get(`${owner}/${repository}`.toLowerCase()) ?? 'private';
      },
    };
  };

  const provider: Provider = {
    capabilities: {
      architectures: ['x64'],
      spot: false,
      dockerInDocker: false,
      disk: false,
      bucket: false,
      subnet: false,
      securityGroup: false,
      logs: true,
      secretEnvironment: true,
    },
    fit: (wish) => ({ fits: true, shape: { ...wish, cpu: wish.cpu ?? 1, memoryGiB: wish.memoryGiB ?? 2 } }),
    async launch(request) {
      serviceCalls += 1;
      calls.push(`launch ${request.name}`);
      const instance: Instance = {
        ref: { name: request.name, id: `i-${request.name}` },
        state: 'running',
        tags: request.tags,
      };
      instances.set(request.name, instance);
      return instance;
    },
    async inspect({ name }) {
      serviceCalls += 1;
      return instances.get(name);
    },
    async list() {
      serviceCalls += 1;
      return [...instances.values()];
    },
    async stop({ name }) {
      serviceCalls += 1;
      calls.push(`stop ${name}`);
      instances.delete(name);
    },
    async logs() {
      serviceCalls += 1;
      return undefined;
    },
    check: async () => [],
    close: async () => {},
  };

  const write =
    (level: string) =>
    (event: string, fields: Readonly<Record<string, unknown>> = {}) => {
      const words = Object.entries(fields).map(([field, value]) => `${field}=${String(value)}`);
      logged.push([level, event, ...words].join(' '));
    };
  const log: Log = { debug: write('debug'), info: write('info'), warn: write('warn'), error: write('error') };
  const tenantOf = (one: Registration): Tenant => ({
    registration: one,
    github: options.github?.(githubOf(one.name)) ?? githubOf(one.name),
    provider: async (backend) => ({ ...provider, ...options.provider?.(backend, provider) }),
  });
  const tenants = new Map(options.registrations.map((one) => [one.name, tenantOf(one)]));
  let admit = createAdmit(options.registrations);
  const engine = createEngine({
    dispatcherId: DISPATCHER,
    incarnation: options.incarnation ?? 'here',
    ledger: options.through?.(ledger) ?? ledger,
    clock,
    random: new Stream(1, 'engine').next,
    log,
    metrics: {
      jobAdmitted: () => {},
      queueToStart: () => {},
      launched: () => {},
      launchFailed: () => {},
      imageStart: () => {},
      tornDown: () => {},
    },
    admit: (job) => admit(job),
    areStrangers: options.areStrangers ?? neverStrangers,
    tenants,
    ...(options.setAside === undefined ? {} : { setAside: options.setAside }),
    ...(options.callbackUrl === undefined ? {} : { callbackUrl: options.callbackUrl }),
    maxRunners: options.maxRunners ?? 100,
    maxLaunches: 20,
  });

  return {
    clock,
    ledger,
    engine,
    jobs,
    visibilities,
    runs,
    runners,
    instances,
    calls,
    serviceCalls: () => serviceCalls,
    listings: () => listings,
    logged,
    async tell(...facts) {
      await ledger.recordFacts(facts);
      engine.wake();
      await clock.advance(0);
    },
    reconfigure({ registrations, changed = [], leaving = {}, gone = [], readmit = [], maxRunners }) {
      admit = createAdmit(registrations);
      for (const one of registrations) if (changed.includes(one.name)) tenants.set(one.name, tenantOf(one));
      for (const [name, absence] of Object.entries(leaving)) {
        const tenant = tenants.get(name);
        if (tenant !== undefined) tenants.set(name, { ...tenant, leaving: absence });
      }
      for (const name of gone) tenants.delete(name);
      engine.reconfigure({
        changed: [...changed, ...Object.keys(leaving)],
        gone,
        readmit,
        maxRunners: maxRunners ?? options.maxRunners ?? 100,
        maxLaunches: 20,
      });
    },
    advance: (ms) => clock.advance(ms),
    async close() {
      const stopped = engine.stop(MINUTE);
      await clock.advance(2 * MINUTE);
      await Promise.race([stopped, eventLoopTurn()]);
      await ledger.close();
    },
  };
}

/** A fact of acme/web as the clock stands, told by the platform's own webhook unless the test says otherwise. */
export function told(
  fixture: Pick<EngineFixture, 'clock'>,
  some: Partial<JobFact> & { readonly jobId: number },
): JobFact {
  return fact({
    observedAtMs: fixture.clock.now(),
    createdAtMs: fixture.clock.now(),
    labels: ['acme-runner'],
    ...some,
  });
}
