/** Which lanes may launch now, and why the others wait. A cap counts every runner that may have an instance. */
import type { LaneSpec } from '../jobs/lane.ts';
import type { Ledger } from '../ledger/ledger.ts';
import type { Backends } from './backends.ts';
import type { Board } from './board.ts';
import type { Holds } from './holds.ts';
import type { LaunchPlaces } from './launch-places.ts';
import { LaunchRate } from './launch-rate.ts';
import { Maintenance } from './maintenance.ts';
import type { Pauses } from './pauses.ts';
import { allot, type Grant, inTurn, type Request } from './planner.ts';
import type { EngineOptions } from './ports.ts';
import { type Share, type ShareSource, Shares, sharesOf } from './shares.ts';
import type { Obstacles } from './wait-reason.ts';

export interface Permit {
  readonly lane: LaneSpec;
  readonly backends: readonly string[];
}

/** Lanes of one registration looked at in a pass; those behind them come when these have been served. */
export const LANES_A_PASS = 1000;

export interface PermitsOptions
  extends Pick<EngineOptions, 'clock' | 'maxLaunches' | 'maxRunners' | 'random' | 'tenants'> {
  readonly ledger: Pick<Ledger, 'liveCounts'>;
  /** Absent: nothing is ever paused. */
  readonly pauses?: Pick<Pauses, 'of'>;
}

export class Permits {
  readonly maintenance: Maintenance;
  readonly rate: LaunchRate;
  readonly #options: PermitsOptions;
  #limits: Pick<PermitsOptions, 'maxLaunches' | 'maxRunners'>;
  readonly #places: LaunchPlaces;
  readonly #board: Board;
  readonly #backends: Backends;
  readonly #holds: Holds;
  /** By tenant, in the order in which they were last served: the registration that was. */
  readonly #served = new Map<string, string>();
  /** Registrations of which a launch of this pass took a place that was not reserved for it. */
  readonly #displaced = new Set<string>();
  /** As configured. Null: to be read. */
  #shares: ReadonlyMap<string, Share> | undefined | null = null;

  constructor(options: PermitsOptions, places: LaunchPlaces, board: Board, backends: Backends, holds: Holds) {
    this.maintenance = new Maintenance(options);
    this.rate = new LaunchRate(options);
    this.#options = options;
    this.#limits = options;
    this.#places = places;
    this.#board = board;
    this.#backends = backends;
    this.#holds = holds;
  }

  resize(limits: Pick<PermitsOptions, 'maxLaunches' | 'maxRunners'>): void {
    this.#limits = limits;
    this.#shares = null;
  }

  /** Undefined: nobody has a reservation or weight. */
  async shares(): Promise<Shares | undefined> {
    return this.#sharesOver(await this.#liveRunners());
  }

  /**
   * `blocked` holds the lanes that wait for something of their own, such as a GET of their job; `mayLaunch`, whether a
   * registration launches anything now.
   */
  async grant(
    blocked: ReadonlySet<string>,
    mayLaunch: (registration: string) => boolean = () => true,
  ): Promise<readonly Permit[]> {
    this.#displaced.clear();
    const needy = this.#board.registrationsInNeed();
    if (needy.length === 0) return [];
    const live = await this.#liveRunners();
    const total = Math.min(this.#limits.maxRunners - live.total, this.#places.free());
    const lines = new Map<string, readonly Request[]>();
    const lanes = new Map<string, LaneSpec>();
    const byRegistration = new Map<string, number>();
    const byLine = new Map<string, number>();
    const lineOf = (name: string) => this.#places.lineOf(name);
    const byBackend = new Map<string, number>();
    for (const name of needy) {
      const { leaving, registration } = this.#options.tenants.get(name) ?? {};
      const room = (registration?.maxRunners ?? 0) - (live.byRegistration.get(name)?.count ?? 0);
      if (registration === undefined || room <= 0 || total <= 0) continue;
      if (leaving !== undefined || !mayLaunch(name)) continue;
      if (await this.maintenance.holds(name)) continue;
      byRegistration.set(name, Math.min(room, this.rate.ofRegistration(registration)));
      byLine.set(lineOf(name), Math.min(this.#places.freeOf(lineOf(name)), this.rate.ofTenant(registration)));
      for (const backend of registration.backends) {
        const key = `${name}/${backend.name}`;
        const free = backend.maxRunners - (live.byBackend.get(key)?.count ?? 0);
        byBackend.set(key, Math.max(0, Math.min(free, this.#backends.launchRoom(name, backend.name))));
      }
      lines.set(name, this.#line(name, Math.min(room, total), blocked, lanes, byBackend));
    }
    const grants = allot(
      lines,
      { total, byRegistration, byLine, lineOf, byBackend },
      this.#served,
      this.#sharesOver(live),
    );
    for (const { registration } of grants) {
      const line = lineOf(registration);
      this.#served.delete(line);
      this.#served.set(line, registration);
    }
    return grants.flatMap((grant) => permitOf(grant, lanes));
  }

  /**
   * Of the backends that a launch may try, those from the first one on that has a place for it. A permit reserves a place
   * at `reserved` alone: where that has gone to another launch meanwhile, it takes one elsewhere, which may be full, or
   * reserved for a later permit of the same pass. `taken` counts the places of this pass whose rows are not written yet.
   */
  async withPlace(
    registration: string,
    backends: readonly string[],
    reserved: string | undefined,
    taken: ReadonlyMap<string, number>,
  ): Promise<readonly string[]> {
    if (backends[0] === reserved && !this.#displaced.has(registration)) return backends;
    this.#displaced.add(registration);
    const { byBackend } = await this.#liveRunners();
    const configured = this.#options.tenants.get(registration)?.registration.backends ?? [];
    const first = backends.findIndex((name) => {
      const cap = configured.find((backend) => backend.name === name)?.maxRunners ?? 0;
      return (byBackend.get(`${registration}/${name}`)?.count ?? 0) + (taken.get(name) ?? 0) < cap;
    });
    return first < 0 ? [] : backends.slice(first);
  }

  /** What may keep a lane's next runner from being launched, as it is now. */
  async obstacles(lane: LaneSpec): Promise<Omit<Obstacles, 'own'>> {
    return await this.#obstacles(lane, await this.#liveRunners());
  }

  /** As `obstacles`, of each: however many there are, what runs is counted once. */
  async obstaclesOf(lanes: readonly LaneSpec[]): Promise<readonly Omit<Obstacles, 'own'>[]> {
    if (lanes.length === 0) return [];
    const live = await this.#liveRunners();
    return await Promise.all(lanes.map((lane) => this.#obstacles(lane, live)));
  }

  async #obstacles(lane: LaneSpec, live: LiveRunners): Promise<Omit<Obstacles, 'own'>> {
    const { leaving, registration } = this.#options.tenants.get(lane.registration) ?? {};
    const maintenance = await this.maintenance.reason(lane.registration);
    const rate = registration === undefined ? undefined : this.rate.reason(registration);
    const admittance = this.#holds.admittance(lane);
    const { open, closed } = this.#backends.usable(lane);
    const none = { count: 0, draining: 0 };
    const max = this.#limits.maxLaunches;
    const line = this.#places.lineOf(lane.registration);
    const shares = this.#sharesOver(live);
    const kept =
      shares === undefined || shares.roomOf(line, lane.registration) > 0 ? 0 : shares.keptFrom(line, lane.registration);
    return {
      configured: registration !== undefined && leaving === undefined,
      ...(maintenance === undefined ? {} : { maintenance }),
      ...(rate === undefined ? {} : { rate }),
      github: admittance.kind === 'held' ? admittance.reason : undefined,
      closed: open.length > 0 ? undefined : closed,
      registration: { ...(live.byRegistration.get(lane.registration) ?? none), max: registration?.maxRunners ?? 0 },
      dispatcher: { count: live.total, draining: live.draining, max: this.#limits.maxRunners },
      ...(kept === 0 ? {} : { kept }),
      backends: open.map((name) => ({
        name,
        ...(live.byBackend.get(`${lane.registration}/${name}`) ?? none),
        max: registration?.backends.find((backend) => backend.name === name)?.maxRunners ?? 0,
        launching: this.#backends.launchRoom(lane.registration, name) === 0,
      })),
      launches: { count: max - Math.min(this.#places.free(), this.#places.freeOf(line)), max },
    };
  }

  #sharesOver(live: Pick<LiveRunners, 'total' | 'byRegistration'>): Shares | undefined {
    if (this.#shares === null) this.#shares = sharesOf(this.#shareSources());
    if (this.#shares === undefined) return undefined;
    const held = new Map<string, number>();
    const heldBy = new Map<string, number>();
    for (const [name, { count }] of live.byRegistration) {
      const line = this.#places.lineOf(name);
      held.set(line, (held.get(line) ?? 0) + count);
      heldBy.set(name, count);
    }
    return new Shares(this.#shares, this.#limits.maxRunners - live.total, held, heldBy);
  }

  *#shareSources(): Generator<ShareSource> {
    for (const [name, { leaving, registration }] of this.#options.tenants) {
      if (leaving !== undefined || registration.observe === true) continue;
      const { grant, reservedRunners: reserved, weight } = registration;
      const ofLine =
        grant === undefined ? { reserved, weight } : { reserved: grant.reservedRunners, weight: grant.weight };
      yield { line: this.#places.lineOf(name), registration: name, reserved, ofLine };
    }
  }

  /** As long as its needs are below `room`: what stands behind comes to nothing in this pass. */
  #line(
    name: string,
    room: number,
    blocked: ReadonlySet<string>,
    lanes: Map<string, LaneSpec>,
    byBackend: ReadonlyMap<string, number>,
  ): readonly Request[] {
    const line: Request[] = [];
    const trials = new Set<string>();
    const weights = new Map<string, number>();
    for (const { name: backend, weight } of this.#options.tenants.get(name)?.registration.backends ?? []) {
      if (weight !== undefined) weights.set(backend, weight);
    }
    let asked = 0;
    for (const { lane, need } of this.#board.lanesInNeed(name)) {
      if (line.length >= LANES_A_PASS || asked >= room) break;
      if (blocked.has(lane.key)) continue;
      const { open } = this.#backends.usable(lane);
      if (open.every((backend) => (byBackend.get(`${name}/${backend}`) ?? 0) === 0)) continue;
      const admittance = this.#holds.admittance(lane);
      if (admittance.kind === 'held') continue;
      const onTrial = admittance.kind === 'trial';
      if (onTrial) {
        if (admittance.keys.some((key) => trials.has(key))) continue;
        for (const key of admittance.keys) trials.add(key);
      }
      lanes.set(lane.key, lane);
      asked += onTrial ? 1 : need;
      line.push({ laneKey: lane.key, need: onTrial ? 1 : need, backends: inTurn(open, weights, this.#options.random) });
    }
    return line;
  }

  async #liveRunners(): Promise<LiveRunners> {
    let total = 0;
    let ending = 0;
    const byRegistration = new Map<string, Live>();
    const byBackend = new Map<string, Live>();
    for (const { registration, backend, count, draining } of await this.#options.ledger.liveCounts()) {
      total += count;
      ending += draining;
      add(byRegistration, registration, { count, draining });
      add(byBackend, `${registration}/${backend ?? ''}`, { count, draining });
    }
    return { total, draining: ending, byRegistration, byBackend };
  }
}

interface LiveRunners {
  readonly total: number;
  readonly draining: number;
  readonly byRegistration: ReadonlyMap<string, Live>;
  readonly byBackend: ReadonlyMap<string, Live>;
}

interface Live {
  readonly count: number;
  readonly draining: number;
}

function add(to: Map<string, Live>, key: string, live: Live): void {
  const before = to.get(key);
  to.set(key, { count: (before?.count ?? 0) + live.count, draining: (before?.draining ?? 0) + live.draining });
}

function permitOf(grant: Grant, lanes: ReadonlyMap<string, LaneSpec>): readonly Permit[] {
  const lane = lanes.get(grant.laneKey);
  return lane === undefined ? [] : [{ lane, backends: grant.backends }];
}
