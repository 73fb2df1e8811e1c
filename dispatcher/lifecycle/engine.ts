/**
 * The engine: reconciles the ledger's facts with runners, and takes runners down. It makes the loops and runs them in
 * passes. What they remember beyond the ledger (counts, rests, what was listed) is found anew at each start.
 */

import { SECOND } from '../../time/units.ts';
import { defectFailure, failureWords } from '../failures/failure.ts';
import type { JobRow, RunnerRow } from '../ledger/ledger.ts';
import { QUEUE_LIMIT_MS } from '../ledger/queue-age.ts';
import { type BackendHashes, backendHashes } from './backend-hashes.ts';
import { type BackendStatus, Backends, type Closure } from './backends.ts';
import { Board } from './board.ts';
import type { CanaryState } from './canary-rules.ts';
import { Chores } from './chores.ts';
import { Doubts } from './doubts.ts';
import { Ghosts } from './ghosts.ts';
import { GithubView } from './github-view.ts';
import { HeldJobsLoop } from './held-jobs-loop.ts';
import { Holds } from './holds.ts';
import { HookProofs } from './hook-proofs.ts';
import { InstanceView } from './instance-view.ts';
import { LaunchLoop } from './launch-loop.ts';
import { LaunchPlaces } from './launch-places.ts';
import { closureOf, closureWords, type LedgerClosure, LedgerGate } from './ledger-gate.ts';
import type { RunnerUsage } from './machine/event.ts';
import { type OtherDispatcher, OtherDispatchers } from './other-dispatchers.ts';
import { Pass } from './pass.ts';
import { type Pause, Pauses } from './pauses.ts';
import { Permits } from './permits.ts';
import { type EngineOptions, lineOfNamed, type Reconfiguration, type Tenant } from './ports.ts';
import { Pulse } from './pulse.ts';
import { Reasons } from './reasons.ts';
import { Refusals } from './refusals.ts';
import { ANSWER_WORDS, type HookAnswer } from './refused-in-runner.ts';
import { type Rest, Resting } from './resting.ts';
import { RunLimits } from './run-limit.ts';
import { RunOrigins } from './run-origins.ts';
import { createRunnerContext, type RunnerContext } from './runner-context.ts';
import { SettleLoop } from './settle.ts';
import type { SilentImage } from './silent-images.ts';
import { HandOver, type JitAnswer } from './standby/hand-over.ts';
import { Pools } from './standby/pools.ts';
import { type PoolStatus, StandbyLoop } from './standby/standby-loop.ts';
import { drainSurplus, nextSurplusMs } from './surplus.ts';
import { SweepLoop } from './sweep-loop.ts';
import { SweepSchedule } from './sweep-schedule.ts';
import { type SweepTrouble, SweepTroubles } from './sweep-troubles.ts';
import { Verifier } from './verify.ts';
import { Visibilities } from './visibility.ts';
import { VisitLoop } from './visit-loop.ts';

export type { EngineOptions, LifecycleMetrics, Reconfiguration, Tenant } from './ports.ts';

export interface Engine {
  /** Recovers what an earlier incarnation left, then works until `stop`. */
  start(): Promise<void>;
  /** Something was written to the ledger: check it. Cheap, may be called for every event. */
  wake(): void;
  /**
   * The tenants, or what jobs are admitted by, have changed: takes effect at once. Waiting jobs are admitted anew, runners
   * go on with what they were launched with.
   */
  reconfigure(change: Reconfiguration): void;
  /** A call to GitHub for the owner with the registration's credentials, begun then, succeeded: see `Holds`. */
  authorized(registration: string, owner: string, startedAtMs: number): void;
  /** Starts nothing new, lets launches in flight finish for at most `withinMs`; the next start handles the rest. */
  stop(withinMs: number): Promise<void>;
  /** Why the lane's jobs wait, for display; undefined if none is waiting. */
  laneReason(laneKey: string): Promise<string | undefined>;
  /** Why the job waits, for display; undefined if it is not waiting. */
  jobReason(job: JobRow): Promise<string | undefined>;
  /** An operator gives the runner up. Returns it afterwards, or undefined if the runner does not exist. */
  forget(runner: string): Promise<RunnerRow | undefined>;
  /** Its container says something about itself: what it says proves nothing, and it is looked at now. */
  heard(runner: string, what: string, usage?: RunnerUsage): Promise<void>;
  /** What it was answered when its hook asked whether its job may run. */
  answered(runner: string, answer: HookAnswer, why?: string): Promise<void>;
  /** A call-back came with the runner's token. */
  called(runner: string): void;
  /** Images of the registration whose runners run jobs and never call back. */
  silentImages(registration: string): readonly SilentImage[];
  /**
   * Its container, started ahead of its job, asks for its JIT configuration. Resolves when there is one or after half a
   * minute; earlier when `signal` says that nobody waits for it any more.
   */
  jitFor(runner: string, signal?: AbortSignal): Promise<JitAnswer>;
  /** The candidate image of the registration, and how its starts went; undefined: it has none. */
  canary(registration: string): CanaryState | undefined;
  /** Each standby pool: how many runners it is to have and why, and how many it has. */
  standby(): Promise<readonly PoolStatus[]>;
  /** Each backend of each registration: whether it is tried, and why not. */
  backends(): readonly BackendStatus[];
  /**
   * An operator says that what kept a registration's backends, or one of them, closed is fixed: they are tried now.
   * Returns what was closed; undefined if the backend does not exist.
   */
  resetBackends(registration: string, backend: string | undefined): Promise<readonly Closure[] | undefined>;
  /** Nothing is launched for the registration, or for any (null), until it is resumed; also after a restart. */
  pause(pause: Omit<Pause, 'sinceMs'>): Promise<Pause>;
  /** Returns the pause that has ended; undefined: there was none. A tenant (`byPlatform` false) ends only its own. */
  resume(registration: string | null, by?: Pick<Pause, 'byPlatform'>): Promise<Pause | undefined>;
  pauses(): readonly Pause[];
  /** When the last of the registration's maintenance windows ends that are open now; undefined: none is. */
  maintenanceUntilMs(registration: string): Promise<number | undefined>;
  /** Registrations whose instances have not all been listed since the start, with what failed. */
  unlisted(): ReadonlyMap<string, readonly string[]>;
  /** What the registration's last sweep failed at, at its backends and at GitHub. */
  sweepTroubles(registration: string): readonly SweepTrouble[];
  /** The registration's jobs, runners and lanes that the work itself failed on, and that are left alone for a while. */
  resting(registration: string): readonly Rest[];
  /** Why nothing can be recorded now, whether the engine or another found out; undefined while all is well. */
  ledgerClosed(): LedgerClosure | undefined;
  /** Other dispatchers that use our id: nothing is launched where they were seen. */
  otherDispatchers(): readonly OtherDispatcher[];
}

/** Containers whose asks for a JIT configuration are held open: each costs a connection. */
const MAX_ASKS = 500;
/** Where the ledger can be written again at a time that is not known. */
const LEDGER_PAUSE_MS = SECOND;

export function createEngine(options: EngineOptions): Engine {
  return new LoopingEngine(options);
}

class LoopingEngine implements Engine {
  readonly #options: EngineOptions;
  #state: 'new' | 'working' | 'stopped' = 'new';
  readonly #gate: LedgerGate;
  readonly #context: RunnerContext;
  readonly #pulse: Pulse;
  readonly #board: Board;
  readonly #backends: Backends;
  readonly #others: OtherDispatchers;
  readonly #holds: Holds;
  readonly #verifier: Verifier;
  readonly #doubts: Doubts;
  readonly #visibilities: Visibilities;
  readonly #runOrigins: RunOrigins;
  readonly #refusals: Refusals;
  readonly #reasons: Reasons;
  readonly #schedule: SweepSchedule;
  readonly #troubles: SweepTroubles;
  readonly #restingJobs: Resting;
  readonly #restingRunners: Resting;
  /** Lanes whose rows cannot be read, and those with a waiting job whose row cannot be. */
  readonly #restingRows: Resting;
  readonly #restingLanes: Resting;
  readonly #settles: SettleLoop;
  readonly #heldJobs: HeldJobsLoop;
  readonly #permits: Permits;
  readonly #pauses: Pauses;
  readonly #launchPlaces: LaunchPlaces;
  /** Whose breakers of an earlier configuration are to be deleted. */
  readonly #reconfigured = new Set<string>();
  readonly #launches: LaunchLoop;
  readonly #standby: StandbyLoop;
  readonly #visits: VisitLoop;
  readonly #sweeps: SweepLoop;
  readonly #chores: Chores;
  readonly #pass: Pass;

  constructor(options: EngineOptions) {
    const { admit, clock, dispatcherId, incarnation, ledger, log, metrics, random, tenants } = options;
    const absence = options.setAside === undefined ? {} : { setAside: options.setAside };
    this.#options = options;
    this.#pauses = new Pauses(ledger);
    this.#gate = new LedgerGate({ ledger, clock, log });
    this.#context = createRunnerContext(options, {
      working: () => this.#state === 'working' && !this.#gate.isClosed,
      laneChanged: (laneKey) => {
        this.#board.mark(laneKey);
        this.#launches.unblock(laneKey);
      },
      supposedBusy: (runner, is) => this.#setSupposedBusy(runner, is),
      doubted: (runner, jobKeys) => this.#doubts.ask(runner, jobKeys),
      wake: () => this.wake(),
      ledgerFailed: (error) => this.#gate.closeFor(error),
    });
    this.#pulse = new Pulse({ clock, pass: () => this.#runPass(), failed: (error) => this.#recordPassFailure(error) });
    const registrations = new Map<string, BackendHashes>();
    const closed = new Map<string, string>();
    for (const [name, tenant] of tenants) {
      registrations.set(name, backendHashes(tenant.registration));
      for (const [backend, reason] of closedBackends(tenant)) closed.set(`${name}/${backend}`, reason);
    }

    const context = this.#context;
    this.#restingRows = new Resting(clock, context.states);
    this.#restingLanes = new Resting(clock, context.states);
    const board = new Board(ledger, this.#restingRows);
    const others = new OtherDispatchers(ledger, incarnation, clock, log);
    const { maxLaunches } = options;
    const backends = new Backends({ ledger, clock, log, maxLaunches, registrations, closed, others });
    const ghosts = new Ghosts(backends);
    const holds = new Holds(clock);
    const launchPlaces = new LaunchPlaces(tenants, options.maxLaunches, () => clock.now());
    const permits = new Permits({ ...options, pauses: this.#pauses }, launchPlaces, board, backends, holds);
    const view = new GithubView(context);
    const instances = new InstanceView(dispatcherId, () => clock.now());
    const restingJobs = new Resting(clock, context.states);
    const verifier = new Verifier({ clock, log, random, tenants, context, ledger, resting: restingJobs });
    const doubts = new Doubts({ log, tenants, context, ledger });
    const visibilities = new Visibilities({ log, tenants, context, ledger });
    const runOrigins = new RunOrigins({ log, tenants, context, ledger });
    const schedule = new SweepSchedule(tenants.keys(), clock, random, (name) => lineOfNamed(tenants, name));
    const troubles = new SweepTroubles(clock, log);
    this.#board = board;
    this.#others = others;
    this.#backends = backends;
    this.#holds = holds;
    this.#permits = permits;
    this.#launchPlaces = launchPlaces;
    this.#verifier = verifier;
    this.#doubts = doubts;
    this.#visibilities = visibilities;
    this.#runOrigins = runOrigins;
    this.#schedule = schedule;
    this.#troubles = troubles;
    this.#refusals = new Refusals({
      ...{ clock, ledger, board, backends },
      admit,
      laneChanged: (laneKey) => context.replanLane(laneKey),
    });
    this.#restingJobs = restingJobs;
    this.#restingRunners = new Resting(clock, context.states);
    this.#settles = new SettleLoop({
      ...{ admit, areStrangers: options.areStrangers, dispatcherId, log, metrics, tenants, ...absence },
      ...{ context, ledger, backends, verifier, doubts, ghosts, visibilities, runOrigins },
      resting: this.#restingJobs,
    });
    this.#heldJobs = new HeldJobsLoop({ clock, ledger, board, verifier, resting: this.#restingJobs });
    const pools = new Pools(tenants, options.callbackUrl !== undefined, ledger);
    const runLimits = new RunLimits({ clock, ledger, tenants });
    const handOver = new HandOver(clock, options.maxAsks ?? MAX_ASKS);
    this.#launches = new LaunchLoop({
      ...{ clock, dispatcherId, incarnation, log, metrics, random, tenants },
      ...{ context, ledger, board, permits, places: launchPlaces, backends, holds, verifier },
      hookProofs: new HookProofs(() => clock.now()),
      restingLanes: this.#restingLanes,
      isReadmitting: (registration) => this.#settles.isReadmitting(registration),
      ...{ pools, handOver, runLimits },
      ...(options.callbackUrl === undefined ? {} : { callbackUrl: options.callbackUrl }),
    });
    this.#standby = new StandbyLoop({
      ...{ clock, maxLaunches, maxRunners: options.maxRunners, tenants },
      ...{ context, ledger, board, backends, holds, places: launchPlaces, launches: this.#launches, handOver, pools },
      maintenance: permits.maintenance,
      obstaclesOf: (lanes) => permits.obstaclesOf(lanes),
      rate: permits.rate,
      runLimits,
      shares: () => permits.shares(),
    });
    this.#visits = new VisitLoop({
      ...{ clock, incarnation, log, metrics, tenants, ...absence },
      ...{ context, ledger, view, verifier, backends, ghosts },
      resting: this.#restingRunners,
    });
    this.#sweeps = new SweepLoop({
      ...{ clock, dispatcherId, incarnation, log, tenants },
      ...{ context, ledger, board, backends, instances, view, others, schedule, troubles },
    });
    this.#chores = new Chores({
      clock,
      ledger,
      board,
      backends,
      doubts,
      holds,
      sweeps: schedule,
      verifier,
      visibilities,
      runOrigins,
    });
    this.#reasons = new Reasons({
      clock,
      ledger,
      board,
      permits,
      runFull: (registration, runId) => runLimits.reason(registration, runId),
      blockedBy: (laneKey) => this.#launches.blockedBy(laneKey),
      notSettled: (jobKey) => {
        const rest = this.#restingJobs.get(jobKey);
        return rest === undefined ? undefined : `it could not be settled: ${failureWords(rest.failure)}`;
      },
      laneNotPlanned: (laneKey) => {
        const rest = this.#restingRows.get(laneKey);
        return rest === undefined ? undefined : `its lane is not planned: ${failureWords(rest.failure)}`;
      },
      isShared: (registration, name) => {
        const backend = tenants.get(registration)?.registration.backends.find((one) => one.name === name);
        return backend === undefined || backend.shared === true;
      },
      ledgerClosed: () => {
        const closure = this.ledgerClosed();
        return closure === undefined ? undefined : closureWords(closure);
      },
    });
    this.#pass = this.#makePass();
  }

  async start(): Promise<void> {
    if (this.#state !== 'new') throw new Error('an engine starts once');
    await this.#pauses.load();
    await this.#recover();
    this.#state = 'working';
    this.#pulse.start();
  }

  wake(): void {
    if (this.#state === 'working') this.#pulse.wake();
  }

  reconfigure(change: Reconfiguration): void {
    const { changed, gone, maxLaunches, maxRunners, readmit } = change;
    const { tenants } = this.#options;
    this.#permits.resize({ maxLaunches, maxRunners });
    this.#launchPlaces.resize(maxLaunches);
    this.#backends.resize(maxLaunches);
    for (const name of changed) {
      const tenant = tenants.get(name);
      if (tenant === undefined) continue;
      const isNew = !this.#schedule.has(name);
      const hashes = backendHashes(tenant.registration);
      const unlisted = this.#backends.reconfigure(name, hashes, closedBackends(tenant));
      if (isNew || unlisted || this.#sweeps.wasSpared(name)) this.#schedule.add(name);
      this.#holds.forget(name);
      this.#reconfigured.add(name);
    }
    for (const name of gone) {
      this.#backends.reconfigure(name, undefined, new Map());
      this.#schedule.remove(name);
      this.#sweeps.forget(name);
      this.#troubles.forget(name);
      this.#context.silentImages.forget(name);
      this.#holds.forget(name);
      this.#reconfigured.add(name);
    }
    this.#standby.reconfigure({ changed: [...changed, ...gone], maxLaunches, maxRunners });
    if (readmit === 'all' || readmit.length + changed.length > 0) this.#settles.readmit(changed, readmit);
    this.wake();
  }

  authorized(registration: string, owner: string, startedAtMs: number): void {
    if (this.#holds.recordAuthorized(registration, owner, startedAtMs)) this.wake();
  }

  async stop(withinMs: number): Promise<void> {
    if (this.#state === 'stopped') return;
    this.#state = 'stopped';
    this.#pulse.stop();
    let cancelTimeout = () => {};
    const timeout = new Promise<'timeout'>((resolve) => {
      cancelTimeout = this.#options.clock.after(withinMs, () => resolve('timeout'));
    });
    const outcome = await Promise.race([this.#whenSettled().then(() => 'settled' as const), timeout]);
    cancelTimeout();
    if (outcome === 'timeout') {
      this.#options.log.warn('stop-unfinished', {
        launches: this.#launches.launching,
        visits: this.#visits.visiting,
        reason: 'the next start takes them up',
      });
    }
  }

  laneReason(laneKey: string): Promise<string | undefined> {
    return this.#reasons.lane(laneKey);
  }

  jobReason(job: JobRow): Promise<string | undefined> {
    return this.#reasons.job(job);
  }

  async forget(runner: string): Promise<RunnerRow | undefined> {
    const after = await this.#context.tell(runner, { kind: 'forget' });
    this.#backends.release(runner);
    this.wake();
    await this.#options.ledger.persist();
    return after;
  }

  async heard(runner: string, what: string, usage?: RunnerUsage): Promise<void> {
    await this.#context.tell(runner, { kind: 'heard', what, ...(usage === undefined ? {} : { usage }) });
    this.wake();
  }

  async answered(runner: string, answer: HookAnswer, why?: string): Promise<void> {
    const details = why === undefined ? {} : { details: why };
    await this.#context.tell(runner, { kind: 'heard', what: ANSWER_WORDS[answer], ...details });
    this.wake();
  }

  called(runner: string): void {
    this.#context.silentImages.called(runner);
  }

  silentImages(registration: string): readonly SilentImage[] {
    return this.#context.silentImages.of(registration);
  }

  canary(registration: string): CanaryState | undefined {
    return this.#backends.canaries.of(registration);
  }

  async jitFor(runner: string, signal?: AbortSignal): Promise<JitAnswer> {
    if (!this.#context.working()) return { kind: 'not-yet' };
    return await this.#standby.answer(runner, signal);
  }

  standby(): Promise<readonly PoolStatus[]> {
    return this.#standby.status();
  }

  backends(): readonly BackendStatus[] {
    return this.#backends.status();
  }

  async resetBackends(registration: string, backend: string | undefined): Promise<readonly Closure[] | undefined> {
    const closures = await this.#backends.reset(registration, backend);
    this.wake();
    await this.#options.ledger.persist();
    return closures;
  }

  async pause(pause: Omit<Pause, 'sinceMs'>): Promise<Pause> {
    return await this.#pauses.pause({ ...pause, sinceMs: this.#options.clock.now() });
  }

  async resume(registration: string | null, by?: Pick<Pause, 'byPlatform'>): Promise<Pause | undefined> {
    const before = await this.#pauses.resume(registration, this.#options.clock.now(), by);
    this.wake();
    return before;
  }

  pauses(): readonly Pause[] {
    return this.#pauses.all();
  }

  async maintenanceUntilMs(registration: string): Promise<number | undefined> {
    return await this.#permits.maintenance.windowUntilMs(registration);
  }

  unlisted(): ReadonlyMap<string, readonly string[]> {
    return this.#schedule.failures;
  }

  sweepTroubles(registration: string): readonly SweepTrouble[] {
    return this.#troubles.of(registration);
  }

  resting(registration: string): readonly Rest[] {
    const all = [this.#restingJobs, this.#restingRunners, this.#restingRows, this.#restingLanes];
    return all.flatMap((some) => some.of(registration));
  }

  ledgerClosed(): LedgerClosure | undefined {
    const trouble = this.#options.ledger.writeTrouble();
    return this.#gate.reason ?? (trouble === undefined ? undefined : closureOf(trouble));
  }

  otherDispatchers(): readonly OtherDispatcher[] {
    return this.#others.alarms();
  }

  /** Takes over what an earlier incarnation left. */
  async #recover(): Promise<void> {
    const { clock, incarnation, ledger, log } = this.#options;
    const fromTheFuture = await ledger.cutToNow();
    if (fromTheFuture > 0) {
      log.warn('clock-was-ahead', {
        rows: fromTheFuture,
        reason: 'the ledger was written while the clock was ahead',
      });
    }
    await this.#others.load();
    await this.#backends.load();
    for (const { registration } of this.#options.tenants.values()) await this.#backends.canaries.load(registration);
    await ledger.unsettleOpenJobs(clock.now() - QUEUE_LIMIT_MS);
    // A start is when registrations change, and with them what GitHub may give to whom.
    const heldJobs = await ledger.hastenHeld(clock.now());
    for (const laneKey of await ledger.lanesInUse()) this.#board.mark(laneKey);
    const launches = await ledger.hastenLaunchesOf(incarnation, clock.now());
    // Passes have bounds: however many there are, each has its turn.
    if (launches + heldJobs > 0) log.info('taken-up', { launches, heldJobs });
  }

  /** Facts become admissions and runner events, lanes become launches, due runners are visited. */
  #makePass(): Pass {
    const { clock, ledger } = this.#options;
    const [board, context] = [this.#board, this.#context];
    const surplus = { context, ledger, board, backends: this.#backends, tenants: this.#options.tenants };
    return new Pass({
      clock,
      states: context.states,
      working: () => context.working(),
      ledgerFailed: (error) => this.#gate.closeFor(error),
      loops: [
        { name: 'reconfiguration', run: () => this.#forgetObsolete(), nextMs: () => undefined },
        { name: 'refusals', run: () => this.#refusals.look(), nextMs: () => this.#backends.nextOpeningMs() },
        { name: 'settle', run: () => this.#settles.run(), nextMs: () => this.#settles.nextMs },
        { name: 'held jobs', run: () => this.#heldJobs.run(), nextMs: () => this.#heldJobs.nextMs },
        { name: 'launch', run: () => this.#launch(), nextMs: () => this.#nextLaunchMs() },
        { name: 'standby', run: () => this.#fillStandby(), nextMs: () => this.#standby.nextMs },
        {
          name: 'surplus',
          run: async () => {
            await board.refresh(clock.now());
            await drainSurplus(surplus);
          },
          nextMs: () => nextSurplusMs(surplus),
        },
        { name: 'visit', run: () => this.#visits.run(), nextMs: () => this.#visits.nextMs() },
        { name: 'sweep', run: async () => this.#sweeps.run(), nextMs: () => this.#schedule.nextMs },
        { name: 'chores', run: () => this.#chores.run(), nextMs: () => this.#chores.nextMs },
      ],
    });
  }

  async #runPass(): Promise<number | undefined> {
    if (!(await this.#gate.tryOpen())) return this.#gate.retryAtMs ?? this.#options.clock.now() + LEDGER_PAUSE_MS;
    return (await this.#pass.run()) ?? this.#gate.retryAtMs;
  }

  async #forgetObsolete(): Promise<void> {
    if (this.#reconfigured.size === 0) return;
    const { clock, ledger, tenants } = this.#options;
    for (const name of [...this.#reconfigured]) {
      await this.#backends.forgetObsolete(name);
      const tenant = tenants.get(name);
      if (tenant === undefined || tenant.leaving !== undefined) this.#backends.canaries.forget(name);
      else await this.#backends.canaries.load(tenant.registration);
      // What GitHub may give to whom can have changed with the registration.
      await ledger.hastenHeldOf(name, clock.now());
      this.#reconfigured.delete(name);
    }
  }

  async #launch(): Promise<void> {
    await this.#board.refresh(this.#options.clock.now());
    for (const name of this.#board.registrationsInNeed()) this.#schedule.markActive(name);
    if (this.#settles.isCaughtUp) await this.#launches.run();
  }

  /** Waiting jobs come first: as long as they are not all known, no room is left over. */
  async #fillStandby(): Promise<void> {
    await this.#standby.aim();
    await this.#board.refresh(this.#options.clock.now());
    if (this.#settles.isCaughtUp) await this.#standby.run();
  }

  #nextLaunchMs(): number | undefined {
    const board = [
      this.#board.nextSupposedEndMs(),
      this.#restingRows.nextMs(),
      this.#permits.maintenance.nextMs(),
      this.#permits.rate.nextMs(),
    ];
    const due = [this.#holds.nextReleaseMs(), ...board, ...this.#launches.nextMs()].filter(
      (time) => typeof time === 'number',
    );
    return due.length === 0 ? undefined : Math.min(...due);
  }

  #recordPassFailure(error: unknown): number | undefined {
    if (!this.#gate.closeFor(error)) {
      const failure = defectFailure(error, this.#options.clock.now());
      this.#context.states.failed('cycle-failed', {}, failure, { error });
    }
    return this.#gate.retryAtMs;
  }

  #setSupposedBusy(runner: RunnerRow, is: boolean): void {
    if (!is) {
      this.#board.supposeNoMore(runner.name);
      return;
    }
    this.#board.supposeBusy(runner, this.#options.clock.now());
    if (runner.forJobKey !== null) this.#verifier.ask(runner.forJobKey, runner.registration);
  }

  async #whenSettled(): Promise<void> {
    for (;;) {
      const pending = [...this.#launches.underWay, ...this.#visits.underWay, ...this.#sweeps.underWay];
      if (this.#pulse.underWay !== undefined) pending.push(this.#pulse.underWay);
      if (pending.length === 0) break;
      await Promise.all(pending);
    }
    await this.#verifier.whenSettled();
    await this.#doubts.whenSettled();
    await this.#visibilities.whenSettled();
    await this.#runOrigins.whenSettled();
  }
}

/** By name: why nothing can be done on it as it is configured. */
function closedBackends({ registration }: Tenant): ReadonlyMap<string, string> {
  return new Map(
    registration.backends.flatMap(({ closed, name }) => (closed === undefined ? [] : [[name, closed] as const])),
  );
}
