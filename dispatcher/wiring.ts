/** The composition root: the only place that wires clock, store, clients, providers and listeners together. */
import { type Clock, type Random, ulid } from '../time/clock.ts';
import { steadyClock } from '../time/steady-clock.ts';
import { createAdmit } from './admission/admit.ts';
import { strangersAmong } from './admission/strangers.ts';
import { createProviderPool, type ProviderPool } from './backends/pool.ts';
import { addressCaller } from './callbacks/address-call.ts';
import { createAddressProof } from './callbacks/address-proof.ts';
import { createRunnerCalls } from './callbacks/calls.ts';
import { OwnAddress } from './callbacks/own-address.ts';
import { RunReads } from './callbacks/run-reads.ts';
import type { Files } from './config/files.ts';
import type { CheckedDocument } from './config/load.ts';
import type { KeptValue } from './config/secret-values.ts';
import { tenantLookup } from './config/tenants.ts';
import { BudgetPool } from './github/budget-pool.ts';
import { createGithub } from './github/client.ts';
import { appCaller, type CredentialOptions, type RequesterFor, requestersFor } from './github/credential.ts';
import type { HookPlace } from './github/delivery-log.ts';
import { GithubTimes } from './github/github-time.ts';
import type { Caller } from './github/requester.ts';
import { type AdminListener, createAdminListener } from './http/admin.ts';
import type { RegistrationDocuments } from './http/admin-sources.ts';
import { shownPoll } from './http/admin-views.ts';
import { ListenerCertificate, readCertificateFile } from './http/certificate.ts';
import { liveOutput } from './http/live-output.ts';
import { NetworkRooms } from './http/network-rooms.ts';
import { connectionShares } from './http/open-files.ts';
import { createPublicListener, type PublicListener } from './http/public.ts';
import { readinessOf } from './http/readiness.ts';
import { CatchUp } from './intake/catch-up.ts';
import { CurrentEndpoints } from './intake/endpoints.ts';
import { pollAfresh } from './intake/fresh-poll.ts';
import { GapWatch } from './intake/gap-watch.ts';
import { createPoller, type Poller } from './intake/poller.ts';
import { PushIntake } from './intake/pushes.ts';
import { AnsweredDeliveries } from './intake/redelivery/answered-deliveries.ts';
import { Redelivery } from './intake/redelivery/redelivery.ts';
import type { WatchedRegistration } from './intake/redelivery/watched-logs.ts';
import { Shedding } from './intake/shedding.ts';
import { createIntake } from './intake/webhook.ts';
import { WrongSignatures } from './intake/wrong-signatures.ts';
import type { AreStrangers } from './jobs/facts.ts';
import type { Admit } from './jobs/lane.ts';
import { ownerOfScope, parseScopePath } from './jobs/scope.ts';
import { createHousekeeping, type Housekeeping } from './ledger/housekeeping.ts';
import type { Ledger } from './ledger/ledger.ts';
import { ledgerBytes } from './ledger/ledger-bytes.ts';
import { addressOf } from './ledger/postgres/address.ts';
import { openSqliteLedger } from './ledger/sqlite.ts';
import { newCallbackToken } from './lifecycle/callback-token.ts';
import { createEngine, type Engine } from './lifecycle/engine.ts';
import { launchesHeld } from './lifecycle/launches-held.ts';
import { Departures } from './live/departures.ts';
import { differenceOf } from './live/difference.ts';
import { LastGoodVersions } from './live/last-good.ts';
import { LiveConfiguration } from './live/live-configuration.ts';
import { LiveTenants } from './live/live-tenants.ts';
import type { Log } from './log.ts';
import {
  type Configuration,
  type DispatcherConfig,
  lineOf,
  type OidcConfig,
  type Registration,
} from './model/registration.ts';
import { createMetrics } from './observability/metrics.ts';
import { redeliveryNotes, secretNotes } from './observability/problems.ts';
import { RegistrationProblems } from './observability/registration-problems.ts';
import { sharedWebhookProblems } from './observability/webhook-problems.ts';
import type { Documents } from './sources/documents.ts';
import { OrganizationDefaults } from './sources/organization-defaults.ts';
import { daily } from './versions/daily.ts';
import { releasesAt } from './versions/releases.ts';
import { RunnerVersions } from './versions/runner-versions.ts';

export interface DispatcherOptions {
  readonly configuration: Configuration;
  /** Where the files are that it names. Default: this machine's. */
  readonly files?: Pick<Files, 'read'>;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  /** How many files the process may open: connections leave a quarter of them to everything else. Default: enough. */
  readonly openFiles?: number;
  /** Opened before: something of the configuration is in it. Default: it is opened. */
  readonly ledger?: EarlyLedger;
  /** Nothing is launched: what runs is served to its end. Default: false. */
  readonly draining?: boolean;
  /** What leaves this machine goes through a proxy. Default: false. */
  readonly proxied?: boolean;
  /** Registrations that the admin API is given. Absent: it takes none. */
  /** Of a registration: secrets whose stores are away. Default: it is not known. */
  readonly keptSecretsOf?: (registration: Registration) => readonly KeptValue[];
  readonly documents?: {
    readonly kept: Documents;
    check(name: string, text: string, present: Configuration): Promise<CheckedDocument>;
    /** Resolves when what was written is in force. */
    apply(): Promise<void>;
  };
  /** Something was pushed to a source of registrations. Must not throw. */
  readonly onPush?: (source: string) => void;
}

/** What is started and stopped. Nothing of it works yet, except that the ledger is open. */
export interface Parts {
  readonly ledger: Pick<Ledger, 'close'>;
  readonly backends: Pick<ProviderPool, 'close'>;
  readonly engine: Pick<Engine, 'start' | 'stop'>;
  readonly poller: Pick<Poller, 'start' | 'stop'>;
  readonly catchUp: Pick<CatchUp, 'all' | 'stop'>;
  readonly redelivery: Pick<Redelivery, 'start' | 'stop'>;
  readonly gapWatch: Pick<GapWatch, 'start' | 'stop'>;
  readonly shedding: Pick<Shedding, 'close'>;
  readonly housekeeping: Pick<Housekeeping, 'start' | 'stop'>;
  readonly versions: Pick<RunnerVersions, 'start' | 'stop'>;
  readonly organizations: Pick<OrganizationDefaults, 'start' | 'stop'>;
  readonly publicListener: PublicListener;
  readonly adminListener: AdminListener;
  /** Runners that are not gone, and what was not listed yet, a line for each registration. */
  left(): Promise<readonly string[]>;
  /** Takes effect at once, and touches nothing that runs. */
  reconfigure(configuration: Configuration): void;
  readonly departures: Pick<Departures, 'stop'>;
  /** Undefined: it has no public address that it knows. */
  readonly address?: Pick<OwnAddress, 'start' | 'stop'>;
  /** What registrations said last without a problem. */
  readonly versionsOfRegistrations: LastGoodVersions;
}

/** A ledger that is opened before all of the configuration is known. */
export class EarlyLedger {
  readonly ledger: Ledger;
  /** What it takes of its disk. */
  readonly bytes: () => Promise<number>;
  readonly #parts: { now: () => number; areStrangers: AreStrangers };

  private constructor(
    { ledger, bytes }: Pick<EarlyLedger, 'ledger' | 'bytes'>,
    parts: { now: () => number; areStrangers: AreStrangers },
  ) {
    this.ledger = ledger;
    this.bytes = bytes;
    this.#parts = parts;
  }

  /** Rejects with a LedgerError, which says what to do. */
  static async open(
    { ledgerPath, postgres }: Pick<DispatcherConfig, 'ledgerPath' | 'postgres'>,
    clock: Clock,
    log: Pick<Log, 'warn'>,
  ): Promise<EarlyLedger> {
    const parts = { now: () => clock.now(), areStrangers: strangersAmong([]) };
    const shared = {
      now: () => parts.now(),
      areStrangers: (one: string, other: string) => parts.areStrangers(one, other),
      gather: setImmediate,
      after: (ms: number, action: () => void) => clock.after(ms, action),
    };
    if (postgres !== undefined) {
      // Only where it is used: its packages take time to load.
      const { openPostgresLedger } = await import('./ledger/postgres/store.ts');
      const { url, schema, ca, connections } = postgres;
      const ledger = await openPostgresLedger({
        ...shared,
        address: addressOf(url.reveal()),
        schema,
        ...(ca === undefined ? {} : { ca: ca.reveal() }),
        mostConnections: connections,
        onWait: (reason) => log.warn('ledger-opening', { reason }),
      });
      return new EarlyLedger({ ledger, bytes: () => ledger.bytes() }, parts);
    }
    const ledger = await openSqliteLedger({ path: ledgerPath, ...shared });
    return new EarlyLedger({ ledger, bytes: () => ledgerBytes(ledgerPath) }, parts);
  }

  /** From now on it works by these. */
  follow(clock: Pick<Clock, 'now'>, { areStrangers }: { readonly areStrangers: AreStrangers }): Ledger {
    this.#parts.now = () => clock.now();
    this.#parts.areStrangers = areStrangers;
    return this.ledger;
  }
}

/** Rejects with a LedgerError, which says what to do. */
export async function wire(options: DispatcherOptions): Promise<Parts> {
  const { configuration, random, log, openFiles = Number.POSITIVE_INFINITY } = options;
  const { dispatcher } = configuration;
  const clock = followingClock(options.clock, log);
  const backends = createProviderPool({ clock, random, log });
  let declared = configuration;
  const organizations = new OrganizationDefaults({
    ...{ clock, random, log },
    files: (name) => tenants.get(name)?.github,
    onChange: () => put(declared),
  });
  organizations.follow(configuration.registrations);
  const live = new LiveConfiguration(organizations.narrowed(configuration), (version) => admitBy(version, backends));
  const registrations = () => live.current.registrations;
  const early = options.ledger ?? (await EarlyLedger.open(dispatcher, clock, log));
  const ledger = early.follow(clock, live);
  await options.documents?.kept.open(ledger);
  const shares = connectionShares(openFiles);

  const shedding = new Shedding(clock, log);
  const addressKey = newCallbackToken(random).token;
  const address = ownAddressOf(options, clock, addressKey);
  const budgets = new BudgetPool(clock);
  const times = new GithubTimes({ clock, machine: options.clock, log });
  const metrics = createMetrics({
    sources: {
      ledger,
      clock,
      registrations,
      quarantined: () => live.current.quarantined.length,
      platformProblems: () => live.current.platformProblems?.length ?? 0,
      kept: () => live.current.kept?.length ?? 0,
      budgets: () => budgets.snapshot(),
      problems: (registration) => problems.of(registration),
      launchesHeld: async (registration) =>
        launchesHeld(registration, engine.pauses(), await engine.maintenanceUntilMs(registration)),
      clocks: () => times.machineAheadMs(),
      shedding: () => shedding.current().map(({ name }) => name),
      ledgerClosed: () => engine.ledgerClosed(),
      ledgerBytes: () => early.bytes(),
      publicAddress: () => address?.status(),
    },
  });
  const githubOf = (registration: Registration) =>
    createGithub({
      ...{ registration, budgets, times, clock, random },
      onMended: (field) => metrics.mended(field),
      onAuthorized: (owner, startedAtMs) => engine.authorized(registration.name, owner, startedAtMs),
    });

  const served = new LiveTenants(live.current.registrations, { githubOf, backends });
  const tenants = served.all;
  const engine = createEngine({
    dispatcherId: dispatcher.id,
    incarnation: ulid(clock.now(), random),
    ledger,
    clock,
    random,
    log,
    metrics,
    admit: live.admit,
    tenants,
    areStrangers: live.areStrangers,
    ...launchLimits(dispatcher, options),
    setAside: (name) => live.isSetAside(name),
    ...callbacksOf(dispatcher.publicListen),
  });

  const onRecorded = () => engine.wake();
  const polled = [...tenants.values()].map(({ registration, github }) => ({ registration, source: github }));
  const poller = createPoller({ tenants: polled, ledger, clock, random, log, onRecorded });
  const catchUp = new CatchUp({
    poll: (registration, haste) => pollAfresh({ poller, clock }, registration, haste),
    registrations,
    clock,
    random,
    log,
  });
  const signatures = new WrongSignatures(clock);
  const answered = new AnsweredDeliveries();
  const speaking = {
    endpoints: () => live.current.dispatcher.webhooks,
    registrations,
    tenants: () => live.current.dispatcher.tenants,
  };
  const endpoints = new CurrentEndpoints(speaking);
  const redelivery = new Redelivery({
    ...{ ledger, metrics, clock, random, log, registrations },
    endpoints: () => endpoints.current(),
    caller: hookCallers({ budgets, times, clock, random }),
    publicUrl: dispatcher.publicListen.url,
    githubNow: ({ apiUrl }) => times.at(apiUrl).now(),
    isHeld: (endpoint) => shedding.turnsAway(endpoint),
    isAnswered: (endpoint, guid) => answered.has(endpoint, guid),
  });
  const intake = createIntake({
    ledger,
    clock,
    log,
    metrics,
    ...speaking,
    setAside: (name) => live.isSetAside(name),
    onRecorded,
    onLost: (loss) => {
      shedding.lost(loss);
      catchUp.lost(loss);
      redelivery.lost(loss.sources.map(({ endpoint }) => endpoint));
    },
    onAnswered: (endpoint, guid) => answered.note(endpoint, guid),
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
    configuration: () => live.current,
    engine,
    ...(dispatcher.publicListen.url === undefined ? {} : { callbackUrl: dispatcher.publicListen.url }),
    oldVersion: (registration) => versions.oldOf(registration),
    organization: (registration) => organizations.problemOf(registration),
    pollProblems: (registration) => poller.statusOf(registration)?.details ?? [],
    wronglySigned: (registration) => signatures.current(registration),
    skewOf: (apiUrl) => times.at(apiUrl).skew,
  });

  const isGranted = (name: string) => {
    const { dispatcher: now } = live.current;
    const owners = now.tenants === undefined ? undefined : tenantLookup(now.tenants)(name);
    return !live.isSetAside(name) && (owners === undefined || owners.length > 0);
  };
  const rooms = new NetworkRooms({
    clock,
    provider: async (registration, backend) => await tenants.get(registration)?.provider(backend),
  });
  const departures = new Departures({
    ...{ clock, ledger, log, tenants: served },
    onGone: (gone) => {
      engine.reconfigure({ changed: [], gone, readmit: [], ...launchLimits(live.current.dispatcher, options) });
    },
  });
  function reconfigure(next: Configuration): void {
    declared = next;
    const changed = put(next);
    organizations.follow(next.registrations);
    for (const { name } of changed) organizations.again(name);
  }
  /** Returns what changed. */
  function put(said: Configuration): readonly Registration[] {
    const next = organizations.narrowed(said);
    const difference = differenceOf(live.current, next);
    const { changed, ended, readmit } = difference;
    // One after the other and without a pause: nothing sees a part of it.
    live.put(next);
    served.apply(difference);
    engine.reconfigure({
      changed: [...changed, ...ended].map(({ name }) => name),
      gone: [],
      readmit,
      ...launchLimits(next.dispatcher, options),
    });
    for (const { name } of [...changed, ...ended]) {
      const tenant = tenants.get(name);
      const isPolled = tenant !== undefined && tenant.leaving === undefined;
      poller.follow(name, isPolled ? { registration: tenant.registration, source: tenant.github } : undefined);
    }
    catchUp.some(changed);
    departures.look();
    return changed;
  }

  return {
    reconfigure,
    departures,
    ...(address === undefined ? {} : { address }),
    versionsOfRegistrations: new LastGoodVersions(ledger, dispatcher),
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
    redelivery,
    gapWatch: gapWatch(options.clock, log, () => {
      catchUp.all('gap');
      redelivery.all();
    }),
    versions,
    organizations,
    housekeeping: createHousekeeping({ ledger, clock, random, log, retention: dispatcher.retention }),
    publicListener: createPublicListener({
      intake,
      pushes: new PushIntake({
        ...{ clock, log, metrics },
        sources: () => live.current.dispatcher.sources ?? [],
        onPush: (source) => options.onPush?.(source),
      }),
      clock,
      metrics,
      trustedProxies: dispatcher.trustedProxies,
      onYield: (from) => shedding.yielded(from),
      limits: shares.public,
      ...certificateOf(options, clock),
      addressProof: createAddressProof({ key: addressKey, id: dispatcher.id }),
      calls: createRunnerCalls({
        ...{ ledger, engine, log, metrics },
        registration: (name) => tenants.get(name)?.registration,
        mayRunMore: (name) => tenants.get(name)?.leaving === undefined || isGranted(name),
        now: () => clock.now(),
        verified: (runner, token) => {
          address?.heardRunner(token);
          engine.called(runner);
        },
        sawVersion: (registration, scope, seen) => versions.saw(registration, scope, seen),
        runs: new RunReads({
          now: () => clock.now(),
          asker: (name) => {
            const tenant = tenants.get(name);
            return tenant === undefined ? undefined : { github: tenant.github, line: lineOf(tenant.registration) };
          },
          log,
        }),
      }),
    }),
    adminListener: createAdminListener({
      ledger,
      clock,
      log,
      metrics,
      token: dispatcher.adminToken,
      random,
      people: peopleOf(dispatcher.oidc, live),
      tenants: () => live.current.dispatcher.tenants,
      trustedProxies: dispatcher.trustedProxies,
      limits: shares.admin,
      admit: live.admit,
      registrations,
      quarantined: () => live.current.quarantined,
      leaving: () => served.leaving(),
      platformProblems: () => live.current.platformProblems ?? [],
      webhookProblems: () => sharedWebhookProblems(signatures.shared()),
      publicAddress: () => address?.status(),
      repositories: () => live.current.sources ?? [],
      originOf: (registration) => live.current.origins?.get(registration),
      kept: () => live.current.kept ?? [],
      doubles: () => live.current.doubles ?? [],
      notes: (registration) => [
        ...secretNotes(options.keptSecretsOf?.(registration) ?? []),
        ...redeliveryNotes(redelivery.statusOf(registration.name)),
      ],
      freeAddresses: (registration, backend) => rooms.of(registration, backend),
      documents: documentsOf(options, () => declared),
      organizationOf: (registration) => organizations.statusOf(registration),
      pollStatus: (registration) => shownPoll(poller.statusOf(registration)),
      problems: (registration) => problems.of(registration),
      ledgerClosed: () => engine.ledgerClosed(),
      standby: () => engine.standby(),
      maintenanceUntilMs: (registration) => engine.maintenanceUntilMs(registration),
      canary: (registration) => engine.canary(registration),
      laneReason: (laneKey) => engine.laneReason(laneKey),
      jobReason: (job) => engine.jobReason(job),
      forgetRunner: (name) => engine.forget(name),
      backends: () => engine.backends(),
      pausing: engine,
      resetBackends: (registration, backend) => engine.resetBackends(registration, backend),
      liveOutput: (runner) => liveOutput(tenants, runner),
      runnerVersions: (registration) => versions.seenOf(registration),
      readiness: () =>
        readinessOf({
          configuration: live.current,
          leaving: served.leaving(),
          ledger,
          clock,
          engine,
          shedding: () => shedding.current(),
          webhookProblems: sharedWebhookProblems(signatures.shared()),
          publicAddress: address?.status(),
          problems: (registration) => problems.of(registration),
        }),
    }),
  };
}

/** One for each registration as it is: they keep tokens, and what GitHub said last. */
function hookCallers(parts: Pick<CredentialOptions, 'budgets' | 'times' | 'clock' | 'random'>) {
  const made = new WeakMap<WatchedRegistration, { readonly app: Caller | undefined; readonly owners: RequesterFor }>();
  return (registration: WatchedRegistration, place: HookPlace): Caller | undefined => {
    const options = { ...registration, ...parts, line: lineOf(registration) };
    const callers = made.get(registration) ?? { app: appCaller(options), owners: requestersFor(options) };
    made.set(registration, callers);
    if (place.kind === 'app') return callers.app;
    return callers.owners(place.kind === 'organization' ? place.organization : place.owner);
  };
}

function documentsOf({ documents }: DispatcherOptions, present: () => Configuration) {
  if (documents === undefined) return undefined;
  const { apply, check, kept } = documents;
  return {
    entry: (name: string) => kept.entry(name),
    text: (name: string) => kept.text(name),
    check: (name: string, text: string) => check(name, text, present()),
    put: kept.put.bind(kept),
    remove: kept.remove.bind(kept),
    apply,
  } satisfies RegistrationDocuments;
}

/** What a group may do changes with the file; where people log in, with the next start. */
function peopleOf(config: OidcConfig | undefined, live: Pick<LiveConfiguration, 'current'>) {
  return config === undefined ? undefined : { config, access: () => live.current.dispatcher.oidc?.access ?? [] };
}

function callbacksOf({ url }: Configuration['dispatcher']['publicListen']) {
  return url === undefined ? {} : { callbackUrl: url };
}

function ownAddressOf(
  { configuration, log, proxied, random }: DispatcherOptions,
  clock: Clock,
  key: string,
): OwnAddress | undefined {
  const { id, publicListen } = configuration.dispatcher;
  if (publicListen.url === undefined) return undefined;
  const call = addressCaller(clock);
  return new OwnAddress({ url: publicListen.url, id, key, hasProxy: proxied === true, clock, random, log, call });
}

function certificateOf({ configuration, files, log }: DispatcherOptions, clock: Clock) {
  const { tls } = configuration.dispatcher.publicListen;
  if (tls === undefined) return {};
  const read = files === undefined ? {} : { read: (path: string) => readCertificateFile(files, path) };
  return { certificate: new ListenerCertificate({ files: tls, clock, log, ...read }) };
}

function followingClock(machine: Clock, log: Log): Clock {
  return steadyClock(machine, {
    onSet: (byMs) =>
      log.warn('clock-set', { byMs, reason: "this machine's clock was set; the dispatcher follows it slowly" }),
  });
}

function launchLimits(
  { maxLaunches, maxRunners }: DispatcherConfig,
  { draining }: Pick<DispatcherOptions, 'draining'>,
): { readonly maxLaunches: number; readonly maxRunners: number } {
  // Idle runners that no waiting job will take are surplus, as ever.
  return { maxLaunches, maxRunners: draining === true ? 0 : maxRunners };
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
function gapWatch(machine: Clock, log: Log, onGap: () => void): GapWatch {
  return new GapWatch({
    clock: machine,
    onGap: (ms) => {
      log.warn('gap', { ms, reason: 'the dispatcher stood still: what GitHub sent meanwhile is asked for' });
      onGap();
    },
  });
}
