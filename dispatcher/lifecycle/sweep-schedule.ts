/**
 * When each registration is swept next: a few at a time, however many there are. Those that jobs or runners depend on
 * come first and often; thousands in which nothing happens cost next to nothing.
 */
import { type Clock, jitter, type Random } from '../../time/clock.ts';
import { MINUTE, SECOND } from '../../time/units.ts';

const EVERY_MS = 5 * MINUTE;
/** What each further registration adds to the interval of those in which nothing happens: 100 min with 2,000. */
const IDLE_SHARE_MS = 3 * SECOND;
/** So long after its last job a registration counts as one in which something happens. */
const ACTIVE_MS = 15 * MINUTE;
/** A registration whose sweep failed in part is tried again after this. */
const RETRY_MS = 15 * SECOND;
const RETRY_IDLE_MS = 5 * MINUTE;
const AT_ONCE = 8;
/**
 * A sweep that takes longer waits for a service that does not answer. It gives its place to another one: eight
 * registrations at such a service would otherwise keep all others from being listed, and so from launching.
 */
const SLOW_MS = 5 * SECOND;
/** Registrations whose last sweep was slow have places of their own, and these only. */
const SLOW_AT_ONCE = 16;
/** Of them for one tenant: its own services, if they do not answer, must not take them all. */
const SLOW_OF_ONE_TENANT = 4;
/** Sweeps without hurry that may start at once, and how many more a second. */
const BURST = 200;
const PER_SECOND = 20;

interface Places {
  /** That are free. */
  quick: number;
  slow: number;
  /** Slow sweeps under way, by tenant. */
  readonly slowOf: Map<string, number>;
  quickAtMs: number | undefined;
}

/** Since the start: until then the dispatcher is not ready. */
export const NOT_LISTED = 'not listed yet';
/** A change must not take a service that works out of its load balancer. */
const NOT_LISTED_ANEW = 'not listed since its change';

export class SweepSchedule {
  readonly #lineOf: (registration: string) => string;
  readonly #clock: Clock;
  readonly #random: Random;
  readonly #names = new Set<string>();
  /** In the order of their turns: a sweep that ends goes to the back. */
  readonly #dueAtMs = new Map<string, number>();
  /** Before all others, and without regard to the pace. */
  readonly #urgent = new Set<string>();
  readonly #activeAtMs = new Map<string, number>();
  readonly #failures = new Map<string, readonly string[]>();
  /** When each sweep that is under way began, in that order. */
  readonly #running = new Map<string, number>();
  /** Whose sweep is slow, or the last one was. */
  readonly #slow = new Set<string>();
  /** Added while they were being swept. */
  readonly #again = new Set<string>();
  /** One that was slow is due, and had no place. */
  #slowWaits = false;
  #nextMs: number;
  #allowance = BURST;
  #allowanceAtMs: number;

  /** `lineOf`: whose the registration is; without it each is its own. */
  constructor(
    registrations: Iterable<string>,
    clock: Clock,
    random: Random,
    lineOf: (registration: string) => string = (registration) => registration,
  ) {
    this.#lineOf = lineOf;
    this.#clock = clock;
    this.#random = random;
    this.#nextMs = clock.now();
    this.#allowanceAtMs = this.#nextMs;
    for (const name of registrations) {
      this.#failures.set(name, [NOT_LISTED]);
      this.add(name);
    }
  }

  /** It is new, or some of its backends are: what runs there is listed, and until then it counts as not listed. */
  add(name: string): void {
    this.#names.add(name);
    if (this.#failures.get(name)?.[0] !== NOT_LISTED) this.#failures.set(name, [NOT_LISTED_ANEW]);
    // A sweep of what it was before lists other backends: it is due again when that one ends.
    if (this.#running.has(name)) this.#again.add(name);
    else this.#dueAtMs.set(name, this.#clock.now());
    this.#nextMs = Math.min(this.#nextMs, this.#clock.now());
  }

  has(name: string): boolean {
    return this.#names.has(name);
  }

  /** It is not swept any more. */
  remove(name: string): void {
    for (const names of [this.#names, this.#urgent, this.#slow, this.#again]) names.delete(name);
    for (const known of [this.#dueAtMs, this.#activeAtMs, this.#failures]) known.delete(name);
  }

  /** When to ask again; undefined where only the end of a sweep is a reason to. */
  get nextMs(): number | undefined {
    const places = this.#places();
    if (places.quick <= 0) return this.#dueAtMs.size === 0 ? undefined : places.quickAtMs;
    const takable = (name: string) => !this.#slow.has(name) || this.#hasSlowPlace(places, name);
    if ([...this.#urgent].some(takable)) return this.#clock.now();
    if (this.#dueAtMs.size === 0) return undefined;
    // What is due and has to wait for the pace comes up when one more may start.
    return this.#allowance >= 1 ? this.#nextMs : Math.max(this.#nextMs, this.#allowanceAtMs + SECOND / PER_SECOND);
  }

  /** Registrations of which something could not be listed in the last sweep, or that were not swept yet. */
  get failures(): ReadonlyMap<string, readonly string[]> {
    return this.#failures;
  }

  /** A job or runner of this registration is there: it is swept often, and at once if it never was. */
  markActive(name: string): void {
    this.#activeAtMs.set(name, this.#clock.now());
    const waits = this.#dueAtMs.has(name) && this.#isUnlisted(name);
    if (waits) this.#urgent.add(name);
    const dueAtMs = this.#dueAtMs.get(name);
    const soonMs = this.#clock.now() + EVERY_MS;
    if (dueAtMs === undefined || dueAtMs <= soonMs) return;
    this.#dueAtMs.set(name, soonMs);
    this.#nextMs = Math.min(this.#nextMs, soonMs);
  }

  /**
   * Whether this sweep looks at GitHub too. A first sweep is for what runs; with thousands of registrations GitHub's side
   * of those in which nothing happens can wait for their next one, because it costs each a token.
   */
  includesGithub(name: string): boolean {
    return this.#names.size <= BURST || this.#wasActive(name) || !this.#isUnlisted(name);
  }

  #isUnlisted(name: string): boolean {
    const failure = this.#failures.get(name)?.[0];
    return failure === NOT_LISTED || failure === NOT_LISTED_ANEW;
  }

  #wasActive(name: string): boolean {
    return this.#clock.now() - (this.#activeAtMs.get(name) ?? Number.NEGATIVE_INFINITY) < ACTIVE_MS;
  }

  /** Takes the registrations whose turn it is; each must be given back by `finish`. */
  take(): readonly string[] {
    const now = this.#clock.now();
    this.#refill(now);
    const taken: string[] = [];
    const places = this.#places();
    const start = (name: string): boolean => {
      if (this.#slow.has(name)) {
        if (!this.#hasSlowPlace(places, name)) return false;
        places.slow -= 1;
        this.#countSlow(places, name);
      } else {
        if (places.quick <= 0) return false;
        places.quick -= 1;
      }
      this.#running.set(name, now);
      taken.push(name);
      return true;
    };
    for (const name of this.#urgent) if (start(name)) this.#urgent.delete(name);
    if (now >= this.#nextMs) this.#takeDue(now, start);
    for (const name of taken) this.#dueAtMs.delete(name);
    return taken;
  }

  /** What is free, and when one of the quick places will be, if no sweep ends before. */
  #places(): Places {
    const now = this.#clock.now();
    const places: Places = { quick: AT_ONCE, slow: SLOW_AT_ONCE, slowOf: new Map(), quickAtMs: undefined };
    for (const [name, sinceMs] of this.#running) {
      if (now - sinceMs >= SLOW_MS) this.#slow.add(name);
      if (this.#slow.has(name)) {
        places.slow -= 1;
        this.#countSlow(places, name);
      } else {
        places.quick -= 1;
        places.quickAtMs ??= sinceMs + SLOW_MS;
      }
    }
    return places;
  }

  #hasSlowPlace({ slow, slowOf }: Places, name: string): boolean {
    return slow > 0 && (slowOf.get(this.#lineOf(name)) ?? 0) < SLOW_OF_ONE_TENANT;
  }

  #countSlow({ slowOf }: Places, name: string): void {
    const line = this.#lineOf(name);
    slowOf.set(line, (slowOf.get(line) ?? 0) + 1);
  }

  finish(name: string, failures: readonly string[]): void {
    const now = this.#clock.now();
    const sinceMs = this.#running.get(name) ?? now;
    this.#running.delete(name);
    if (now - sinceMs >= SLOW_MS) this.#slow.add(name);
    else this.#slow.delete(name);
    if (this.#slowWaits) this.#nextMs = now;
    if (!this.#names.has(name)) {
      this.#slow.delete(name);
      return;
    }
    if (this.#again.delete(name)) {
      this.#dueAtMs.set(name, now);
      this.#nextMs = now;
      return;
    }
    if (failures.length > 0) this.#failures.set(name, failures);
    else this.#failures.delete(name);
    const active = this.#wasActive(name);
    if (!active) this.#activeAtMs.delete(name);
    const ms = failures.length > 0 ? (active ? RETRY_MS : this.#retryMs()) : active ? EVERY_MS : this.#idleMs();
    const dueAtMs = now + jitter(ms, this.#random);
    this.#dueAtMs.set(name, dueAtMs);
    this.#nextMs = Math.min(this.#nextMs, dueAtMs);
  }

  #idleMs(): number {
    return Math.max(EVERY_MS, this.#names.size * IDLE_SHARE_MS);
  }

  /** Of a few registrations each may be tried again soon; a thousand that fail together must not. */
  #retryMs(): number {
    return this.#failures.size <= BURST ? RETRY_MS : RETRY_IDLE_MS;
  }

  #takeDue(now: number, start: (name: string) => boolean): void {
    let next = Number.POSITIVE_INFINITY;
    this.#slowWaits = false;
    for (const [name, dueAtMs] of this.#dueAtMs) {
      if (this.#running.has(name)) continue;
      if (dueAtMs <= now && this.#allowance >= 1) {
        if (start(name)) {
          this.#allowance -= 1;
          continue;
        }
        if (this.#slow.has(name)) {
          this.#slowWaits = true;
          continue;
        }
      }
      next = Math.min(next, dueAtMs);
    }
    this.#nextMs = next;
  }

  #refill(now: number): void {
    const refilled = this.#allowance + (Math.max(0, now - this.#allowanceAtMs) * PER_SECOND) / SECOND;
    this.#allowance = Math.min(BURST, refilled);
    this.#allowanceAtMs = now;
  }
}
