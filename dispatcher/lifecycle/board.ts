/**
 * The active lanes, as last read from the ledger, and the result of planning them. Only lanes marked dirty are
 * read again, and only the pools that they belong to are planned again.
 */
import type { LaneSpec } from '../jobs/lane.ts';
import { scopePath } from '../jobs/scope.ts';
import type { LaneCounts, Ledger, RunnerRow, UnreadableRow } from '../ledger/ledger.ts';
import { balanceOf, type LaneFacts, planPool } from './planner.ts';
import type { Resting } from './resting.ts';

interface BoardLane {
  readonly counts: LaneCounts;
  readonly facts: LaneFacts;
  readonly pool: string;
}

/** Lanes that can serve each other's jobs. Most are balanced, and planning need not look at them. */
interface Pool {
  readonly lanes: Set<string>;
  /** Those with too few runners, and those with too many. */
  readonly uneven: Set<string>;
  readonly spare: Set<string>;
  /** One lane's surplus may have served another at the last plan: then the need of that one depends on it. */
  lends: boolean;
}

export interface LaneNeed {
  readonly lane: LaneSpec;
  readonly need: number;
}

const LANES_A_READ = 500;
/** GitHub's list says "busy" before the job's `in_progress` arrives; if nothing comes, the job is not one of ours. */
const SUPPOSED_MS = 2 * 60_000;

type SupposedRunner = Pick<RunnerRow, 'name' | 'laneKey' | 'registration'>;

interface Supposed {
  readonly laneKey: string;
  readonly registration: string;
  readonly untilMs: number;
}

export class Board {
  readonly #ledger: Pick<Ledger, 'laneCounts'>;
  /** Lanes whose rows cannot be read: they are left out. A job that is admitted to one writes its row anew. */
  readonly #resting: Resting;
  readonly #dirty = new Set<string>();
  readonly #lanes = new Map<string, BoardLane>();
  readonly #pools = new Map<string, Pool>();
  /** By registration, then lane, in the order in which the lanes began to need runners. */
  readonly #needs = new Map<string, Map<string, number>>();
  readonly #surplus = new Map<string, { readonly count: number; readonly sinceMs: number }>();
  readonly #outdated = new Set<string>();
  /** How many runners are to wait in a lane without a job, and how many do. */
  readonly #warm = new Map<string, number>();
  readonly #idle = new Map<string, number>();
  /** Busy runners without a known job. */
  readonly #supposed = new Map<string, Supposed>();

  constructor(ledger: Pick<Ledger, 'laneCounts'>, resting: Resting) {
    this.#ledger = ledger;
    this.#resting = resting;
  }

  mark(laneKey: string): void {
    this.#dirty.add(laneKey);
  }

  /** So many runners are to wait in the lane without a job, from the next refresh on. */
  setWarm(laneKey: string, count: number): void {
    if ((this.#warm.get(laneKey) ?? 0) === count) return;
    if (count > 0) this.#warm.set(laneKey, count);
    else this.#warm.delete(laneKey);
    this.#dirty.add(laneKey);
  }

  /** How many runners of a lane with `setWarm` no job needs, as of the last refresh. */
  idle(laneKey: string): number {
    return this.#idle.get(laneKey) ?? 0;
  }

  /** Whether GitHub would give a further runner of the lane to a job that waits for one, of this lane or of one with fewer labels. */
  isWanted(laneKey: string): boolean {
    const lane = this.#lanes.get(laneKey);
    if (lane === undefined) return false;
    const uneven = this.#pools.get(lane.pool)?.uneven ?? [];
    for (const key of uneven) {
      const other = this.#lanes.get(key);
      if (other === undefined || this.need(other.counts.lane) === 0) continue;
      if (other.facts.labels.isSubsetOf(lane.facts.labels)) return true;
    }
    return false;
  }

  /** GitHub lists the runner as busy, and no fact names its job yet. */
  supposeBusy({ name, laneKey, registration }: SupposedRunner, nowMs: number): void {
    if (!this.#supposed.has(name)) this.#supposed.set(name, { laneKey, registration, untilMs: nowMs + SUPPOSED_MS });
  }

  /** Its job is known, or it has ended. */
  supposeNoMore(runner: string): void {
    this.#supposed.delete(runner);
  }

  /** When the first of them is no longer supposed to run a job of its lane. */
  nextSupposedEndMs(): number | undefined {
    let next: number | undefined;
    for (const { untilMs } of this.#supposed.values()) if (next === undefined || untilMs < next) next = untilMs;
    return next;
  }

  /** Reads the dirty lanes, and plans their pools again. */
  async refresh(nowMs: number): Promise<void> {
    for (const [runner, { laneKey, untilMs }] of this.#supposed) {
      if (untilMs > nowMs) continue;
      this.#supposed.delete(runner);
      this.#dirty.add(laneKey);
    }
    for (const key of this.#resting.keys()) if (!this.#resting.has(key)) this.#dirty.add(key);
    while (this.#dirty.size > 0) {
      const keys = [...this.#dirty].slice(0, LANES_A_READ);
      for (const key of keys) this.#dirty.delete(key);
      const unreadable = new Map<string, UnreadableRow>();
      const read = await this.#ledger
        .laneCounts(keys, (row) => void unreadable.set(row.key, row))
        .catch((error: unknown) => {
          for (const key of keys) this.#dirty.add(key);
          throw error;
        });
      const changed = new Map<string, string[]>();
      const found = new Map(read.map((counts) => [counts.lane.key, counts]));
      for (const key of keys) {
        this.#restOrResume(key, unreadable.get(key));
        const pool = this.#place(key, found.get(key));
        if (pool === undefined) continue;
        const known = changed.get(pool);
        if (known === undefined) changed.set(pool, [key]);
        else known.push(key);
      }
      for (const [pool, lanes] of changed) this.#plan(pool, lanes, nowMs);
    }
  }

  counts(laneKey: string): LaneCounts | undefined {
    return this.#lanes.get(laneKey)?.counts;
  }

  *lanesOf(registration: string): Generator<LaneSpec> {
    for (const { counts } of this.#lanes.values()) if (counts.lane.registration === registration) yield counts.lane;
  }

  need(lane: Pick<LaneSpec, 'key' | 'registration'>): number {
    return this.#needs.get(lane.registration)?.get(lane.key) ?? 0;
  }

  registrationsInNeed(): readonly string[] {
    return [...this.#needs.keys()];
  }

  *lanesInNeed(registration: string): Generator<LaneNeed> {
    for (const [key, need] of this.#needs.get(registration) ?? []) {
      const lane = this.#lanes.get(key);
      if (lane !== undefined) yield { lane: lane.counts.lane, need };
    }
  }

  /** Lanes with runners that have no job, needed or not, and how many. */
  *supply(): Generator<{ readonly lane: LaneSpec; readonly count: number }> {
    for (const { counts, facts } of this.#lanes.values()) {
      const count = facts.supply + counts.outdated;
      if (count > 0) yield { lane: counts.lane, count };
    }
  }

  /** Lanes with surplus runners since `beforeMs` or longer. */
  *surplusSince(beforeMs: number): Generator<{ readonly laneKey: string; readonly count: number }> {
    for (const [laneKey, { count, sinceMs }] of this.#surplus) if (sinceMs <= beforeMs) yield { laneKey, count };
  }

  /** When the oldest surplus began. */
  firstSurplusMs(): number | undefined {
    let first: number | undefined;
    for (const { sinceMs } of this.#surplus.values()) if (first === undefined || sinceMs < first) first = sinceMs;
    return first;
  }

  outdatedLanes(): Iterable<string> {
    return this.#outdated;
  }

  /** Registrations with a waiting job or a runner without one. The ledger knows those with busy runners. */
  registrationsInUse(): ReadonlySet<string> {
    const names = new Set<string>();
    for (const { counts } of this.#lanes.values()) names.add(counts.lane.registration);
    return names;
  }

  /** Where they register. */
  scopes(registration: string): ReadonlySet<string> {
    const scopes = new Set<string>();
    for (const { counts } of this.#lanes.values()) {
      if (counts.lane.registration === registration) scopes.add(scopePath(counts.lane.scope));
    }
    return scopes;
  }

  #place(key: string, counts: LaneCounts | undefined): string | undefined {
    const before = this.#lanes.get(key);
    const supply = counts === undefined ? 0 : counts.creating + counts.starting + counts.online;
    const warm = this.#warm.get(key) ?? 0;
    if (counts === undefined || (counts.demand === 0 && supply === 0 && counts.outdated === 0 && warm === 0)) {
      if (before === undefined) return undefined;
      this.#remove(key, before);
      return before.pool;
    }
    const pool = `${counts.lane.host} ${scopePath(counts.lane.scope)} ${counts.lane.runnerGroup}`;
    // Its scope may be spelt otherwise since the start: the key does not tell, and its row is the old one until it is settled.
    if (before !== undefined && before.pool !== pool) this.#remove(key, before);
    const labels = before?.facts.labels ?? new Set(counts.lane.labels.map((label) => label.toLowerCase()));
    let supposed = 0;
    for (const { laneKey, registration } of this.#supposed.values()) {
      // An adopted runner's lane comes from tags that its tenant controls.
      if (laneKey === key && registration === counts.lane.registration) supposed += 1;
    }
    this.#lanes.set(key, { counts, pool, facts: { key, labels, demand: counts.demand, supply, supposed, warm } });
    const members = this.#pools.get(pool) ?? { lanes: new Set(), uneven: new Set(), spare: new Set(), lends: false };
    members.lanes.add(key);
    this.#pools.set(pool, members);
    if (counts.outdated > 0) this.#outdated.add(key);
    else this.#outdated.delete(key);
    return pool;
  }

  #restOrResume(key: string, unreadable: UnreadableRow | undefined): void {
    if (unreadable !== undefined) this.#resting.restUnreadable('lane', unreadable);
    else if (this.#resting.get(key) !== undefined) this.#resting.resume({ kind: 'lane', key });
  }

  #remove(key: string, lane: BoardLane): void {
    this.#lanes.delete(key);
    this.#surplus.delete(key);
    this.#outdated.delete(key);
    this.#idle.delete(key);
    this.#setNeed(lane.counts.lane, 0);
    const members = this.#pools.get(lane.pool);
    if (members === undefined) return;
    for (const lanes of [members.lanes, members.uneven, members.spare]) lanes.delete(key);
    if (members.lanes.size === 0) this.#pools.delete(lane.pool);
  }

  /** If no lane lends to another, only what changed has to be planned again. */
  #plan(name: string, changed: readonly string[], nowMs: number): void {
    const pool = this.#pools.get(name);
    if (pool === undefined) return;
    for (const key of changed) {
      const balance = balanceOf(this.#lanes.get(key)?.facts);
      set(pool.uneven, key, balance !== 0);
      set(pool.spare, key, balance > 0);
    }
    const lends = pool.spare.size > 0 && pool.uneven.size > pool.spare.size;
    const all = lends || pool.lends;
    pool.lends = lends;
    const keys = all ? new Set([...pool.uneven, ...changed]) : changed;
    const lanes = [...keys].flatMap((key) => this.#lanes.get(key) ?? []);
    const plan = planPool(lanes.map(({ facts }) => facts));
    for (const { counts } of lanes) {
      const { lane } = counts;
      this.#setNeed(lane, plan.needs.get(lane.key) ?? 0);
      const idle = plan.idle.get(lane.key);
      if (idle === undefined) this.#idle.delete(lane.key);
      else this.#idle.set(lane.key, idle);
      const count = plan.surplus.get(lane.key) ?? 0;
      const before = this.#surplus.get(lane.key);
      if (count === 0) this.#surplus.delete(lane.key);
      else this.#surplus.set(lane.key, { count, sinceMs: before?.sinceMs ?? nowMs });
    }
  }

  #setNeed(lane: LaneSpec, need: number): void {
    const line = this.#needs.get(lane.registration);
    if (need > 0) {
      if (line === undefined) this.#needs.set(lane.registration, new Map([[lane.key, need]]));
      else line.set(lane.key, need);
      return;
    }
    if (line?.delete(lane.key) && line.size === 0) this.#needs.delete(lane.registration);
  }
}

function set(members: Set<string>, key: string, isMember: boolean): void {
  if (isMember) members.add(key);
  else members.delete(key);
}
