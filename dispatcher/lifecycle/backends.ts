/**
 * Which backends may be tried now, and how many launches each may have in flight. Failures count, and breakers close
 * them, per registration, backend and (where the failure is about them) image and shape: labels such as `sid-…` make
 * every job its own lane, so counting by lane would be useless.
 */

import type { Clock } from '../../time/clock.ts';
import { timeOfDay } from '../../time/time-of-day.ts';
import { MINUTE } from '../../time/units.ts';
import { type Failure, failureWords } from '../failures/failure.ts';
import type { LaneSpec } from '../jobs/lane.ts';
import type { Breaker, Ledger } from '../ledger/ledger.ts';
import type { Log } from '../log.ts';
import type { BackendHashes } from './backend-hashes.ts';
import { type RuleName, shapeWords, stands } from './breaker-rules.ts';
import { Breakers, placeOf } from './breakers.ts';
import { Canaries } from './canaries.ts';
import { type CanaryState, failedOf } from './canary-rules.ts';
import { SharedMemory } from './shared-memory.ts';

export interface ClosedBackend {
  readonly backend: string;
  readonly reason: string;
  /** Null: no time limit. */
  readonly untilMs: number | null;
  /** What closed it; null if nothing failed. */
  readonly failure: Failure | null;
}

export interface Usable {
  /** In the lane's order of preference. */
  readonly open: readonly string[];
  /** Why the others are not, for display. */
  readonly closed: readonly ClosedBackend[];
}

/** What is closed on a backend: all of it, or one image and shape. */
export interface Closure {
  readonly rule: RuleName | 'unfit' | 'canary';
  /** The image and shape for display; null: the whole backend, or a shape not requested by a launch since the start. */
  readonly about: string | null;
  /** `closed` until its time is up; then `due`, and `probing` while one launch tests it. */
  readonly state: 'closed' | 'due' | 'probing';
  readonly failure: Failure;
  readonly failures: number;
  readonly sinceMs: number;
  /** Null: no time limit. */
  readonly untilMs: number | null;
}

export interface BackendStatus {
  readonly registration: string;
  readonly backend: string;
  /** Its instances have been listed since the start. */
  readonly listed: boolean;
  /** Why not, if it was tried. */
  readonly notListed: Failure | null;
  readonly launching: number;
  /** The maximum number of launches in flight. */
  readonly window: number;
  /** When the service last accepted a launch since the start. */
  readonly lastSuccessMs: number | null;
  readonly closures: readonly Closure[];
}

/** The registration, backend and spec of a launch. */
export interface Launched {
  readonly registration: string;
  readonly backend: string;
  readonly specHash: string;
  readonly runner: string;
  /** Its image, where that is not its lane's. */
  readonly candidate?: string | null;
}

interface Load {
  inFlight: number;
  /** Maximum launches in flight: halved when the service throttles, one more after each success. */
  window: number;
  lastSuccessMs: number | null;
}

const LIVED = 'engine/lived-at-ms';
/** If the ledger was last written longer ago it may be an old copy: list all backends before the first launch. */
const MEMORY_MS = 15 * MINUTE;
const MAX_SHAPES = 10_000;

type BackendLedger = Pick<Ledger, 'breakers' | 'putBreaker' | 'deleteBreaker' | 'cursor' | 'putCursor'>;

export interface BackendsOptions {
  readonly ledger: BackendLedger;
  readonly clock: Clock;
  readonly log: Log;
  readonly maxLaunches: number;
  /** Each registration with its backends: by name, the hash of the options and credentials. */
  readonly registrations: ReadonlyMap<string, BackendHashes>;
  /** Why nothing can be done there as it is configured, by `<registration>/<backend>`: its provider could not be loaded. */
  readonly closed?: ReadonlyMap<string, string>;
  /** Another dispatcher that uses our id. */
  readonly others: { obstacle(registration: string, backend: string): string | undefined };
}

export class Backends {
  /** Failures of these images close nothing for the stable ones. */
  readonly canaries: Canaries;
  readonly #breakers: Breakers;
  readonly #names = new Map<string, { readonly registration: string; readonly backend: string }>();
  readonly #loads = new Map<string, Load>();
  readonly #ledger: BackendLedger;
  readonly #clock: Clock;
  #widest: number;
  readonly #others: BackendsOptions['others'];
  readonly #closed = new Map<string, string>();
  readonly #hashes = new Map<string, BackendHashes>();
  readonly #unlisted = new Map<string, Set<string>>();
  /** Failures to list a backend, by `<registration>/<backend>`. */
  readonly #listing = new Map<string, Failure>();
  /** What the adapters say their services never run. Certain, so it stays; by registration, backend and shape. */
  readonly #unfit = new SharedMemory<Failure>(MAX_SHAPES);
  /** Descriptions of shapes, by `specHash`. */
  readonly #shapes = new Map<string, string>();
  /** Registrations in which a refusal became final, or ended, and whose jobs have not been updated. */
  readonly #stood = new Set<string>();
  readonly #healed = new Set<string>();
  /** Runners that wait for a job, and of which it was said that they have started. Until their release. */
  readonly #waiting = new Set<string>();
  #remembers = false;

  constructor({ ledger, clock, log, maxLaunches, registrations, closed, others }: BackendsOptions) {
    for (const [place, reason] of closed ?? []) this.#closed.set(place, reason);
    for (const [registration, backends] of registrations) this.#know(registration, backends, [...backends.keys()]);
    const configurationOf = (registration: string, backend: string) => this.#hashes.get(registration)?.get(backend);
    this.#breakers = new Breakers(ledger, clock, log, configurationOf);
    this.canaries = new Canaries(ledger, clock, log);
    this.#ledger = ledger;
    this.#clock = clock;
    this.#widest = maxLaunches;
    this.#others = others;
  }

  async load(): Promise<void> {
    const livedAtMs = Number(await this.#ledger.cursor(LIVED));
    this.#remembers = livedAtMs > 0 && this.#clock.now() - livedAtMs < MEMORY_MS;
    await this.#breakers.load();
  }

  resize(maxLaunches: number): void {
    this.#widest = maxLaunches;
    for (const load of this.#loads.values()) load.window = Math.min(load.window, maxLaunches);
  }

  /**
   * The registration's backends are others than before. What was learned about one that is configured otherwise is not
   * true of it any more; what runs there has to be listed. Returns whether any has to be. `hashes`: undefined if the
   * registration is gone.
   */
  reconfigure(registration: string, hashes: BackendHashes | undefined, closed: ReadonlyMap<string, string>): boolean {
    const before = this.#hashes.get(registration);
    const known = [...(before?.keys() ?? [])];
    const present = [...(hashes?.keys() ?? [])];
    const place = (backend: string) => `${registration}/${backend}`;
    const changed = present.filter(
      (backend) =>
        before?.get(backend) !== hashes?.get(backend) || closed.get(backend) !== this.#closed.get(place(backend)),
    );
    for (const backend of [...known.filter((name) => !present.includes(name)), ...changed])
      this.#unknow(registration, backend);
    for (const [backend, reason] of closed) this.#closed.set(place(backend), reason);
    if (hashes === undefined) {
      this.#hashes.delete(registration);
      this.#unlisted.delete(registration);
    } else this.#know(registration, hashes, changed);
    return changed.some((backend) => !closed.has(backend));
  }

  /** After `reconfigure`. Where the ledger fails, the next start deletes them. */
  async forgetObsolete(registration: string): Promise<void> {
    this.#recordHealed(await this.#breakers.forgetObsolete(registration));
  }

  #know(registration: string, hashes: BackendHashes, added: readonly string[]): void {
    this.#hashes.set(registration, hashes);
    // One that is closed would be waited for in vain, and the registration's others with it.
    const listable = added.filter((backend) => !this.#closed.has(`${registration}/${backend}`));
    this.#unlisted.set(registration, new Set([...(this.#unlisted.get(registration) ?? []), ...listable]));
    for (const backend of added) this.#names.set(`${registration}/${backend}`, { registration, backend });
  }

  #unknow(registration: string, backend: string): void {
    const place = `${registration}/${backend}`;
    this.#names.delete(place);
    this.#closed.delete(place);
    this.#listing.delete(place);
    this.#unlisted.get(registration)?.delete(backend);
    const load = this.#loads.get(place);
    if (load !== undefined) {
      load.window = this.#widest;
      load.lastSuccessMs = null;
    }
    for (const [key] of [...this.#unfit.entries()]) {
      if (!key.startsWith(`${place}/`)) continue;
      this.#unfit.delete(key);
      this.#healed.add(registration);
    }
  }

  /** The ledger knows all instances: written once a minute, from the time when everything was listed. */
  async keepMemory(): Promise<void> {
    if (!this.#remembers && [...this.#unlisted.values()].some(({ size }) => size > 0)) return;
    this.#remembers = true;
    await this.#ledger.putCursor(LIVED, String(this.#clock.now()), this.#clock.now());
  }

  /** The ledger is new, lost or an old copy, and not all of the registration's backends have been listed since. */
  isForgotten(registration: string): boolean {
    return !this.#remembers && (this.#unlisted.get(registration)?.size ?? 0) > 0;
  }

  usable(lane: LaneSpec): Usable {
    const open: string[] = [];
    const closed: ClosedBackend[] = [];
    const [unlisted] = this.#unlisted.get(lane.registration) ?? [];
    // What runs on one backend counts for the caps of all, and a ledger without memory does not know of it.
    if (unlisted !== undefined && this.isForgotten(lane.registration)) {
      const reason = `the ledger is new, and what runs on ${unlisted} has not been listed yet${this.#why(lane, unlisted)}`;
      return { open, closed: lane.backends.map((backend) => ({ backend, reason, untilMs: null, failure: null })) };
    }
    for (const backend of lane.backends) {
      const obstacle = this.#obstacle(lane, backend);
      if (obstacle === undefined) open.push(backend);
      else closed.push(obstacle);
    }
    return { open, closed };
  }

  /**
   * The given backends that may be called for this runner: if one was closed and is due, the first runner
   * that claims it tests it, and the next ones wait for the outcome.
   */
  claim(lane: LaneSpec, backends: readonly string[], runner: string): readonly string[] {
    if (this.#shapes.size >= MAX_SHAPES) this.#shapes.clear();
    this.#shapes.set(lane.specHash, shapeWords(lane.wish));
    return backends.filter((backend) => this.#breakers.claim(placeOf(lane, backend), runner));
  }

  /** The runner has ended, or will not be launched: it no longer tests any backend. */
  release(runner: string): void {
    this.#breakers.release(runner);
    this.canaries.release(runner);
    this.#waiting.delete(runner);
  }

  /** Its outcome takes longer than the next launch may wait, which may test what is closed instead. */
  releaseTest(runner: string): void {
    this.#breakers.release(runner);
  }

  /** Its outcome says whether something that is closed there opens again. */
  isTest(runner: string): boolean {
    return this.#breakers.isProbe(runner);
  }

  /** The services' messages, if each backend of the lane refuses its image or shape permanently or for long. */
  refusal(lane: LaneSpec): readonly Failure[] | undefined {
    const refusals: Failure[] = [];
    for (const backend of lane.backends) {
      const failure =
        this.#unfit.get(unfitKey(lane, backend)) ?? this.#breakers.refusal(placeOf(lane, backend))?.failure;
      if (failure === undefined) return undefined;
      refusals.push(failure);
    }
    return refusals;
  }

  /** Registrations in which refusals became final, or ended, since the last call. */
  takeTurned(): { readonly stood: readonly string[]; readonly healed: readonly string[] } {
    const turned = { stood: [...this.#stood], healed: [...this.#healed] };
    this.#stood.clear();
    this.#healed.clear();
    return turned;
  }

  /** Registrations with a final refusal that is due to be tested again. */
  refusalsDue(): readonly string[] {
    const due = new Set<string>();
    for (const breaker of this.#breakers.all()) {
      if (stands(breaker) && this.#breakers.stateOf(breaker) === 'due') due.add(breaker.registration);
    }
    return [...due];
  }

  /** The earliest time at which a closed backend may be tried again. */
  nextOpeningMs(): number | undefined {
    let earliest: number | undefined;
    const now = this.#clock.now();
    for (const { closedUntilMs } of this.#breakers.all()) {
      if (closedUntilMs > now && (earliest === undefined || closedUntilMs < earliest)) earliest = closedUntilMs;
    }
    return earliest;
  }

  launchRoom(registration: string, backend: string): number {
    const load = this.#load(registration, backend);
    return Math.max(0, Math.floor(load.window) - load.inFlight);
  }

  recordListing(registration: string, backend: string): void {
    this.#unlisted.get(registration)?.delete(backend);
    this.#listing.delete(`${registration}/${backend}`);
  }

  /** Why the last attempt to list it failed. */
  recordListingFailure(registration: string, backend: string, failure: Failure): void {
    const place = `${registration}/${backend}`;
    if (this.#unlisted.get(registration)?.has(backend) === true || this.#closed.has(place))
      this.#listing.set(`${registration}/${backend}`, failure);
  }

  beginLaunch(registration: string, backend: string): void {
    this.#load(registration, backend).inFlight += 1;
  }

  endLaunch(registration: string, backend: string): void {
    this.#load(registration, backend).inFlight -= 1;
  }

  async recordFailure(launched: Launched, failure: Failure, retryAfterMs?: number): Promise<void> {
    const { registration, backend, specHash } = launched;
    if (failure.kind === 'throttled') {
      const load = this.#load(registration, backend);
      load.window = Math.max(1, load.window / 2);
    }
    if (failure.kind === 'unfit') {
      this.#unfit.set(registration, unfitKey(launched, backend), failure);
      this.#stood.add(registration);
      return;
    }
    const place = placeOf(launched, backend);
    this.#breakers.releaseAt(place, launched.runner);
    const breaker = await this.#breakers.recordFailure(
      place,
      this.#shapes.get(specHash) ?? null,
      failure,
      retryAfterMs,
    );
    if (breaker !== undefined && stands(breaker)) this.#stood.add(registration);
  }

  /** The service accepted a launch: its account-wide problems are over, and more launches may be in flight. */
  async recordAcceptance(launched: Launched): Promise<void> {
    const { registration, backend, runner } = launched;
    const load = this.#load(registration, backend);
    load.window = Math.min(this.#widest, load.window + 1);
    load.lastSuccessMs = this.#clock.now();
    const place = placeOf(launched, backend);
    this.#breakers.settleAt(place, runner);
    this.#recordHealed(await this.#breakers.heal(place, 'accepted'));
  }

  /** A container of this image and shape came online there. */
  async recordOnline(launched: Launched): Promise<void> {
    const { candidate, registration, runner } = launched;
    if (candidate != null) {
      await this.canaries.recordOnline({ registration, image: candidate, runner });
      return;
    }
    this.#recordHealed(await this.#breakers.heal(placeOf(launched, launched.backend), 'online'));
    this.#breakers.release(launched.runner);
  }

  /** One that was launched ahead of its job has started. Said once, or it would speak for those that are launched much later. */
  async recordWaiting(launched: Launched): Promise<void> {
    if (this.#waiting.has(launched.runner)) return;
    this.#waiting.add(launched.runner);
    await this.recordOnline(launched);
  }

  /** Every backend of the configuration. */
  status(): readonly BackendStatus[] {
    const closures = this.#closures();
    return [...this.#names].map(([key, { registration, backend }]) => {
      const { inFlight, window, lastSuccessMs } = this.#load(registration, backend);
      return {
        registration,
        backend,
        listed:
          this.#unlisted.get(registration)?.has(backend) === false && !this.#closed.has(`${registration}/${backend}`),
        notListed: this.#listing.get(key) ?? null,
        launching: inFlight,
        window: Math.floor(window),
        lastSuccessMs,
        closures: closures.get(key) ?? [],
      };
    });
  }

  /** An operator says that the cause is fixed. Returns what was closed; undefined if the backend does not exist. */
  async reset(registration: string, backend: string | undefined): Promise<readonly Closure[] | undefined> {
    const chosen = [...this.#names].filter(
      ([, place]) => place.registration === registration && (backend === undefined || place.backend === backend),
    );
    if (chosen.length === 0) return undefined;
    const closures = this.#closures();
    for (const [, place] of chosen) this.#load(place.registration, place.backend).window = this.#widest;
    for (const [key] of [...this.#unfit.entries()]) {
      if (chosen.some(([place]) => key.startsWith(`${place}/`))) {
        this.#unfit.delete(key);
        this.#healed.add(registration);
      }
    }
    this.#recordHealed(await this.#breakers.reset(registration, backend));
    const canary = backend === undefined ? await this.canaries.reset(registration) : undefined;
    const closed = chosen.flatMap(([key]) => closures.get(key) ?? []);
    return canary?.stopped == null ? closed : [...closed, closureOf(canary, canary.stopped)];
  }

  /** By `<registration>/<backend>`. */
  #closures(): ReadonlyMap<string, readonly Closure[]> {
    const closures = new Map<string, Closure[]>();
    const add = (key: string, closure: Closure) => closures.set(key, [...(closures.get(key) ?? []), closure]);
    for (const breaker of this.#breakers.all()) {
      const state = this.#breakers.stateOf(breaker);
      if (state === undefined) continue;
      const { rule, subject, failure, failures, sinceMs, closedUntilMs } = breaker;
      const common = { rule, about: subject, state, failure, failures, sinceMs, untilMs: closedUntilMs };
      add(`${breaker.registration}/${breaker.backend}`, common);
    }
    for (const [key, failure] of this.#unfit.entries()) {
      const cut = key.lastIndexOf('/');
      const about = this.#shapes.get(key.slice(cut + 1)) ?? null;
      const common = { state: 'closed', failure, failures: 1, sinceMs: failure.atMs, untilMs: null } as const;
      add(key.slice(0, cut), { rule: 'unfit', about, ...common });
    }
    return closures;
  }

  /** GitHub assigned a job to a runner of this image and shape. */
  async recordWork(launched: Launched): Promise<void> {
    await this.#breakers.heal(placeOf(launched, launched.backend), 'work');
  }

  #recordHealed(breakers: readonly Breaker[]): void {
    for (const breaker of breakers) if (stands(breaker)) this.#healed.add(breaker.registration);
  }

  #why(lane: LaneSpec, backend: string): string {
    const failure = this.#listing.get(`${lane.registration}/${backend}`);
    return failure === undefined ? '' : `: ${failureWords(failure)}`;
  }

  #obstacle(lane: LaneSpec, backend: string): ClosedBackend | undefined {
    const closed = this.#closed.get(`${lane.registration}/${backend}`);
    if (closed !== undefined) return { backend, reason: closed, untilMs: null, failure: null };
    if (this.#unlisted.get(lane.registration)?.has(backend) !== false) {
      const reason = `what runs there has not been listed yet${this.#why(lane, backend)}`;
      return { backend, reason, untilMs: null, failure: null };
    }
    const other = this.#others.obstacle(lane.registration, backend);
    if (other !== undefined) return { backend, reason: other, untilMs: null, failure: null };
    const unfit = this.#unfit.get(unfitKey(lane, backend));
    if (unfit !== undefined) return { backend, reason: unfit.message, untilMs: null, failure: unfit };
    const obstacle = this.#breakers.obstacle(placeOf(lane, backend));
    if (obstacle === undefined) return undefined;
    const { breaker, state } = obstacle;
    const words = failureWords(breaker.failure);
    return state === 'probing'
      ? { backend, reason: `${words}; one launch tries it again now`, untilMs: null, failure: breaker.failure }
      : {
          backend,
          reason: `${words}; tried again at ${timeOfDay(breaker.closedUntilMs)}`,
          untilMs: breaker.closedUntilMs,
          failure: breaker.failure,
        };
  }

  #load(registration: string, backend: string): Load {
    const key = `${registration}/${backend}`;
    const known = this.#loads.get(key);
    if (known !== undefined) return known;
    const load = { inFlight: 0, window: this.#widest, lastSuccessMs: null };
    this.#loads.set(key, load);
    return load;
  }
}

function closureOf(canary: CanaryState, { atMs, failure }: NonNullable<CanaryState['stopped']>): Closure {
  const about = `candidate image ${canary.image}`;
  const common = { state: 'closed', failure, failures: failedOf(canary), sinceMs: atMs, untilMs: null } as const;
  return { rule: 'canary', about, ...common };
}

function unfitKey(lane: Pick<LaneSpec, 'registration' | 'specHash'>, backend: string): string {
  return `${lane.registration}/${backend}/${lane.specHash}`;
}
