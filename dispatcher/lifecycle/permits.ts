/** Who may launch now, and in words why the others may not. A cap counts every runner that may have an instance. */
import type { LaneSpec } from '../admission/lane.ts';
import type { Ledger } from '../ledger/ledger.ts';
import type { Backends } from './backends.ts';
import type { Board } from './board.ts';
import type { Holds } from './holds.ts';
import { allot, type Grant, inTurn, type Request } from './planner.ts';
import type { EngineOptions } from './ports.ts';

export interface Permit {
  readonly lane: LaneSpec;
  readonly backends: readonly string[];
}

/** Lanes of one registration looked at in a pass; those behind them come when these have been served. */
const LANES_A_PASS = 1000;

export class Permits {
  readonly #options: Pick<EngineOptions, 'tenants' | 'random' | 'maxRunners' | 'maxLaunches'>;
  readonly #ledger: Pick<Ledger, 'liveCounts'>;
  readonly #board: Board;
  readonly #backends: Backends;
  readonly #holds: Holds;
  #served: string | undefined;
  /** Why a registration's lanes wait; a lane's own obstacles are told by `reason`. */
  #waits = new Map<string, string>();

  constructor(options: EngineOptions, board: Board, backends: Backends, holds: Holds) {
    this.#options = options;
    this.#ledger = options.ledger;
    this.#board = board;
    this.#backends = backends;
    this.#holds = holds;
  }

  /** `blocked` names lanes that wait for something of their own, such as a GET of their job. */
  async grant(launching: number, blocked: ReadonlyMap<string, string>): Promise<readonly Permit[]> {
    const needy = this.#board.registrationsInNeed();
    this.#waits = new Map();
    if (needy.length === 0) return [];
    const live = await this.#liveRunners();
    const unknown = this.#unknownRunners(live.byRegistration);
    const total = Math.min(this.#options.maxRunners - live.total - unknown, this.#options.maxLaunches - launching);
    const lines = new Map<string, readonly Request[]>();
    const lanes = new Map<string, LaneSpec>();
    const byRegistration = new Map<string, number>();
    const byBackend = new Map<string, number>();
    for (const name of needy) {
      const registration = this.#options.tenants.get(name)?.registration;
      if (registration === undefined) {
        this.#waits.set(name, 'its registration is not in the configuration');
        continue;
      }
      const held = this.#holds.reason(name);
      const room = registration.maxRunners - (live.byRegistration.get(name) ?? 0);
      if (held !== undefined) this.#waits.set(name, held);
      else if (room <= 0) this.#waits.set(name, `the registration is at its cap of ${registration.maxRunners} runners`);
      else if (total <= 0) this.#waits.set(name, this.#atTheTop(live.total));
      if (this.#waits.has(name)) continue;
      byRegistration.set(name, room);
      for (const backend of registration.backends) {
        const key = `${name}/${backend.name}`;
        const free = backend.maxRunners - (live.byBackend.get(key) ?? 0);
        byBackend.set(key, Math.max(0, Math.min(free, this.#backends.launchRoom(name, backend.name))));
      }
      lines.set(name, this.#line(name, blocked, lanes));
    }
    const grants = allot(lines, { total, byRegistration, byBackend }, this.#served);
    this.#served = grants.at(-1)?.registration ?? this.#served;
    return grants.flatMap((grant) => permitOf(grant, lanes));
  }

  reason(lane: LaneSpec): string {
    const wait = this.#waits.get(lane.registration);
    if (wait !== undefined) return wait;
    const { open, closed } = this.#backends.usable(lane);
    if (open.length === 0) {
      const words = closed.map(({ backend, reason }) => `${backend}: ${reason}`).join('; ');
      return closed.length === 0 ? 'no backend serves it' : `no backend can be tried now (${words})`;
    }
    return 'next in line: waits for a free place among the launches and runners of its backends';
  }

  #line(name: string, blocked: ReadonlyMap<string, string>, lanes: Map<string, LaneSpec>): readonly Request[] {
    const line: Request[] = [];
    const weights = new Map<string, number>();
    for (const { name: backend, weight } of this.#options.tenants.get(name)?.registration.backends ?? []) {
      if (weight !== undefined) weights.set(backend, weight);
    }
    for (const { lane, need } of this.#board.hungry(name)) {
      if (line.length >= LANES_A_PASS) break;
      if (blocked.has(lane.key)) continue;
      const { open } = this.#backends.usable(lane);
      if (open.length === 0) continue;
      lanes.set(lane.key, lane);
      line.push({ laneKey: lane.key, need, backends: inTurn(open, weights, this.#options.random) });
    }
    return line;
  }

  /** What a registration that has not been listed may have running, at the most, beyond what the ledger knows. */
  #unknownRunners(live: ReadonlyMap<string, number>): number {
    let unknown = 0;
    for (const name of this.#backends.unknown()) {
      const cap = this.#options.tenants.get(name)?.registration.maxRunners ?? 0;
      unknown += Math.max(0, cap - (live.get(name) ?? 0));
    }
    return unknown;
  }

  #atTheTop(live: number): string {
    if (this.#backends.unknown().length > 0) return 'what runs for other registrations has not been listed yet';
    return live >= this.#options.maxRunners
      ? `the dispatcher is at its cap of ${this.#options.maxRunners} runners`
      : `${this.#options.maxLaunches} launches are under way, the most at once`;
  }

  async #liveRunners(): Promise<{
    readonly total: number;
    readonly byRegistration: ReadonlyMap<string, number>;
    readonly byBackend: ReadonlyMap<string, number>;
  }> {
    let total = 0;
    const byRegistration = new Map<string, number>();
    const byBackend = new Map<string, number>();
    for (const { registration, backend, count } of await this.#ledger.liveCounts()) {
      total += count;
      byRegistration.set(registration, (byRegistration.get(registration) ?? 0) + count);
      const key = `${registration}/${backend ?? ''}`;
      byBackend.set(key, (byBackend.get(key) ?? 0) + count);
    }
    return { total, byRegistration, byBackend };
  }
}

function permitOf(grant: Grant, lanes: ReadonlyMap<string, LaneSpec>): readonly Permit[] {
  const lane = lanes.get(grant.laneKey);
  return lane === undefined ? [] : [{ lane, backends: grant.backends }];
}
