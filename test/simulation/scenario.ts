/** Draws a world from a seed: tenants, backends, limits, jobs, and what goes wrong. */

import type { GithubScope } from '../../dispatcher/jobs/scope.ts';
import type { Registration, StandbyPool } from '../../dispatcher/model/registration.ts';
import { Secret, scopeFor } from '../../dispatcher/model/registration.ts';
import { drawRates, type FaultRates, NO_FAULTS } from './faults.ts';
import type { Stream, Streams } from './random.ts';
import type { GithubOutage } from './world/github-port.ts';
import type { Expectation, JobPlan } from './world/jobs.ts';
import type { ProviderOutage } from './world/provider-port.ts';

export interface BackendPlan {
  readonly name: string;
  /** Backends with one account share its instances. */
  readonly account: string;
  readonly outages: readonly ProviderOutage[];
}

export interface TenantPlan {
  readonly registration: Registration;
  readonly backends: readonly BackendPlan[];
  readonly outages: readonly GithubOutage[];
  readonly jobs: readonly JobPlan[];
  /** A machine of the tenant's own stands beside ours. */
  readonly foreignRunnerScope: GithubScope | undefined;
}

export interface Scenario {
  readonly seed: number;
  readonly startMs: number;
  /** Faults, crashes and outages end then; jobs may still come a little later through `needs`. */
  readonly calmAtMs: number;
  readonly tenants: readonly TenantPlan[];
  readonly enterprises: ReadonlyMap<string, readonly string[]>;
  readonly rates: FaultRates;
  readonly maxRunners: number;
  readonly maxLaunches: number;
  /** Port calls from a start to the crash, drawn anew for each life; undefined: no crashes. */
  readonly callsToCrash: { readonly low: number; readonly high: number } | undefined;
  /** Virtual time between orderly stops; undefined: none. */
  readonly shutdownEveryMs: number | undefined;
  readonly pollEveryMs: number;
  /** The dispatcher starts anew with an empty ledger then. */
  readonly losesLedgerAtMs: number | undefined;
  /** How often the machine loses its power: of the ledger what had been brought to the disk is left. */
  readonly powerLosses: number;
  /**
   * Times in which nothing that GitHub says of a job reaches us: no webhook, no poll. Shorter than the 10 minutes for
   * which a drain leaves a container alone: whatever runs in it has been named by then, and who is blind for longer
   * can but guess.
   */
  readonly blindness: readonly Span[];
}

export interface Span {
  readonly fromMs: number;
  readonly untilMs: number;
}

export function isWithin(spans: readonly Span[], atMs: number): boolean {
  return spans.some(({ fromMs, untilMs }) => fromMs <= atMs && atMs < untilMs);
}

/** A Monday. Any time will do, as long as it is always the same. */
const START_MS = Date.UTC(2026, 0, 5, 8);

const MINUTE = 60_000;

/** Images that admission allows and the services cannot run: one is refused at once, the other fails to be pulled. */
export const UNKNOWN_IMAGE = 'registry.example/unknown:1';
export const BROKEN_IMAGE = 'registry.example/broken:1';
export const GOOD_IMAGE = 'registry.example/runner:1';
const CANDIDATE_IMAGE = 'registry.example/runner:2';

export interface ScenarioOverrides {
  /** Nothing goes wrong at all. */
  readonly calm?: boolean;
  /** No crash but the one of the test. */
  readonly noCrashes?: boolean;
  /** These faults are as frequent as this, whatever the seed says. */
  readonly rates?: Partial<FaultRates>;
  readonly losesLedger?: boolean;
  readonly losesPower?: boolean;
  /** The first tenant only observes, and other runners take all of its jobs. */
  readonly observes?: boolean;
  /** Each tenant has runs whose code comes from a fork. */
  readonly forks?: boolean;
  /** There are four runners, and three are reserved for the first registration. */
  readonly reserves?: boolean;
}

export function drawScenario(seed: number, streams: Streams, overrides: ScenarioOverrides = {}): Scenario {
  const luck = streams('scenario');
  const rates = drawRates(streams('scenario rates'));
  const crashes = streams('scenario crashes');
  const crashWorld = crashes.chance(0.6);
  const shutdownWorld = crashes.chance(0.3);
  const mostCalls = crashes.magnitude(200, 6_000);
  const shutdownEveryMs = crashes.between(5 * MINUTE, 60 * MINUTE);
  const losesLedger = crashes.chance(0.08) || overrides.losesLedger === true;
  const spanMs = luck.magnitude(5 * MINUTE, 90 * MINUTE);
  const calmAtMs = START_MS + Math.round(spanMs) + 10 * MINUTE;
  const tenantCount = luck.whole(1, 3);
  // Small worlds fail as well as large ones, and there is time for more of them.
  const jobCount = Math.round(5 + 55 * luck.next() ** 3);
  const faultless = overrides.calm === true || seed % 10 === 0;
  const tenants = Array.from({ length: tenantCount }, (_, index) =>
    drawTenant(index, Math.max(1, Math.floor(jobCount / tenantCount)), spanMs, faultless, streams),
  )
    .map((tenant, index) => (overrides.observes === true && index === 0 ? observing(tenant) : tenant))
    .map((tenant, index) => (overrides.forks === true ? withForks(tenant, index, spanMs, streams) : tenant));
  const troubles = streams('scenario troubles');
  const blindness = Array.from({ length: troubles.pick([0, 0, 1, 3]) }, (): Span => {
    const fromMs = START_MS + troubles.between(0, spanMs);
    return { fromMs, untilMs: fromMs + troubles.between(2 * MINUTE, 8 * MINUTE) };
  });
  const losesLedgerAtMs = START_MS + Math.round(troubles.between(0.1, 1) * spanMs);
  const power = streams('scenario power');
  const losesPower = power.chance(0.25) || overrides.losesPower === true;
  const powerLosses = power.whole(1, 6);
  const disturbed = !faultless && overrides.noCrashes !== true;
  const drawn = luck.whole(3, 60);
  const maxRunners = overrides.reserves === true ? 4 : drawn;
  return {
    seed,
    startMs: START_MS,
    calmAtMs,
    tenants:
      overrides.reserves === true ? reserving(tenants) : withShares(tenants, maxRunners, streams('scenario shares')),
    enterprises: new Map([['globex', ['globex-web', 'globex-data']]]),
    rates: { ...(faultless ? NO_FAULTS : rates), ...overrides.rates },
    maxRunners,
    maxLaunches: luck.whole(1, 20),
    callsToCrash: disturbed && crashWorld ? { low: 1, high: mostCalls } : undefined,
    shutdownEveryMs: disturbed && shutdownWorld ? shutdownEveryMs : undefined,
    pollEveryMs: Math.round(luck.between(40_000, 90_000)),
    losesLedgerAtMs: disturbed && losesLedger ? losesLedgerAtMs : undefined,
    // One trouble with the disk at a time.
    powerLosses: disturbed && losesPower && !losesLedger ? powerLosses : 0,
    blindness: faultless ? [] : blindness,
  };
}

const CLAIMS = [
  { kind: 'organization', organization: 'acme' },
  { kind: 'enterprise', enterprise: 'globex', organizations: ['globex-web', 'globex-data'] },
  {
    kind: 'repositories',
    repositories: [
      { owner: 'initech', repository: 'web' },
      { owner: 'initech', repository: 'api' },
    ],
  },
] as const;

function repositoriesOf(claim: Registration['claim']): readonly { owner: string; repository: string }[] {
  switch (claim.kind) {
    case 'organization':
      return ['web', 'api', 'infra'].map((repository) => ({ owner: claim.organization, repository }));
    case 'enterprise':
      return claim.organizations.map((owner) => ({ owner, repository: 'web' }));
    case 'user':
      return [{ owner: claim.user, repository: 'web' }];
    case 'repositories':
      return claim.repositories;
  }
}

function drawTenant(index: number, jobCount: number, spanMs: number, faultless: boolean, streams: Streams): TenantPlan {
  const luck = streams(`scenario tenant ${index}`);
  const troubles = streams(`scenario troubles ${index}`);
  const claim = CLAIMS[index % CLAIMS.length] ?? CLAIMS[0];
  const name = `tenant-${index}`;
  const backendCount = luck.whole(1, 3);
  const backends = Array.from({ length: backendCount }, (_, number): BackendPlan => {
    const shared = luck.chance(0.3);
    const outages = Array.from({ length: troubles.pick([0, 0, 1, 2]) }, (): ProviderOutage => {
      const fromMs = START_MS + troubles.between(0, spanMs);
      const kind = troubles.pick(['capacity', 'quota', 'throttled', 'unauthorized', 'transient'] as const);
      return { fromMs, untilMs: fromMs + troubles.magnitude(MINUTE / 2, 20 * MINUTE), kind };
    });
    return {
      name: `cloud-${number}`,
      account: shared ? 'account-shared' : `account-${index}-${number}`,
      outages: faultless ? [] : outages,
    };
  });
  const outages = Array.from({ length: troubles.pick([0, 0, 0, 1, 2]) }, (): GithubOutage => {
    const fromMs = START_MS + troubles.between(0, spanMs);
    const kind = troubles.pick(['unauthorized', 'forbidden', 'rate-limited', 'transient'] as const);
    return { fromMs, untilMs: fromMs + troubles.magnitude(MINUTE / 2, 20 * MINUTE), kind };
  });
  const label = `${name}-runner`;
  const parked = drawStandby(streams(`scenario standby ${index}`));
  const registered = drawRegistered(streams(`scenario registered ${index}`), label);
  const pools = [...parked, ...registered];
  const [where] = repositoriesOf(claim);
  return {
    registration: {
      name,
      // Two hosts count their job ids independently: the same id can stand for two jobs.
      host: index === 1 ? 'ghes.globex.example' : 'github.com',
      apiUrl: index === 1 ? 'https://ghes.globex.example/api/v3' : 'https://api.github.com',
      claim,
      credentials: { kind: 'token', token: new Secret('not-used') },
      webhookSecrets: [],
      runnerGroup: 'Default',
      labels: [label],
      priority: 0,
      defaults: { image: GOOD_IMAGE },
      imageRepository: undefined,
      images: { unknown: UNKNOWN_IMAGE, broken: BROKEN_IMAGE },
      shapes: {},
      policy: {
        maxCpu: 8,
        maxMemoryGiB: 16,
        maxDiskGiB: undefined,
        maxTimeLimitMs: 6 * 60 * MINUTE,
        images: ['*'],
        subnets: [],
        securityGroups: [],
        buckets: [],
        regions: [],
        backends: backends.map((backend) => backend.name),
        architectures: ['x64'],
        spot: true,
        dockerInDocker: false,
        publicRepositories: false,
      },
      backends: backends.map((backend) => ({
        name: backend.name,
        kind: 'simulated',
        region: undefined,
        options: {},
        maxRunners: luck.whole(1, 20),
      })),
      maxRunners: luck.whole(1, 30),
      poll: { intervalMs: MINUTE, repositories: [] },
      timeouts: { launchMs: 10 * MINUTE, idleMs: 5 * MINUTE },
      chargeLabels: {},
      // Only what registers at one place can have it.
      ...(claim.kind === 'repositories' || pools.length === 0 ? {} : { standby: pools }),
      ...drawCanary(streams(`scenario canary ${index}`)),
    },
    backends,
    outages: faultless ? [] : outages,
    jobs: [
      ...drawJobs(index, jobCount, spanMs, label, repositoriesOf(claim), faultless, luck),
      ...drawHeldBack(index, spanMs, label, repositoriesOf(claim), streams(`scenario held back ${index}`)),
      ...drawLong(index, spanMs, label, repositoriesOf(claim), streams(`scenario long ${index}`)),
    ],
    foreignRunnerScope:
      where !== undefined && luck.chance(0.3) ? scopeFor(claim, where.owner, where.repository) : undefined,
  };
}

/** As often as not a bad one. */
function drawCanary(luck: Stream): Pick<Registration, 'canary'> {
  if (luck.chance(0.6)) return {};
  const image = luck.pick([CANDIDATE_IMAGE, CANDIDATE_IMAGE, UNKNOWN_IMAGE, BROKEN_IMAGE]);
  return { canary: { image, percent: luck.whole(5, 50) } };
}

function withForks(tenant: TenantPlan, index: number, spanMs: number, streams: Streams): TenantPlan {
  const luck = streams(`scenario forks ${index}`);
  const [pattern] = tenant.jobs;
  if (pattern === undefined) return tenant;
  const forks = Array.from({ length: luck.whole(2, 5) }, (_, fork): JobPlan => {
    const id = 40_000 + index * 1_000 + fork;
    return {
      ...{ id, runId: id, owner: pattern.owner, repository: pattern.repository },
      labels: [...tenant.registration.labels, `sid-fork-${id}`],
      ...{ expectation: 'refused', isFork: true, afterMs: luck.between(0, spanMs), needs: undefined },
      ...{ gateMs: undefined, durationMs: luck.magnitude(2_000, 60_000), patienceMs: undefined },
      ...{ timeLimitMs: undefined, hosted: false, parallel: undefined },
    };
  });
  return { ...tenant, jobs: [...tenant.jobs, ...forks] };
}

/** In half of the worlds some of the dispatcher's runners are reserved, and the others shared by weight. */
function withShares(tenants: readonly TenantPlan[], maxRunners: number, luck: Stream): readonly TenantPlan[] {
  const has = luck.chance(0.5);
  const most = Math.floor(maxRunners / (tenants.length + 1));
  return tenants.map((tenant) => {
    const reserved = luck.whole(0, most);
    const weight = luck.pick([1, 1, 2, 5]);
    const { registration } = tenant;
    if (!has || registration.observe === true) return tenant;
    const reservedRunners = Math.min(reserved, registration.maxRunners);
    return { ...tenant, registration: { ...registration, reservedRunners, weight } };
  });
}

function reserving(tenants: readonly TenantPlan[]): readonly TenantPlan[] {
  return tenants.map(({ registration, ...tenant }, index) => ({
    ...tenant,
    registration: { ...registration, reservedRunners: index === 0 ? Math.min(3, registration.maxRunners) : 0 },
  }));
}

function observing({ jobs, registration, ...tenant }: TenantPlan): TenantPlan {
  const elsewhere = { hosted: true, expectation: 'not-ours', gateMs: undefined, parallel: undefined } as const;
  return {
    ...tenant,
    registration: { ...registration, observe: true },
    jobs: jobs.map((job) => ({ ...job, ...elsewhere, timeLimitMs: undefined })),
  };
}

/** Containers that are started ahead of jobs: half of the tenants have some. */
function drawStandby(luck: Stream): readonly StandbyPool[] {
  const drawn = luck.chance(0.5);
  const pools = [[], ['cpu-2'], ['timeout-10m']].map((labels) => ({
    ...{ labels, has: luck.chance(0.5), size: luck.whole(1, 3) },
    maxAgeMs: Math.round(luck.magnitude(10 * MINUTE, 120 * MINUTE)),
  }));
  const has = pools.filter(({ has }, index) => has || index === 0);
  return drawn ? has.map(({ labels, maxAgeMs, size }) => ({ labels, maxAgeMs, size })) : [];
}

/** Runners that are registered ahead of jobs: some tenants have some, for jobs that others' runners may take too. */
function drawRegistered(luck: Stream, label: string): readonly StandbyPool[] {
  const drawn = luck.chance(0.4);
  const pools = [[label], ['cpu-2', label], [label, 'timeout-10m']].map((labels) => ({
    ...{ labels, has: luck.chance(0.5), size: luck.whole(1, 2) },
    maxAgeMs: Math.round(luck.magnitude(10 * MINUTE, 120 * MINUTE)),
  }));
  const has = drawn ? pools.filter((one) => one.has) : [];
  return has.map(({ labels, maxAgeMs, size }) => ({ mode: 'registered', labels, maxAgeMs, size }));
}

interface Wish {
  readonly labels: readonly string[];
  readonly expectation: Expectation;
  readonly hosted?: boolean;
  readonly timeLimitMs?: number;
}

/** Label sets within each other are the ones that steal. */
function drawWish(luck: Stream, label: string, id: number): Wish {
  const draw = luck.next();
  if (draw < 0.35) return { labels: [label], expectation: 'runs' };
  if (draw < 0.5) return { labels: [label, 'cpu-2'], expectation: 'runs' };
  if (draw < 0.62) return { labels: ['cpu-2', label, 'memory-4'], expectation: 'runs' };
  if (draw < 0.7) return { labels: ['self-hosted', 'linux', label.toUpperCase()], expectation: 'runs' };
  if (draw < 0.82) return { labels: [label, `sid-${id}`], expectation: 'runs' };
  if (draw < 0.86) return { labels: [label, 'timeout-10m'], expectation: 'runs', timeLimitMs: 10 * MINUTE };
  if (draw < 0.89) return { labels: [label, 'cpu-64'], expectation: 'refused' };
  if (draw < 0.92) return { labels: ['self-hosted', 'linux'], expectation: 'not-ours' };
  if (draw < 0.95) return { labels: ['ubuntu-latest'], expectation: 'not-ours', hosted: true };
  if (draw < 0.97) return { labels: [label, 'img-unknown'], expectation: 'doomed' };
  if (draw < 0.985) return { labels: [label, 'img-broken'], expectation: 'doomed' };
  return { labels: [label, 'gpu'], expectation: 'not-ours' };
}

/** Runs of which GitHub gives out some jobs later, or none at all, though it calls all of them queued. */
function drawHeldBack(
  tenant: number,
  spanMs: number,
  label: string,
  repositories: readonly { owner: string; repository: string }[],
  luck: Stream,
): readonly JobPlan[] {
  const jobs: JobPlan[] = [];
  const push = (
    size: number,
    plan: Pick<JobPlan, 'expectation' | 'labels' | 'parallel'> & { readonly mostMs: number },
  ): void => {
    const { mostMs, ...kind } = plan;
    const runId = 20_000 + tenant * 1_000 + jobs.length;
    const atMs = luck.between(0, spanMs);
    const where = luck.pick(repositories);
    for (let index = 0; index < size; index += 1) {
      jobs.push({
        ...kind,
        ...where,
        id: 10_000 + tenant * 1_000 + jobs.length,
        runId,
        afterMs: atMs,
        needs: undefined,
        gateMs: undefined,
        durationMs: luck.magnitude(2_000, mostMs),
        patienceMs: undefined,
        timeLimitMs: undefined,
        hosted: false,
      });
    }
  };
  const own = (what: string): readonly string[] => [label, `sid-${what}-${tenant}`];
  const short = { mostMs: 8 * MINUTE };
  if (luck.chance(0.3)) {
    const labels = luck.chance(0.5) ? [label] : own('parallel');
    push(luck.whole(2, 6), { ...short, expectation: 'runs', labels, parallel: luck.whole(1, 2) });
  }
  const never = { ...short, parallel: undefined };
  if (luck.chance(0.2)) push(luck.whole(1, 5), { ...never, expectation: 'unserved', labels: own('unserved') });
  if (luck.chance(0.2)) push(luck.whole(1, 3), { ...never, expectation: 'unserved', labels: own('refused') });
  if (luck.chance(0.2)) push(luck.whole(1, 3), { ...never, expectation: 'zombie', labels: own('zombie') });
  if (luck.chance(0.2)) push(1, { ...never, expectation: 'ended', labels: own('ended') });
  return jobs;
}

/** A job that its time limit ends, and one that outlasts every patience that is had with a silent container. */
function drawLong(
  tenant: number,
  spanMs: number,
  label: string,
  repositories: readonly { owner: string; repository: string }[],
  luck: Stream,
): readonly JobPlan[] {
  const limited = { labels: [label, 'timeout-10m', `sid-limit-${tenant}`], timeLimitMs: 10 * MINUTE };
  const unlimited = { labels: [label, `sid-long-${tenant}`], timeLimitMs: undefined };
  return [limited, unlimited].flatMap((kind, index) => {
    const [drawn, afterMs, where] = [luck.chance(0.3), luck.between(0, spanMs), luck.pick(repositories)];
    const durationMs = luck.between(25 * MINUTE, 50 * MINUTE);
    if (!drawn) return [];
    const plan: JobPlan = {
      ...kind,
      ...where,
      id: 15_000 + tenant * 1_000 + index,
      runId: 25_000 + tenant * 1_000 + index,
      expectation: 'runs',
      afterMs,
      needs: undefined,
      gateMs: undefined,
      durationMs,
      patienceMs: undefined,
      hosted: false,
      parallel: undefined,
    };
    return [plan];
  });
}

function drawJobs(
  tenant: number,
  count: number,
  spanMs: number,
  label: string,
  repositories: readonly { owner: string; repository: string }[],
  faultless: boolean,
  luck: Stream,
): readonly JobPlan[] {
  const jobs: JobPlan[] = [];
  // Tenant 1 lives on a host of its own, and shares its ids with tenant 0.
  let id = tenant === 2 ? 5_000 : 1;
  let runId = tenant === 2 ? 900 : 100;
  while (jobs.length < count) {
    runId += 1;
    const size = Math.min(count - jobs.length, luck.pick([1, 1, 2, 3, 5, 12]));
    const atMs = luck.between(0, spanMs);
    const where = luck.pick(repositories);
    const same = luck.chance(0.5);
    const wish = drawWish(luck, label, id);
    for (let index = 0; index < size; index += 1) {
      const previous = jobs.at(-1);
      const follows = index > 0 && luck.chance(0.3) && previous !== undefined && previous.runId === runId;
      const { labels, expectation, hosted, timeLimitMs } = same ? wish : drawWish(luck, label, id);
      const gated = luck.chance(0.08);
      const impatient = luck.chance(0.12);
      jobs.push({
        id,
        runId,
        owner: where.owner,
        repository: where.repository,
        labels,
        expectation,
        afterMs: follows ? luck.between(0, 5_000) : atMs + luck.between(0, 2_000),
        needs: follows ? previous.id : undefined,
        gateMs: gated && hosted !== true ? luck.magnitude(1_000, 15 * MINUTE) : undefined,
        durationMs: luck.magnitude(2_000, 25 * MINUTE),
        patienceMs: impatient && !faultless ? luck.magnitude(1_000, 20 * MINUTE) : undefined,
        timeLimitMs,
        hosted: hosted === true,
        parallel: undefined,
      });
      id += 1;
    }
  }
  return jobs;
}
