/** The standby pools of the configuration, and which waiting jobs their containers can serve. */
import { isSameWish } from '../../admission/lane-of.ts';
import { poolLane } from '../../admission/standby.ts';
import type { LaneSpec } from '../../jobs/lane.ts';
import type { RunnerRow } from '../../ledger/ledger.ts';
import type { Registration } from '../../model/registration.ts';
import { backendHashes } from '../backend-hashes.ts';
import type { Tenant } from '../ports.ts';
import { type Aim, type RecentDemandOptions, sizeByDemand } from './recent-demand.ts';
import { scheduledSize } from './schedule.ts';

export interface Pool {
  /** Of its parked containers alone, or, where they are registered, of the jobs that they are for. */
  readonly lane: LaneSpec;
  readonly isRegistered: boolean;
  readonly maxAgeMs: number;
  readonly labels: readonly string[];
  /** How many containers it should have then. */
  aim(nowMs: number): Promise<Aim>;
}

/** By registration, as they are configured now. */
export class Pools {
  readonly #tenants: ReadonlyMap<string, Tenant>;
  readonly #canAsk: boolean;
  readonly #ledger: RecentDemandOptions['ledger'];
  readonly #pools = new Map<string, readonly Pool[]>();

  /** `canAsk`: containers know where to ask for a job; without that none is parked. */
  constructor(tenants: ReadonlyMap<string, Tenant>, canAsk: boolean, ledger: RecentDemandOptions['ledger']) {
    this.#tenants = tenants;
    this.#ledger = ledger;
    this.#canAsk = canAsk;
    for (const name of tenants.keys()) this.reconfigure(name);
  }

  reconfigure(name: string): void {
    const tenant = this.#tenants.get(name);
    const fills = tenant !== undefined && tenant.leaving === undefined && tenant.registration.observe !== true;
    const all = fills ? poolsOf(tenant.registration, this.#ledger) : [];
    const pools = all.filter(({ isRegistered }) => isRegistered || this.#canAsk);
    if (pools.length > 0) this.#pools.set(name, pools);
    else this.#pools.delete(name);
  }

  get isEmpty(): boolean {
    return this.#pools.size === 0;
  }

  all(): Iterable<readonly [string, readonly Pool[]]> {
    return this.#pools;
  }

  of(registration: string): readonly Pool[] {
    return this.#pools.get(registration) ?? [];
  }
}

/** Validation has refused the others. */
function poolsOf(registration: Registration, ledger: RecentDemandOptions['ledger']): readonly Pool[] {
  return (registration.standby ?? []).flatMap((pool): readonly Pool[] => {
    // Containers of other options or credentials are others.
    const answer = poolLane(registration, pool, backendHashes(registration));
    if (answer.kind === 'refused') return [];
    const isRegistered = pool.mode === 'registered';
    const { jobSpec: specHash, lane } = answer;
    const { demand, labels, maxAgeMs, size: least } = pool;
    const history = { ledger, registration: registration.name, specHash, least };
    const byDemand = demand === undefined ? undefined : sizeByDemand({ ...history, demand });
    return [{ lane, labels, isRegistered, maxAgeMs, aim: scheduledSize(pool, byDemand) }];
  });
}

/** Whether the pool's containers are what a job of the lane would get, on whatever backend. */
export function isFor({ lane: of }: Pool, lane: LaneSpec): boolean {
  return of.registration === lane.registration && of.host === lane.host && isSameWish(of.wish, lane.wish);
}

/** A lane is served only where it may launch: not every backend is open to every job. */
export function canServe(pool: Pool, runner: Pick<RunnerRow, 'backend'>, lane: LaneSpec): boolean {
  return isFor(pool, lane) && runner.backend !== null && lane.backends.includes(runner.backend);
}
