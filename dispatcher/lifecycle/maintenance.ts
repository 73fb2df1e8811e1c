/** Which registrations are paused, in a maintenance window, or only observe: nothing is launched for their jobs. */
import type { Clock } from '../../time/clock.ts';
import { RecurringWindows } from '../../time/recurring-window.ts';
import { type Pauses, pauseWords } from './pauses.ts';
import type { EngineOptions } from './ports.ts';

export interface MaintenanceOptions extends Pick<EngineOptions, 'clock' | 'tenants'> {
  /** Absent: nothing is ever paused. */
  readonly pauses?: Pick<Pauses, 'of'>;
}

export class Maintenance {
  readonly #clock: Pick<Clock, 'now'>;
  readonly #tenants: EngineOptions['tenants'];
  readonly #pauses: Pick<Pauses, 'of'> | undefined;
  #windows: Promise<RecurringWindows> | undefined;
  /** When those end that have kept a registration from a launch, by registration. */
  readonly #ends = new Map<string, number>();

  constructor({ clock, pauses, tenants }: MaintenanceOptions) {
    this.#clock = clock;
    this.#pauses = pauses;
    this.#tenants = tenants;
  }

  /** An operator's pause keeps what waits for a job from it, too, as observing does; a window does not. */
  isPaused(registration: string): boolean {
    return this.#observes(registration) || this.#pauses?.of(registration) !== undefined;
  }

  /** When the last of the windows that are open now ends; undefined: none is. A pause has no end that is known. */
  async untilMs(registration: string): Promise<number | undefined> {
    return this.isPaused(registration) ? Number.POSITIVE_INFINITY : await this.windowUntilMs(registration);
  }

  /** As `untilMs`, of windows alone. */
  async windowUntilMs(registration: string): Promise<number | undefined> {
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
    // The engine is woken when a pause ends.
    if (untilMs === undefined || untilMs === Number.POSITIVE_INFINITY) this.#ends.delete(registration);
    else this.#ends.set(registration, untilMs);
    return untilMs !== undefined;
  }

  async reason(registration: string): Promise<string | undefined> {
    const pause = this.#pauses?.of(registration);
    if (pause !== undefined) return pauseWords(pause);
    if (this.#observes(registration)) return `${OBSERVED_WORDS}: no runner is launched`;
    const untilMs = await this.untilMs(registration);
    return untilMs === undefined ? undefined : maintenanceWords(untilMs);
  }

  #observes(registration: string): boolean {
    return this.#tenants.get(registration)?.registration.observe === true;
  }

  nextMs(): number | undefined {
    const now = this.#clock.now();
    for (const [registration, end] of [...this.#ends]) if (end <= now) this.#ends.delete(registration);
    return this.#ends.size === 0 ? undefined : Math.min(...this.#ends.values());
  }
}

export const OBSERVED_WORDS = 'its registration only observes (`observe: true`)';

/** With the date: a window may end tomorrow. */
export function maintenanceWords(untilMs: number): string {
  const end = new Date(untilMs).toISOString().slice(0, 16).replace('T', ' ');
  return `its registration is in a maintenance window until ${end} UTC: no runner is launched`;
}
