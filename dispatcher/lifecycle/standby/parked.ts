/** The parked containers of one plan, and which of them the waiting jobs get. Each is looked at once, however many lanes wait. */
import type { LaneSpec } from '../../jobs/lane.ts';
import type { PooledRunner } from './plan.ts';
import { isFor, type Pool } from './pools.ts';

interface Parked {
  readonly runner: PooledRunner;
  /** Those that come first are given first. */
  readonly rank: number;
}

/** Of one pool on one backend: any job that may have one of them may have each of them. */
interface Group {
  readonly parked: Parked[];
  /** Those before it have been given. */
  next: number;
}

interface OfPool {
  readonly pool: Pool;
  readonly byBackend: Map<string, Group>;
}

export class ParkedContainers {
  /** By registration: a pool serves no other one. */
  readonly #pools = new Map<string, OfPool[]>();
  readonly #groups = new Map<PooledRunner, Group>();
  /** By name. */
  readonly #given = new Set<string>();
  #ranks = 0;

  /** In the order in which they are to be given. One whose backend is not known can be given to none. */
  add(pool: Pool, runners: Iterable<PooledRunner>): void {
    const of: OfPool = { pool, byBackend: new Map() };
    for (const runner of runners) {
      const { backend } = runner;
      if (backend === null) continue;
      const group = of.byBackend.get(backend) ?? { parked: [], next: 0 };
      of.byBackend.set(backend, group);
      group.parked.push({ runner, rank: this.#ranks });
      this.#groups.set(runner, group);
      this.#ranks += 1;
    }
    if (of.byBackend.size === 0) return;
    const { registration } = pool.lane;
    this.#pools.set(registration, [...(this.#pools.get(registration) ?? []), of]);
  }

  /** At most so many that jobs of this lane can have, the first ones first. */
  serving(lane: LaneSpec, most: number): readonly PooledRunner[] {
    const groups = (this.#pools.get(lane.registration) ?? [])
      .filter(({ pool }) => isFor(pool, lane))
      .flatMap(({ byBackend }) => lane.backends.map((backend) => byBackend.get(backend)))
      .filter((group) => group !== undefined)
      .map(({ next, parked }) => ({ next, parked }));
    const serving: PooledRunner[] = [];
    while (serving.length < most) {
      const [first] = groups
        .flatMap((group) => {
          const head = group.parked[group.next];
          return head === undefined ? [] : [{ group, head }];
        })
        .sort((a, b) => a.head.rank - b.head.rank);
      if (first === undefined) break;
      serving.push(first.head.runner);
      first.group.next += 1;
    }
    return serving;
  }

  /** Of what `serving` has just answered for a lane, the first ones. */
  give(runners: readonly PooledRunner[]): void {
    for (const runner of runners) {
      const group = this.#groups.get(runner);
      if (group !== undefined) group.next += 1;
      this.#given.add(runner.name);
    }
  }

  get given(): ReadonlySet<string> {
    return this.#given;
  }
}
