/** The composition root: the only place that wires clock, store, clients, providers and listeners together. */
import { type Clock, type Random, ulid } from '../time/clock.ts';
import { steadyClock } from '../time/steady-clock.ts';
import { createAdmit } from './admission/admit.ts';
import { strangersAmong } from './admission/strangers.ts';
import { createProviderPool, type ProviderPool } from './backends/pool.ts';
import { createRunnerCalls } from './callbacks/calls.ts';
import { BudgetPool } from './github/budget-pool.ts';
import { createGithub } from './github/client.ts';
import { requestersFor } from './github/credential.ts';
import type { Github } from './github/github.ts';
import { GithubTimes } from './github/github-time.ts';
import { type AdminListener, createAdminListener } from './http/admin.ts';
import { shownPoll } from './http/admin-views.ts';
import { ListenerCertificate } from './http/certificate.ts';
import { liveOutput } from './http/live-output.ts';
import { connectionShares } from './http/open-files.ts';
import { createPublicListener, type PublicListener } from './http/public.ts';
import { readinessOf } from './http/readiness.ts';
import { CatchUp } from './intake/catch-up.ts';
import { pollAfresh } from './intake/fresh-poll.ts';
import { GapWatch } from './intake/gap-watch.ts';
import { createPoller, type Poller } from './intake/poller.ts';
import { Shedding } from './intake/shedding.ts';
import { createIntake } from './intake/webhook.ts';
import { WrongSignatures } from './intake/wrong-signatures.ts';
import type { Admit } from './jobs/lane.ts';
import { ownerOfScope, parseScopePath } from './jobs/scope.ts';
import { createHousekeeping, type Housekeeping } from './ledger/housekeeping.ts';
import type { Ledger } from './ledger/ledger.ts';
import { ledgerBytes } from './ledger/ledger-bytes.ts';
import { openSqliteLedger } from './ledger/sqlite.ts';
import { createEngine, type Engine, type Tenant } from './lifecycle/engine.ts';
import type { Log } from './log.ts';
import type { Configuration, Registration } from './model/registration.ts';
import { createMetrics } from './observability/metrics.ts';
import { RegistrationProblems } from './observability/registration-problems.ts';
import { daily } from './versions/daily.ts';
import { releasesAt } from './versions/releases.ts';
import { RunnerVersions } from './versions/runner-versions.ts';

export interface DispatcherOptions {
  readonly configuration: Configuration;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  /** How many files the process may open: connections leave a quarter of them to everything else. Default: enough. */
  readonly openFiles?: number;
  /** Nothing is launched: what runs is served to its end. Default: false. */
  readonly draining?: boolean;
}

/** What is started and stopped. Nothing of it works yet, except that the ledger is open. */
export interface Parts {
  readonly ledger: Pick<Ledger, 'close'>;
  readonly backends: Pick<ProviderPool, 'close'>;
  readonly engine: Pick<Engine, 'start' | 'stop'>;
  readonly poller: Pick<Poller, 'start' | 'stop'>;
  readonly catchUp: Pick<CatchUp, 'all' | 'stop'>;
  readonly gapWatch: Pick<GapWatch, 'start' | 'stop'>;
  readonly shedding: Pick<Shedding, 'close'>;
  readonly housekeeping: Pick<Housekeeping, 'start' | 'stop'>;
  readonly versions: Pick<RunnerVersions, 'start' | 'stop'>;
  readonly publicListener: PublicListener;
  readonly adminListener: AdminListener;
  /** Runners that are not gone, and what was not listed yet, a line for each registration. */
  left(): Promise<readonly string[]>;
}

/** Rejects with a LedgerError, which says what to do. */
export async function wire(options: DispatcherOptions): Promise<Parts> {
  const { configuration, random, log, openFiles = Number.POSITIVE_INFINITY } = options;
  const { dispatcher, registrations, quarantined } = configuration;
  const clock = followingClock(options.clock, log);
  const ledger = await openLedger(configuration, clock);
  const shares = connectionShares(openFiles);

  const shedding = new Shedding(clock, log);
  const budgets = new BudgetPool(clock);
  const times = new GithubTimes({ clock, machine: options.clock, log });
  const metrics = createMetrics({
    sources: {
      ledger,
      clock,
      registrations: () => registrations,
      quarantined: () => quarantined.length,
      budgets: () => budgets.snapshot(),
      problems: (registration) => problems.of(registration),
      clocks: () => times.machineAheadMs(),
      shedding: () => shedding.current().map(({ name }) => name),
      ledgerClosed: () => engine.ledgerClosed(),
      ledgerBytes: () => ledgerBytes(dispatcher.ledgerPath),
    },
  });
  const githubOf = (registration: Registration) =>
    createGithub({
      ...{ registration, budgets, times, clock, random },
      onMended: (field) => metrics.mended(field),
      onAuthorized: (owner, startedAtMs) => engine.authorized(registration.name, owner, startedAtMs),
    });

  const backends = createProviderPool({ clock, random, log });
  const served = registrations.map((registration) => serve(registration, githubOf(registration), backends));
  const tenants: ReadonlyMap<string, Tenant> = new Map(served.map((one) => [one.registration.name, one]));
  const admit = admitBy(configuration, backends);
  const setAside = new Set(quarantined.map(({ name }) => name));
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
    areStrangers: strangersAmong(registrations),
    // Idle runners that no waiting job will take are surplus, as ever.
    maxRunners: options.draining === true ? 0 : dispatcher.maxRunners,
    maxLaunches: dispatcher.maxLaunches,
    setAside: (name) => setAside.has(name),
    ...callbacksOf(dispatcher.publicListen),
  });

  const onRecorded = () => engine.wake();
  const polled = served.map(({ registration, github }) => ({ registration, source: github }));
  const poller = createPoller({ tenants: polled, ledger, clock, random, log, onRecorded });
  const catchUp = new CatchUp({
    poll: (registration, haste) => pollAfresh({ poller, clock }, registration, haste),
    registrations: () => registrations,
    clock,
    random,
    log,
  });
  const signatures = new WrongSignatures(clock);
  const intake = createIntake({
    ledger,
    clock,
    log,
    metrics,
    endpoints: () => dispatcher.webhooks,
    registrations: () => registrations,
    tenants: () => dispatcher.tenants,
    setAside: (name) => setAside.has(name),
    onRecorded,
    onLost: (loss) => {
      shedding.lost(loss);
      catchUp.lost(loss);
    },
    signatures,
    limits: { maxPerMinute: dispatcher.deliveriesPerMinute },
  });
  const versions = new RunnerVersions({
    clock,
    log,
    releases: (name, scope) => {
      const registration = tenants.get(name)?.registration;
      if (registration === undefined) return undefined;
      const place = parseScopePath(scope);
      return releasesAt(requestersFor({ ...registration, budgets, times, clock, random })(ownerOfScope(place)), place);
    },
    daily: (action) => daily(action, (error) => log.error('versions-not-watched', { error })),
  });
  const problems = new RegistrationProblems({
    configuration,
    engine,
    oldVersion: (registration) => versions.oldOf(registration),
    pollProblems: (registration) => poller.statusOf(registration)?.details ?? [],
    wronglySigned: (registration) => signatures.current(registration),
    skewOf: (apiUrl) => times.at(apiUrl).skew,
  });

  return {
    left: async () => [
      ...[...engine.unlisted()].map(([name, failures]) => `${name}: ${failures.join(', ')}`),
      ...(await ledger.registrationsWithRunners()).map((name) => `${name}: runners that are not gone`),
    ],
    ledger,
    backends,
    engine,
    poller,
    catchUp,
    shedding,
    gapWatch: gapWatch(options.clock, log, catchUp),
    versions,
    housekeeping: createHousekeeping({ ledger, clock, random, log, retention: dispatcher.retention }),
    publicListener: createPublicListener({
      intake,
      clock,
      metrics,
      trustedProxies: dispatcher.trustedProxies,
      onYield: (from) => shedding.yielded(from),
      limits: shares.public,
      ...certificateOf(dispatcher.publicListen, clock, log),
      calls: createRunnerCalls({
        ...{ ledger, engine, log, metrics },
        registration: (name) => tenants.get(name)?.registration,
        now: () => clock.now(),
        sawVersion: (registration, scope, seen) => versions.saw(registration, scope, seen),
      }),
    }),
    adminListener: createAdminListener({
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
      pollStatus: (registration) => shownPoll(poller.statusOf(registration)),
      problems: (registration) => problems.of(registration),
      ledgerClosed: () => engine.ledgerClosed(),
      laneReason: (laneKey) => engine.laneReason(laneKey),
      jobReason: (job) => engine.jobReason(job),
      forgetRunner: (name) => engine.forget(name),
      backends: () => engine.backends(),
      resetBackends: (registration, backend) => engine.resetBackends(registration, backend),
      liveOutput: (runner) => liveOutput(tenants, runner),
      runnerVersions: (registration) => versions.seenOf(registration),
      readiness: () =>
        readinessOf({
          configuration,
          ledger,
          clock,
          engine,
          shedding: () => shedding.current(),
          problems: (registration) => problems.of(registration),
        }),
    }),
  };
}

function callbacksOf({ url }: Configuration['dispatcher']['publicListen']) {
  return url === undefined ? {} : { callbackUrl: url };
}

function certificateOf({ tls }: Configuration['dispatcher']['publicListen'], clock: Clock, log: Log) {
  return tls === undefined ? {} : { certificate: new ListenerCertificate({ files: tls, clock, log }) };
}

function followingClock(machine: Clock, log: Log): Clock {
  return steadyClock(machine, {
    onSet: (byMs) =>
      log.warn('clock-set', { byMs, reason: "this machine's clock was set; the dispatcher follows it slowly" }),
  });
}

function openLedger({ dispatcher, registrations }: Configuration, clock: Clock): Promise<Ledger> {
  return openSqliteLedger({
    path: dispatcher.ledgerPath,
    now: () => clock.now(),
    areStrangers: strangersAmong(registrations),
    gather: setImmediate,
    after: (ms, action) => clock.after(ms, action),
  });
}

function serve<G extends Github>(registration: Registration, github: G, backends: Pick<ProviderPool, 'of'>) {
  const provider: Tenant['provider'] = (backend) => backends.of(registration, backend);
  return { registration, github, provider };
}

function admitBy(
  { dispatcher, registrations, quarantined }: Configuration,
  backends: Pick<ProviderPool, 'loaded'>,
): Admit {
  return createAdmit(registrations, {
    tenants: dispatcher.tenants,
    setAside: quarantined.flatMap(({ claims }) => (claims === undefined ? [] : [claims])),
    unread: quarantined.flatMap(({ name, claims }) => (claims === undefined ? [name] : [])),
    backendFit: (registration, backend) => backends.loaded(registration, backend),
  });
}

/** Watches the machine's clock: the dispatcher's own hides how much time has passed unseen. */
function gapWatch(machine: Clock, log: Log, catchUp: Pick<CatchUp, 'all'>): GapWatch {
  return new GapWatch({
    clock: machine,
    onGap: (ms) => {
      log.warn('gap', { ms, reason: 'the dispatcher stood still: what GitHub sent meanwhile is asked for' });
      catchUp.all('gap');
    },
  });
}
