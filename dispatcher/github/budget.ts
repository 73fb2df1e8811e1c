/**
 * How much one credential may ask of GitHub, so that GitHub never has to refuse. Pure: decides from its inputs,
 * including the time; `budget-gate.ts` makes the calls wait.
 *
 * Sources: docs.github.com, "Rate limits for the REST API" (900 points a minute, GET 1, write 5; 100 concurrent
 * requests; 80 content-creating requests a minute, 500 an hour) and "Actions limits" (1,500 runner registrations per
 * 5 minutes and scope).
 */

import { backoffMs } from '../../time/backoff.ts';
import { RateWindow } from '../../time/rate-window.ts';
import type { CallPurpose } from './github.ts';
import type { Brake, RateReport } from './rate-report.ts';

/** Most urgent first. */
export const purposes = ['launch', 'drain', 'verify', 'sweep'] as const satisfies readonly CallPurpose[];

/**
 * The share of each limit that a purpose may use together with all less urgent ones: a sweep never takes more than a
 * fifth, and a fifth is always reserved for launches.
 */
const SHARE = { launch: 1, drain: 0.8, verify: 0.5, sweep: 0.2 } as const satisfies Record<CallPurpose, number>;

/** Share of the hour's requests left to more urgent purposes, even if other users of the credential took the rest. */
const RESERVE = { launch: 0, drain: 0.05, verify: 0.1, sweep: 0.2 } as const satisfies Record<CallPurpose, number>;

export interface BudgetLimits {
  readonly pointsPerMinute: number;
  /** Points of one minute that may be spent without a pause. The rest is spread over the minute. */
  readonly atOnceShare: number;
  /** GitHub allows 100; other programs may use the credential too. */
  readonly concurrentRequests: number;
  readonly registrationsPer5Minutes: number;
  readonly contentPerMinute: number;
  readonly contentPerHour: number;
  /** Maximum number of calls waiting in the queue. */
  readonly waitingCalls: number;
  /** A call that would wait longer is refused. */
  readonly longestWaitMs: number;
}

export const githubLimits: BudgetLimits = {
  pointsPerMinute: 900,
  atOnceShare: 0.5,
  concurrentRequests: 40,
  registrationsPer5Minutes: 1_500,
  contentPerMinute: 80,
  contentPerHour: 500,
  waitingCalls: 2_000,
  longestWaitMs: 10_000,
};

/** The cost of a call. */
export interface Cost {
  readonly points: number;
  /** The scope (see `scopePath`) in which it registers a runner. */
  readonly registersAt?: string;
  /** Creates content that triggers notifications, such as a check run. */
  readonly createsContent?: boolean;
}

/**
 * `go`, or the earliest time to ask again (undefined: when another call ends). `others`: whether less urgent calls must
 * wait too (shared limits), or only those with the same needs (a scope's registrations, a class's hour).
 */
export type Verdict =
  | { readonly go: true }
  | { readonly go: false; readonly others: 'wait' | 'may-go'; readonly atMs: number | undefined };

/** The outcome of a finished call. */
export interface Ending {
  /** Undefined when no answer came: it counts as spent. */
  readonly status: number | undefined;
  readonly report: RateReport | undefined;
  readonly brake: Brake | undefined;
}

/** A call in flight. */
export interface Spending {
  /** Numbers the calls as they are sent: a clock that is set back does not change the order. */
  readonly call: number;
  readonly atMs: number;
  readonly purpose: CallPurpose;
  readonly resource: Hour;
  readonly endpoints: string;
}

export interface BudgetLevel {
  /** `points`, `concurrency`, or GitHub's name of the class of endpoints: `core`, `actions_runner_registration`. */
  readonly class: string;
  readonly remaining: number;
  readonly limit: number;
  /** Null if nothing is reset: the window slides. */
  readonly resetAtMs: number | null;
}

/** The windows are slightly longer than GitHub's, to allow for a request's time in transit. */
const MARGIN_MS = 1_000;
const MINUTE_MS = 60_000 + MARGIN_MS;
const HOUR_MS = 3_600_000 + MARGIN_MS;
const REGISTRATIONS_MS = 300_000 + MARGIN_MS;

const SECONDARY_FIRST_MS = 60_000;
const MAX_SECONDARY_MS = 900_000;
/** GitHub has a dozen classes. */
const CLASSES = 16;
/** `x-ratelimit-reset` may differ by a second between two answers for the same hour. */
const SAME_RESET_MS = 5_000;

/** The runner registrations of all scopes of one GitHub host, whichever credential makes them. */
export class RegistrationWindows {
  readonly #most: number;
  readonly #windows = new Map<string, RateWindow>();

  constructor(most: number) {
    this.#most = most;
  }

  fitsAt(scope: string, nowMs: number): number {
    return this.#windows.get(scope)?.fitsAt(nowMs) ?? nowMs;
  }

  spend(scope: string, nowMs: number): void {
    if (this.#windows.size >= 1_000) this.#forgetIdle(nowMs);
    const window = this.#windows.get(scope) ?? new RateWindow(REGISTRATIONS_MS, this.#most);
    window.spend(nowMs);
    this.#windows.set(scope, window);
  }

  #forgetIdle(nowMs: number): void {
    for (const [scope, window] of this.#windows) if (window.used(nowMs) === 0) this.#windows.delete(scope);
  }
}

/** The hour of one endpoint class. Without a report from GitHub (GHES may have no limits) it does not limit calls. */
class Hour {
  #limit: number | undefined;
  #remaining = 0;
  #resetAtMs = 0;
  #inFlight = 0;
  /** The number of the call whose answer reported this hour. */
  #toldBy = 0;
  readonly #used: Record<CallPurpose, number> = { launch: 0, drain: 0, verify: 0, sweep: 0 };

  /** When a call of this purpose fits; `nowMs` if it already does. */
  fitsAt(nowMs: number, purpose: CallPurpose): number {
    this.#turn(nowMs);
    if (this.#limit === undefined) return nowMs;
    const left = this.#remaining - this.#inFlight;
    const share = Math.max(1, Math.floor(this.#limit * SHARE[purpose]));
    const fits = left > Math.floor(this.#limit * RESERVE[purpose]) && this.#usedFrom(purpose) < share;
    return fits ? nowMs : this.#resetAtMs;
  }

  spend(purpose: CallPurpose): void {
    this.#inFlight += 1;
    this.#used[purpose] += 1;
  }

  end(purpose: CallPurpose, status: number | undefined): void {
    this.#inFlight -= 1;
    // A 304 does not count against the primary limit.
    if (status === 304) this.#used[purpose] = Math.max(0, this.#used[purpose] - 1);
    else this.#remaining = Math.max(0, this.#remaining - 1);
  }

  /**
   * Undoes the count of `end`, which the report includes. Answers can arrive out of order: within one hour the lower
   * number is used, and of two hours the one reported to the latest-sent call, even if its reset is earlier.
   */
  learn(report: RateReport, status: number | undefined, call: number): void {
    const sameHour = this.#limit !== undefined && Math.abs(report.resetAtMs - this.#resetAtMs) <= SAME_RESET_MS;
    if (sameHour) {
      const before = this.#remaining + (status === 304 ? 0 : 1);
      this.#remaining = Math.min(before, report.remaining);
      this.#toldBy = Math.max(this.#toldBy, call);
    } else if (this.#limit === undefined || report.resetAtMs > this.#resetAtMs || call > this.#toldBy) {
      if (this.#limit !== undefined) this.#clear();
      this.#remaining = report.remaining;
      this.#resetAtMs = report.resetAtMs;
      this.#toldBy = call;
    } else {
      return;
    }
    this.#limit = report.limit;
  }

  exhaust(nowMs: number): void {
    this.#remaining = 0;
    if (this.#limit === undefined) this.#limit = 1;
    if (this.#resetAtMs <= nowMs) this.#resetAtMs = nowMs + SECONDARY_FIRST_MS;
  }

  level(nowMs: number): Omit<BudgetLevel, 'class'> | undefined {
    this.#turn(nowMs);
    if (this.#limit === undefined) return undefined;
    return {
      remaining: Math.max(0, this.#remaining - this.#inFlight),
      limit: this.#limit,
      resetAtMs: this.#resetAtMs,
    };
  }

  get resetAtMs(): number {
    return this.#resetAtMs;
  }

  /** After the reset only the fact of the reset is known: the next answer has the rest. */
  #turn(nowMs: number): void {
    if (this.#limit === undefined || nowMs < this.#resetAtMs) return;
    this.#limit = undefined;
    this.#clear();
  }

  #clear(): void {
    for (const purpose of purposes) this.#used[purpose] = 0;
  }

  #usedFrom(purpose: CallPurpose): number {
    let sum = 0;
    for (const other of purposes.slice(purposes.indexOf(purpose))) sum += this.#used[other];
    return sum;
  }
}

export class Budget {
  readonly #limits: BudgetLimits;
  readonly #registrations: RegistrationWindows;
  readonly #points: RateWindow;
  readonly #contentMinute: RateWindow;
  readonly #contentHour: RateWindow;
  readonly #hours = new Map<string, Hour>();
  /** The GitHub class to which each of our endpoint kinds turned out to belong. */
  readonly #classOf = new Map<string, string>();
  readonly #inFlight: Record<CallPurpose, number> = { launch: 0, drain: 0, verify: 0, sweep: 0 };
  #pointsSpentAtMs = Number.NEGATIVE_INFINITY;
  #blockedUntilMs = 0;
  #calls = 0;
  #secondaryStrikes = 0;

  constructor(limits: BudgetLimits, registrations: RegistrationWindows) {
    this.#limits = limits;
    this.#registrations = registrations;
    this.#points = new RateWindow(MINUTE_MS, limits.pointsPerMinute);
    this.#contentMinute = new RateWindow(MINUTE_MS, limits.contentPerMinute);
    this.#contentHour = new RateWindow(HOUR_MS, limits.contentPerHour);
  }

  verdict(nowMs: number, cost: Cost, purpose: CallPurpose): Verdict {
    if (this.#blockedUntilMs > nowMs) return { go: false, others: 'wait', atMs: this.#blockedUntilMs };

    const rank = purposes.indexOf(purpose);
    const { pointsPerMinute, concurrentRequests } = this.#limits;
    const pointsAt = Math.max(
      this.#points.fitsAt(nowMs, cost.points),
      this.#points.fitsAt(nowMs, cost.points, share(pointsPerMinute, purpose), rank),
    );
    const nextAt = Math.max(pointsAt, this.#pacedAt(nowMs, cost.points));
    if (nextAt > nowMs) return { go: false, others: 'wait', atMs: nextAt };
    if (this.#inFlightFrom('launch') >= concurrentRequests) return { go: false, others: 'wait', atMs: undefined };
    if (this.#inFlightFrom(purpose) >= share(concurrentRequests, purpose)) {
      return { go: false, others: 'wait', atMs: undefined };
    }

    const ownAt = Math.max(
      this.#hour(endpointsOf(cost)).fitsAt(nowMs, purpose),
      cost.registersAt === undefined ? nowMs : this.#registrations.fitsAt(cost.registersAt, nowMs),
      cost.createsContent === true
        ? Math.max(this.#contentMinute.fitsAt(nowMs), this.#contentHour.fitsAt(nowMs))
        : nowMs,
    );
    return ownAt > nowMs ? { go: false, others: 'may-go', atMs: ownAt } : { go: true };
  }

  spend(nowMs: number, cost: Cost, purpose: CallPurpose): Spending {
    this.#points.spend(nowMs, cost.points, purposes.indexOf(purpose));
    this.#pointsSpentAtMs = nowMs;
    if (cost.registersAt !== undefined) this.#registrations.spend(cost.registersAt, nowMs);
    if (cost.createsContent === true) {
      this.#contentMinute.spend(nowMs);
      this.#contentHour.spend(nowMs);
    }
    this.#inFlight[purpose] += 1;
    const endpoints = endpointsOf(cost);
    const resource = this.#hour(endpoints);
    resource.spend(purpose);
    this.#calls += 1;
    return { call: this.#calls, atMs: nowMs, purpose, resource, endpoints };
  }

  /** Call once for each spending. Returns how long GitHub wants us to pause, or undefined if it does not say. */
  end(nowMs: number, spending: Spending, ending: Ending): number | undefined {
    this.#inFlight[spending.purpose] -= 1;
    spending.resource.end(spending.purpose, ending.status);

    let hour = spending.resource;
    if (ending.report !== undefined) {
      const name = ending.report.resource;
      if (name !== undefined && (this.#hours.has(name) || this.#hours.size < CLASSES)) {
        this.#classOf.set(spending.endpoints, name);
        hour = this.#hour(spending.endpoints);
      }
      hour.learn(ending.report, hour === spending.resource ? ending.status : 304, spending.call);
    }
    return this.#heed(nowMs, spending, ending, hour);
  }

  levels(nowMs: number): readonly BudgetLevel[] {
    const levels: BudgetLevel[] = [
      {
        class: 'points',
        limit: this.#limits.pointsPerMinute,
        remaining: Math.max(0, this.#limits.pointsPerMinute - this.#points.used(nowMs)),
        resetAtMs: null,
      },
      {
        class: 'concurrency',
        limit: this.#limits.concurrentRequests,
        remaining: Math.max(0, this.#limits.concurrentRequests - this.#inFlightFrom('launch')),
        resetAtMs: this.#blockedUntilMs > nowMs ? this.#blockedUntilMs : null,
      },
    ];
    for (const [name, hour] of this.#hours) {
      const level = hour.level(nowMs);
      if (level !== undefined) levels.push({ class: name, ...level });
    }
    return levels;
  }

  #heed(nowMs: number, spending: Spending, ending: Ending, hour: Hour): number | undefined {
    switch (ending.brake?.kind) {
      case undefined:
        // Only a call sent after the limit was met proves that it is over.
        if (ending.status !== undefined && ending.status < 400 && spending.atMs >= this.#blockedUntilMs) {
          this.#secondaryStrikes = 0;
        }
        return undefined;
      case 'wait':
        this.#blockedUntilMs = Math.max(this.#blockedUntilMs, nowMs + ending.brake.ms);
        return ending.brake.ms;
      case 'exhausted':
        hour.exhaust(nowMs);
        return hour.resetAtMs - nowMs;
      case 'secondary':
        // If forty calls in flight are all refused, that is one strike.
        if (spending.atMs >= this.#blockedUntilMs) {
          const ms = backoffMs(SECONDARY_FIRST_MS, MAX_SECONDARY_MS, this.#secondaryStrikes);
          this.#blockedUntilMs = nowMs + ms;
          this.#secondaryStrikes += 1;
        }
        return Math.max(0, this.#blockedUntilMs - nowMs);
    }
  }

  /**
   * A minute's points spent at once leave nothing for the rest of it, and the next minute repeats the pattern. So
   * the second half is spread: a small burst is sent at once, a large one continues at a steady rate.
   */
  #pacedAt(nowMs: number, points: number): number {
    const { pointsPerMinute, atOnceShare } = this.#limits;
    const used = this.#points.used(nowMs);
    if (used < pointsPerMinute * atOnceShare) return nowMs;
    const left = Math.max(1, pointsPerMinute - used);
    // The remainder has to last until the first points come back; after that calls proceed at the rate of return.
    const untilNextMs = Math.max(0, this.#points.fitsAt(nowMs, left + 1) - nowMs);
    const pauseMs = points * Math.max(MINUTE_MS / pointsPerMinute, untilNextMs / left);
    return Math.max(nowMs, this.#pointsSpentAtMs + Math.ceil(pauseMs));
  }

  #hour(endpoints: string): Hour {
    const name = this.#classOf.get(endpoints) ?? endpoints;
    let hour = this.#hours.get(name);
    if (hour === undefined) {
      hour = new Hour();
      this.#hours.set(name, hour);
    }
    return hour;
  }

  #inFlightFrom(purpose: CallPurpose): number {
    let sum = 0;
    for (const other of purposes.slice(purposes.indexOf(purpose))) sum += this.#inFlight[other];
    return sum;
  }
}

/** Our guess of GitHub's class, until `x-ratelimit-resource` corrects it. */
function endpointsOf(cost: Cost): string {
  return cost.registersAt === undefined ? 'core' : 'actions_runner_registration';
}

/** Even a small limit lets one call of each purpose through. */
function share(limit: number, purpose: CallPurpose): number {
  return Math.max(1, Math.floor(limit * SHARE[purpose]));
}
