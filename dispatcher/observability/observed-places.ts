/**
 * When the jobs of a registration that only observes would have had a place below its caps, and on which backend. Pure: a
 * history of what really happened goes in.
 */
import type { Registration } from '../model/registration.ts';

/** The one sentence that says what the simulated waits mean. */
export const PLACES_MODEL =
  'In the order in which they were queued, jobs take a place on the first of their backends (with weights: the one furthest behind its share) ' +
  'that has one below its maxRunners and that of the registration, as they are configured now, and keep it for as long as they really ran; ' +
  'the start of a container, maxLaunchesPerMinute, breakers, and the limits of the dispatcher are not counted.';

export interface PlacedJob {
  readonly key: string;
  readonly queuedAtMs: number;
  /** Undefined: it waits or runs. */
  readonly ranMs: number | undefined;
  /** That it may run on, in order of preference. */
  readonly backends: readonly string[];
}

export interface Place {
  readonly atMs: number;
  readonly backend: string;
}

export type PlaceCaps = Pick<Registration, 'maxRunners'> & {
  readonly backends: readonly Pick<Registration['backends'][number], 'name' | 'maxRunners' | 'weight'>[];
};

export interface Places {
  /** By job; one without a place until now is not in it. */
  readonly places: ReadonlyMap<string, Place>;
  readonly mostAtOnce: number;
}

export function placesOf(jobs: readonly PlacedJob[], caps: PlaceCaps): Places {
  const arrivals = [...jobs].sort((a, b) => a.queuedAtMs - b.queuedAtMs || (a.key < b.key ? -1 : 1));
  const history = new History(caps);
  for (const [index, job] of arrivals.entries()) {
    history.advance(job.queuedAtMs);
    history.arrive(job);
    // Those of one moment come together.
    if (arrivals[index + 1]?.queuedAtMs !== job.queuedAtMs) history.place(job.queuedAtMs);
  }
  history.advance(Number.POSITIVE_INFINITY);
  return { places: history.places, mostAtOnce: history.mostAtOnce };
}

class History {
  readonly places = new Map<string, Place>();
  mostAtOnce = 0;
  readonly #caps: PlaceCaps;
  readonly #waiting: PlacedJob[] = [];
  /** Of those whose end is known, the earliest first. */
  readonly #ends: Place[] = [];
  readonly #taken = new Map<string, number>();
  readonly #given = new Map<string, number>();
  #running = 0;

  constructor(caps: PlaceCaps) {
    this.#caps = caps;
  }

  arrive(job: PlacedJob): void {
    this.#waiting.push(job);
  }

  /** To that time: places become free, and who waits takes them. */
  advance(toMs: number): void {
    for (let end = this.#ends[0]; end !== undefined && end.atMs <= toMs; end = this.#ends[0]) {
      const { atMs } = end;
      while (this.#ends[0]?.atMs === atMs) {
        const { backend } = this.#ends.shift() ?? end;
        this.#taken.set(backend, (this.#taken.get(backend) ?? 0) - 1);
        this.#running -= 1;
      }
      this.place(atMs);
    }
  }

  place(atMs: number): void {
    const full = new Set<string>();
    for (let index = 0; index < this.#waiting.length && this.#running < this.#caps.maxRunners; ) {
      const job = this.#waiting[index];
      const choice = job?.backends.join() ?? '';
      const backend = job === undefined || full.has(choice) ? undefined : this.#backendFor(job);
      if (job === undefined || backend === undefined) {
        full.add(choice);
        index += 1;
        continue;
      }
      this.#waiting.splice(index, 1);
      this.#take(job, { atMs, backend });
    }
  }

  #take(job: PlacedJob, place: Place): void {
    const { backend } = place;
    this.places.set(job.key, place);
    this.#taken.set(backend, (this.#taken.get(backend) ?? 0) + 1);
    this.#given.set(backend, (this.#given.get(backend) ?? 0) + 1);
    this.#running += 1;
    this.mostAtOnce = Math.max(this.mostAtOnce, this.#running);
    if (job.ranMs === undefined) return;
    // Never at the same moment: that is over.
    const end = { atMs: place.atMs + Math.max(1, job.ranMs), backend };
    const behind = this.#ends.findIndex(({ atMs }) => atMs > end.atMs);
    this.#ends.splice(behind < 0 ? this.#ends.length : behind, 0, end);
  }

  #backendFor({ backends }: PlacedJob): string | undefined {
    const open = backends.flatMap((name) => {
      const backend = this.#caps.backends.find((one) => one.name === name);
      return backend === undefined || (this.#taken.get(name) ?? 0) >= backend.maxRunners ? [] : [backend];
    });
    const behind = ({ name, weight }: (typeof open)[number]) => (this.#given.get(name) ?? 0) / (weight ?? 1);
    const [first] = open.every(({ weight }) => weight !== undefined)
      ? open.toSorted((a, b) => behind(a) - behind(b))
      : open;
    return first?.name;
  }
}
