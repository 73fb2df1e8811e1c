/** The composition root: the only place that wires clock, store, clients, providers and listeners together. */
import { stat } from 'node:fs/promises';
import { type Clock, type Random, ulid } from '../time/clock.ts';
import { steadyClock } from '../time/steady-clock.ts';
import { createAdmit } from './admission/admit.ts';
import { createBackends } from './backends/pool.ts';
import { absentAmong } from './config/absent.ts';
import { Episodes } from './failures/episodes.ts';
import { BudgetPool } from './github/budget-pool.ts';
import { createGithub } from './github/client.ts';
import { GithubTimes } from './github/github-time.ts';
import { createAdminListener } from './http/admin.ts';
import { connectionShares, ENOUGH_OPEN_FILES } from './http/open-files.ts';
import { createPublicListener } from './http/public.ts';
import { CatchUp } from './intake/catch-up.ts';
import { GapWatch } from './intake/gap-watch.ts';
import { createPoller } from './intake/poller.ts';
import { createIntake } from './intake/webhook.ts';
import { type AreStrangers, PLATFORM } from './jobs/facts.ts';
import { createHousekeeping } from './ledger/housekeeping.ts';
import type { RunnerRow } from './ledger/ledger.ts';
import { openSqliteLedger } from './ledger/sqlite.ts';
import { createEngine, type Tenant } from './lifecycle/engine.ts';
import { NOT_LISTED } from './lifecycle/sweep-schedule.ts';
import type { Log } from './log.ts';
import { formatProblem } from './model/problem.ts';
import type { Configuration } from './model/registration.ts';
import { createMetrics } from './observability/metrics.ts';
import {
  absentLines,
  problemLines,
  problemsOf,
  type RegistrationProblem,
  setAsideLines,
} from './observability/problems.ts';

export interface DispatcherOptions {
  readonly configuration: Configuration;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  /** How many files the process may open: connections leave a quarter of them to everything else. Default: enough. */
  readonly openFiles?: number;
}

export interface Dispatcher {
  /** Where it listens; port 0 in the configuration takes a free one. */
  readonly publicPort: number;
  readonly adminPort: number;
  /** Takes no more work, finishes or hands back what is in flight, and closes the ledger, within the stop timeout. */
  stop(): Promise<void>;
}

/** The share of the stop timeout for the listeners and the ledger; the launches in flight get the rest. */
const CLOSING_MS = 2_000;

/** Rejects with an error that says what to do: a LedgerError, a system error of `listen`, a refused configuration. */
export async function startDispatcher(options: DispatcherOptions): Promise<Dispatcher> {
  const { configuration, random, log, openFiles = ENOUGH_OPEN_FILES } = options;
  const clock = steadyClock(options.clock, {
    onSet: (byMs) =>
      log.warn('clock-set', { byMs, reason: "this machine's clock was set; the dispatcher follows it slowly" }),
  });
  const { dispatcher, registrations, quarantined } = configuration;
  refuseUnsafeBackends(configuration);
  tellSetAside(configuration, log);
  const shares = connectionShares(openFiles);
  if (openFiles < ENOUGH_OPEN_FILES) {
    log.warn('few-open-files', {
      openFiles,
      connections: shares.public.maxConnections,
      reason: 'the process may open few files: fewer connections fit, and those of senders who wait give way sooner',
      cure: `raise the hard limit to ${ENOUGH_OPEN_FILES}: LimitNOFILE= of systemd, ulimits of Docker, ulimit -Hn of a shell`,
    });
  }

  const ledger = await openSqliteLedger({
    path: dispatcher.ledgerPath,
    now: () => clock.now(),
    areStrangers: strangersAmong(registrations),
    gather: setImmediate,
    after: (ms, action) => clock.after(ms, action),
  });
  const budgets = new BudgetPool(clock);
  const times = new GithubTimes({ clock, machine: options.clock, log });
  const shedding = new Episodes({ clock, log, event: 'intake.shedding' });
  const metrics = createMetrics({
    sources: {
      ledger,
      clock,
      registrations: () => registrations,
      quarantined: () => quarantined.length,
      budgets: () => budgets.snapshot(),
      problems: (registration) => problemsNow(registration),
      clocks: () => times.machineAheadMs(),
      shedding: () => shedding.current().map(({ name }) => name),
      ledgerBytes: () => bytesOf(dispatcher.ledgerPath),
    },
  });
  const githubs = new Map(
    registrations.map((registration) => [
      registration.name,
      createGithub({ registration, budgets, times, clock, random, onMended: (field) => metrics.mended(field) }),
    ]),
  );
  const providers = createBackends({ clock, random, log });
  const setAside = new Set(quarantined.map(({ name }) => name));
  const tenants = new Map<string, Tenant>();
  for (const registration of registrations) {
    const github = githubs.get(registration.name);
    if (github === undefined) continue;
    tenants.set(registration.name, {
      registration,
      github,
      provider: (backend) => providers.of(registration, backend),
    });
  }
  const admit = createAdmit(registrations, {
    tenants: dispatcher.tenants,
    setAside: quarantined.flatMap(({ claims }) => (claims === undefined ? [] : [claims])),
    backendFit: (registration, backend) => providers.loaded(registration, backend),
  });
  const engine = createEngine({
    dispatcherId: dispatcher.id,
    incarnation: ulid(clock.now(), random),
    ledger,
    clock,
    random,
    log,
    metrics,
    admit,
    tenants,
    maxRunners: dispatcher.maxRunners,
    maxLaunches: dispatcher.maxLaunches,
    setAside: (name) => setAside.has(name),
  });
  const poller = createPoller({
    tenants: [...tenants.values()].flatMap(({ registration }) => {
      const source = githubs.get(registration.name);
      return source === undefined ? [] : [{ registration, source }];
    }),
    ledger,
    clock,
    random,
    log,
    onRecorded: () => engine.wake(),
  });
  const apiOf = new Map(registrations.map(({ name, apiUrl }) => [name, apiUrl]));
  const problemsNow = (registration: string): readonly RegistrationProblem[] => {
    const apiUrl = apiOf.get(registration);
    return problemsOf({
      configuration: conflictsOf(configuration, registration),
      poll: poller.statusOf(registration)?.details ?? [],
      sweep: engine.sweepTroubles(registration),
      others: engine.otherDispatchers().filter((other) => other.registration === registration),
      ledger: engine.ledgerClosed(),
      skew: apiUrl === undefined ? undefined : times.at(apiUrl).skew,
    });
  };
  const catchUp = new CatchUp({
    poll: async (registration, haste) => {
      const askedAtMs = clock.now();
      const complete = await poller.pollNow(registration, haste);
      // A pass that was under way may have looked there before the loss.
      const startedAtMs = poller.statusOf(registration)?.lastStartedAtMs ?? askedAtMs;
      return startedAtMs >= askedAtMs ? complete : await poller.pollNow(registration, haste);
    },
    registrations: () => registrations,
    clock,
    random,
    log,
  });
  const gapWatch = new GapWatch({
    clock: options.clock,
    onGap: (ms) => {
      log.warn('gap', { ms, reason: 'the dispatcher stood still: what GitHub sent meanwhile is asked for' });
      catchUp.all('gap');
    },
  });
  const intake = createIntake({
    ledger,
    clock,
    log,
    metrics,
    endpoints: () => dispatcher.webhooks,
    registrations: () => registrations,
    tenants: () => dispatcher.tenants,
    setAside: (name) => setAside.has(name),
    onRecorded: () => engine.wake(),
    onLost: (loss) => {
      const [only, ...others] = loss.sources;
      const ofOne = loss.cause === 'rate' && only !== undefined && others.length === 0;
      shedding.met(ofOne ? `${loss.cause} ${only.endpoint}` : loss.cause, loss.from);
      catchUp.lost(loss);
    },
    limits: { maxPerMinute: dispatcher.deliveriesPerMinute },
  });
  const publicListener = createPublicListener({
    intake,
    clock,
    metrics,
    trustedProxies: dispatcher.trustedProxies,
    onYield: (from) => shedding.met('connections', from),
    limits: shares.public,
  });
  const adminListener = createAdminListener({
    ledger,
    clock,
    log,
    metrics,
    token: dispatcher.adminToken,
    trustedProxies: dispatcher.trustedProxies,
    limits: shares.admin,
    admit,
    registrations: () => registrations,
    quarantined: () => quarantined,
    pollStatus: (registration) => {
      const status = poller.statusOf(registration);
      if (status === undefined) return undefined;
      return {
        lastAtMs: status.lastEndedAtMs,
        nextAtMs: status.nextPassAtMs,
        waitsUntilMs: status.waitingUntilMs,
        problems: status.problems,
        ...(status.lastEndedAtMs === null ? {} : { repositories: status.repositories }),
      };
    },
    problems: (registration) => problemsNow(registration),
    laneReason: (laneKey) => engine.laneReason(laneKey),
    jobReason: (job) => engine.jobReason(job),
    forgetRunner: (name) => engine.forget(name),
    backends: () => engine.backends(),
    resetBackends: (registration, backend) => engine.resetBackends(registration, backend),
    liveOutput: (runner) => liveOutput(tenants, runner),
    readiness: async () => {
      const reasons = [...engine.unlisted()]
        .filter(([, failures]) => failures.includes(NOT_LISTED))
        .map(([registration]) => `${registration}: what runs on its backends has not been listed yet`);
      await ledger.putCursor('ready', 'asked', clock.now());
      const problems = [
        // Does not affect readiness: otherwise an unauthenticated sender could take the service down.
        ...shedding.current().map(({ name, count }) => `requests are turned away: ${name} (${count} so far)`),
        ...setAsideLines(quarantined),
      ];
      const absent = absentAmong(await ledger.liveCounts(), registrations, quarantined);
      const details = [...absentLines(absent), ...problemLines(registrations, problemsNow)];
      return { ready: reasons.length === 0, reasons, problems, details };
    },
  });
  const housekeeping = createHousekeeping({ ledger, clock, random, log, retention: dispatcher.retention });

  async function close(): Promise<void> {
    gapWatch.stop();
    await Promise.all([publicListener.close(CLOSING_MS), catchUp.stop(), poller.stop(), housekeeping.stop()]);
    shedding.close();
    await engine.stop(Math.max(0, dispatcher.shutdownMs - 2 * CLOSING_MS));
    await adminListener.close(CLOSING_MS);
    await providers.close();
    await ledger.close();
  }

  async function stop(): Promise<void> {
    log.info('stopping', { withinMs: dispatcher.shutdownMs });
    await close();
    log.info('stopped');
  }

  try {
    const adminPort = await adminListener.listen(dispatcher.adminListen.host, dispatcher.adminListen.port);
    await engine.start();
    const publicPort = await publicListener.listen(dispatcher.publicListen.host, dispatcher.publicListen.port);
    poller.start();
    housekeeping.start();
    catchUp.all('start');
    gapWatch.start();
    log.info('started', {
      publicPort,
      adminPort,
      registrations: registrations.length,
      setAside: quarantined.length,
      dispatcher: dispatcher.id,
    });
    return {
      publicPort,
      adminPort,
      stop,
    };
  } catch (error) {
    await close();
    throw error;
  }
}

async function liveOutput(tenants: ReadonlyMap<string, Tenant>, runner: RunnerRow): Promise<string | undefined> {
  const tenant = tenants.get(runner.registration);
  if (tenant === undefined || runner.backend === null) return undefined;
  const provider = await tenant.provider(runner.backend);
  return await provider.logs({
    name: runner.name,
    ...(runner.instanceId === null ? {} : { id: runner.instanceId }),
  });
}

/** Registrations of one tenant trust each other's webhooks, as do the platform's own. Unknown ones are not trusted. */
function strangersAmong(registrations: Configuration['registrations']): AreStrangers {
  const tenants = new Map(registrations.map(({ name, grant }) => [name, grant?.tenant]));
  const tenantOf = (name: string) => (name === PLATFORM || tenants.has(name) ? tenants.get(name) : `${name} (gone)`);
  return (one, other) => tenantOf(one) !== tenantOf(other);
}

const MAX_TOLD = 10;

function tellSetAside({ quarantined, conflicts }: Configuration, log: Log): void {
  for (const { name, file, problems } of quarantined) {
    const told = problems.slice(0, MAX_TOLD).map(formatProblem);
    log.error('registration-set-aside', { registration: name, file, problems: told, of: problems.length });
  }
  for (const { registrations, problem } of conflicts) {
    log.error('registrations-conflict', { registrations, problem: formatProblem(problem) });
  }
}

function conflictsOf({ conflicts }: Configuration, registration: string): readonly string[] {
  return conflicts
    .filter(({ registrations }) => registrations.includes(registration))
    .map(({ problem }) => formatProblem(problem));
}

/** A backend that is not fit for service. The message says what to do. */
export class RefusedBackend extends Error {
  constructor(message: string) {
    super(message);
    this.name = 'RefusedBackend';
  }
}

/** The `process` backend runs jobs as the dispatcher's own user, beside its ledger and its secrets. */
function refuseUnsafeBackends({ dispatcher, registrations }: Configuration): void {
  if (dispatcher.unsafeProcessBackend) return;
  const unsafe = registrations.find(({ backends }) => backends.some(({ kind }) => kind === 'process'));
  if (unsafe === undefined) return;
  throw new RefusedBackend(
    `registration ${unsafe.name} has a backend of kind process: its jobs would run as this user, with access to the ledger and all secrets. Choose another kind, or set unsafeProcessBackend: true in dispatcher.yaml on a machine where that does not matter`,
  );
}

async function bytesOf(path: string): Promise<number> {
  let bytes = 0;
  for (const file of [path, `${path}-wal`]) {
    const found = await stat(file).catch(() => undefined);
    bytes += found?.size ?? 0;
  }
  return bytes;
}
