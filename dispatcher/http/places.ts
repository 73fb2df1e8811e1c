/**
 * Connection slots, and who gives way when there are too many. A request can be verified only at its end, so arrival
 * order cannot tell a complete request from half of one: complete ones are protected because the oldest unfinished one
 * is dropped, never the newest. A request whose body is complete keeps its connection.
 *
 * Per-address limits apply only to what is unfinished and unverified: behind an ingress all of GitHub is one address.
 */
import type { Clock } from '../../time/clock.ts';

export interface PlaceLimits {
  /** Connections. Beyond it the oldest unfinished request, or the longest idle connection, gives way. */
  readonly maxConnections: number;
  /** Connections of one address that are unfinished, or idle without ever having carried a verified request. */
  readonly maxUnfinishedPerAddress: number;
  /** A body may take this long, however slow it is. */
  readonly bodyGraceMs: number;
  /** After that, the average rate since the grace period ended. 0: bodies may take any time. */
  readonly minBodyBytesPerSecond: number;
}

export type Yield = 'connections' | 'slow';

/** What a slot can do with its connection. */
export interface Tenure {
  /** It has no request: close it silently. */
  end(): void;
}

export interface PlacesOptions {
  readonly limits: PlaceLimits;
  readonly clock: Pick<Clock, 'after'>;
  /** A connection without a request gave way. One with a request is told through its own `turnAway`. */
  readonly onYield: (address: string) => void;
}

const TICK_MS = 1_000;

export class Places {
  readonly #options: PlacesOptions;
  /** Each in the order in which they entered that state. */
  readonly #strangers = new Set<Place>();
  readonly #receiving = new Set<Place>();
  readonly #known = new Set<Place>();
  readonly #unfinished = new Map<string, Set<Place>>();
  #count = 0;
  #next = 0;
  #cancelTick: (() => void) | undefined;

  constructor(options: PlacesOptions) {
    this.#options = options;
  }

  get count(): number {
    return this.#count;
  }

  /** `address` undefined: behind a listed proxy, whose headers will tell. */
  arrive(address: string | undefined, tenure: Tenure): Place {
    const place = new Place(this, address, tenure);
    this.#count += 1;
    this.#settle(place);
    if (this.#count > this.#options.limits.maxConnections) this.#makeRoom(place);
    return place;
  }

  close(): void {
    this.#cancelTick?.();
    this.#cancelTick = undefined;
  }

  /** Only for `Place`: its state has changed. */
  moved(place: Place): void {
    this.#unlist(place);
    if (place.gone) this.#count -= 1;
    else this.#settle(place);
  }

  #settle(place: Place): void {
    if (place.answering > 0) return;
    place.order = this.#next;
    this.#next += 1;
    place.list = this.#listFor(place);
    place.list.add(place);
    if (place.turnAway !== undefined) {
      if (this.#options.limits.minBodyBytesPerSecond > 0) {
        this.#cancelTick ??= this.#options.clock.after(TICK_MS, () => this.#tick());
      }
    }
    if (place.address === undefined || (place.proven && place.turnAway === undefined)) return;
    const others = this.#unfinished.get(place.address) ?? new Set<Place>();
    this.#unfinished.set(place.address, others);
    others.add(place);
    place.listedAt = place.address;
    if (others.size <= this.#options.limits.maxUnfinishedPerAddress) return;
    const [oldest] = others;
    if (oldest !== undefined) this.#evict(oldest, 'connections');
  }

  #listFor(place: Place): Set<Place> {
    if (place.turnAway !== undefined) return this.#receiving;
    return place.proven ? this.#known : this.#strangers;
  }

  #unlist(place: Place): void {
    place.list?.delete(place);
    place.list = undefined;
    if (place.listedAt === undefined) return;
    const others = this.#unfinished.get(place.listedAt);
    others?.delete(place);
    if (others?.size === 0) this.#unfinished.delete(place.listedAt);
    place.listedAt = undefined;
  }

  /** A body that has just begun to arrive comes before an idle connection, and an idle unverified one comes last. */
  #makeRoom(newcomer: Place): void {
    const stranger = first(this.#strangers, newcomer);
    const half = first(this.#receiving, newcomer);
    const idle = first(this.#known, newcomer);
    const settled = half !== undefined && half.ticks > 0 ? half : undefined;
    const older =
      stranger !== undefined && settled !== undefined && settled.order < stranger.order ? settled : stranger;
    this.#evict(older ?? settled ?? idle ?? half ?? newcomer, 'connections');
  }

  #tick(): void {
    const { limits, clock } = this.#options;
    for (const place of this.#receiving) {
      place.ticks += 1;
      // Ticks instead of clock time, which may jump.
      const beyondMs = place.ticks * TICK_MS - limits.bodyGraceMs;
      if (place.receivedBytes < (beyondMs * limits.minBodyBytesPerSecond) / 1000) this.#evict(place, 'slow');
    }
    this.#cancelTick = this.#receiving.size === 0 ? undefined : clock.after(TICK_MS, () => this.#tick());
  }

  #evict(place: Place, why: Yield): void {
    if (place.turnAway === undefined) this.#options.onYield(place.address ?? 'a listed proxy');
    place.evict(why);
  }
}

/** One connection. */
export class Place {
  readonly #places: Places;
  readonly #tenure: Tenure;
  readonly #peer: string | undefined;
  #address: string | undefined;
  /** Has carried a request from a verified sender. */
  proven = false;
  gone = false;
  /** Requests whose body is complete but that are not answered yet. */
  answering = 0;
  /** For the request being received; undefined if there is none. */
  turnAway: ((why: Yield) => void) | undefined;
  receivedBytes = 0;
  ticks = 0;
  /** Increases: tells which of two began earlier. */
  order = 0;
  /** The list of those in the same state; undefined while it is being answered. */
  list: Set<Place> | undefined;
  /** The address under which it was listed as unfinished. */
  listedAt: string | undefined;

  constructor(places: Places, address: string | undefined, tenure: Tenure) {
    this.#places = places;
    this.#tenure = tenure;
    this.#peer = address;
    this.#address = address;
  }

  /** The client's address; undefined behind a listed proxy. */
  get peer(): string | undefined {
    return this.#peer;
  }

  get address(): string | undefined {
    return this.#address;
  }

  /** The headers of a request are complete. */
  begin(address: string, turnAway: (why: Yield) => void): void {
    this.turnAway = turnAway;
    this.receivedBytes = 0;
    this.ticks = 0;
    this.#address = address;
    this.#places.moved(this);
  }

  received(bytes: number): void {
    this.receivedBytes += bytes;
  }

  /** Its body is complete. */
  complete(): void {
    if (this.gone) return;
    this.turnAway = undefined;
    this.answering += 1;
    this.#places.moved(this);
  }

  /** A refused request has ended. */
  discarded(): void {
    if (this.gone) return;
    this.turnAway = undefined;
    if (this.answering === 0) this.#address = this.#peer;
    this.#places.moved(this);
  }

  /** A complete request was answered. */
  answered(verified: boolean): void {
    if (this.gone) return;
    this.answering -= 1;
    this.proven ||= verified;
    if (this.turnAway === undefined) this.#address = this.#peer;
    this.#places.moved(this);
  }

  /** The connection is closed. */
  leave(): void {
    if (this.gone) return;
    this.gone = true;
    this.#places.moved(this);
  }

  evict(why: Yield): void {
    const { turnAway } = this;
    this.leave();
    if (turnAway === undefined) this.#tenure.end();
    else turnAway(why);
  }
}

function first(places: ReadonlySet<Place>, except: Place): Place | undefined {
  for (const place of places) if (place !== except) return place;
  return undefined;
}
