/** Gives runners to the lanes that need them, as far as caps, backends and GitHub allow. */
import { ulid } from '../../time/clock.ts';
import { SECOND } from '../../time/units.ts';
import { defectFailure, failureWords } from '../failures/failure.ts';
import type { LaneSpec } from '../jobs/lane.ts';
import { scopePath } from '../jobs/scope.ts';
import type { Ledger, RunnerRow, Waiting } from '../ledger/ledger.ts';
import { newRunner } from '../ledger/new-runner.ts';
import type { Board } from './board.ts';
import { type Launch, type LaunchOptions, launchRunner, MAX_LIFE_MS } from './launch.ts';
import type { LaunchPlaces } from './launch-places.ts';
import { CREATING_MS } from './machine/step.ts';
import { NextJobs } from './next-jobs.ts';
import type { Permit, Permits } from './permits.ts';
import type { EngineOptions, Tenant } from './ports.ts';
import { turnOf } from './replacement.ts';
import type { Resting } from './resting.ts';
import { RUN_PAUSE_MS, type RunLimits, type RunRooms } from './run-limit.ts';
import { type DeliverOptions, deliverJit } from './standby/deliver.ts';
import { canServe, type Pool, type Pools } from './standby/pools.ts';
import type { Verifier } from './verify.ts';

export interface LaunchLoopOptions extends LaunchOptions, Pick<EngineOptions, 'log' | 'tenants'> {
  /** Whether the registration has changed, and not all of its waiting jobs have been admitted anew. */
  readonly isReadmitting: (registration: string) => boolean;
  readonly ledger: LaunchOptions['ledger'] &
    DeliverOptions['ledger'] &
    Pick<Ledger, 'createRunner' | 'runner' | 'runners' | 'waitingJobs'>;
  readonly board: Board;
  readonly permits: Permits;
  readonly places: LaunchPlaces;
  readonly verifier: Verifier;
  /** Lanes with a waiting job whose row cannot be read: what the lane needs is not known. */
  readonly restingLanes: Resting;
  readonly pools: Pools;
  readonly runLimits: Pick<RunLimits, 'rooms'>;
  readonly handOver: DeliverOptions['handOver'];
}

/** A launch that has a name and a slot, and whose row is to be written. */
interface Planned {
  readonly launch: Launch;
  readonly tenant: Tenant;
  readonly row: RunnerRow;
  readonly reason: string;
}

/** What is done for a runner whose row exists. */
type Work = (options: LaunchLoopOptions, tenant: Tenant, launch: Launch) => Promise<void>;

export class LaunchLoop {
  readonly #options: LaunchLoopOptions;
  /** By runner. */
  readonly #launches = new Map<string, Promise<void>>();
  /** Lanes whose next launch waits for something of their own, and when to look again. */
  readonly #blocked = new Map<string, { readonly reason: string; readonly untilMs: number }>();

  constructor(options: LaunchLoopOptions) {
    this.#options = options;
  }

  /** Launches under way. */
  get launching(): number {
    return this.#launches.size;
  }

  /** They never reject. */
  get underWay(): Iterable<Promise<void>> {
    return this.#launches.values();
  }

  /** What the lane's next launch waits for of its own, such as the pause after many launches. */
  blockedBy(laneKey: string): string | undefined {
    const rest = this.#options.restingLanes.get(laneKey);
    return this.#blocked.get(laneKey)?.reason ?? (rest && failureWords(rest.failure));
  }

  unblock(laneKey: string): void {
    this.#blocked.delete(laneKey);
  }

  /** When lanes that wait for something of their own are looked at again, or a place will be free. */
  *nextMs(): Generator<number | undefined> {
    yield this.#options.places.nextFreeMs();
    for (const { untilMs } of this.#blocked.values()) yield untilMs;
    for (const laneKey of this.#resting()) yield this.#options.restingLanes.get(laneKey)?.untilMs;
  }

  /** Launches until no lane may have a further runner. Resolves without waiting for the launches themselves. */
  async run(): Promise<void> {
    const { board, clock, context, permits } = this.#options;
    this.#forgetServed();
    while (context.working()) {
      const now = clock.now();
      for (const [laneKey, { untilMs }] of this.#blocked) if (untilMs <= now) this.#blocked.delete(laneKey);
      const granted = await context.counting.hold(async () => {
        const claimed = await this.#claimParked();
        if (claimed > 0) return claimed;
        const blocked = () => new Set([...this.#blocked.keys(), ...this.#resting()]);
        const before = blocked();
        const grants = await permits.grant(before, (registration) => this.#tenant(registration) !== undefined);
        const planned = await this.#use(grants);
        // Where nothing came of any permit, the next round would be the same.
        return planned > 0 || blocked().difference(before).size > 0 ? grants.length : 0;
      });
      if (granted === 0) return;
      await board.refresh(clock.now());
    }
  }

  *#resting(): Generator<string> {
    const { restingLanes } = this.#options;
    for (const laneKey of restingLanes.keys()) if (restingLanes.has(laneKey)) yield laneKey;
  }

  /** A lane without waiting jobs is not planned again: what it rested for is over. */
  #forgetServed(): void {
    const { board, restingLanes } = this.#options;
    for (const key of [...restingLanes.keys()]) {
      const waits = (board.counts(key)?.demand ?? 0) > 0;
      if (!waits && !restingLanes.has(key)) restingLanes.resume({ kind: 'lane', key });
    }
  }

  /**
   * Launches a runner ahead of its job. False: nothing was begun. The caller holds the lock under which live runners are
   * counted, and has seen to it that there is room.
   */
  async launchAhead(pool: Pool, backends: readonly string[]): Promise<boolean> {
    const { backends: places, board, clock, context, dispatcherId, ledger, permits, random } = this.#options;
    const { isRegistered, maxAgeMs } = pool;
    // Jobs may have made its lane: that it has the same runners was seen to.
    const lane = (isRegistered ? board.counts(pool.lane.key)?.lane : undefined) ?? pool.lane;
    const tenant = this.#tenant(lane.registration);
    if (tenant === undefined || !context.working() || permits.rate.roomOf(tenant.registration) <= 0) return false;
    const now = clock.now();
    const name = `${dispatcherId}-${ulid(now, random)}`;
    const claimed = places.claim(lane, backends, name);
    const common = { runner: name, createdAtMs: now, lane, backends: claimed, aheadMs: maxAgeMs } as const;
    const launch: Launch = isRegistered ? common : { ...common, isParked: true };
    const row = {
      ...rowOf(launch, this.#options.incarnation, null),
      ...(isRegistered
        ? { idleLimitMs: maxAgeMs, jobLimitMs: lane.wish.timeLimitMs ?? null }
        : { standby: 'booting' as const }),
    };
    const [backend] = claimed;
    // The place was found for the first of them.
    if (backend === undefined || backend !== backends[0]) {
      places.release(name);
      return false;
    }
    const kept = isRegistered ? lane : undefined;
    await ledger.createRunner(row, `planned ahead of its job on ${backend}`, kept).catch((error: unknown) => {
      places.release(name);
      throw error;
    });
    this.#begin(tenant, launch);
    return true;
  }

  /**
   * Gives waiting jobs the containers that were started ahead of them: they exist already, so no cap stands in the way.
   * Returns how many.
   */
  async #claimParked(): Promise<number> {
    const { board, holds, permits, places, pools, runLimits } = this.#options;
    const rooms = runLimits.rooms();
    let claimed = 0;
    for (const registration of board.registrationsInNeed()) {
      const own = pools.of(registration).filter(({ isRegistered }) => !isRegistered);
      if (own.length === 0 || this.#tenant(registration) === undefined) continue;
      if (permits.maintenance.isPaused(registration)) continue;
      const ready = await this.#ready(own);
      const free = () => Math.min(places.free(), places.freeOf(places.lineOf(registration)));
      for (const { lane, need } of [...board.lanesInNeed(registration)]) {
        if (ready.length === 0 || free() <= 0) break;
        if (this.#blocked.has(lane.key) || this.#options.restingLanes.has(lane.key)) continue;
        const fitting = ready.filter(({ pool, row }) => canServe(pool, row, lane));
        if (fitting.length === 0) continue;
        const admittance = holds.admittance(lane);
        if (admittance.kind === 'held') continue;
        const most = Math.min(admittance.kind === 'trial' ? 1 : need, free());
        const permitted = Array(Math.min(most, fitting.length)).fill({ lane });
        const jobs = new NextJobs(this.#options.ledger, permitted, () => rooms.besides(lane));
        for (const one of fitting.slice(0, most)) {
          const job = await this.#nextJob(lane, jobs, rooms);
          if (job === undefined) break;
          ready.splice(ready.indexOf(one), 1);
          if (await this.#claim(one.row, lane, job.key)) {
            jobs.recordLaunch(lane.key, job.key);
            rooms.record(lane, job.runId);
            claimed += 1;
          }
        }
      }
    }
    return claimed;
  }

  /** Those whose containers ask for a job now, the oldest first. One that cannot be read is left out; its visits say so. */
  async #ready(pools: readonly Pool[]): Promise<{ readonly pool: Pool; readonly row: RunnerRow }[]> {
    const { handOver, ledger } = this.#options;
    const ready: { readonly pool: Pool; readonly row: RunnerRow }[] = [];
    if (!handOver.isAnyAsking()) return ready;
    for (const pool of pools) {
      const rows = await ledger.runners({ laneKey: pool.lane.key, states: ['parked'] }, () => {});
      for (const row of rows) if (row.standby === 'ready' && handOver.isAsking(row.name)) ready.push({ pool, row });
    }
    return ready.sort((a, b) => a.row.createdAtMs - b.row.createdAtMs);
  }

  async #claim(row: RunnerRow, lane: LaneSpec, jobKey: string): Promise<boolean> {
    const { backends, clock, context, handOver } = this.#options;
    const { backend, createdAtMs, name: runner } = row;
    const tenant = this.#tenant(lane.registration);
    if (tenant === undefined || backend === null || !context.working()) return false;
    // It has started, as those of its pool do.
    const { registration, specHash: ofPool } = row;
    await backends.recordWaiting({ registration, backend, specHash: ofPool, runner });
    backends.release(runner);
    // Before its row says so: from then on its container is to wait for what is made for it.
    handOver.begin(runner);
    const { key: laneKey, labels, runnerGroup, specHash } = lane;
    const after = await context
      .tell(runner, {
        kind: 'claimed',
        jobKey,
        lane: { laneKey, labels, scope: scopePath(lane.scope), runnerGroup, specHash },
        instanceDeadlineAtMs: clock.now() + (lane.wish.timeLimitMs ?? MAX_LIFE_MS),
      })
      .catch((error: unknown) => {
        handOver.end(runner);
        throw error;
      });
    if (after?.state !== 'starting' || after.forJobKey !== jobKey) {
      handOver.end(runner);
      return false;
    }
    this.#begin(tenant, { runner, createdAtMs, lane, backends: [backend] }, deliverJit);
    return true;
  }

  /**
   * Every permit ends in a runner, in a blocked or resting lane, or in a lane that is planned anew: so the loop above
   * ends. The rows are written together; each launch begins when its row has been. Returns how many were planned.
   */
  async #use(permits: readonly Permit[]): Promise<number> {
    const { backends, context, ledger, runLimits } = this.#options;
    const rooms = runLimits.rooms();
    const jobs = new NextJobs(ledger, permits, (lane) => rooms.besides(lane));
    const planned: Planned[] = [];
    const dropAll = () => {
      for (const { launch } of planned) backends.release(launch.runner);
    };
    try {
      for (const permit of permits) {
        if (!context.working()) break;
        const plan = await this.#plan(permit, { jobs, rooms }, planned);
        if (plan !== undefined) planned.push(plan);
      }
    } catch (error) {
      dropAll();
      throw error;
    }
    if (!context.working()) {
      dropAll();
      return 0;
    }
    const written = await Promise.allSettled(planned.map(({ row, reason }) => ledger.createRunner(row, reason)));
    const failures: unknown[] = [];
    for (const [index, { launch, tenant }] of planned.entries()) {
      const outcome = written[index];
      if (outcome?.status === 'rejected') failures.push(outcome.reason);
      // After a stop the rows are left to the next start, which knows that no provider was called.
      if (outcome?.status === 'fulfilled' && context.working()) this.#begin(tenant, launch);
      else backends.release(launch.runner);
    }
    if (failures.length > 0) throw failures[0];
    return planned.length;
  }

  /** Undefined: it launches nothing now. Its lanes may still be those of the registration as it was. */
  #tenant(registration: string): Tenant | undefined {
    const tenant = this.#options.tenants.get(registration);
    if (tenant?.leaving !== undefined || tenant?.registration.observe === true) return undefined;
    return this.#options.isReadmitting(registration) ? undefined : tenant;
  }

  /** Of the lane's jobs the one that may have a runner now. Undefined: the lane is blocked, or rests. */
  async #nextJob(lane: LaneSpec, jobs: NextJobs, rooms: RunRooms): Promise<Waiting | undefined> {
    const { board, clock, restingLanes } = this.#options;
    const now = clock.now();
    await rooms.loadLane(lane);
    const first = await jobs.of(lane.key);
    const may = (one: Waiting) => turnOf(one, now).kind === 'launch' && rooms.mayLaunch(lane, one.runId);
    const job = await jobs.firstWith(lane.key, may);
    const unreadable = jobs.unreadable(lane.key);
    if (unreadable !== undefined) {
      const { key, registration } = lane;
      restingLanes.restUnreadable('lane', { ...unreadable, key, registration }, `the row of its job ${unreadable.key}`);
      return undefined;
    }
    if (restingLanes.get(lane.key) !== undefined) restingLanes.resume({ kind: 'lane', key: lane.key });
    const reason = rooms.whyLaneFull(lane);
    if (first === undefined && reason !== undefined) {
      this.#blocked.set(lane.key, { reason, untilMs: now + RUN_PAUSE_MS });
      return undefined;
    }
    if (first === undefined) {
      this.#blocked.set(lane.key, { reason: 'its jobs are being counted again', untilMs: now + SECOND });
      board.mark(lane.key);
      return undefined;
    }
    const waiting = await jobs.jobsOf(lane.key);
    if (job !== first)
      this.#ask(
        lane,
        waiting.filter(({ runId }) => rooms.mayLaunch(lane, runId)),
      );
    if (job === undefined) {
      this.#block(lane, first, waiting, rooms);
      return undefined;
    }
    return job;
  }

  async #plan(
    permit: Permit,
    { jobs, rooms }: { readonly jobs: NextJobs; readonly rooms: RunRooms },
    planned: readonly Planned[],
  ): Promise<Planned | undefined> {
    const { lane, backends: chosen } = permit;
    const { backends, clock, dispatcherId, permits, random, restingLanes } = this.#options;
    const tenant = this.#tenant(lane.registration);
    if (tenant === undefined || this.#blocked.has(lane.key) || restingLanes.has(lane.key)) return undefined;
    const now = clock.now();
    const job = await this.#nextJob(lane, jobs, rooms);
    if (job === undefined) return undefined;
    const name = `${dispatcherId}-${ulid(now, random)}`;
    const claimed = backends.claim(lane, chosen, name);
    const taken = placesOf(planned, lane.registration);
    const places = await permits.withPlace(lane.registration, claimed, chosen[0], taken).catch((error: unknown) => {
      backends.release(name);
      throw error;
    });
    const [backend] = places;
    if (backend === undefined) {
      backends.release(name);
      const reason = 'another launch tries its backends again, and the others have no place';
      this.#blocked.set(lane.key, { reason, untilMs: now + SECOND });
      return undefined;
    }
    jobs.recordLaunch(lane.key, job.key);
    rooms.record(lane, job.runId);
    // Of a job that has had a runner, the next one uses the stable image; so does one that tests what is closed for it.
    const isFirst = job.planned + job.launches === 0 && !backends.isTest(name);
    const candidate = isFirst ? backends.canaries.draw(tenant.registration, lane, name) : undefined;
    const common = { runner: name, createdAtMs: now, lane, backends: places };
    const launch: Launch = candidate === undefined ? common : { ...common, candidate };
    const reason = `planned for ${job.owner}/${job.repository} job ${job.jobId} on ${backend}`;
    return { launch, tenant, reason, row: rowOf(launch, this.#options.incarnation, job.key) };
  }

  /** None of its jobs may have a runner now. The first one says why; the lane is looked at again for the earliest. */
  #block(lane: LaneSpec, first: Waiting, waiting: readonly Waiting[], rooms: RunRooms): void {
    const now = this.#options.clock.now();
    const turn = turnOf(first, now);
    const asked = 'GitHub is asked whether its oldest job still waits';
    const reason = turn.kind === 'wait' ? turn.reason : (rooms.whyFull(lane.registration, first.runId) ?? asked);
    const untilMs = waiting.map((job) => {
      if (!rooms.mayLaunch(lane, job.runId)) return now + RUN_PAUSE_MS;
      const other = turnOf(job, now);
      return other.kind === 'wait' ? other.untilMs : now + SECOND;
    });
    this.#blocked.set(lane.key, { reason, untilMs: Math.min(...untilMs) });
  }

  /** The first job that has to be read; where it cannot be, GitHub may answer for the next one's repository. */
  #ask(lane: LaneSpec, waiting: readonly Waiting[]): void {
    const { clock, verifier } = this.#options;
    const job = waiting.find((one) => turnOf(one, clock.now()).kind === 'verify' && !verifier.isResting(one.key));
    if (job !== undefined) verifier.ask(job.key, lane.registration, 'launch');
  }

  #begin(tenant: Tenant, launch: Launch, work: Work = launchRunner): void {
    const { board, permits, places } = this.#options;
    board.mark(launch.lane.key);
    places.take(launch.runner, launch.lane.registration, launch.aheadMs !== undefined);
    // A parked container was counted when it was launched.
    if (work === launchRunner) permits.rate.recordLaunch(launch.lane.registration);
    this.#launches.set(launch.runner, this.#launch(tenant, launch, work));
  }

  /** Never rejects. */
  async #launch(tenant: Tenant, launch: Launch, work: Work): Promise<void> {
    const { context, log, places } = this.#options;
    try {
      await work(this.#options, tenant, launch);
    } catch (error) {
      if (!context.ledgerFailed(error)) {
        log.error('launch-broken', { runner: launch.runner, error });
        await this.#abandon(launch.runner, error);
      }
    } finally {
      this.#launches.delete(launch.runner);
      places.release(launch.runner);
      await this.#releaseUnstarted(launch.runner);
      context.replanLane(launch.lane.key);
      context.wake();
    }
  }

  /** What it left behind is unknown. If not even that can be recorded, its deadline handles it. */
  async #abandon(name: string, cause: unknown): Promise<void> {
    const { clock, context, log } = this.#options;
    try {
      await context.tell(name, { kind: 'launch-abandoned', failure: defectFailure(cause, clock.now()) });
    } catch (error) {
      if (!context.ledgerFailed(error)) log.error('launch-not-recorded', { runner: name, error });
    }
  }

  /** A runner whose container starts keeps testing the image; any other has reported its result. */
  async #releaseUnstarted(name: string): Promise<void> {
    const { backends, ledger } = this.#options;
    const runner = await ledger.runner(name).catch(() => undefined);
    const starts = runner?.state === 'starting' || runner?.state === 'parked';
    if (!starts) backends.release(name);
  }
}

/** How many of a registration's places were taken by rows that are not written yet, by backend. */
function placesOf(planned: readonly Planned[], registration: string): ReadonlyMap<string, number> {
  const places = new Map<string, number>();
  for (const { launch } of planned) {
    const [backend] = launch.backends;
    if (launch.lane.registration !== registration || backend === undefined) continue;
    places.set(backend, (places.get(backend) ?? 0) + 1);
  }
  return places;
}

function rowOf(
  { backends, createdAtMs, lane, runner }: Launch,
  incarnation: string,
  forJobKey: string | null,
): RunnerRow {
  return newRunner({
    name: runner,
    registration: lane.registration,
    host: lane.host,
    scope: scopePath(lane.scope),
    runnerGroup: lane.runnerGroup,
    laneKey: lane.key,
    labels: lane.labels,
    specHash: lane.specHash,
    state: 'creating',
    createdAtMs,
    deadlineAtMs: createdAtMs + CREATING_MS,
    nextCheckAtMs: createdAtMs + CREATING_MS,
    incarnation,
    backend: backends[0] ?? null,
    instanceDeadlineAtMs: createdAtMs + MAX_LIFE_MS,
    forJobKey,
  });
}
