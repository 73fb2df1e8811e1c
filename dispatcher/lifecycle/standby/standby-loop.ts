/** Keeps the standby pools at their sizes, and answers their containers. */
import { MINUTE, SECOND } from '../../../time/units.ts';
import type { LaneSpec } from '../../jobs/lane.ts';
import type { Ledger, RunnerRow } from '../../ledger/ledger.ts';
import type { Backends } from '../backends.ts';
import type { Board } from '../board.ts';
import type { Holds } from '../holds.ts';
import type { LaunchLoop } from '../launch-loop.ts';
import type { LaunchPlaces } from '../launch-places.ts';
import type { LaunchRate } from '../launch-rate.ts';
import type { Maintenance } from '../maintenance.ts';
import { LANES_A_PASS } from '../permits.ts';
import type { EngineOptions, Reconfiguration } from '../ports.ts';
import type { RunLimits } from '../run-limit.ts';
import type { RunnerContext } from '../runner-context.ts';
import type { Shares } from '../shares.ts';
import { unservedWords } from '../unserved.ts';
import { NEXT, type Obstacles, waitReason } from '../wait-reason.ts';
import type { HandOver, JitAnswer } from './hand-over.ts';
import { ParkedContainers } from './parked.ts';
import { type ByPlace, type PoolFacts, placesOf, planStandby, type WaitingFacts } from './plan.ts';
import type { Pool, Pools } from './pools.ts';

/** Between two plans: each reads the pools' rows. */
const PAUSE_MS = SECOND;
/** Of all launches, this part at most is ahead of jobs: those of waiting jobs must not queue behind them. */
const SHARE_OF_LAUNCHES = 4;
/** Of the waiting jobs of a lane, so many are looked at. */
const MAX_WAITING = 100;

export interface StandbyLoopOptions extends Pick<EngineOptions, 'clock' | 'maxLaunches' | 'maxRunners' | 'tenants'> {
  readonly ledger: Pick<Ledger, 'liveCounts' | 'putLane' | 'runner' | 'runners' | 'surplusRunners' | 'waitingJobs'>;
  readonly context: RunnerContext;
  readonly board: Board;
  readonly backends: Backends;
  readonly holds: Holds;
  readonly places: LaunchPlaces;
  readonly launches: Pick<LaunchLoop, 'blockedBy' | 'launchAhead'>;
  readonly handOver: HandOver;
  readonly pools: Pools;
  readonly maintenance: Pick<Maintenance, 'isPaused' | 'untilMs'>;
  readonly rate: Pick<LaunchRate, 'roomOf'>;
  readonly runLimits: Pick<RunLimits, 'rooms'>;
  /** Of each lane, in their order. */
  readonly obstaclesOf: (lanes: readonly LaneSpec[]) => Promise<readonly Omit<Obstacles, 'own'>[]>;
  /** Undefined: nobody has a reservation or weight. */
  readonly shares: () => Promise<Shares | undefined>;
}

export interface PoolStatus {
  readonly registration: string;
  readonly mode: 'parked' | 'registered';
  readonly labels: readonly string[];
  readonly lane: string;
  /** How many it is to have. */
  readonly size: number;
  /** Why so many. */
  readonly why: string;
  /** How many it has, those that are starting included. */
  readonly waiting: number;
  /** What keeps it from its size at present; null where nothing does. */
  readonly notFilled: string | null;
}

export class StandbyLoop {
  readonly #options: StandbyLoopOptions;
  #notBeforeMs = 0;
  /** Something may have changed since the last plan, too soon after it for another. */
  #isDue = false;
  /** Parked runners of pools that are not configured any more have been looked for. */
  #knowsOrphans = false;
  /** Lanes in which registered runners are to wait. */
  readonly #warm = new Set<string>();
  /** How many runners each pool had when it was last filled. */
  #had: ReadonlyMap<string, number> = new Map();
  /** Of each, when one was last taken down because GitHub gives it no job. */
  readonly #overlookedAtMs = new Map<string, number>();

  #limits: Pick<EngineOptions, 'maxLaunches' | 'maxRunners'>;

  constructor(options: StandbyLoopOptions) {
    this.#options = options;
    this.#limits = options;
  }

  /** `changed`: registrations that are configured otherwise, leaving, or gone. */
  reconfigure({ changed, ...limits }: Pick<Reconfiguration, 'changed' | 'maxLaunches' | 'maxRunners'>): void {
    this.#limits = limits;
    for (const name of changed) this.#options.pools.reconfigure(name);
    this.#knowsOrphans = false;
  }

  /** Undefined: something has to happen first. A schedule is looked at each minute. */
  get nextMs(): number | undefined {
    if (this.#knowsOrphans && this.#options.pools.isEmpty) return undefined;
    const now = this.#options.clock.now();
    if (this.#isDue) return Math.max(this.#notBeforeMs, now);
    // From then on it keeps no other tenant waiting.
    return Math.min(now + MINUTE, this.#options.places.nextSlowAheadMs() ?? Number.POSITIVE_INFINITY);
  }

  /** Says how many runners are to wait registered, also while nothing is launched: they are not surplus then. */
  async aim(): Promise<void> {
    const { board, clock, pools } = this.#options;
    const aims = new Map<string, number>();
    for (const [, own] of pools.all())
      for (const pool of own) if (pool.isRegistered) aims.set(pool.lane.key, (await pool.aim(clock.now())).size);
    for (const key of this.#warm) {
      if (aims.has(key)) continue;
      board.setWarm(key, 0);
      this.#overlookedAtMs.delete(key);
    }
    this.#warm.clear();
    for (const [key, count] of aims) {
      board.setWarm(key, count);
      this.#warm.add(key);
    }
  }

  async run(): Promise<void> {
    const { clock, context, handOver, pools } = this.#options;
    if (!this.#knowsOrphans) await this.#dropOrphans();
    const now = clock.now();
    if (pools.isEmpty) return;
    this.#isDue = now < this.#notBeforeMs;
    if (this.#isDue) return;
    this.#notBeforeMs = now + PAUSE_MS;
    handOver.tidy();
    await context.counting.hold(() => this.#fill(now));
  }

  /** Each pool: how many it is to have, and how many it had when it was last filled. */
  async status(): Promise<readonly PoolStatus[]> {
    const { clock, pools } = this.#options;
    const all: Omit<PoolStatus, 'notFilled'>[] = [];
    const short: LaneSpec[] = [];
    for (const [registration, own] of pools.all()) {
      for (const { aim, isRegistered, labels, lane } of own) {
        const { size, why } = await aim(clock.now());
        const mode = isRegistered ? ('registered' as const) : ('parked' as const);
        const waiting = this.#had.get(lane.key) ?? 0;
        all.push({ registration, mode, labels, lane: lane.key, size, why, waiting });
        if (waiting < size) short.push(lane);
      }
    }
    const obstacles = await this.#options.obstaclesOf(short);
    const byKey = new Map(short.map(({ key }, index) => [key, obstacles[index]]));
    return all.map((pool) => ({ ...pool, notFilled: notFilledWords(pool, byKey.get(pool.lane)) }));
  }

  /** The container of a runner asks for its JIT configuration. */
  async answer(name: string, signal: AbortSignal | undefined): Promise<JitAnswer> {
    const { context, handOver, ledger } = this.#options;
    const row = await ledger.runner(name);
    if (row === undefined || row.standby === null) return { kind: 'never' };
    switch (row.state) {
      case 'creating':
        return { kind: 'not-yet' };
      case 'parked':
        if (row.standby === 'booting') await this.#isReady(row);
        return await handOver.ask(name, signal);
      case 'starting':
        if (handOver.isExpected(name)) return await handOver.ask(name, signal);
        // Made by a process that is gone, or handed to a connection that broke. It is not made again: nobody can say that
        // nothing uses the first one.
        await context.tell(name, { kind: 'drain', reason: 'its JIT configuration was lost on its way' });
        return { kind: 'never' };
      case 'online':
      case 'busy':
      case 'finishing':
      case 'draining':
      case 'gone':
        return { kind: 'never' };
    }
  }

  async #isReady(row: RunnerRow): Promise<void> {
    const { context } = this.#options;
    const { createdAtMs, laneKey, name: runner, registration } = row;
    const pool = this.#poolOf(registration, laneKey);
    // Without a pool it is on its way out.
    await context.tell(runner, { kind: 'waits', untilMs: createdAtMs + (pool?.maxAgeMs ?? 0) });
    context.wake();
  }

  /** At its rate, paused, or in a window, it launches nothing. */
  async #mayLaunch(registration: string): Promise<boolean> {
    const { maintenance, rate, tenants } = this.#options;
    const tenant = tenants.get(registration);
    if (tenant === undefined || tenant.leaving !== undefined) return false;
    if ((await maintenance.untilMs(registration)) !== undefined) return false;
    return rate.roomOf(tenant.registration) > 0;
  }

  #poolOf(registration: string, key: string): Pool | undefined {
    return this.#options.pools.of(registration).find(({ lane }) => lane.key === key);
  }

  /** Their registration is to run no more jobs, their pool is gone from the configuration, or its shape, image, network or backends are others now. */
  async #dropOrphans(): Promise<void> {
    const { ledger } = this.#options;
    for (const row of await ledger.runners({ states: ['parked'] }, () => {})) {
      if (this.#poolOf(row.registration, row.laneKey) !== undefined) continue;
      const unserved = unservedWords(this.#options, row.registration);
      await this.#drop(row.name, unserved ?? 'its pool is not configured any more');
    }
    this.#knowsOrphans = true;
  }

  async #fill(nowMs: number): Promise<void> {
    const { backends, handOver, launches, ledger, places, pools } = this.#options;
    /** What of GitHub is tried again, by whoever comes first. */
    const trials = new Set<string>();
    const shares = await this.#options.shares();
    const byKey = new Map<string, Pool>();
    const parked = new ParkedContainers();
    const facts: PoolFacts[] = [];
    for (const [registration, own] of pools.all()) {
      const mayLaunch = await this.#mayLaunch(registration);
      for (const pool of own) {
        const { lane } = pool;
        byKey.set(lane.key, pool);
        if (pool.isRegistered) {
          facts.push(await this.#registered(pool, mayLaunch ? trials : undefined, nowMs));
          continue;
        }
        const rows = await ledger.runners({ laneKey: lane.key, states: ['creating', 'parked'] }, () => {});
        const runners = rows.toSorted(keptFirst);
        // One that does not ask any more keeps no job waiting; one that has not asked yet is given up at its deadline.
        const asking = runners.filter(({ name, standby }) => standby !== 'ready' || !handOver.isSilent(name));
        parked.add(pool, asking);
        const { open } = backends.usable(lane);
        facts.push({
          ...{
            registration,
            line: places.lineOf(registration),
            key: lane.key,
            size: (await pool.aim(nowMs)).size,
            runners,
          },
          backends: mayLaunch ? open.filter((backend) => backends.launchRoom(registration, backend) > 0) : [],
        });
      }
    }
    this.#had = new Map(facts.map(({ key, runners }) => [key, runners.length]));
    const share = Math.max(1, Math.floor(this.#limits.maxLaunches / SHARE_OF_LAUNCHES));
    const plan = planStandby({
      pools: facts,
      waiting: await this.#waiting(parked),
      taken: parked.given,
      ...(shares === undefined ? {} : { kept: { shares, lineOf: (name: string) => places.lineOf(name) } }),
      ...(await this.#room()),
      launches: Math.min(places.free(), share - places.ahead()),
      launchesOf: new Map(facts.map(({ line }) => [line, Math.min(places.freeOf(line), share - places.aheadOf(line))])),
    });
    for (const { runner, reason } of plan.drops) await this.#drop(runner, reason);
    for (const { key, backends: chosen } of plan.launches) {
      const pool = byKey.get(key);
      if (pool !== undefined) await launches.launchAhead(pool, chosen);
    }
  }

  /**
   * Of the runners that wait registered, those that no job needs. `trials`: undefined where nothing may be launched. Those
   * beyond its size are surplus, as in any lane.
   */
  async #registered({ aim, lane }: Pool, trials: Set<string> | undefined, nowMs: number): Promise<PoolFacts> {
    const { backends, board, holds, ledger, places } = this.#options;
    const { key, registration } = lane;
    const { size: most } = await aim(nowMs);
    // Without a job it has no row; and a changed one has none of its jobs admitted anew.
    if (most > 0 && board.counts(key)?.lane.specHash !== lane.specHash) {
      await ledger.putLane(lane);
      board.mark(key);
      await board.refresh(nowMs);
    }
    await this.#endOverlooked(lane, nowMs);
    const counts = board.counts(key);
    const idle = Math.min(most, board.idle(key));
    const rows = idle === 0 ? [] : await ledger.surplusRunners(key, idle + (counts?.outdated ?? 0), () => {});
    const runners = rows.filter(({ specHash }) => specHash === counts?.lane.specHash).slice(0, idle);
    const own = { registration, line: places.lineOf(registration), key, runners: runners.toReversed() };
    const admittance = holds.admittance(lane);
    // A job that waits for a runner would take it, past what limits those that are launched for it.
    const isFree = trials !== undefined && admittance.kind !== 'held' && !board.isWanted(key);
    if (!isFree) return { ...own, size: most, backends: [] };
    const onTrial = admittance.kind === 'trial';
    if (onTrial && admittance.keys.some((one) => trials.has(one))) return { ...own, size: most, backends: [] };
    if (onTrial) for (const one of admittance.keys) trials.add(one);
    const open = backends.usable(lane).open.filter((backend) => backends.launchRoom(registration, backend) > 0);
    return { ...own, size: onTrial ? Math.min(most, runners.length + 1) : most, backends: open };
  }

  /**
   * GitHub may never give out a job, and shows it by the runners that idle beside it. These wait for hours, so one after the
   * other is taken down as early as one that was launched for the job: the one that came last, because an earlier one than
   * the job proves nothing.
   */
  async #endOverlooked({ key, registration }: LaneSpec, nowMs: number): Promise<void> {
    const { board, context, ledger, tenants } = this.#options;
    const beforeMs = nowMs - (tenants.get(registration)?.registration.timeouts.idleMs ?? Number.POSITIVE_INFINITY);
    const { demand = 0, oldestQueuedSinceMs = null } = board.counts(key) ?? {};
    if (demand === 0 || oldestQueuedSinceMs === null || oldestQueuedSinceMs > beforeMs) return;
    if ((this.#overlookedAtMs.get(key) ?? Number.NEGATIVE_INFINITY) > beforeMs) return;
    const waiting = await ledger.waitingJobs(key, MAX_WAITING, () => {});
    if (!waiting.some(({ statusSinceMs }) => statusSinceMs <= beforeMs)) return;
    const [last] = (await ledger.runners({ laneKey: key, states: ['online'] }, () => {}))
      .filter(({ idleLimitMs, jobKey }) => idleLimitMs !== null && jobKey === null)
      .filter(({ onlineAtMs }) => onlineAtMs !== null && onlineAtMs <= beforeMs)
      .toSorted((one, other) => (other.onlineAtMs ?? 0) - (one.onlineAtMs ?? 0));
    if (last === undefined) return;
    this.#overlookedAtMs.set(key, nowMs);
    await context.tell(last.name, { kind: 'overlooked' });
  }

  /**
   * What the pools leave over: a lane that one serves takes its containers, ready or not, one for each job. A job that could
   * not launch now in any place, or that its workflow run's limit keeps waiting, asks for none; nor does a lane that may not
   * launch take of its run's room what another one could use.
   */
  async #waiting(parked: ParkedContainers): Promise<readonly WaitingFacts[]> {
    const { backends, board, holds, launches, maintenance, runLimits, tenants } = this.#options;
    const rooms = runLimits.rooms();
    const waiting: WaitingFacts[] = [];
    for (const registration of board.registrationsInNeed()) {
      // Its jobs get nothing, not even what waits for them.
      if (maintenance.isPaused(registration)) continue;
      const mayLaunch = await this.#mayLaunch(registration);
      const caps = tenants.get(registration)?.registration.backends ?? [];
      const unasked = new Map(caps.map(({ name, maxRunners }) => [name, maxRunners]));
      let looked = 0;
      for (const { lane, need } of board.lanesInNeed(registration)) {
        if (looked >= LANES_A_PASS) break;
        if (launches.blockedBy(lane.key) !== undefined) continue;
        const admittance = holds.admittance(lane);
        if (admittance.kind === 'held') continue;
        const most = admittance.kind === 'trial' ? 1 : need;
        const open = mayLaunch ? backends.usable(lane).open : [];
        // Where as many as a backend's cap have been asked for, no further one would come of it.
        const place = open.find((backend) => (unasked.get(backend) ?? 0) > 0);
        const serving = parked.serving(lane, most);
        if (place === undefined && serving.length === 0) continue;
        looked += 1;
        const taken = await rooms.take(lane, place === undefined ? serving.length : most);
        parked.give(serving.slice(0, taken));
        const count = taken - serving.length;
        if (count <= 0 || place === undefined) continue;
        unasked.set(place, (unasked.get(place) ?? 0) - count);
        waiting.push({ registration, backends: open, count });
      }
    }
    return waiting;
  }

  async #room(): Promise<{ readonly room: ByPlace; readonly ending: ByPlace }> {
    const { ledger, tenants } = this.#options;
    const room = new Map<string, number>([['', this.#limits.maxRunners]]);
    const ending = new Map<string, number>();
    for (const [name, { registration }] of tenants) {
      room.set(name, registration.maxRunners);
      for (const backend of registration.backends) room.set(`${name}/${backend.name}`, backend.maxRunners);
    }
    for (const { registration, backend, count, draining } of await ledger.liveCounts()) {
      for (const place of placesOf(registration, backend)) {
        room.set(place, (room.get(place) ?? 0) - count);
        ending.set(place, (ending.get(place) ?? 0) + draining);
      }
    }
    return { room, ending };
  }

  async #drop(runner: string, reason: string): Promise<void> {
    const { backends, context, handOver } = this.#options;
    await context.tell(runner, { kind: 'drain', reason });
    backends.release(runner);
    handOver.end(runner);
  }
}

function notFilledWords(
  { mode }: Pick<PoolStatus, 'mode'>,
  obstacles: Omit<Obstacles, 'own'> | undefined,
): string | null {
  if (obstacles === undefined) return null;
  // Parked containers are launched without GitHub.
  const github = mode === 'registered' ? obstacles.github : undefined;
  const reason = waitReason({ ...obstacles, github, own: undefined });
  return reason === NEXT ? null : reason;
}

/** What waits for a job goes last, and of those the youngest first. */
function keptFirst(a: RunnerRow, b: RunnerRow): number {
  const rank = ({ standby }: RunnerRow) => (standby === 'ready' ? 0 : 1);
  return rank(a) - rank(b) || a.createdAtMs - b.createdAtMs;
}
