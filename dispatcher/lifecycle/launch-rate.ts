/** Launches a minute of a registration, and of a tenant over all its registrations. The stricter of both decides. */
import { RateWindow } from '../../time/rate-window.ts';
import { timeOfDay } from '../../time/time-of-day.ts';
import { MINUTE } from '../../time/units.ts';
import { lineOf, type Registration } from '../model/registration.ts';
import type { EngineOptions } from './ports.ts';

/** What one limit counts. */
interface Counted {
  /** Apart from each other: a tenant may be called like a registration. */
  readonly key: string;
  readonly most: number;
  readonly words: string;
}

export class LaunchRate {
  readonly #options: Pick<EngineOptions, 'clock' | 'tenants'>;
  readonly #windows = new Map<string, RateWindow>();
  /** Registrations that wait for it, and until when. */
  readonly #waiting = new Map<string, number>();

  constructor(options: Pick<EngineOptions, 'clock' | 'tenants'>) {
    this.#options = options;
  }

  /** How many the registration may launch now; infinite without a limit of its own. Remembers it if it must wait. */
  ofRegistration(registration: Registration): number {
    const until = this.#waitOf(registration)?.untilMs;
    if (until === undefined) this.#waiting.delete(registration.name);
    else this.#waiting.set(registration.name, until);
    return this.#roomOf(ownLimit(registration));
  }

  /** How many its tenant may launch now, with all its registrations. */
  ofTenant(registration: Registration): number {
    return this.#roomOf(tenantLimit(registration));
  }

  /** The lesser of both. Remembers it if it must wait. */
  roomOf(registration: Registration): number {
    return Math.min(this.ofRegistration(registration), this.ofTenant(registration));
  }

  recordLaunch(name: string): void {
    const registration = this.#options.tenants.get(name)?.registration;
    if (registration === undefined) return;
    for (const limit of limitsOf(registration)) this.#window(limit).spend(this.#options.clock.now());
  }

  reason(registration: Registration): string | undefined {
    const wait = this.#waitOf(registration);
    return wait === undefined ? undefined : `${wait.words}: the next follows at ${timeOfDay(wait.untilMs)}`;
  }

  nextMs(): number | undefined {
    const now = this.#options.clock.now();
    // Of registrations that are gone, too.
    for (const [key, window] of [...this.#windows]) if (window.used(now) === 0) this.#windows.delete(key);
    for (const [name, until] of [...this.#waiting]) if (until <= now) this.#waiting.delete(name);
    return this.#waiting.size === 0 ? undefined : Math.min(...this.#waiting.values());
  }

  #waitOf(registration: Registration): { readonly untilMs: number; readonly words: string } | undefined {
    const now = this.#options.clock.now();
    const waits = limitsOf(registration)
      .map((limit) => ({ untilMs: this.#window(limit).fitsAt(now, 1, limit.most), words: limit.words }))
      .filter(({ untilMs }) => untilMs > now);
    return waits.toSorted((one, other) => other.untilMs - one.untilMs)[0];
  }

  #roomOf(limit: Counted | undefined): number {
    if (limit === undefined) return Number.POSITIVE_INFINITY;
    return Math.max(0, limit.most - this.#window(limit).used(this.#options.clock.now()));
  }

  #window({ key, most }: Counted): RateWindow {
    let window = this.#windows.get(key);
    if (window === undefined) {
      window = new RateWindow(MINUTE, most);
      this.#windows.set(key, window);
    }
    return window;
  }
}

function limitsOf(registration: Registration): readonly Counted[] {
  return [ownLimit(registration), tenantLimit(registration)].filter((limit) => limit !== undefined);
}

function ownLimit({ name, maxLaunchesPerMinute: most }: Registration): Counted | undefined {
  if (most === undefined) return undefined;
  return { key: `registration ${name}`, most, words: `the registration launches at most ${inWords(most)}` };
}

function tenantLimit(registration: Registration): Counted | undefined {
  const most = registration.grant?.limits.maxLaunchesPerMinute;
  if (most === undefined) return undefined;
  const place = registration.grant?.places['limits.maxLaunchesPerMinute'] ?? 'dispatcher.yaml';
  return {
    key: `tenant ${lineOf(registration)}`,
    most,
    words: `the tenant launches at most ${inWords(most)} (${place})`,
  };
}

function inWords(most: number): string {
  return `${most} ${most === 1 ? 'runner' : 'runners'} a minute`;
}
