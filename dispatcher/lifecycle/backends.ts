/**
 * Which backends may be tried now. Failures count, and breakers open, per registration, backend and (where the failure
 * is about them) image and shape: labels such as `sid-…` make every job its own lane, so a lane is no place to count.
 */
import type { ProviderErrorKind } from '../../providers/provider.ts';
import type { LaneSpec } from '../admission/lane.ts';
import type { Clock } from '../clock.ts';
import type { Breaker, Ledger } from '../ledger/ledger.ts';
import type { Log } from './ports.ts';

/** `start` is a container that ended before it came online. */
export type FailureKind = ProviderErrorKind | 'start';

interface Rule {
  /** Whether another image or shape may fare better on the same backend. */
  readonly perShape: boolean;
  /** Failures in a row before the breaker opens. */
  readonly patience: number;
  readonly firstMs: number;
  readonly mostMs: number;
}

const SECOND = 1000;
const MINUTE = 60 * SECOND;

/** The verdicts of DESIGN, "Provider contract". `invalid` stays open until the registration changes. */
const RULES: Readonly<Record<Exclude<FailureKind, 'invalid' | 'conflict'>, Rule>> = {
  capacity: { perShape: true, patience: 1, firstMs: 30 * SECOND, mostMs: 10 * MINUTE },
  quota: { perShape: false, patience: 1, firstMs: MINUTE, mostMs: 15 * MINUTE },
  throttled: { perShape: false, patience: 1, firstMs: 5 * SECOND, mostMs: MINUTE },
  transient: { perShape: false, patience: 1, firstMs: 5 * SECOND, mostMs: 5 * MINUTE },
  unauthorized: { perShape: false, patience: 1, firstMs: 5 * MINUTE, mostMs: 5 * MINUTE },
  start: { perShape: true, patience: 3, firstMs: MINUTE, mostMs: 10 * MINUTE },
};

export interface Usable {
  /** In the lane's order of preference. */
  readonly open: readonly string[];
  /** Why the others are not, in words. */
  readonly closed: readonly { readonly backend: string; readonly reason: string; readonly untilMs: number | null }[];
}

interface Load {
  inFlight: number;
  /** Launches in flight at the most: halved when the service throttles, one more after each success. */
  window: number;
}

const LIVED = 'engine/lived-at-ms';
/** A ledger that was last written longer ago may be an old copy: then all backends are listed before the first launch. */
const MEMORY_MS = 15 * MINUTE;

export class Backends {
  readonly #breakers = new Map<string, Breaker>();
  readonly #loads = new Map<string, Load>();
  readonly #ledger: Pick<Ledger, 'breakers' | 'putBreaker' | 'deleteBreaker' | 'cursor' | 'putCursor'>;
  readonly #clock: Clock;
  readonly #log: Log;
  readonly #widest: number;
  readonly #unlisted = new Map<string, Set<string>>();
  #remembers = false;

  /** `registrations`: each with the names of its backends. */
  constructor(
    ledger: Pick<Ledger, 'breakers' | 'putBreaker' | 'deleteBreaker' | 'cursor' | 'putCursor'>,
    clock: Clock,
    log: Log,
    maxLaunches: number,
    registrations: ReadonlyMap<string, readonly string[]>,
  ) {
    for (const [name, backends] of registrations) this.#unlisted.set(name, new Set(backends));
    this.#ledger = ledger;
    this.#clock = clock;
    this.#log = log;
    this.#widest = maxLaunches;
  }

  /** A start is when registrations change: what they were refused for is tried again. */
  async load(): Promise<void> {
    const livedAtMs = Number(await this.#ledger.cursor(LIVED));
    this.#remembers = livedAtMs > 0 && this.#clock.now() - livedAtMs < MEMORY_MS;
    for (const breaker of await this.#ledger.breakers()) {
      if (breaker.kind === 'invalid') await this.#ledger.deleteBreaker(breaker.key);
      else this.#breakers.set(breaker.key, breaker);
    }
  }

  /** The ledger knows all that runs: written once a minute, from the time when everything was listed. */
  async keepMemory(): Promise<void> {
    if (!this.#remembers && [...this.#unlisted.values()].some(({ size }) => size > 0)) return;
    this.#remembers = true;
    await this.#ledger.putCursor(LIVED, String(this.#clock.now()), this.#clock.now());
  }

  /** Registrations of which something may run that a new or old ledger does not know of. */
  unknown(): readonly string[] {
    if (this.#remembers) return [];
    return [...this.#unlisted].filter(([, backends]) => backends.size > 0).map(([name]) => name);
  }

  usable(lane: LaneSpec): Usable {
    const open: string[] = [];
    const closed: Usable['closed'][number][] = [];
    const [unlisted] = this.#unlisted.get(lane.registration) ?? [];
    // What runs on one backend counts for the caps of all, and a ledger without memory does not know of it.
    if (unlisted !== undefined && !this.#remembers) {
      const reason = `the ledger is new, and what runs on ${unlisted} has not been listed yet`;
      return { open, closed: lane.backends.map((backend) => ({ backend, reason, untilMs: null })) };
    }
    for (const backend of lane.backends) {
      const obstacle = this.#obstacle(lane.registration, backend, lane.specHash);
      if (obstacle === undefined) open.push(backend);
      else closed.push({ backend, ...obstacle });
    }
    return { open, closed };
  }

  /** The service's words, when every backend of the lane refuses its image or shape for good. */
  refusal(lane: LaneSpec): string | undefined {
    const words: string[] = [];
    for (const backend of lane.backends) {
      const breaker = this.#breakers.get(shapeKey(lane.registration, backend, lane.specHash, 'invalid'));
      if (breaker === undefined) return undefined;
      words.push(`${backend}: ${breaker.message}`);
    }
    return words.join('; ');
  }

  /** The earliest time at which a closed backend may be tried again. */
  nextOpeningMs(): number | undefined {
    let earliest: number | undefined;
    const now = this.#clock.now();
    for (const { openUntilMs } of this.#breakers.values()) {
      if (openUntilMs === null || openUntilMs <= now) continue;
      if (earliest === undefined || openUntilMs < earliest) earliest = openUntilMs;
    }
    return earliest;
  }

  launchRoom(registration: string, backend: string): number {
    const load = this.#load(registration, backend);
    return Math.max(0, Math.floor(load.window) - load.inFlight);
  }

  listed(registration: string, backend: string): void {
    this.#unlisted.get(registration)?.delete(backend);
  }

  entered(registration: string, backend: string): void {
    this.#load(registration, backend).inFlight += 1;
  }

  left(registration: string, backend: string): void {
    this.#load(registration, backend).inFlight -= 1;
  }

  async failed(
    registration: string,
    backend: string,
    specHash: string,
    kind: FailureKind,
    message: string,
    retryAfterMs?: number,
  ): Promise<void> {
    if (kind === 'conflict') return;
    const now = this.#clock.now();
    if (kind === 'throttled') {
      const load = this.#load(registration, backend);
      load.window = Math.max(1, load.window / 2);
    }
    if (kind === 'invalid') {
      const key = shapeKey(registration, backend, specHash, kind);
      await this.#put({ key, kind, message, failures: 1, openUntilMs: null, changedAtMs: now });
      return;
    }
    const rule = RULES[kind];
    const key = rule.perShape ? shapeKey(registration, backend, specHash, kind) : `${registration}/${backend}`;
    const before = this.#breakers.get(key);
    // Launches that were under way when the breaker opened fail too; they are the same failure.
    if (before !== undefined && before.kind === kind && before.openUntilMs !== null && before.openUntilMs > now) return;
    const failures = (before?.failures ?? 0) + 1;
    const doublings = Math.max(0, failures - rule.patience);
    const pauseMs = Math.max(retryAfterMs ?? 0, Math.min(rule.mostMs, rule.firstMs * 2 ** Math.min(doublings, 10)));
    const openUntilMs = failures >= rule.patience ? now + pauseMs : now;
    await this.#put({ key, kind, message, failures, openUntilMs, changedAtMs: now });
  }

  /** The service accepted a launch: its account-wide troubles are over, and more launches may be in flight. */
  async accepted(registration: string, backend: string, specHash: string): Promise<void> {
    const load = this.#load(registration, backend);
    load.window = Math.min(this.#widest, load.window + 1);
    await this.#delete(`${registration}/${backend}`);
    await this.#delete(shapeKey(registration, backend, specHash, 'capacity'));
  }

  /** A container of this image and shape came online there. */
  async cameOnline(registration: string, backend: string, specHash: string): Promise<void> {
    await this.#delete(shapeKey(registration, backend, specHash, 'start'));
  }

  #obstacle(
    registration: string,
    backend: string,
    specHash: string,
  ): { reason: string; untilMs: number | null } | undefined {
    const now = this.#clock.now();
    if (this.#unlisted.get(registration)?.has(backend) !== false) {
      return { reason: 'what runs there has not been listed yet', untilMs: null };
    }
    const keys = [
      `${registration}/${backend}`,
      ...(['invalid', 'capacity', 'start'] as const).map((kind) => shapeKey(registration, backend, specHash, kind)),
    ];
    for (const key of keys) {
      const breaker = this.#breakers.get(key);
      if (breaker === undefined) continue;
      if (breaker.openUntilMs === null || breaker.openUntilMs > now) {
        return { reason: `${breaker.kind}: ${breaker.message}`, untilMs: breaker.openUntilMs };
      }
      const probing = this.#load(registration, backend).inFlight > 0 && breaker.kind !== 'start';
      if (probing) return { reason: `${breaker.kind} before; one launch tries it again`, untilMs: null };
    }
    return undefined;
  }

  #load(registration: string, backend: string): Load {
    const key = `${registration}/${backend}`;
    const known = this.#loads.get(key);
    if (known !== undefined) return known;
    const load = { inFlight: 0, window: this.#widest };
    this.#loads.set(key, load);
    return load;
  }

  async #put(breaker: Breaker): Promise<void> {
    this.#breakers.set(breaker.key, breaker);
    const open = breaker.openUntilMs === null || breaker.openUntilMs > this.#clock.now();
    if (open) {
      this.#log.warn('breaker', {
        backend: breaker.key,
        kind: breaker.kind,
        reason: breaker.message,
        failures: breaker.failures,
        untilMs: breaker.openUntilMs,
      });
    }
    await this.#ledger.putBreaker(breaker);
  }

  async #delete(key: string): Promise<void> {
    if (this.#breakers.delete(key)) await this.#ledger.deleteBreaker(key);
  }
}

function shapeKey(registration: string, backend: string, specHash: string, kind: FailureKind): string {
  return `${registration}/${backend}/${specHash}/${kind}`;
}
