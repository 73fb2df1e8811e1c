/** Which containers are launched ahead of jobs, and which go. Pure: the same facts always give the same result. */
import type { Shares } from '../shares.ts';

/** One pool. */
export interface PoolFacts {
  readonly registration: string;
  /** Its tenant's, by which launches are counted. */
  readonly line: string;
  readonly key: string;
  readonly size: number;
  /** Those that may be called now, in order of preference. */
  readonly backends: readonly string[];
  /** From `creating` to `parked`; those to be kept first. */
  readonly runners: readonly PooledRunner[];
}

export interface PooledRunner {
  readonly name: string;
  readonly backend: string | null;
}

/** Jobs of one lane that nothing serves yet, and that no container of a pool will. */
export interface WaitingFacts {
  readonly registration: string;
  readonly backends: readonly string[];
  readonly count: number;
}

/** By `''` (the dispatcher), `<registration>` and `<registration>/<backend>`. */
export type ByPlace = ReadonlyMap<string, number>;

export interface StandbyFacts {
  readonly pools: readonly PoolFacts[];
  readonly waiting: readonly WaitingFacts[];
  /** Containers that the other waiting jobs get: they make room for none. */
  readonly taken?: ReadonlySet<string>;
  /** How many more runners may exist. Negative: there are too many. */
  readonly room: ByPlace;
  /** How many are being taken down. */
  readonly ending: ByPlace;
  /** What is kept for whom. Absent: nobody has a reservation. */
  readonly kept?: Kept;
  /** Launches that may begin now, all together and of each tenant. */
  readonly launches: number;
  readonly launchesOf: ReadonlyMap<string, number>;
}

export interface Kept {
  readonly shares: Shares;
  readonly lineOf: (registration: string) => string;
}

export interface StandbyPlan {
  readonly drops: readonly { readonly runner: string; readonly reason: string }[];
  readonly launches: readonly { readonly key: string; readonly backends: readonly string[] }[];
}

/**
 * A pool is filled from what nothing else needs: jobs that wait come first, and where a cap keeps them waiting, a container
 * that cannot serve them makes room.
 */
export function planStandby(facts: StandbyFacts): StandbyPlan {
  const { pools, waiting, taken = new Set(), room, ending } = facts;
  const drops: { readonly runner: string; readonly reason: string }[] = [];
  const kept = pools.map((pool) => ({ pool, runners: [...pool.runners] }));
  /** What there will be room for, once all that ends has ended. */
  const later = new Places(room, facts.kept);
  later.end(ending);
  const drop = (from: (typeof kept)[number], runner: PooledRunner, reason: string): void => {
    from.runners.splice(from.runners.indexOf(runner), 1);
    drops.push({ runner: runner.name, reason });
    later.vacate(from.pool.registration, runner.backend);
  };
  for (const one of kept) {
    for (const runner of one.runners.slice(one.pool.size)) drop(one, runner, 'its pool needs it no more');
  }
  for (const one of kept) {
    for (const runner of one.runners.toReversed()) {
      const places = placesOf(one.pool.registration, runner.backend);
      if (places.some((place) => later.of(place) < 0)) drop(one, runner, 'a cap is exceeded');
    }
  }
  const evictable = new Evictable(kept, taken);
  for (const { registration, backends, count } of waiting) {
    for (let job = 0; job < count; job += 1) {
      const open = backends.find((backend) => later.isFree(registration, backend));
      if (open !== undefined) {
        later.occupy(registration, open);
        continue;
      }
      const found = evictable.makesRoom(later, { registration, backends });
      if (found === undefined) break;
      drop(found.from, found.runner, 'a waiting job needs its place');
      const freed = backends.find((backend) => later.isFree(registration, backend));
      if (freed !== undefined) later.occupy(registration, freed);
    }
  }
  return { drops, launches: fill(kept, facts, later) };
}

type KeptPool = { readonly pool: PoolFacts; readonly runners: readonly PooledRunner[] };

interface Candidate<Of extends KeptPool> {
  readonly from: Of;
  readonly runner: PooledRunner;
  readonly rank: number;
}

/**
 * Containers that may end for jobs that wait. What the end of one makes room for depends on its registration and backend
 * alone: each is looked at once here, and for a job one of each kind is.
 */
class Evictable<Of extends KeptPool> {
  /** By registration and backend; the last one goes first. */
  readonly #kinds = new Map<string, Candidate<Of>[]>();
  /** For which no container makes room, as long as no place is taken or given back. */
  readonly #inVain = new Set<string>();
  #as = 0;

  constructor(kept: readonly Of[], taken: ReadonlySet<string>) {
    const all = kept.flatMap((from) => from.runners.toReversed().map((runner) => ({ from, runner })));
    for (const [rank, { from, runner }] of [...all.entries()].reverse()) {
      if (taken.has(runner.name)) continue;
      const kind = JSON.stringify([from.pool.registration, runner.backend]);
      const candidates = this.#kinds.get(kind) ?? [];
      candidates.push({ from, runner, rank });
      this.#kinds.set(kind, candidates);
    }
  }

  /** The first container whose end would let the job have a runner, and that is not one of those reserved for others. */
  makesRoom(later: Places, job: Omit<WaitingFacts, 'count'>): Candidate<Of> | undefined {
    if (this.#as !== later.changes) this.#inVain.clear();
    this.#as = later.changes;
    const asked = JSON.stringify([job.registration, job.backends]);
    if (this.#inVain.has(asked)) return undefined;
    let best: { readonly candidates: Candidate<Of>[]; readonly first: Candidate<Of> } | undefined;
    for (const candidates of this.#kinds.values()) {
      const first = candidates.at(-1);
      if (first === undefined || (best !== undefined && best.first.rank < first.rank)) continue;
      if (helps(first, later, job)) best = { candidates, first };
    }
    if (best === undefined) this.#inVain.add(asked);
    return best?.candidates.pop();
  }
}

function helps({ from, runner }: Candidate<KeptPool>, later: Places, job: Omit<WaitingFacts, 'count'>): boolean {
  const keptBefore = later.keptFrom(job.registration);
  return later.without(from.pool.registration, runner.backend, () => {
    // Its place would be kept for its owner; what the job may have of it would come out of what is kept for the job.
    if (later.keptFrom(job.registration) > keptBefore) return false;
    return job.backends.some((backend) => later.isFree(job.registration, backend));
  });
}

/** One for each pool in turn. */
function fill(
  kept: readonly KeptPool[],
  { kept: shares, launches: most, launchesOf, room }: StandbyFacts,
  later: Places,
): StandbyPlan['launches'] {
  const now = new Places(room, shares);
  const byLine = new Map(launchesOf);
  const launches: { readonly key: string; readonly backends: readonly string[] }[] = [];
  let short = kept.map(({ pool, runners }) => ({ pool, missing: pool.size - runners.length }));
  while (short.length > 0 && launches.length < most) {
    const next: typeof short = [];
    for (const { pool, missing } of short) {
      const { line, registration } = pool;
      const mayBegin = byLine.get(line) ?? 0;
      const open = pool.backends.filter(
        (backend) => now.isFree(registration, backend) && later.isFree(registration, backend),
      );
      const [first] = open;
      if (missing <= 0 || first === undefined || launches.length >= most || mayBegin <= 0) continue;
      byLine.set(line, mayBegin - 1);
      now.occupy(registration, first);
      later.occupy(registration, first);
      launches.push({ key: pool.key, backends: open });
      next.push({ pool, missing: missing - 1 });
    }
    short = next;
  }
  return launches;
}

export function placesOf(registration: string, backend: string | null): readonly string[] {
  return backend === null ? ['', registration] : ['', registration, `${registration}/${backend}`];
}

class Places {
  /** How often one was taken or given back. */
  changes = 0;
  readonly #room: Map<string, number>;
  readonly #kept: Kept | undefined;

  constructor(room: ByPlace, kept: Kept | undefined) {
    this.#room = new Map(room);
    this.#kept = kept === undefined ? undefined : { ...kept, shares: kept.shares.copy() };
  }

  /** A place without a cap of its own is not known here. */
  of(place: string): number {
    return this.#room.get(place) ?? 0;
  }

  occupy(registration: string, backend: string): void {
    this.changes += 1;
    this.#move(registration, backend, -1);
  }

  vacate(registration: string, backend: string | null): void {
    this.changes += 1;
    this.#move(registration, backend, 1);
  }

  /** All of these end. */
  end(ending: ByPlace): void {
    for (const [place, count] of ending) {
      this.#add(place, count);
      if (this.#kept === undefined || place === '' || place.includes('/')) continue;
      for (let ended = 0; ended < count; ended += 1) this.#kept.shares.giveBack(this.#kept.lineOf(place), place);
    }
  }

  /** What is true if one of it ends. */
  without(registration: string, backend: string | null, ask: () => boolean): boolean {
    this.#move(registration, backend, 1);
    try {
      return ask();
    } finally {
      this.#move(registration, backend, -1);
    }
  }

  #move(registration: string, backend: string | null, count: 1 | -1): void {
    for (const place of placesOf(registration, backend)) this.#add(place, count);
    const { lineOf, shares } = this.#kept ?? {};
    if (lineOf === undefined) return;
    if (count > 0) shares?.giveBack(lineOf(registration), registration);
    else shares?.take(lineOf(registration), registration);
  }

  #add(place: string, count: number): void {
    this.#room.set(place, this.of(place) + count);
  }

  keptFrom(registration: string): number {
    return this.#kept?.shares.keptFrom(this.#kept.lineOf(registration), registration) ?? 0;
  }

  isFree(registration: string, backend: string): boolean {
    const { lineOf, shares } = this.#kept ?? {};
    if (lineOf !== undefined && shares !== undefined && shares.roomOf(lineOf(registration), registration) <= 0)
      return false;
    return placesOf(registration, backend).every((place) => this.of(place) > 0);
  }
}
