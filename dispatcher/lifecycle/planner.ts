/** How many runners each lane needs, and which may have one now. Pure: the same facts always give the same result. */
import type { Shares } from './shares.ts';

/** One lane of a pool: its lanes share GitHub host, scope and runner group, so labels alone tell who can serve whom. */
export interface LaneFacts {
  readonly key: string;
  /** Case folded, without doubles. */
  readonly labels: ReadonlySet<string>;
  readonly demand: number;
  /** Unbound runners of the lane's present spec, from `creating` to `online`. */
  readonly supply: number;
  /** Runners of the lane that GitHub calls busy before a job names them: probably one that still counts as waiting. */
  readonly supposed: number;
  /** How many runners are to wait there without a job. Absent: none. */
  readonly warm?: number;
}

/**
 * How many runners a lane has too many, or, negative, too few. 0 for a lane that is gone: it has no part in its pool's
 * plan.
 */
export function balanceOf(lane: LaneFacts | undefined): number {
  if (lane === undefined) return 0;
  const balance = lane.supply - lane.demand;
  return balance > 0 ? balance : Math.min(0, balance + lane.supposed);
}

export interface PoolPlan {
  /** Lanes that need runners, and how many. */
  readonly needs: ReadonlyMap<string, number>;
  /** Lanes with more runners than jobs and `warm` need, and how many. */
  readonly surplus: ReadonlyMap<string, number>;
  /** Of each lane with `warm`: how many of its runners no job needs. */
  readonly idle: ReadonlyMap<string, number>;
}

/**
 * `need = demand − free supply`, where the free supply includes what lanes with more labels have left over:
 * GitHub hands their runners these jobs too. Each runner is credited once. Those that wait without a job serve jobs as all
 * others do: what a lane lacks of them then is `warm − idle`.
 */
export function planPool(lanes: readonly LaneFacts[]): PoolPlan {
  const needs = new Map<string, number>();
  const surplus = new Map<string, number>();
  const spare: { readonly lane: LaneFacts; left: number }[] = [];
  const short: { readonly lane: LaneFacts; missing: number }[] = [];
  for (const lane of lanes) {
    const balance = balanceOf(lane);
    if (balance > 0) spare.push({ lane, left: balance });
    else if (balance < 0) short.push({ lane, missing: -balance });
  }
  if (spare.length > 0 && short.length > 0) {
    // The lanes with the most labels have the fewest others to borrow from: they choose first. Among the lenders, the
    // one with the fewest labels goes first, because the larger ones can help more lanes. Among equals the key decides:
    // part of a pool is planned as it would be in a plan of the whole.
    short.sort((a, b) => b.lane.labels.size - a.lane.labels.size || byKey(a.lane, b.lane));
    spare.sort((a, b) => a.lane.labels.size - b.lane.labels.size || byKey(a.lane, b.lane));
    for (const borrower of short) {
      for (const lender of spare) {
        if (borrower.missing === 0) break;
        if (lender.left === 0 || !borrower.lane.labels.isSubsetOf(lender.lane.labels)) continue;
        const credited = Math.min(lender.left, borrower.missing);
        lender.left -= credited;
        borrower.missing -= credited;
      }
    }
  }
  for (const { lane, missing } of short) if (missing > 0) needs.set(lane.key, missing);
  const idle = new Map(lanes.filter(({ warm = 0 }) => warm > 0).map(({ key }) => [key, 0]));
  for (const { lane, left } of spare) {
    const { key, warm = 0 } = lane;
    if (warm > 0) idle.set(key, left);
    if (left > warm) surplus.set(key, left - warm);
  }
  return { needs, surplus, idle };
}

function byKey(a: LaneFacts, b: LaneFacts): number {
  return a.key < b.key ? -1 : 1;
}

/** One lane in a registration's line. The caller keeps the line in the order in which the lanes began to wait. */
export interface Request {
  readonly laneKey: string;
  readonly need: number;
  /** The backends that may be tried now, in order of preference; empty: none. */
  readonly backends: readonly string[];
}

/** How many more runners may exist. */
export interface Room {
  readonly total: number;
  readonly byRegistration: ReadonlyMap<string, number>;
  /** Of launches at once, by tenant. */
  readonly byLine: ReadonlyMap<string, number>;
  /** Whose room a registration takes from. */
  readonly lineOf: (registration: string) => string;
  /** By `<registration>/<backend>`. */
  readonly byBackend: ReadonlyMap<string, number>;
}

export interface Grant {
  readonly registration: string;
  readonly laneKey: string;
  /** Those with room, in order of preference: the first is reserved for it. */
  readonly backends: readonly string[];
}

/** Of each tenant that has been served, the registration that was, in the order in which they last were. */
export type Served = ReadonlyMap<string, string>;

/**
 * Hands out what room there is, one runner to each tenant in turn, and among the registrations of a tenant to each in
 * turn: neither a thousand waiting jobs of one nor a hundred registrations starve the single job of another. The tenant
 * that has been served least recently comes first, and of its registrations the one behind the last that was served.
 * With shares the turn is the tenant's with the lowest rank.
 */
export function allot(
  lines: ReadonlyMap<string, readonly Request[]>,
  room: Room,
  served: Served,
  shares?: Shares,
): readonly Grant[] {
  const grants: Grant[] = [];
  let total = room.total;
  const byBackend = new Map(room.byBackend);
  const waiting = [...tenantsInTurn(lines, room, served)];
  const rank = ({ line }: TenantTurn) => shares?.rank(line) ?? 0;
  // Stable: those of equal rank stay in turn.
  if (shares !== undefined) waiting.sort((one, other) => rank(one) - rank(other));
  for (let tenant = waiting.shift(); total > 0 && tenant !== undefined; tenant = waiting.shift()) {
    const grant = tenant.room > 0 ? grantTo(tenant, byBackend, shares) : undefined;
    if (grant === undefined) continue;
    grants.push(grant);
    tenant.room -= 1;
    total -= 1;
    shares?.take(tenant.line, grant.registration);
    insert(waiting, tenant, rank);
  }
  return grants;
}

/** Behind all that have no higher rank. */
function insert(waiting: TenantTurn[], tenant: TenantTurn, rank: (tenant: TenantTurn) => number): void {
  const own = rank(tenant);
  let [low, high] = [0, waiting.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    const other = waiting[middle];
    if (other !== undefined && rank(other) <= own) low = middle + 1;
    else high = middle;
  }
  waiting.splice(low, 0, tenant);
}

/**
 * The order in which a lane's backends are tried: as they are written, or drawn by their weights, so that each is first
 * in its share of the cases and the others follow for failover. `random`: uniform in [0, 1).
 */
export function inTurn(
  backends: readonly string[],
  weights: ReadonlyMap<string, number>,
  random: () => number,
): readonly string[] {
  if (weights.size === 0 || backends.length < 2) return backends;
  // Efraimidis and Spirakis: the keys −ln(u)/w, sorted, are a weighted draw without replacement.
  return backends
    .map((backend) => ({ backend, key: -Math.log(1 - random()) / (weights.get(backend) ?? 1) }))
    .sort((a, b) => a.key - b.key)
    .map(({ backend }) => backend);
}

interface Turn {
  readonly registration: string;
  readonly requests: readonly Request[];
  room: number;
  index: number;
  granted: number;
}

interface TenantTurn {
  readonly line: string;
  /** Of its registrations, in their order. */
  readonly turns: Turn[];
  room: number;
}

function tenantsInTurn(
  lines: ReadonlyMap<string, readonly Request[]>,
  room: Room,
  served: Served,
): readonly TenantTurn[] {
  const servedAt = new Map([...served.keys()].map((line, index) => [line, index]));
  return [...Map.groupBy(lines.keys(), room.lineOf)]
    .sort(([one], [other]) => (servedAt.get(one) ?? -1) - (servedAt.get(other) ?? -1))
    .map(([line, registrations]) => ({
      line,
      room: room.byLine.get(line) ?? 0,
      turns: rotated(registrations, served.get(line)).map((registration) => ({
        registration,
        requests: lines.get(registration) ?? [],
        room: room.byRegistration.get(registration) ?? 0,
        index: 0,
        granted: 0,
      })),
    }));
}

/** The registration served takes its next turn after the tenant's others. One that can have none is dropped. */
function grantTo({ line, turns }: TenantTurn, byBackend: Map<string, number>, shares?: Shares): Grant | undefined {
  for (let turn = turns.shift(); turn !== undefined; turn = turns.shift()) {
    // What is kept from it now stays so for the rest of this pass.
    const mayTake = shares === undefined || shares.roomOf(line, turn.registration) > 0;
    const grant = mayTake && turn.room > 0 ? nextGrant(turn, byBackend) : undefined;
    if (grant === undefined) continue;
    turn.room -= 1;
    turns.push(turn);
    return grant;
  }
  return undefined;
}

function nextGrant(turn: Turn, byBackend: Map<string, number>): Grant | undefined {
  for (; turn.index < turn.requests.length; turn.index += 1, turn.granted = 0) {
    const request = turn.requests[turn.index];
    if (request === undefined || turn.granted >= request.need) continue;
    const backends = request.backends.filter((backend) => (byBackend.get(`${turn.registration}/${backend}`) ?? 0) > 0);
    const [first] = backends;
    if (first === undefined) continue;
    const reserved = `${turn.registration}/${first}`;
    byBackend.set(reserved, (byBackend.get(reserved) ?? 0) - 1);
    turn.granted += 1;
    return { registration: turn.registration, laneKey: request.laneKey, backends };
  }
  return undefined;
}

function rotated(names: readonly string[], after: string | undefined): readonly string[] {
  const start = after === undefined ? 0 : names.indexOf(after) + 1;
  return [...names.slice(start), ...names.slice(0, start)];
}
