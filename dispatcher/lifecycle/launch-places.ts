/** How many launches are in flight: a service that does not answer only delays the launches of its own tenant. */
import { SECOND } from '../../time/units.ts';
import { lineOfNamed, type Tenant } from './ports.ts';

/**
 * A launch that takes longer is waiting for a service. It gives its slot to other tenants, whose launches would
 * otherwise be blocked by twenty at a dead service for half a minute, again and again.
 */
const SLOW_MS = 5 * SECOND;

export class LaunchPlaces {
  readonly #tenants: ReadonlyMap<string, Tenant>;
  #most: number;
  readonly #now: () => number;
  /** By runner, in the order in which they began. */
  readonly #launches = new Map<string, { readonly line: string; readonly sinceMs: number }>();

  constructor(tenants: ReadonlyMap<string, Tenant>, most: number, now: () => number) {
    this.#tenants = tenants;
    this.#most = most;
    this.#now = now;
  }

  resize(most: number): void {
    this.#most = most;
  }

  take(runner: string, registration: string): void {
    this.#launches.set(runner, { line: this.lineOf(registration), sinceMs: this.#now() });
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

  /** When a place will be free although no launch has ended; undefined while there is one. */
  nextFreeMs(): number | undefined {
    const [first] = this.#quick();
    return first === undefined || this.free() > 0 ? undefined : first.sinceMs + SLOW_MS;
  }

  #quick(): readonly { readonly sinceMs: number }[] {
    const now = this.#now();
    return [...this.#launches.values()].filter(({ sinceMs }) => now - sinceMs < SLOW_MS);
  }
}
