/** How many runners are being checked per tenant and backend: one that does not answer only delays its own. */
import type { RunnerRow, RunnersLeftOut } from '../ledger/ledger.ts';
import { lineOfNamed, type Tenant } from './ports.ts';

/** Per tenant: its own services, if they do not answer, must not take all the slots. */
const OF_ONE_TENANT = 64;
/** Per registration and backend, so that the tenant's others continue. */
const AT_ONE_BACKEND = 16;

type Visited = Pick<RunnerRow, 'registration' | 'backend'>;

export class VisitPlaces {
  readonly #tenants: ReadonlyMap<string, Tenant>;
  readonly #byLine = new Map<string, number>();
  /** Of those under way: a registration can come to another tenant meanwhile. */
  readonly #lines = new WeakMap<Visited, string>();
  readonly #byBackend = new Map<string, Visited & { readonly count: number }>();

  constructor(tenants: ReadonlyMap<string, Tenant>) {
    this.#tenants = tenants;
  }

  hasRoom(runner: Visited): boolean {
    const ofTenant = this.#byLine.get(lineOfNamed(this.#tenants, runner.registration)) ?? 0;
    return ofTenant < OF_ONE_TENANT && (this.#byBackend.get(placeOf(runner))?.count ?? 0) < AT_ONE_BACKEND;
  }

  take(runner: Visited): void {
    this.#add(runner, 1);
  }

  release(runner: Visited): void {
    this.#add(runner, -1);
  }

  /** Those without a free slot, however many of their runners are due. */
  full(): RunnersLeftOut {
    const lines = new Set([...this.#byLine].filter(([, count]) => count >= OF_ONE_TENANT).map(([line]) => line));
    return {
      registrations:
        lines.size === 0 ? [] : [...this.#tenants.keys()].filter((name) => lines.has(lineOfNamed(this.#tenants, name))),
      places: [...this.#byBackend.values()].filter(({ count }) => count >= AT_ONE_BACKEND),
    };
  }

  /** `runner`: the same object when it is released. */
  #add(runner: Visited, change: 1 | -1): void {
    const { registration, backend } = runner;
    const line = this.#lines.get(runner) ?? lineOfNamed(this.#tenants, registration);
    this.#lines.set(runner, line);
    this.#byLine.set(line, (this.#byLine.get(line) ?? 0) + change);
    const count = (this.#byBackend.get(placeOf(runner))?.count ?? 0) + change;
    this.#byBackend.set(placeOf(runner), { registration, backend, count });
  }
}

function placeOf({ registration, backend }: Visited): string {
  return `${registration}/${backend ?? ''}`;
}
