/**
 * What Prometheus reads. Counters and histograms are fed by events; gauges are computed from the ledger when Prometheus
 * asks, so that an idle dispatcher does nothing for them. Labels are registrations, backends and kinds, never jobs,
 * runners, lanes or repositories: their number grows with use. The table of all metrics: docs/observability.md.
 */
import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client';
import type { Clock } from '../../time/clock.ts';
import type { CallMetrics } from '../callbacks/calls.ts';
import type { IntakeMetrics } from '../intake/answer.ts';
import type { RedeliveryMetrics } from '../intake/redelivery/redelivery.ts';
import type { Ledger } from '../ledger/ledger.ts';
import { LedgerError } from '../ledger/ledger.ts';
import type { LifecycleMetrics } from '../lifecycle/engine.ts';
import { LabelBound, OTHER } from './label-bound.ts';

/** From an instant remote (0.1 s) to a job that waited for half an hour. */
const DURATION_BUCKETS_SECONDS: readonly number[] = [
  0.1, 0.25, 0.5, 1, 2.5, 5, 10, 20, 30, 45, 60, 90, 120, 180, 300, 600, 900, 1800,
];

/** What one credential may still ask of GitHub. */
export interface BudgetReading {
  /** A name for people, such as `app 1234` or the registration: never the credential itself. */
  readonly credential: string;
  /** The class of endpoints, such as `core` or `actions_runner_registration`. */
  readonly class: string;
  readonly remaining: number;
  readonly limit: number;
}

export interface MetricsSources {
  readonly ledger: Pick<Ledger, 'lanesInUse' | 'laneCounts' | 'liveCounts' | 'breakers'>;
  readonly clock: Pick<Clock, 'now'>;
  /** The same array as long as nothing changed. */
  registrations(): readonly {
    readonly name: string;
    readonly backends: readonly { readonly name: string; readonly kind: string }[];
  }[];
  budgets?(): readonly BudgetReading[];
  /** What is wrong with a registration, breakers aside. */
  problems?(registration: string): readonly { readonly kind: string }[];
  /** By what its launches are held, whether or not a job waits. */
  launchesHeld?(registration: string): Promise<readonly { readonly cause: string }[]>;
  /** By API, how far this machine's clock is ahead of GitHub's. */
  clocks?(): readonly { readonly api: string; readonly aheadMs: number }[];
  /** How many registrations are set aside because of their configuration. */
  quarantined?(): number;
  /** How many registrations are in their last versions without problems. */
  kept?(): number;
  /** How many problems dispatcher.yaml and the folder of registrations have. */
  platformProblems?(): number;
  /** Why requests to the public listener are turned away at present: words, and of one endpoint `rate ENDPOINT`. */
  shedding?(): readonly string[];
  /** Why the ledger takes no writes; undefined while it does. */
  ledgerClosed?(): unknown;
  /** Whether the public address leads here; undefined: there is none. */
  publicAddress?(): { readonly state: string } | undefined;
  /** The size of the ledger's files. */
  ledgerBytes?(): Promise<number>;
}

export interface MetricsOptions {
  readonly sources: MetricsSources;
  /** Process, garbage collection and event loop. On unless switched off: they watch the whole process. */
  readonly processMetrics?: boolean;
  /** Registrations, and pairs of registration and backend, with series of their own. */
  readonly mostSeries?: number;
}

export interface Metrics extends LifecycleMetrics, IntakeMetrics, RedeliveryMetrics, CallMetrics {
  /** The text exposition format. Rejects never for the ledger's sake: `shr_ledger_up` tells then. */
  expose(): Promise<{ readonly contentType: string; readonly text: string }>;
}

/** A commit to a local disk takes a fraction of a millisecond; to a busy one, seconds. */
const COMMIT_BUCKETS_SECONDS = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 5];
const COMMIT_SIZES = [1, 2, 4, 8, 16, 32, 64, 128];

const MAX_SERIES = 200;
/** Outcomes, codes and kinds come from our own code; the bound holds where a new caller is careless. */
const MAX_WORDS = 64;
const LANES_A_QUERY = 500;

export function createMetrics(options: MetricsOptions): Metrics {
  const { sources } = options;
  const register = new Registry();
  if (options.processMetrics ?? true) collectDefaultMetrics({ register, eventLoopMonitoringPrecision: 20 });

  const most = options.mostSeries ?? MAX_SERIES;
  const pairs = new LabelBound(most);
  const names = new LabelBound(most);
  const words = new LabelBound(MAX_WORDS);
  const kinds = new KindOfBackend(sources);

  /** The provider's kind stays when the pair is folded: what a provider does on the whole remains to be seen. */
  const onBackend = (registration: string, backend: string) => {
    const provider = kinds.of(registration, backend);
    return pairs.admits(`${registration}/${backend}`)
      ? { registration, backend, provider }
      : { registration: OTHER, backend: OTHER, provider };
  };

  const duration = (name: string, help: string) =>
    new Histogram({
      name,
      help,
      labelNames: ['registration', 'backend', 'provider'],
      buckets: [...DURATION_BUCKETS_SECONDS],
      registers: [register],
    });
  const queueToStart = duration(
    'shr_queue_to_start_seconds',
    'From the first time a job was seen queued to its start on one of our runners',
  );
  const launch = duration('shr_launch_seconds', 'From the permit to the acceptance of the instance by its provider');
  const teardown = duration('shr_teardown_seconds', 'From the start of the drain to nothing being left');

  const deliveries = new Counter({
    name: 'shr_deliveries_total',
    help: 'Webhook deliveries answered, by outcome',
    labelNames: ['outcome'],
    registers: [register],
  });
  const commits = new Histogram({
    name: 'shr_intake_commit_seconds',
    help: 'Group commits of deliveries to the ledger, by whether they held',
    labelNames: ['result'],
    buckets: COMMIT_BUCKETS_SECONDS,
    registers: [register],
  });
  const commitSizes = new Histogram({
    name: 'shr_intake_commit_deliveries',
    help: 'Deliveries in one group commit',
    buckets: COMMIT_SIZES,
    registers: [register],
  });
  const missed = new Counter({
    name: 'shr_missed_deliveries_total',
    help: "Deliveries of GitHub's logs that were not recorded here, by what became of them",
    labelNames: ['outcome'],
    registers: [register],
  });
  const mended = new Counter({
    name: 'shr_job_fields_mended_total',
    help: 'Display-only fields of jobs that were not as GitHub documents them: cut or left out',
    labelNames: ['field'],
    registers: [register],
  });
  const admitted = new Counter({
    name: 'shr_jobs_admitted_total',
    help: 'Decisions of admission, by outcome and code of the refusal',
    labelNames: ['outcome', 'code'],
    registers: [register],
  });
  const launchFailures = new Counter({
    name: 'shr_launch_failures_total',
    help: 'Launches that failed, by kind of the error',
    labelNames: ['registration', 'backend', 'provider', 'kind'],
    registers: [register],
  });
  const imageStarts = new Counter({
    name: 'shr_image_starts_total',
    help: 'Starts of containers in registrations with a canary, by role of the image and outcome',
    labelNames: ['registration', 'role', 'outcome'],
    registers: [register],
  });
  const runnerCalls = new Counter({
    name: 'shr_runner_calls_total',
    help: 'Call-backs of runners answered, by event and outcome',
    labelNames: ['event', 'outcome'],
    registers: [register],
  });
  const gauges = new LedgerGauges(register, sources, names, onBackend, words);

  let exposing: Promise<{ contentType: string; text: string }> | undefined;
  const exposeOnce = async () => {
    await gauges.read();
    return { contentType: register.contentType, text: await register.metrics() };
  };

  return {
    jobAdmitted(_registration, outcome, code) {
      admitted.inc({ outcome, code: code === null ? '' : words.fold(code) });
    },
    queueToStart(registration, backend, ms) {
      queueToStart.observe(onBackend(registration, backend), seconds(ms));
    },
    launched(registration, backend, ms) {
      launch.observe(onBackend(registration, backend), seconds(ms));
    },
    launchFailed(registration, backend, kind) {
      launchFailures.inc({ ...onBackend(registration, backend), kind: words.fold(kind) });
    },
    imageStart(registration, role, outcome) {
      imageStarts.inc({ registration: names.fold(registration), role, outcome });
    },
    tornDown(registration, backend, ms) {
      teardown.observe(onBackend(registration, backend), seconds(ms));
    },
    delivery(outcome) {
      deliveries.inc({ outcome: words.fold(outcome) });
    },
    commit(size, ms, ok) {
      commits.observe({ result: ok ? 'held' : 'failed' }, seconds(ms));
      commitSizes.observe(size);
    },
    missedDeliveries(outcome, count) {
      if (count > 0) missed.inc({ outcome }, count);
    },
    mended(field) {
      mended.inc({ field: words.fold(field) });
    },
    runnerCall(event, outcome) {
      runnerCalls.inc({ event: words.fold(event), outcome: words.fold(outcome) });
    },
    expose() {
      // Scrapes that come together share one reading of the ledger.
      exposing ??= exposeOnce().finally(() => {
        exposing = undefined;
      });
      return exposing;
    },
  };
}

type OnBackend = (
  registration: string,
  backend: string,
) => { readonly registration: string; readonly backend: string; readonly provider: string };

/** Everything that is a count of the moment. */
class LedgerGauges {
  readonly #sources: MetricsSources;
  readonly #names: LabelBound;
  readonly #words: LabelBound;
  readonly #credentials = new LabelBound(MAX_WORDS);
  readonly #onBackend: OnBackend;
  readonly #up: Gauge;
  readonly #writable: Gauge;
  readonly #lanes: Gauge;
  readonly #quarantined: Gauge;
  readonly #platformProblems: Gauge;
  readonly #kept: Gauge;
  readonly #bytes: Gauge;
  readonly #shedding: Gauge<'cause'>;
  readonly #address: Gauge<'state'>;
  readonly #demand: Gauge<'registration'>;
  readonly #supply: Gauge<'registration' | 'state'>;
  readonly #oldest: Gauge<'registration'>;
  readonly #live: Gauge<'registration' | 'backend' | 'provider'>;
  readonly #breakers: Gauge<'registration' | 'backend' | 'provider' | 'kind'>;
  readonly #budgetLeft: Gauge<'credential' | 'class'>;
  readonly #budgetLimit: Gauge<'credential' | 'class'>;
  readonly #problems: Gauge<'registration' | 'kind'>;
  readonly #launchesHeld: Gauge<'registration' | 'cause'>;
  readonly #clockAhead: Gauge<'api'>;

  constructor(register: Registry, sources: MetricsSources, names: LabelBound, onBackend: OnBackend, words: LabelBound) {
    this.#sources = sources;
    this.#names = names;
    this.#words = words;
    this.#onBackend = onBackend;
    const gauge = <Label extends string>(name: string, help: string, ...labelNames: readonly Label[]) =>
      new Gauge<Label>({ name, help, labelNames: [...labelNames], registers: [register] });
    this.#up = gauge('shr_ledger_up', '1 when the ledger could be read for this scrape');
    this.#writable = gauge('shr_ledger_writable', '0 while the last write to the ledger failed');
    this.#lanes = gauge('shr_lanes_in_use', 'Lanes with demand or a live runner');
    this.#quarantined = gauge(
      'shr_registrations_set_aside',
      'Registrations that are not served, because of problems in their configuration',
    );
    this.#kept = gauge(
      'shr_registrations_kept',
      'Registrations whose files have problems, and whose last versions without them are in force',
    );
    this.#platformProblems = gauge(
      'shr_platform_configuration_problems',
      'Problems of dispatcher.yaml and of the folder of registrations: what was read before stays in force',
    );
    this.#shedding = gauge(
      'shr_shedding',
      '1 while requests to the public listener are turned away, by cause',
      'cause',
    );
    this.#address = gauge(
      'shr_public_address',
      '1 for what was found at listen.public.url when it was last asked from here',
      'state',
    );
    this.#bytes = gauge('shr_ledger_bytes', "Size of the ledger's files");
    this.#demand = gauge('shr_demand_jobs', 'Queued jobs that were admitted', 'registration');
    this.#supply = gauge(
      'shr_supply_runners',
      'Runners without a job, by state; outdated: made for an older specification',
      'registration',
      'state',
    );
    this.#oldest = gauge('shr_oldest_waiting_job_seconds', 'How long the oldest queued job has waited', 'registration');
    this.#live = gauge(
      'shr_live_runners',
      'Runners that may have an instance, draining ones included',
      'registration',
      'backend',
      'provider',
    );
    this.#breakers = gauge(
      'shr_backend_closures',
      'Backends, or images and shapes on them, that are closed',
      'registration',
      'backend',
      'provider',
      'kind',
    );
    this.#budgetLeft = gauge(
      'shr_github_budget_remaining',
      'What a credential may still ask of GitHub',
      'credential',
      'class',
    );
    this.#budgetLimit = gauge(
      'shr_github_budget_limit',
      'What a credential may ask of GitHub in one period',
      'credential',
      'class',
    );
    this.#problems = gauge(
      'shr_registration_problems',
      'What is wrong with a registration now, by kind; shr registrations says what',
      'registration',
      'kind',
    );
    this.#launchesHeld = gauge(
      'shr_launches_held',
      'Pauses and open maintenance windows that keep a registration from launching, by cause',
      'registration',
      'cause',
    );
    this.#clockAhead = gauge(
      'shr_github_clock_ahead_seconds',
      "How far this machine's clock is ahead of GitHub's; negative when behind, 0 within half a minute",
      'api',
    );
  }

  async read(): Promise<void> {
    this.#shedding.reset();
    for (const name of this.#sources.shedding?.() ?? []) {
      this.#shedding.set({ cause: this.#words.fold(name.split(' ', 1)[0] ?? '') }, 1);
    }
    this.#address.reset();
    const address = this.#sources.publicAddress?.();
    if (address !== undefined) this.#address.set({ state: address.state }, 1);
    this.#readBudgets();
    this.#readProblems();
    await this.#readHeld();
    this.#quarantined.set(this.#sources.quarantined?.() ?? 0);
    this.#kept.set(this.#sources.kept?.() ?? 0);
    this.#platformProblems.set(this.#sources.platformProblems?.() ?? 0);
    this.#writable.set(this.#sources.ledgerClosed?.() === undefined ? 1 : 0);
    this.#forget();
    try {
      await this.#readLanes();
      await this.#readLive();
      await this.#readBreakers();
      if (this.#sources.ledgerBytes) this.#bytes.set(await this.#sources.ledgerBytes());
      this.#up.set(1);
    } catch (error) {
      if (!(error instanceof LedgerError)) throw error;
      // A sick ledger is when the other metrics are needed most. Half a reading would be a lie: it is left out.
      this.#forget();
      this.#up.set(0);
    }
  }

  #forget(): void {
    for (const gauge of [this.#demand, this.#supply, this.#oldest, this.#live, this.#breakers]) gauge.reset();
  }

  async #readLanes(): Promise<void> {
    const now = this.#sources.clock.now();
    const keys = await this.#sources.ledger.lanesInUse();
    const oldest = new Map<string, number>();
    for (const { name } of this.#sources.registrations()) {
      const registration = this.#names.fold(name);
      oldest.set(registration, 0);
      this.#demand.set({ registration }, 0);
    }
    for (let start = 0; start < keys.length; start += LANES_A_QUERY) {
      // One that cannot be read is left out; its registration shows it.
      const some = keys.slice(start, start + LANES_A_QUERY);
      for (const counts of await this.#sources.ledger.laneCounts(some, () => {})) {
        const registration = this.#names.fold(counts.lane.registration);
        this.#demand.inc({ registration }, counts.demand);
        for (const state of ['creating', 'starting', 'online', 'outdated'] as const) {
          this.#supply.inc({ registration, state }, counts[state]);
        }
        const waited = counts.oldestQueuedSinceMs === null ? 0 : Math.max(0, now - counts.oldestQueuedSinceMs);
        oldest.set(registration, Math.max(oldest.get(registration) ?? 0, waited));
      }
    }
    this.#lanes.set(keys.length);
    for (const [registration, waited] of oldest) this.#oldest.set({ registration }, seconds(waited));
  }

  async #readLive(): Promise<void> {
    for (const { registration, backend, count, parked } of await this.#sources.ledger.liveCounts()) {
      this.#supply.inc({ registration: this.#names.fold(registration), state: 'parked' }, parked);
      this.#live.inc(this.#onBackend(registration, backend ?? ''), count);
    }
  }

  async #readBreakers(): Promise<void> {
    const now = this.#sources.clock.now();
    for (const breaker of await this.#sources.ledger.breakers(() => {})) {
      if (breaker.closedUntilMs <= now) continue;
      const { registration, backend, failure } = breaker;
      this.#breakers.inc({ ...this.#onBackend(registration, backend), kind: this.#words.fold(failure.kind) });
    }
  }

  #readProblems(): void {
    this.#problems.reset();
    this.#clockAhead.reset();
    for (const { name } of this.#sources.registrations()) {
      for (const { kind } of this.#sources.problems?.(name) ?? []) {
        this.#problems.inc({ registration: this.#names.fold(name), kind: this.#words.fold(kind) });
      }
    }
    for (const { api, aheadMs } of this.#sources.clocks?.() ?? []) {
      this.#clockAhead.set({ api: this.#words.fold(api) }, aheadMs / 1000);
    }
  }

  async #readHeld(): Promise<void> {
    const held: { readonly registration: string; readonly cause: string }[] = [];
    for (const { name } of this.#sources.registrations()) {
      for (const { cause } of (await this.#sources.launchesHeld?.(name)) ?? []) {
        held.push({ registration: this.#names.fold(name), cause: this.#words.fold(cause) });
      }
    }
    this.#launchesHeld.reset();
    for (const one of held) this.#launchesHeld.inc(one);
  }

  #readBudgets(): void {
    this.#budgetLeft.reset();
    this.#budgetLimit.reset();
    const least = new Map<string, BudgetReading>();
    for (const reading of this.#sources.budgets?.() ?? []) {
      const credential = this.#credentials.fold(reading.credential);
      const kind = this.#words.fold(reading.class);
      // Of those that share a series, the one that will run out first is worth showing.
      const key = `${credential}\n${kind}`;
      const other = least.get(key);
      if (other && other.remaining <= reading.remaining) continue;
      least.set(key, { ...reading, credential, class: kind });
    }
    for (const { credential, class: kind, remaining, limit } of least.values()) {
      const labels = { credential, class: kind };
      this.#budgetLeft.set(labels, remaining);
      this.#budgetLimit.set(labels, limit);
    }
  }
}

/** The provider's kind of a backend; `unknown` for a registration that is gone. */
class KindOfBackend {
  readonly #sources: Pick<MetricsSources, 'registrations'>;
  #read: readonly unknown[] | undefined;
  #kinds = new Map<string, string>();

  constructor(sources: Pick<MetricsSources, 'registrations'>) {
    this.#sources = sources;
  }

  of(registration: string, backend: string): string {
    const registrations = this.#sources.registrations();
    if (registrations !== this.#read) {
      this.#read = registrations;
      this.#kinds = new Map(
        registrations.flatMap(({ name, backends }) =>
          backends.map((one) => [`${name}/${one.name}`, one.kind] as const),
        ),
      );
    }
    return this.#kinds.get(`${registration}/${backend}`) ?? (backend === '' ? 'none' : 'unknown');
  }
}

function seconds(ms: number): number {
  return Math.max(0, ms) / 1000;
}
