import { expect } from 'chai';
import type { FailureKind } from '../../dispatcher/failures/failure.ts';
import type { LaneSpec } from '../../dispatcher/jobs/lane.ts';
import type { Breaker, LaneCounts } from '../../dispatcher/ledger/ledger.ts';
import { LedgerError } from '../../dispatcher/ledger/ledger.ts';
import { createMetrics, type MetricsSources } from '../../dispatcher/observability/metrics.ts';
import { breaker, failure } from '../failures/examples.ts';

const NOW = 1_800_000_000_000;

const acme = { name: 'acme', backends: [{ name: 'main', kind: 'docker' }] };
const globex = { name: 'globex', backends: [{ name: 'cloud', kind: 'gcp-batch' }] };

function lane(key: string, registration: string): LaneSpec {
  return {
    key,
    registration,
    host: 'github.com',
    scope: { kind: 'organization', organization: registration },
    runnerGroup: 'Default',
    labels: ['shr'],
    wish: { architecture: 'x64', image: 'runner', spot: false, dockerInDocker: false },
    backends: ['main'],
    specHash: 'spec',
  };
}

function counts(key: string, registration: string, numbers: Partial<LaneCounts>): LaneCounts {
  return {
    lane: lane(key, registration),
    demand: 0,
    held: 0,
    oldestQueuedSinceMs: null,
    creating: 0,
    starting: 0,
    online: 0,
    outdated: 0,
    ...numbers,
  };
}

interface World {
  lanes: LaneCounts[];
  live: { registration: string; backend: string | null; count: number }[];
  breakers: Breaker[];
  reads: number;
  largestQuestion: number;
}

/** Plain values in place of a store: what is proved here is the text that Prometheus gets. */
function observed(change: Partial<MetricsSources> = {}, mostSeries?: number) {
  const world: World = { lanes: [], live: [], breakers: [], reads: 0, largestQuestion: 0 };
  const registrations = [acme, globex];
  const metrics = createMetrics({
    sources: {
      ledger: {
        lanesInUse: async () => {
          world.reads += 1;
          return world.lanes.map(({ lane: { key } }) => key);
        },
        laneCounts: async (keys) => {
          world.largestQuestion = Math.max(world.largestQuestion, keys.length);
          return world.lanes.filter((one) => keys.includes(one.lane.key));
        },
        liveCounts: async () => world.live.map((live) => ({ ...live, draining: 0, parked: 0 })),
        breakers: async () => world.breakers,
      },
      clock: { now: () => NOW },
      registrations: () => registrations,
      ...change,
    },
    processMetrics: false,
    ...(mostSeries === undefined ? {} : { mostSeries }),
  });
  /** The samples that are not comments, as `name{labels}` → value. */
  const samples = async () => {
    const { text } = await metrics.expose();
    return new Map(
      text
        .split('\n')
        .filter((row) => row !== '' && !row.startsWith('#'))
        .map((row) => {
          const cut = row.lastIndexOf(' ');
          return [row.slice(0, cut), Number(row.slice(cut + 1))] as const;
        }),
    );
  };
  return { metrics, world, samples };
}

describe('metrics', () => {
  it('counts what is wrong with each registration by kind, and tells how far the clock is off', async () => {
    const { metrics } = observed({
      problems: (name) => (name === 'acme' ? [{ kind: 'poll' }, { kind: 'poll' }, { kind: 'clock' }] : []),
      clocks: () => [{ api: 'api.github.com', aheadMs: -600_000 }],
    });
    const { text } = await metrics.expose();
    expect(text).to.include('shr_registration_problems{registration="acme",kind="poll"} 2\n');
    expect(text).to.include('shr_registration_problems{registration="acme",kind="clock"} 1\n');
    expect(text).to.not.include('shr_registration_problems{registration="globex"');
    expect(text).to.include('shr_github_clock_ahead_seconds{api="api.github.com"} -600\n');
  });

  it('puts durations into histograms by registration, backend and provider, in seconds', async () => {
    const { metrics, samples } = observed();
    metrics.queueToStart('acme', 'main', 7_000);
    metrics.launched('acme', 'main', 300);
    metrics.tornDown('globex', 'cloud', 40_000);
    const seen = await samples();
    const labels = 'registration="acme",backend="main",provider="docker"';
    expect(seen.get(`shr_queue_to_start_seconds_bucket{le="5",${labels}}`)).to.equal(0);
    expect(seen.get(`shr_queue_to_start_seconds_bucket{le="10",${labels}}`)).to.equal(1);
    expect(seen.get(`shr_queue_to_start_seconds_sum{${labels}}`)).to.equal(7);
    expect(seen.get(`shr_launch_seconds_sum{${labels}}`)).to.equal(0.3);
    expect(seen.get('shr_teardown_seconds_count{registration="globex",backend="cloud",provider="gcp-batch"}')).to.equal(
      1,
    );
  });

  it('has buckets from a tenth of a second to half an hour', async () => {
    const { metrics, samples } = observed();
    metrics.queueToStart('acme', 'main', 1);
    const limits = [...(await samples()).keys()].flatMap((key) => key.match(/queue_to_start.*le="([^"]+)"/)?.[1] ?? []);
    expect(limits.at(0)).to.equal('0.1');
    expect(limits.slice(-2)).to.deep.equal(['1800', '+Inf']);
  });

  it('counts deliveries, commits, admissions and launch failures', async () => {
    const { metrics, samples } = observed();
    metrics.delivery('recorded');
    metrics.delivery('recorded');
    metrics.delivery('bad-signature');
    metrics.commit(2, 1, true);
    metrics.commit(1, 3, false);
    metrics.jobAdmitted('acme', 'lane', null);
    metrics.jobAdmitted('acme', 'refused', 'cpu-above-limit');
    metrics.launchFailed('acme', 'main', 'capacity');
    metrics.imageStart('acme', 'candidate', 'failed');
    const seen = await samples();
    expect(seen.get('shr_image_starts_total{registration="acme",role="candidate",outcome="failed"}')).to.equal(1);
    expect(seen.get('shr_deliveries_total{outcome="recorded"}')).to.equal(2);
    expect(seen.get('shr_deliveries_total{outcome="bad-signature"}')).to.equal(1);
    expect(seen.get('shr_intake_commit_seconds_count{result="held"}')).to.equal(1);
    expect(seen.get('shr_intake_commit_seconds_count{result="failed"}')).to.equal(1);
    expect(seen.get('shr_intake_commit_deliveries_sum')).to.equal(3);
    expect(seen.get('shr_jobs_admitted_total{outcome="lane",code=""}')).to.equal(1);
    expect(seen.get('shr_jobs_admitted_total{outcome="refused",code="cpu-above-limit"}')).to.equal(1);
    expect(
      seen.get('shr_launch_failures_total{registration="acme",backend="main",provider="docker",kind="capacity"}'),
    ).to.equal(1);
  });

  it('sums the lanes of a registration, and knows no lane by name', async () => {
    const { metrics, world, samples } = observed();
    world.lanes = [
      counts('lane-one', 'acme', { demand: 3, oldestQueuedSinceMs: NOW - 5_000, starting: 1 }),
      counts('lane-two', 'acme', { demand: 1, oldestQueuedSinceMs: NOW - 90_000, starting: 1, online: 2, outdated: 1 }),
    ];
    const seen = await samples();
    expect(seen.get('shr_demand_jobs{registration="acme"}')).to.equal(4);
    expect(seen.get('shr_demand_jobs{registration="globex"}')).to.equal(0);
    expect(seen.get('shr_supply_runners{registration="acme",state="starting"}')).to.equal(2);
    expect(seen.get('shr_supply_runners{registration="acme",state="online"}')).to.equal(2);
    expect(seen.get('shr_supply_runners{registration="acme",state="outdated"}')).to.equal(1);
    expect(seen.get('shr_oldest_waiting_job_seconds{registration="acme"}')).to.equal(90);
    expect(seen.get('shr_oldest_waiting_job_seconds{registration="globex"}')).to.equal(0);
    expect(seen.get('shr_lanes_in_use')).to.equal(2);
    expect((await metrics.expose()).text).to.not.match(/lane-(one|two)/);
  });

  it('drops the series of what no longer exists', async () => {
    const { world, samples } = observed();
    world.lanes = [counts('one', 'acme', { demand: 2, online: 1 })];
    world.live = [{ registration: 'acme', backend: 'main', count: 1 }];
    await samples();
    world.lanes = [];
    world.live = [];
    const seen = await samples();
    expect(seen.get('shr_demand_jobs{registration="acme"}')).to.equal(0);
    expect([...seen.keys()].filter((key) => /shr_(supply|live)_runners/.test(key))).to.deep.equal([]);
  });

  it('counts live runners by backend, those without one yet included', async () => {
    const { world, samples } = observed();
    world.live = [
      { registration: 'acme', backend: 'main', count: 4 },
      { registration: 'acme', backend: null, count: 2 },
    ];
    const seen = await samples();
    expect(seen.get('shr_live_runners{registration="acme",backend="main",provider="docker"}')).to.equal(4);
    expect(seen.get('shr_live_runners{registration="acme",backend="",provider="none"}')).to.equal(2);
  });

  it('shows what breakers keep closed, and not those whose time is over', async () => {
    const { world, samples } = observed();
    const closed = (kind: FailureKind, fields: Partial<Breaker>) => breaker({ ...fields, failure: failure({ kind }) });
    world.breakers = [
      closed('unauthorized', { closedUntilMs: NOW + 1 }),
      closed('invalid', { key: 'acme/main/abc/refused', closedUntilMs: NOW + 1 }),
      closed('invalid', { key: 'acme/main/def/refused', closedUntilMs: NOW + 1 }),
      closed('capacity', { key: 'globex/cloud', registration: 'globex', backend: 'cloud', closedUntilMs: NOW }),
    ];
    const shown = [...(await samples())].filter(([key]) => key.startsWith('shr_backend_closures'));
    expect(shown).to.deep.equal([
      ['shr_backend_closures{registration="acme",backend="main",provider="docker",kind="unauthorized"}', 1],
      ['shr_backend_closures{registration="acme",backend="main",provider="docker",kind="invalid"}', 2],
    ]);
  });

  it("shows GitHub's budgets and the ledger's size", async () => {
    const { samples } = observed({
      budgets: () => [{ credential: 'app 1', class: 'core', remaining: 4_000, limit: 5_000 }],
      ledgerBytes: async () => 8_192,
    });
    const seen = await samples();
    expect(seen.get('shr_github_budget_remaining{credential="app 1",class="core"}')).to.equal(4_000);
    expect(seen.get('shr_github_budget_limit{credential="app 1",class="core"}')).to.equal(5_000);
    expect(seen.get('shr_ledger_bytes')).to.equal(8_192);
    expect(seen.get('shr_ledger_up')).to.equal(1);
  });

  it('tells a ledger that can be read and not be written', async () => {
    expect((await observed({}).samples()).get('shr_ledger_writable')).to.equal(1);
    const seen = await observed({ ledgerClosed: () => 'no room' }).samples();
    expect([seen.get('shr_ledger_up'), seen.get('shr_ledger_writable')]).to.deep.equal([1, 0]);
  });

  it('answers with everything else when the ledger is sick', async () => {
    const sick = async (): Promise<never> => {
      throw new LedgerError('full', 'the disk is full');
    };
    const { metrics, samples } = observed({
      ledger: { lanesInUse: sick, laneCounts: sick, liveCounts: sick, breakers: sick },
    });
    metrics.delivery('ledger-unavailable');
    const seen = await samples();
    expect(seen.get('shr_ledger_up')).to.equal(0);
    expect(seen.get('shr_deliveries_total{outcome="ledger-unavailable"}')).to.equal(1);
    expect([...seen.keys()].filter((key) => key.startsWith('shr_demand_jobs'))).to.deep.equal([]);
  });

  it('folds what is beyond the bound into one series, and keeps the sums and the provider right', async () => {
    const { metrics, world, samples } = observed({}, 2);
    metrics.launched('acme', 'main', 1_000);
    metrics.launched('acme', 'second', 1_000);
    metrics.launched('globex', 'cloud', 1_000);
    for (let index = 0; index < 1_000; index += 1) metrics.launched(`tenant-${index}`, 'main', 1_000);
    metrics.launched('acme', 'main', 1_000);
    world.lanes = Array.from({ length: 1_200 }, (_, index) => counts(`l${index}`, `tenant-${index}`, { demand: 1 }));
    const seen = await samples();
    const launches = [...seen].filter(([key]) => key.startsWith('shr_launch_seconds_count'));
    expect(launches).to.deep.equal([
      ['shr_launch_seconds_count{registration="acme",backend="main",provider="docker"}', 2],
      ['shr_launch_seconds_count{registration="acme",backend="second",provider="unknown"}', 1],
      ['shr_launch_seconds_count{registration="_other",backend="_other",provider="gcp-batch"}', 1],
      ['shr_launch_seconds_count{registration="_other",backend="_other",provider="unknown"}', 1_000],
    ]);
    expect(seen.get('shr_demand_jobs{registration="_other"}')).to.equal(1_200);
    expect(world.largestQuestion).to.be.at.most(500);
  });

  it('bounds words that a careless caller makes up', async () => {
    const { metrics, samples } = observed();
    for (let index = 0; index < 1_000; index += 1) metrics.jobAdmitted('acme', 'refused', `code-${index}`);
    const codes = [...(await samples())].filter(([key]) => key.startsWith('shr_jobs_admitted_total'));
    expect(codes).to.have.length(65);
    expect(codes.at(-1)).to.deep.equal(['shr_jobs_admitted_total{outcome="refused",code="_other"}', 936]);
  });

  it('reads the ledger once for scrapes that come together', async () => {
    const { metrics, world } = observed();
    await Promise.all([metrics.expose(), metrics.expose(), metrics.expose()]);
    expect(world.reads).to.equal(1);
    await metrics.expose();
    expect(world.reads).to.equal(2);
  });

  it('keeps its own registry: two dispatchers in one process do not mix', async () => {
    const one = observed();
    const two = observed();
    one.metrics.delivery('recorded');
    expect((await two.samples()).has('shr_deliveries_total{outcome="recorded"}')).to.equal(false);
  });

  it('has series for the process and its event loop', async () => {
    const { world } = observed();
    const metrics = createMetrics({
      sources: {
        ledger: {
          lanesInUse: async () => world.lanes.map((one) => one.lane.key),
          laneCounts: async () => world.lanes,
          liveCounts: async () => world.live.map((live) => ({ ...live, draining: 0, parked: 0 })),
          breakers: async () => world.breakers,
        },
        clock: { now: () => NOW },
        registrations: () => [],
      },
    });
    const { text, contentType } = await metrics.expose();
    expect(contentType).to.match(/^text\/plain; version=/);
    expect(text).to.match(/^nodejs_eventloop_lag_p99_seconds \d/m);
    expect(text).to.match(/^process_resident_memory_bytes \d/m);
  });

  it('count what holds launches, and fold what has no series of its own', async () => {
    let isHeld = true;
    const launchesHeld = async (name: string) =>
      isHeld ? [{ cause: 'pause' }, ...(name === 'globex' ? [{ cause: 'maintenance' }] : [])] : [];
    const { samples } = observed({ launchesHeld }, 1);
    const held = async () => [...(await samples())].filter(([name]) => name.startsWith('shr_launches_held'));
    expect(await held()).to.deep.equal([
      ['shr_launches_held{registration="acme",cause="pause"}', 1],
      ['shr_launches_held{registration="_other",cause="pause"}', 1],
      ['shr_launches_held{registration="_other",cause="maintenance"}', 1],
    ]);
    isHeld = false;
    expect(await held()).to.deep.equal([]);
  });
});
