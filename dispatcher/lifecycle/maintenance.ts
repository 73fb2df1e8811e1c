/** Which registrations are in a maintenance window: their jobs are taken in, and launches wait for its end. */
import type { Clock } from '../../time/clock.ts';
import { RecurringWindows } from '../../time/recurring-window.ts';
import type { EngineOptions } from './ports.ts';

export class Maintenance {
  readonly #clock: Pick<Clock, 'now'>;
  readonly #tenants: EngineOptions['tenants'];
  #windows: Promise<RecurringWindows> | undefined;
  /** When those end that have kept a registration from a launch, by registration. */
  readonly #ends = new Map<string, number>();

  constructor({ clock, tenants }: Pick<EngineOptions, 'clock' | 'tenants'>) {
    this.#clock = clock;
    this.#tenants = tenants;
  }

  /** When the last of the windows that are open now ends; undefined: none is. */
  async untilMs(registration: string): Promise<number | undefined> {
    const configured = this.#tenants.get(registration)?.registration.maintenance;
    if (configured === undefined) return undefined;
    this.#windows ??= RecurringWindows.load();
    const windows = await this.#windows;
    const now = this.#clock.now();
    const ends = configured.map((window) => windows.openUntilMs(window, now)).filter((end) => end !== undefined);
    return ends.length === 0 ? undefined : Math.max(...ends);
  }

  /** As `untilMs`, and remembers it: the registration's lanes are planned again then. */
  async holds(registration: string): Promise<boolean> {
    const untilMs = await this.untilMs(registration);
    if (untilMs === undefined) this.#ends.delete(registration);
    else this.#ends.set(registration, untilMs);
    return untilMs !== undefined;
  }

  async reason(registration: string): Promise<string | undefined> {
    const untilMs = await this.untilMs(registration);
    return untilMs === undefined ? undefined : maintenanceWords(untilMs);
  }

  nextMs(): number | undefined {
    const now = this.#clock.now();
    for (const [registration, end] of [...this.#ends]) if (end <= now) this.#ends.delete(registration);
    return this.#ends.size === 0 ? undefined : Math.min(...this.#ends.values());
  }
}

/** With the date: a window may end tomorrow. */
export function maintenanceWords(untilMs: number): string {
  const end = new Date(untilMs).toISOString().slice(0, 16).replace('T', ' ');
  return `its registration is in a maintenance window until ${end} UTC: no runner is launched`;
}
