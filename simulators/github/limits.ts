/** GitHub's limits, counted in real time: clients compare `x-ratelimit-reset` with their own clock. */
import type { LimitSettings } from './options.ts';

const hourMs = 3_600_000;
const minuteMs = 60_000;

class Window {
  readonly #lengthMs: number;
  #startMs = Number.NEGATIVE_INFINITY;
  used = 0;

  constructor(lengthMs: number) {
    this.#lengthMs = lengthMs;
  }

  roll(nowMs: number): this {
    if (nowMs >= this.#startMs + this.#lengthMs) {
      this.#startMs = nowMs;
      this.used = 0;
    }
    return this;
  }

  endMs(nowMs: number): number {
    return this.roll(nowMs).#startMs + this.#lengthMs;
  }
}

interface Account {
  readonly requests: Window;
  readonly points: Window;
  readonly contentMinute: Window;
  readonly contentHour: Window;
  inFlight: number;
}

export interface Budget {
  readonly limit: number;
  readonly remaining: number;
  readonly used: number;
  readonly resetS: number;
}

export type Verdict =
  | { readonly kind: 'ok' }
  | { readonly kind: 'primary'; readonly retryAfterS: number }
  | { readonly kind: 'secondary'; readonly retryAfterS: number };

export class Limits {
  readonly settings: LimitSettings;
  readonly #accounts = new Map<string, Account>();
  readonly #registrations = new Map<string, Window>();

  constructor(settings: LimitSettings) {
    this.settings = settings;
  }

  /** Counts the request, unless it is refused. */
  admit(key: string, method: string, createsContent: boolean, nowMs: number): Verdict {
    const account = this.#account(key);
    const { requests, points, contentMinute, contentHour } = account;
    if (requests.roll(nowMs).used >= this.#limit(key)) return { kind: 'primary', retryAfterS: until(requests, nowMs) };
    const cost = method === 'GET' || method === 'HEAD' ? 1 : 5;
    if (account.inFlight >= this.settings.concurrentRequests) return { kind: 'secondary', retryAfterS: 60 };
    if (points.roll(nowMs).used + cost > this.settings.pointsPerMinute) {
      return { kind: 'secondary', retryAfterS: until(points, nowMs) };
    }
    if (createsContent) {
      for (const [window, most] of [
        [contentMinute, this.settings.contentPerMinute],
        [contentHour, this.settings.contentPerHour],
      ] as const) {
        if (window.roll(nowMs).used >= most) return { kind: 'secondary', retryAfterS: until(window, nowMs) };
      }
      contentMinute.used += 1;
      contentHour.used += 1;
    }
    requests.used += 1;
    points.used += cost;
    account.inFlight += 1;
    return { kind: 'ok' };
  }

  done(key: string): void {
    this.#account(key).inFlight -= 1;
  }

  /** A 304 does not count against the primary limit. */
  refund(key: string): void {
    const { requests } = this.#account(key);
    requests.used = Math.max(0, requests.used - 1);
  }

  /** 1,500 runner registrations per five minutes and scope. */
  registration(scope: string, nowMs: number): Verdict {
    const window = (this.#registrations.get(scope) ?? new Window(5 * minuteMs)).roll(nowMs);
    this.#registrations.set(scope, window);
    if (window.used >= this.settings.registrationsPer5Minutes) {
      return { kind: 'secondary', retryAfterS: until(window, nowMs) };
    }
    window.used += 1;
    return { kind: 'ok' };
  }

  budget(key: string, nowMs: number): Budget {
    const { requests } = this.#account(key);
    const limit = this.#limit(key);
    const { used } = requests.roll(nowMs);
    return { limit, used, remaining: Math.max(0, limit - used), resetS: Math.ceil(requests.endMs(nowMs) / 1_000) };
  }

  #limit(key: string): number {
    return key === 'anonymous' ? this.settings.anonymousPerHour : this.settings.requestsPerHour;
  }

  #account(key: string): Account {
    const known = this.#accounts.get(key);
    if (known) return known;
    const account: Account = {
      requests: new Window(hourMs),
      points: new Window(minuteMs),
      contentMinute: new Window(minuteMs),
      contentHour: new Window(hourMs),
      inFlight: 0,
    };
    this.#accounts.set(key, account);
    return account;
  }
}

function until(window: Window, nowMs: number): number {
  return Math.max(1, Math.ceil((window.endMs(nowMs) - nowMs) / 1_000));
}
