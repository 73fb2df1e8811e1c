/** When each registration is swept next: a few at a time, however many there are. */
import { type Clock, jitter, type Random } from '../clock.ts';

const SECOND = 1000;
const MINUTE = 60 * SECOND;
const EVERY_MS = 5 * MINUTE;
/** A registration whose sweep failed in part is tried again after this. */
const RETRY_MS = 15 * SECOND;
const AT_ONCE = 8;

export class SweepSchedule {
  readonly #clock: Clock;
  readonly #random: Random;
  /** In the order of their turns: a sweep that ends goes to the back. */
  readonly #dueAtMs = new Map<string, number>();
  readonly #failures = new Map<string, readonly string[]>();
  #running = 0;
  #nextMs: number;

  constructor(registrations: Iterable<string>, clock: Clock, random: Random) {
    this.#clock = clock;
    this.#random = random;
    this.#nextMs = clock.now();
    for (const name of registrations) {
      this.#dueAtMs.set(name, this.#nextMs);
      this.#failures.set(name, ['not listed yet']);
    }
  }

  /** When to ask again; undefined while all places are taken, because the end of a sweep is a reason to ask. */
  get nextMs(): number | undefined {
    return this.#running >= AT_ONCE || this.#dueAtMs.size === 0 ? undefined : this.#nextMs;
  }

  /** Registrations of which something could not be listed in the last sweep, or that were not swept yet. */
  get failures(): ReadonlyMap<string, readonly string[]> {
    return this.#failures;
  }

  /** Takes the registrations whose turn it is; each must be given back by `done`. */
  take(): readonly string[] {
    const now = this.#clock.now();
    if (now < this.#nextMs || this.#running >= AT_ONCE) return [];
    const taken: string[] = [];
    let next = Number.POSITIVE_INFINITY;
    for (const [name, dueAtMs] of this.#dueAtMs) {
      if (dueAtMs <= now && this.#running + taken.length < AT_ONCE) taken.push(name);
      else next = Math.min(next, dueAtMs);
    }
    for (const name of taken) this.#dueAtMs.delete(name);
    this.#running += taken.length;
    this.#nextMs = next;
    return taken;
  }

  done(name: string, failures: readonly string[]): void {
    this.#running -= 1;
    if (failures.length > 0) this.#failures.set(name, failures);
    else this.#failures.delete(name);
    const dueAtMs = this.#clock.now() + jitter(failures.length > 0 ? RETRY_MS : EVERY_MS, this.#random);
    this.#dueAtMs.set(name, dueAtMs);
    this.#nextMs = Math.min(this.#nextMs, dueAtMs);
  }
}
