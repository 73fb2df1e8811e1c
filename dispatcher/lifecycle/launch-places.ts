/** How many launches are in flight: a service that does not answer only delays the launches of its own tenant. */
import { SECOND } from '../../time/units.ts';
import { lineOfNamed, type Tenant } from './ports.ts';

/**
 * A launch that takes longer is waiting for a service. It gives its slot to other tenants, whose launches would
 * otherwise be blocked by twenty at a dead service for half a minute, again and again.
 */
const SLOW_MS = 5 * SECOND;

interface UnderWay {
  readonly line: string;
  readonly sinceMs: number;
  /** Of its job. */
  readonly isAhead: boolean;
}

export class LaunchPlaces {
  readonly #tenants: ReadonlyMap<string, Tenant>;
  #most: number;
  readonly #now: () => number;
  /** By runner, in the order in which they began. */
  readonly #launches = new Map<string, UnderWay>();

  constructor(tenants: ReadonlyMap<string, Tenant>, most: number, now: () => number) {
    this.#tenants = tenants;
    this.#most = most;
    this.#now = now;
  }

  resize(most: number): void {
    this.#most = most;
  }

  take(runner: string, registration: string, isAhead = false): void {
    this.#launches.set(runner, { line: this.lineOf(registration), sinceMs: this.#now(), isAhead });
  }

  release(runner: string): void {
    this.#launches.delete(runner);
  }

  lineOf(registration: string): string {
    return lineOfNamed(this.#tenants, registration);
  }

  /** Of all tenants together, less those that are slow. */
  free(): number {
    return Math.max(0, this.#most - this.#quick().length);
  }

  /** Of one tenant, its slow ones included. */
  freeOf(line: string): number {
    return this.#most - [...this.#launches.values()].filter((launch) => launch.line === line).length;
  }

  /** Under way ahead of jobs, of all tenants together, less those that are slow. */
  ahead(): number {
    return this.#quick().filter(({ isAhead }) => isAhead).length;
  }

  /** The same of one tenant, its slow ones included. */
  aheadOf(line: string): number {
    return [...this.#launches.values()].filter((launch) => launch.isAhead && launch.line === line).length;
  }

  /** When the first of them that is not slow will be; undefined: there is none. */
  nextSlowAheadMs(): number | undefined {
    const first = this.#quick().find(({ isAhead }) => isAhead);
    return first === undefined ? undefined : first.sinceMs + SLOW_MS;
  }

  /** When a place will be free although no launch has ended; undefined while there is one. */
  nextFreeMs(): number | undefined {
    const [first] = this.#quick();
    return first === undefined || this.free() > 0 ? undefined : first.sinceMs + SLOW_MS;
  }

  #quick(): readonly UnderWay[] {
    const now = this.#now();
    return [...this.#launches.values()].filter(({ sinceMs }) => now - sinceMs < SLOW_MS);
  }
}
