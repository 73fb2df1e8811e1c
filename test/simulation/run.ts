/** Lets one seed's world run to its end, and says what was wrong with it. */
import { createAdmit } from '../../dispatcher/admission/admit.ts';
import { type AreStrangers, jobKey } from '../../dispatcher/jobs/facts.ts';
import { type GithubScope, scopePath } from '../../dispatcher/jobs/scope.ts';
import type { Ledger } from '../../dispatcher/ledger/ledger.ts';
import { openSqliteLedger } from '../../dispatcher/ledger/sqlite.ts';
import { createEngine } from '../../dispatcher/lifecycle/engine.ts';
import type { Registration, StandbyPool } from '../../dispatcher/model/registration.ts';
import { Disk } from './disk.ts';
import { DISPATCHER_ID, Dispatcher, type EngineFactory, type TenantWorld } from './dispatcher.ts';
import { Dice, type Fault } from './faults.ts';
import { type Cap, Invariants, isIdleAhead, isParked, labelKey, type Violation } from './invariants.ts';
import { streamsOf } from './random.ts';
import {
  BROKEN_IMAGE,
  drawScenario,
  isWithin,
  type Scenario,
  type ScenarioOverrides,
  type TenantPlan,
  UNKNOWN_IMAGE,
} from './scenario.ts';
import { History } from './trace.ts';
import { eventLoopTurn, VirtualClock } from './virtual-clock.ts';
import { GithubWorld, JIT_MARKER } from './world/github.ts';
import { GithubPort } from './world/github-port.ts';
import { Hostile } from './world/hostile.ts';
import type { WorldJob } from './world/jobs.ts';
import { Account } from './world/provider.ts';
import { ProviderPort } from './world/provider-port.ts';
import { addStrangers } from './world/strangers.ts';
import { Webhooks } from './world/webhooks.ts';

export interface RunOptions extends ScenarioOverrides {
  /** The real engine, unless a test puts a broken one in its place to see whether the world notices. */
  readonly createEngine?: EngineFactory;
  readonly tamperLedger?: (ledger: Ledger) => Ledger;
  /** Who may not vouch for whose jobs; unless a test breaks it, every tenant is another's stranger. */
  readonly areStrangers?: AreStrangers;
  /** Kills the first life at exactly this call of a port, and none after it. */
  readonly firstCrashAtCall?: number;
}

export interface Outcome {
  readonly seed: number;
  readonly fingerprint: string;
  readonly violations: readonly Violation[];
  readonly history: History;
  readonly scenario: Scenario;
  /** How often each fault happened. */
  readonly faults: ReadonlyMap<Fault, number>;
  readonly counts: Readonly<
    Record<
      | 'jobs'
      | 'instances'
      | 'parkedInVain'
      | 'registeredInVain'
      | 'faults'
      | 'crashes'
      | 'shutdowns'
      | 'powerLosses'
      | 'steals'
      | 'calls'
      | 'virtualMinutes'
      | 'mostLooks'
      | 'served'
      | 'launched',
      number
    >
  >;
}

const MINUTE = 60_000;
/** Once nothing goes wrong any more, some job starts or ends within this, as long as one waits. */
const STALL_MS = 90 * MINUTE;
/** How often the ledger is compared with what happened: each time all of it is read. */
const WATCH_MS = 5 * MINUTE;
/** Once the last job has completed, everything is gone within this. */
const CLEAN_MS = 180 * MINUTE;
/** Afterwards nothing comes back. */
const AFTERWARDS_MS = 15 * MINUTE;
/** How often it is looked at who waits although nothing stands in the way. */
const SAMPLE_MS = 10_000;
/** For a runner to be launched, to boot and to be given the job, where nothing goes wrong. */
const PROMPT_MS = 4 * MINUTE;
/** After the last fault: breakers, holds and pauses that it left may take so long to be over. */
/** From a container's limit to its end, where nothing goes wrong. */
const OVERTIME_MS = 2 * MINUTE;
const AFTERMATH_MS = 35 * MINUTE;
/** And then: a pause, a poll and a boot. */
const PROMPT_AFTERWARDS_MS = 20 * MINUTE;

export async function runSeed(seed: number, options: RunOptions = {}): Promise<Outcome> {
  const streams = streamsOf(seed);
  const scenario = drawScenario(seed, streams, options);
  const pending = { count: 0 };
  const clock = new VirtualClock(scenario.startMs, async () => {
    do await eventLoopTurn();
    while (pending.count > 0);
  });
  const history = new History(() => clock.now());
  const dice = new Dice(scenario.rates, streams);
  const invariants = new Invariants({
    now: () => clock.now(),
    history,
    caps: capsOf(scenario),
    registeredFor: (jit) => worldOf(jit.slice(JIT_MARKER.length).split('/')[0] ?? '').registeredFor(jit),
    forbiddenLabels: scenario.tenants.flatMap((tenant) =>
      tenant.jobs
        .filter((job) => job.expectation === 'refused' || job.expectation === 'not-ours')
        .map((job) => job.labels),
    ),
  });

  const blind = (): boolean => isWithin(scenario.blindness, clock.now());
  let receiver: Dispatcher | undefined;
  const webhooks = new Webhooks({
    clock,
    dice,
    history,
    receive: (delivery, fact) => receiver?.receive(delivery, fact),
    blind,
  });
  const githubs = new Map<string, GithubWorld>();
  for (const { registration } of scenario.tenants) {
    const { host } = registration;
    if (githubs.has(host)) continue;
    const world = new GithubWorld({
      host,
      clock,
      dice,
      history,
      witness: invariants,
      enterprises: scenario.enterprises,
      announce: (fact) => webhooks.send(fact),
    });
    githubs.set(host, world);
  }
  const worldOf = (host: string): GithubWorld => {
    const world = githubs.get(host);
    if (world === undefined) throw new Error(`no GitHub ${host}`);
    return world;
  };
  const accounts = new Map<string, Account>();
  const accountOf = (name: string): Account => {
    const account =
      accounts.get(name) ??
      new Account({
        name,
        clock,
        dice,
        history,
        witness: invariants,
        githubOf: (jit) => worldOf(jit.slice(JIT_MARKER.length).split('/')[0] ?? ''),
        jitFor: (runner) => receiver?.jitFor(runner) ?? Promise.resolve(undefined),
        brokenImage: BROKEN_IMAGE,
      });
    accounts.set(name, account);
    return account;
  };

  const tenants = scenario.tenants.map((plan): TenantWorld => {
    const { registration } = plan;
    const world = worldOf(registration.host);
    const ids = plan.jobs.map((job) => job.id);
    world.schedule(plan.jobs);
    const scope = plan.foreignRunnerScope;
    if (scope !== undefined) world.addForeignRunner(scope, [...registration.labels, 'cpu-2']);
    return {
      plan,
      github: new GithubPort({
        world,
        clock,
        dice,
        history,
        registration: registration.name,
        outages: plan.outages,
        blind,
        asked: invariants,
      }),
      providers: new Map(
        plan.backends.map((backend) => [
          backend.name,
          new ProviderPort({
            account: accountOf(backend.account),
            backend: `${registration.name}/${backend.name}`,
            clock,
            dice,
            history,
            outages: backend.outages,
            unknownImage: UNKNOWN_IMAGE,
            lookedAt: (name) => invariants.lookedAt(name),
            called: (call) => invariants.called(registration, backend.name, call),
            answered: (call) => invariants.answered(registration, backend.name, call),
          }),
        ]),
      ),
      allCompleted: () => ids.every((id) => world.jobs.get(id)?.status === 'completed'),
    };
  });

  // Shared scopes get them once.
  const scopes = new Map<string, { readonly scope: GithubScope; readonly world: GithubWorld }>();
  for (const { registration } of scenario.tenants) {
    const { host } = registration;
    for (const scope of scopesOf(registration))
      scopes.set(`${host}/${scopePath(scope)}`, { scope, world: worldOf(host) });
  }
  for (const place of scopes.values()) addStrangers({ ...place, clock, dice, dispatcherId: DISPATCHER_ID });

  const { losesLedgerAtMs } = scenario;
  const areStrangers = options.areStrangers ?? ((one: string, other: string) => one !== other);
  const disk = scenario.powerLosses > 0 ? new Disk({ clock, areStrangers }) : undefined;
  const openLedger = async (): Promise<Ledger> => {
    const memory = { path: ':memory:', now: () => clock.now(), areStrangers };
    const ledger = await (disk === undefined ? openSqliteLedger(memory) : disk.open());
    return options.tamperLedger?.(ledger) ?? ledger;
  };
  const dispatcher = new Dispatcher({
    scenario,
    createEngine: options.createEngine ?? createEngine,
    admit: createAdmit(scenario.tenants.map((tenant) => tenant.registration)),
    areStrangers,
    ledger: await openLedger(),
    nextLedger: openLedger,
    clock,
    streams,
    history,
    invariants,
    tenants,
    pending,
    firstCrashAtCall: options.firstCrashAtCall,
  });
  receiver = dispatcher;
  new Hostile({
    clock,
    dice,
    history,
    receive: (delivery, fact) => dispatcher.receive(delivery, fact),
    worlds: [...githubs.values()],
    neighbours: scenario.tenants.flatMap(({ registration }) => neighboursOf(registration)),
  });
  const watch = async (): Promise<void> => {
    await judgeReach(invariants, dispatcher.ledger, githubs);
    await judgeStops(invariants, dispatcher.ledger);
    clock.after(WATCH_MS, () => void watch());
  };
  clock.after(WATCH_MS, () => void watch());
  dispatcher.start();
  const isCalm = scenario.calmAtMs === scenario.startMs || isFaultless(scenario);
  const sample = (): void => {
    const settledAtMs = scenario.calmAtMs + AFTERMATH_MS;
    invariants.watchTimeLimits(isCalm ? scenario.startMs : settledAtMs, isCalm ? OVERTIME_MS : PROMPT_AFTERWARDS_MS);
    const limitMs = isCalm ? PROMPT_MS : clock.now() > settledAtMs ? PROMPT_AFTERWARDS_MS : undefined;
    if (limitMs !== undefined) {
      for (const { github, plan } of tenants) {
        const givable = github.world.givable.filter((job) => ids(plan).has(job.plan.id));
        invariants.waitsFor(plan.registration, givable, SAMPLE_MS, limitMs);
      }
    }
    if (!finished) clock.after(SAMPLE_MS, sample);
  };
  let finished = false;
  clock.after(SAMPLE_MS, sample);
  if (losesLedgerAtMs !== undefined) clock.after(losesLedgerAtMs - clock.now(), () => dispatcher.loseLedger());

  await clock.run(scenario.calmAtMs);
  history.record('world', [], 'CALM: from here on nothing goes wrong');
  dice.calm();
  dispatcher.calm();
  invariants.lastProgressAtMs = clock.now();

  const completed = (): boolean => [...githubs.values()].every((world) => world.allCompleted);
  const waits = (): readonly WorldJob[] =>
    [...githubs.values()].flatMap((world) => [...world.jobs.values()].filter((job) => job.status !== 'completed'));
  while (!completed()) {
    for (const world of githubs.values()) world.cancelWhere((job) => job.plan.expectation !== 'runs');
    await clock.advance(MINUTE);
    const stalled = clock.now() - invariants.lastProgressAtMs >= STALL_MS;
    if (stalled && waits().every((job) => job.status !== 'in_progress')) {
      for (const job of waits()) {
        const waitsSince = Math.round((clock.now() - job.queuedAtMs) / MINUTE);
        invariants.violate('a job that stays queued runs', `${job.name} waits for ${waitsSince} min`, [job.name]);
      }
      break;
    }
    if (invariants.tooMany) break;
  }

  finished = true;
  dispatcher.unpark();
  const leftovers = async (): Promise<readonly { readonly what: string; readonly name: string }[]> => [
    ...[...accounts.values()].flatMap((account) =>
      account.present.map(({ name, state }) => ({ what: `instance (${state})`, name })),
    ),
    ...[...githubs.values()].flatMap((world) => world.ourRunners.map((name) => ({ what: 'runner at GitHub', name }))),
    ...(await liveRows(dispatcher.ledger)).map((name) => ({ what: 'row in the ledger', name })),
  ];
  const cleanBy = clock.now() + CLEAN_MS;
  while (!invariants.tooMany && clock.now() < cleanBy && (await leftovers()).length > 0) await clock.advance(MINUTE);
  await clock.advance(AFTERWARDS_MS);
  for (const { what, name } of await leftovers()) {
    invariants.violate('nothing is left', `${what}: ${name}`, [name, ...jobsOf(history, name)]);
  }
  judgeLaunches(invariants, scenario, dice, dispatcher, githubs.values());
  await judgeStops(invariants, dispatcher.ledger);
  if (isCalm) await judgeTimeLimits(invariants, dispatcher.ledger, githubs.values());

  const stopped = dispatcher.stop();
  await clock.advance(30_000);
  await Promise.race([stopped, eventLoopTurn()]);
  await dispatcher.ledger.close();
  disk?.remove();
  return {
    seed,
    fingerprint: history.fingerprint(),
    violations: invariants.violations,
    history,
    scenario,
    faults: dice.seen,
    counts: {
      jobs: scenario.tenants.reduce((sum, tenant) => sum + tenant.jobs.length, 0),
      instances: invariants.instances.filter((instance) => !isParked(instance)).length,
      registeredInVain: invariants.instances.filter(isIdleAhead).length,
      parkedInVain: invariants.instances.filter(isParked).length,
      faults: dice.total,
      crashes: dispatcher.crashes,
      shutdowns: dispatcher.shutdowns,
      powerLosses: dispatcher.powerLosses,
      steals: invariants.steals,
      calls: dispatcher.calls,
      virtualMinutes: Math.round((clock.now() - scenario.startMs) / MINUTE),
      mostLooks: invariants.mostLooks,
      served: scenario.tenants.flatMap(({ jobs }) => jobs.filter((job) => job.expectation === 'runs')).length,
      launched: invariants.instances.filter((one) => one.image !== BROKEN_IMAGE && !isParked(one) && !isIdleAhead(one))
        .length,
    },
  };
}

/** The plan's jobs. */
function ids(plan: TenantPlan): ReadonlySet<number> {
  return new Set(plan.jobs.map((job) => job.id));
}

function isFaultless({ blindness, callsToCrash, rates, shutdownEveryMs, tenants }: Scenario): boolean {
  const quiet = callsToCrash === undefined && shutdownEveryMs === undefined && blindness.length === 0;
  const outages = tenants.some((tenant) => [tenant, ...tenant.backends].some((one) => one.outages.length > 0));
  return quiet && !outages && Object.values(rates).every((rate) => rate === 0);
}

/** Where its runners register. */
function scopesOf({ claim }: Registration): readonly GithubScope[] {
  switch (claim.kind) {
    case 'organization':
      return [{ kind: 'organization', organization: claim.organization }];
    case 'enterprise':
      return [{ kind: 'enterprise', enterprise: claim.enterprise }];
    case 'user':
      return [];
    case 'repositories':
      return claim.repositories.map(({ owner, repository }) => ({ kind: 'repository', owner, repository }));
  }
}

/** Where the hostile tenant has a repository beside this one's. */
function neighboursOf({ host, claim, labels }: Registration) {
  const [label = ''] = labels;
  const owners =
    claim.kind === 'organization' ? [claim.organization] : claim.kind === 'enterprise' ? claim.organizations : [];
  return owners.map((owner) => ({ host, owner, label }));
}

/**
 * Compares what the ledger believes with what happened: a runner is bound to, or was launched for, a job that exists, and
 * a job has ended only when it ended.
 */
async function judgeReach(
  invariants: Invariants,
  ledger: Ledger,
  githubs: ReadonlyMap<string, GithubWorld>,
): Promise<void> {
  const rule = 'no fact moves what its source cannot speak of';
  const realJob = (key: string) => {
    const [host = '', owner, repository, id] = key.split('/');
    const world = githubs.get(host);
    const job = world?.jobs.get(Number(id));
    if (world === undefined || job === undefined) return undefined;
    return job.plan.owner === owner && job.plan.repository === repository ? { job, world } : undefined;
  };
  for (const { name, jobKey, forJobKey } of await ledger.runners({ limit: 5000 }, 'reject')) {
    const bound = jobKey === null ? undefined : realJob(jobKey);
    if (jobKey !== null && bound?.world.hasRunOn(bound.job.plan.id, name) !== true) {
      invariants.violate(rule, `${name} was bound to ${jobKey}, which never ran on it`, [name]);
    }
    if (forJobKey !== null && realJob(forJobKey) === undefined) {
      invariants.violate(rule, `${name} was launched for ${forJobKey}, which does not exist`, [name]);
    }
  }
  for (const row of await ledger.jobs({ status: 'completed', limit: 1000 }, 'reject')) {
    const real = realJob(row.key);
    // Given up after 404s that proved it gone: no fact, and the next listing brings it back.
    if (row.reasonCode === 'dropped') continue;
    if (real !== undefined && real.job.status !== 'completed') {
      invariants.violate(rule, `${row.key} has ended, and is ${real.job.status} at GitHub`, [real.job.name]);
    }
  }
}

/** Where nothing goes wrong, a job with a limit fails because of it alone: its row and its runner's say so. */
async function judgeTimeLimits(invariants: Invariants, ledger: Ledger, githubs: Iterable<GithubWorld>): Promise<void> {
  for (const world of githubs) {
    for (const { conclusion, name, plan, runnerName } of world.jobs.values()) {
      if (plan.timeLimitMs === undefined || conclusion !== 'failure' || runnerName === null) continue;
      const key = jobKey({ host: world.host, owner: plan.owner, repository: plan.repository, jobId: plan.id });
      const [row, runner] = [await ledger.job(key), await ledger.runner(runnerName)];
      if (row?.reasonCode === 'time-limit' && runner?.forced === true) continue;
      const what = `${name} was ended at its limit, and says ${row?.reasonCode}; forced: ${runner?.forced}`;
      invariants.violate('a time limit is enforced and said', what, [name, runnerName]);
    }
  }
}

/** Whatever the dispatcher and its machine went through, the ledger knows which containers we stopped. */
async function judgeStops(invariants: Invariants, ledger: Ledger): Promise<void> {
  for (const name of invariants.stoppedByUs) {
    const row = await ledger.runner(name);
    if (row?.stopAskedAtMs === null) invariants.stopUnmarked(name);
  }
}

async function liveRows(ledger: Ledger): Promise<readonly string[]> {
  const states = ['creating', 'parked', 'starting', 'online', 'busy', 'finishing', 'draining'] as const;
  return (await ledger.runners({ states, limit: 1000 }, 'reject')).map((runner) => runner.name);
}

/** Jobs that share a line with the runner: their story belongs to its. */
function jobsOf(history: History, runner: string): readonly string[] {
  const subjects = history.storyOf([runner]).flatMap((line) => line.subjects);
  return [...new Set(subjects.filter((subject) => subject.startsWith('job-')))];
}

function capsOf(scenario: Scenario): readonly Cap[] {
  return [
    { of: '', max: scenario.maxRunners, sharesAccount: false },
    ...scenario.tenants.flatMap(({ registration, backends }) => [
      {
        of: `!${registration.name}`,
        max: scenario.maxRunners - (registration.reservedRunners ?? 0),
        sharesAccount: false,
      },
      { of: registration.name, max: registration.maxRunners, sharesAccount: false },
      ...registration.backends.map(({ name, maxRunners }) => {
        const account = backends.find((backend) => backend.name === name)?.account;
        const sharesAccount = backends.some((other) => other.name !== name && other.account === account);
        return { of: `${registration.name}/${name}`, max: maxRunners, sharesAccount };
      }),
    ]),
  ];
}

/**
 * A runner for each job; one more for each theft, requeue and gate (a gated job is `queued` for a moment before it
 * waits), and for each fault that hits a launch or a container; one more a job for all that is merely hidden.
 * An image that never starts is tried again now and then, as long as its job waits.
 */
function judgeLaunches(
  invariants: Invariants,
  scenario: Scenario,
  dice: Dice,
  dispatcher: Dispatcher,
  githubs: Iterable<GithubWorld>,
): void {
  const jobs = [...githubs].flatMap((world) => [...world.jobs.values()]);
  const wanted = jobs.filter((job) => job.plan.expectation === 'runs');
  const doomed = jobs.filter((job) => job.plan.expectation === 'doomed');
  const sum = (of: (job: WorldJob) => number): number => jobs.reduce((total, job) => total + of(job), 0);
  const made = invariants.instances.filter((instance) => instance.image !== BROKEN_IMAGE && !isParked(instance));
  const overLimit = wanted.filter((job) => job.conclusion === 'failure').length;
  const hours = (invariants.nowMs - scenario.startMs) / (60 * MINUTE);
  const bound =
    wanted.length +
    boundOfRegistered(scenario, dice, wanted.length + doomed.length, hours, dispatcher) +
    judgeHeldBack(invariants, jobs, dispatcher, dice, hours) +
    // Beside each start and end of a run with `max-parallel` one more may try, and each may idle until it is known.
    5 * wanted.filter((job) => job.plan.parallel !== undefined).length +
    wanted.filter((job) => job.plan.gateMs !== undefined).length +
    2 * (invariants.steals + sum((job) => job.requeues) + overLimit) +
    dice.direct +
    // What is hidden, refused or forgotten for a while costs a job one more runner at most, however often it happens.
    Math.min(
      wanted.length,
      dice.costly - dice.direct + dispatcher.crashes + dispatcher.shutdowns + outageMinutes(scenario),
    );
  if (made.length > bound) {
    invariants.violate('launches are bounded', `${made.length} instances for ${wanted.length} jobs, at most ${bound}`);
  }
  judgeParked(invariants, scenario, dice, wanted.length + doomed.length, hours, dispatcher);
  const broken = invariants.instances.filter(
    (instance) => instance.image === BROKEN_IMAGE && !instance.behindOurBack,
  ).length;
  // Of a candidate image, few are on their way before one has come online, and what the ledger has not counted is tried again.
  const candidates = scenario.tenants.filter(({ registration }) => registration.canary?.image === BROKEN_IMAGE).length;
  const tries = candidates * (6 + 3 * (dispatcher.crashes + dispatcher.shutdowns)) + (candidates > 0 ? dice.costly : 0);
  const brokenBound = Math.ceil(doomed.length * (3 + 10 * hours)) + tries;
  if (broken > brokenBound) {
    invariants.violate('launches are bounded', `${broken} instances of a broken image, at most ${brokenBound}`);
  }
}

/** Those that never got a job: one for each place of a pool and each of its ages, and each that made room or was unlucky. */
function judgeParked(
  invariants: Invariants,
  scenario: Scenario,
  dice: Dice,
  jobs: number,
  hours: number,
  dispatcher: Dispatcher,
): void {
  const unused = invariants.instances.filter(isParked);
  const bound = agesOf(scenario, undefined, hours) + jobs + dice.costly + dispatcher.crashes + outageMinutes(scenario);
  if (unused.length <= bound) return;
  invariants.violate('launches are bounded', `${unused.length} containers were parked in vain, at most ${bound}`);
}

/** As of those that are parked; 0 where there are none. */
function boundOfRegistered(
  scenario: Scenario,
  dice: Dice,
  jobs: number,
  hours: number,
  dispatcher: Dispatcher,
): number {
  const ages = agesOf(scenario, 'registered', hours);
  return ages === 0 ? 0 : ages + jobs + dice.costly + dispatcher.crashes + outageMinutes(scenario);
}

/** One for each place of a pool and each of its ages. */
function agesOf(scenario: Scenario, mode: StandbyPool['mode'], hours: number): number {
  const pools = scenario.tenants.flatMap(({ registration }) => registration.standby ?? []);
  const places = pools
    .filter((pool) => pool.mode === mode)
    .map(({ maxAgeMs, size }) => size * (2 + (hours * 60 * MINUTE) / maxAgeMs));
  return Math.ceil(places.reduce((sum, one) => sum + one, 0));
}

/**
 * Jobs that GitHub gives to no runner have label sets of their own: the first runners of each idle beside it, then one
 * of a run tries now and then. A job that GitHub gave up gets none, and one whose run has completed no second one.
 * Answers how many were made, all together.
 */
function judgeHeldBack(
  invariants: Invariants,
  jobs: readonly WorldJob[],
  dispatcher: Dispatcher,
  dice: Dice,
  hours: number,
): number {
  let sum = 0;
  const disturbances = dispatcher.crashes + dispatcher.shutdowns + dice.costly;
  const runs = Map.groupBy(
    jobs.filter(({ plan }) => ['unserved', 'zombie', 'ended'].includes(plan.expectation)),
    ({ plan }) => labelKey(plan.labels),
  );
  // Of a candidate image that cannot start, few are tried, and they are counted apart: none of them idles beside a job.
  const broken = new Set(invariants.instances.filter(({ image }) => image === BROKEN_IMAGE).map(({ name }) => name));
  for (const [labels, run] of runs) {
    const [first] = run;
    if (first === undefined) continue;
    const bounds = { unserved: 3 * run.length + 6 + 3 * hours, ended: 1, zombie: 0 };
    const { expectation } = first.plan;
    const usual = expectation === 'unserved' || expectation === 'ended' ? bounds[expectation] : bounds.zombie;
    const bound = Math.ceil(usual) + (usual === 0 ? 0 : disturbances);
    const made = (invariants.registrationsFor.get(labels) ?? []).filter((name) => !broken.has(name)).length;
    sum += made;
    if (made > bound) {
      const what = `${made} runners for ${run.length} jobs with ${labels} (${expectation}), at most ${bound}`;
      invariants.violate('a job that GitHub gives to no runner gets few', what, [first.name]);
    }
  }
  return sum;
}

/** While a service is away, a job may be tried anew now and then. */
function outageMinutes(scenario: Scenario): number {
  const outages = scenario.tenants.flatMap((tenant) => [
    ...tenant.outages,
    ...tenant.backends.flatMap((backend) => backend.outages),
  ]);
  return outages.reduce((sum, { fromMs, untilMs }) => sum + Math.ceil((untilMs - fromMs) / MINUTE), 0);
}
