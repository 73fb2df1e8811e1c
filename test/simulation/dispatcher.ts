/**
 * The dispatcher's process as the simulation runs it: the real engine on the real ledger, an intake and a poller that
 * end in the same ledger calls as the real ones, behind ports through which it can die.
 */

import { type AreStrangers, type Delivery, type JobFact, jobKey } from '../../dispatcher/jobs/facts.ts';
import type { Admit } from '../../dispatcher/jobs/lane.ts';
import type { Ledger } from '../../dispatcher/ledger/ledger.ts';
import type { Engine, EngineOptions, LifecycleMetrics, Tenant } from '../../dispatcher/lifecycle/engine.ts';
import type { JitAnswer } from '../../dispatcher/lifecycle/standby/hand-over.ts';
import type { Log } from '../../dispatcher/log.ts';
import type { Clock } from '../../time/clock.ts';
import { jitter } from '../../time/clock.ts';
import { covers } from './coverage.ts';
import { Life } from './crash.ts';
import type { Invariants } from './invariants.ts';
import type { Streams } from './random.ts';
import type { Scenario, TenantPlan } from './scenario.ts';
import type { History } from './trace.ts';
import type { GithubPort } from './world/github-port.ts';
import type { ProviderPort } from './world/provider-port.ts';

export type EngineFactory = (options: EngineOptions) => Engine;

export interface TenantWorld {
  readonly plan: TenantPlan;
  readonly github: GithubPort;
  /** By backend name. */
  readonly providers: ReadonlyMap<string, ProviderPort>;
  /** All its jobs have completed: the poller may sleep longer, and the simulation with it. */
  readonly allCompleted: () => boolean;
}

export interface DispatcherOptions {
  readonly scenario: Scenario;
  readonly createEngine: EngineFactory;
  readonly admit: Admit;
  readonly areStrangers: AreStrangers;
  /** Used from the start. */
  readonly ledger: Ledger;
  /** The ledger that it finds where the first is lost, or the machine was without power. */
  readonly nextLedger: () => Promise<Ledger>;
  readonly clock: Clock;
  readonly streams: Streams;
  readonly history: History;
  readonly invariants: Invariants;
  readonly tenants: readonly TenantWorld[];
  readonly pending: { count: number };
  /** Kills the first life at exactly this call; later ones live on. For going through all calls one by one. */
  readonly firstCrashAtCall: number | undefined;
}

export const DISPATCHER_ID = 'sim';

/** SIGTERM to exit, as the platform grants it. */
const SHUTDOWN_MS = 20_000;

interface Process {
  readonly life: Life;
  readonly tenants: Map<string, Tenant>;
  readonly engine: Engine;
  readonly ledger: Ledger;
}

export class Dispatcher {
  readonly #options: DispatcherOptions;
  #process: Process | undefined;
  #starts = 0;
  #calm = false;
  #parks = true;
  /** Asks that are held open: they break when the process ends. */
  readonly #connections = new Set<() => void>();
  #ledger: Ledger;
  /** Jobs of which a delivery was answered as recorded. */
  readonly #answered = new Set<string>();
  powerLosses = 0;
  crashes = 0;
  shutdowns = 0;
  /** Calls of the ports, all lives together. */
  calls = 0;

  constructor(options: DispatcherOptions) {
    this.#options = options;
    this.#ledger = options.ledger;
  }

  start(): void {
    const { clock, createEngine, history, invariants, pending, scenario, streams } = this.#options;
    this.#starts += 1;
    const incarnation = `life-${this.#starts}`;
    this.#options.invariants.lifeBegan();
    const luck = streams('crashes');
    const life = new Life({
      clock,
      luck,
      pending,
      diesAtCall: this.#drawCrash(),
      onDeath: (where) => this.#died(incarnation, where),
      onSpin: (where) => invariants.violate('the engine keeps its own contract', `it turns on the spot at ${where}`),
    });
    const ledger = life.port('ledger', this.ledger, {
      instant: true,
      watch: (method, args) => {
        invariants.looksSecret(`ledger.${method}`, args);
        const [key] = args;
        if (method === 'dropJob' && typeof key === 'string') invariants.jobDropped(key);
      },
    });
    const log = this.#log(life);
    const tenants = new Map(
      this.#options.tenants.map((tenant) => [tenant.plan.registration.name, mortal(tenant, life, this.#parks)]),
    );
    const engine = createEngine({
      dispatcherId: DISPATCHER_ID,
      incarnation,
      ledger,
      clock: life.clock(),
      random: streams(`engine ${incarnation}`).next,
      log,
      metrics: this.#metrics(),
      admit: this.#options.admit,
      areStrangers: this.#options.areStrangers,
      tenants,
      // Only where something asks: a token each is drawn from the luck of the rest.
      ...(this.#hasStandby() ? { callbackUrl: 'https://dispatcher.example' } : {}),
      maxRunners: scenario.maxRunners,
      maxLaunches: scenario.maxLaunches,
    });
    this.#process = { life, engine, ledger, tenants };
    invariants.started();
    history.record('world', [incarnation], 'starts');
    engine.start().catch((error: unknown) => {
      invariants.violate('the engine keeps its own contract', `start() rejected: ${String(error)}`, [incarnation]);
    });
    for (const tenant of this.#options.tenants) this.#pollLater(tenant, life, engine, ledger, 1_000);
    if (scenario.shutdownEveryMs !== undefined) {
      life.clock().after(jitter(scenario.shutdownEveryMs, luck.next, 0.5), () => {
        if (!this.#calm) this.#restartOrderly();
      });
    }
  }

  get ledger(): Ledger {
    return this.#ledger;
  }

  /** Whether any tenant has containers that ask for their jobs. */
  #hasStandby(): boolean {
    return this.#options.tenants.some(({ plan }) => plan.registration.standby?.some(({ mode }) => mode === undefined));
  }

  /** A container asks for its JIT configuration. Undefined: nobody is there, or the connection breaks. */
  jitFor(runner: string): Promise<JitAnswer | undefined> {
    const process = this.#process;
    if (process === undefined || !process.life.alive) return Promise.resolve(undefined);
    return new Promise((resolve) => {
      const cut = (): void => resolve(undefined);
      this.#connections.add(cut);
      process.engine
        .jitFor(runner)
        .then(resolve, (error: unknown) => {
          this.#broken('jitFor', error);
          cut();
        })
        .finally(() => this.#connections.delete(cut));
    });
  }

  #cutConnections(): void {
    for (const cut of this.#connections) cut();
    this.#connections.clear();
  }

  /** Every pool is taken out of the configuration, for good. */
  unpark(): void {
    this.#parks = false;
    const process = this.#process;
    if (process === undefined) return;
    const { maxLaunches, maxRunners } = this.#options.scenario;
    for (const tenant of this.#options.tenants)
      process.tenants.set(tenant.plan.registration.name, mortal(tenant, process.life, false));
    process.engine.reconfigure({
      changed: [...process.tenants.keys()],
      gone: [],
      readmit: [],
      maxLaunches,
      maxRunners,
    });
  }

  /** The disk is gone, and the process with it. The next start finds an empty ledger. */
  loseLedger(): void {
    this.#options.history.record('world', [], 'THE LEDGER IS LOST');
    this.#options.invariants.ledgerLost();
    this.#answered.clear();
    this.#replaceLedger('its disk is gone');
  }

  /** The power fails when something has just been written: soon after a delivery. What is not on the disk is gone. */
  #maybeLosePower(): void {
    const { clock, scenario, streams } = this.#options;
    const power = streams('power');
    if (this.#calm || this.powerLosses >= scenario.powerLosses || !power.chance(0.1)) return;
    this.powerLosses += 1;
    clock.after(power.between(0, 600), () => this.#losePower());
  }

  #losePower(): void {
    this.#options.history.record('world', [], 'THE POWER IS LOST');
    this.#options.invariants.powerLost();
    this.#replaceLedger('the machine is off', async () => {
      for (const key of this.#answered) {
        if ((await this.#ledger.job(key)) !== undefined) continue;
        const what = `${key} is not in the ledger that the disk has`;
        this.#options.invariants.violate('a delivery that was answered is kept', what);
      }
    });
  }

  #replaceLedger(why: string, look = async (): Promise<void> => {}): void {
    const { nextLedger, pending } = this.#options;
    const lost = this.#ledger;
    this.#process?.life.end(why);
    pending.count += 1;
    const replaced = async (): Promise<void> => {
      this.#ledger = await nextLedger();
      await lost.close();
      await look();
    };
    replaced()
      .catch((error: unknown) => this.#broken('the next ledger', error))
      .finally(() => {
        pending.count -= 1;
      });
  }

  /** From now on it neither dies, but for a crash that was ordered, nor is stopped. */
  calm(): void {
    this.#calm = true;
    if (this.#options.firstCrashAtCall === undefined) this.#process?.life.spare();
  }

  /** A delivery at the door: answered after its commit, lost when nobody is at home. */
  receive(delivery: Delivery, fact: JobFact): void {
    const { history } = this.#options;
    const subjects = [`job-${fact.jobId}`, ...(fact.runnerName === null ? [] : [fact.runnerName])];
    const process = this.#process;
    if (process === undefined || !process.life.alive) {
      history.record('webhook', subjects, `${delivery.guid} ${fact.status} LOST: nobody listens`);
      return;
    }
    history.record('webhook', subjects, `${delivery.guid} ${fact.status}`);
    this.#maybeLosePower();
    process.ledger
      .recordDeliveries([{ delivery, fact }], () => process.engine.wake())
      .then(([result]) => {
        if (result === 'recorded') this.#answered.add(jobKey(fact));
      })
      .catch((error: unknown) => this.#broken('recordDeliveries', error));
  }

  /** SIGTERM at the end of the simulation. */
  async stop(): Promise<void> {
    const process = this.#process;
    if (process === undefined) return;
    await process.engine.stop(SHUTDOWN_MS);
    this.calls += process.life.calls;
    this.#process = undefined;
    process.life.end('the simulation is over');
  }

  #drawCrash(): number | undefined {
    const { firstCrashAtCall, scenario, streams } = this.#options;
    if (firstCrashAtCall !== undefined) return this.#starts === 1 ? firstCrashAtCall : undefined;
    if (scenario.callsToCrash === undefined || this.#calm) return undefined;
    return Math.round(streams('crashes').magnitude(scenario.callsToCrash.low, scenario.callsToCrash.high));
  }

  #died(incarnation: string, where: string): void {
    const { clock, history, streams } = this.#options;
    this.calls += this.#process?.life.calls ?? 0;
    history.record('world', [incarnation], `dies: ${where}`);
    this.#cutConnections();
    if (this.#process === undefined) return;
    this.#process = undefined;
    this.crashes += 1;
    clock.after(streams('crashes').magnitude(500, 180_000), () => this.start());
  }

  #restartOrderly(): void {
    const process = this.#process;
    if (process === undefined) return;
    const { clock, history, invariants, streams } = this.#options;
    const startedAtMs = clock.now();
    this.shutdowns += 1;
    history.record('world', [], 'SIGTERM');
    const leave = (): void => {
      if (this.#process !== process) return;
      this.calls += process.life.calls;
      this.#process = undefined;
      process.life.end('shut down');
      clock.after(streams('crashes').magnitude(500, 60_000), () => this.start());
    };
    process.engine.stop(SHUTDOWN_MS).then(leave, (error: unknown) => {
      this.#broken('stop()', error);
      leave();
    });
    clock.after(SHUTDOWN_MS + 1_000, () => {
      if (this.#process !== process) return;
      const tookMs = clock.now() - startedAtMs;
      invariants.violate('the engine keeps its own contract', `stop() still runs after ${tookMs} ms`);
      leave();
    });
  }

  #pollLater(tenant: TenantWorld, life: Life, engine: Engine, ledger: Ledger, ms: number): void {
    const { pollEveryMs } = this.#options.scenario;
    const port = life.port('poll', tenant.github);
    life.clock().after(ms, () => {
      const again = (): void => {
        const quiet = this.#calm && tenant.allCompleted();
        this.#pollLater(tenant, life, engine, ledger, quiet ? 30 * 60_000 : pollEveryMs);
      };
      this.#poll(tenant, port, engine, ledger).then(again, (error: unknown) => this.#broken('poll', error));
    });
  }

  async #poll(tenant: TenantWorld, port: GithubPort, engine: Engine, ledger: Ledger): Promise<void> {
    const { registration } = tenant.plan;
    let facts: readonly JobFact[];
    try {
      facts = await port.pollJobs((owner, repository) => covers(registration.claim, owner, repository));
    } catch {
      return; // Recorded by the port; the next pass asks again.
    }
    try {
      const changed = await ledger.recordFacts(facts);
      if (changed === 0) return;
      this.#options.history.record('poll', [registration.name], `${facts.length} jobs, ${changed} changed`);
      engine.wake();
    } catch (error) {
      this.#broken('recordFacts', error);
    }
  }

  #broken(where: string, error: unknown): void {
    const words =
      error instanceof Error ? (error.stack ?? error.message).split('\n').slice(0, 3).join('') : String(error);
    this.#options.invariants.violate('the engine keeps its own contract', `${where} failed: ${words}`);
  }

  #log(life: Life): Log {
    const write =
      (level: string) =>
      (event: string, fields: Readonly<Record<string, unknown>> = {}) => {
        if (!life.alive) return;
        this.#options.invariants.looksSecret(`the log (${event})`, fields);
        const words = Object.entries(fields).map(([key, value]) => `${key}=${wordsOf(value)}`);
        this.#options.history.record('engine', subjectsOf(fields), [level, event, ...words].join(' '));
      };
    return { debug: write('debug'), info: write('info'), warn: write('warn'), error: write('error') };
  }

  #metrics(): LifecycleMetrics {
    const duration = (name: string) => (_registration: string, _backend: string, ms: number) => {
      if (!(ms >= 0)) this.#options.invariants.violate('the engine keeps its own contract', `${name} took ${ms} ms`);
    };
    return {
      jobAdmitted: () => {},
      queueToStart: duration('queue to start'),
      launched: duration('the launch'),
      launchFailed: () => {},
      imageStart: () => {},
      tornDown: duration('the teardown'),
    };
  }
}

function mortal(tenant: TenantWorld, life: Life, parks: boolean): Tenant {
  const providers = new Map([...tenant.providers].map(([name, port]) => [name, life.port(`provider ${name}`, port)]));
  const { registration } = tenant.plan;
  const { standby: _, ...rest } = registration;
  return {
    registration: parks ? registration : rest,
    github: life.port('github', tenant.github),
    provider: async (backend) => {
      const provider = providers.get(backend);
      if (provider === undefined) throw new Error(`no backend ${backend}`);
      return provider;
    },
  };
}

function wordsOf(value: unknown): string {
  if (value instanceof Error) return value.message;
  return typeof value === 'string' ? value : (JSON.stringify(value) ?? 'undefined');
}

/** Runners by name; jobs as the trace names them, from the ledger's `<host>/<owner>/<repository>/<id>`. */
function subjectsOf(fields: Readonly<Record<string, unknown>>): readonly string[] {
  return Object.values(fields).flatMap((value) => {
    if (typeof value !== 'string') return [];
    const job = /^[a-z.]+\.[a-z]+\/[^/]+\/[^/]+\/(\d+)$/.exec(value);
    if (job !== null) return [`job-${job[1]}`];
    return value.startsWith(`${DISPATCHER_ID}-`) ? [value] : [];
  });
}
