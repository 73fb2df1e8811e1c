/**
 * The existing breakers: stored in the ledger, so that a restart neither loses nor overrates them. One recorded
 * under other options or credentials no longer applies, and is deleted; so is one whose row cannot be read.
 */

import type { Clock } from '../../time/clock.ts';
import { type Failure, failureFields } from '../failures/failure.ts';
import type { LaneSpec } from '../jobs/lane.ts';
import type { Breaker, Ledger, UnreadableRow } from '../ledger/ledger.ts';
import type { Log } from '../log.ts';
import { afterFailure, isTripped, type Rule, type RuleName, ruleFor, type Subject, stands } from './breaker-rules.ts';

/** One backend of one registration, and the spec concerned by a failure there. */
export interface Place {
  readonly registration: string;
  readonly backend: string;
  /** The lane's `specHash`. */
  readonly shape: string;
}

/** Why a lane's launches avoid a backend. */
export interface Obstacle {
  readonly breaker: Breaker;
  /** `closed` until its time is up; `probing` while one launch tests it. */
  readonly state: 'closed' | 'probing';
}

const RULES: readonly RuleName[] = ['account', 'refused', 'capacity', 'start', 'idle'];

/** The hash of the backend's options and credentials; undefined: there is no such backend. */
type ConfigurationOf = (registration: string, backend: string) => string | undefined;

/**
 * Of one registration. Labels name any number of shapes, and a shape that fails once may never be asked for again: beyond
 * this the one that changed longest ago is forgotten.
 */
export const MAX_BREAKERS = 200;

export class Breakers {
  readonly #breakers = new Map<string, Breaker>();
  /** By registration: its breakers' keys, the one that changed longest ago first. */
  readonly #keys = new Map<string, Set<string>>();
  /** By breaker: the runner whose launch tests it. */
  readonly #probes = new Map<string, string>();
  readonly #ledger: Pick<Ledger, 'breakers' | 'putBreaker' | 'deleteBreaker'>;
  readonly #clock: Clock;
  readonly #log: Log;
  readonly #configurationOf: ConfigurationOf;

  constructor(
    ledger: Pick<Ledger, 'breakers' | 'putBreaker' | 'deleteBreaker'>,
    clock: Clock,
    log: Log,
    configurationOf: ConfigurationOf,
  ) {
    this.#ledger = ledger;
    this.#clock = clock;
    this.#log = log;
    this.#configurationOf = configurationOf;
  }

  async load(): Promise<void> {
    const unreadable: UnreadableRow[] = [];
    const readable = await this.#ledger.breakers((row) => void unreadable.push(row));
    const oldestFirst = [...readable].sort((a, b) => a.changedAtMs - b.changedAtMs);
    for (const breaker of oldestFirst) {
      const present = this.#configurationOf(breaker.registration, breaker.backend);
      if (present === breaker.configuration) {
        this.#set(breaker);
        await this.#forgetOldest(breaker.registration);
        continue;
      }
      await this.#ledger.deleteBreaker(breaker.key);
      this.#log.info('breaker-obsolete', {
        registration: breaker.registration,
        backend: breaker.backend,
        reason: present === undefined ? 'the backend is not configured any more' : 'its configuration has changed',
      });
    }
    // The price is one launch that tests the backend again, and no operator has to stop us for it.
    for (const { key, registration, fault } of unreadable) {
      await this.#ledger.deleteBreaker(key);
      this.#log.warn('breaker-unreadable', {
        breaker: key,
        registration,
        reason: `its row in the ledger cannot be read (${fault}), and was deleted: the backend is tried again`,
      });
    }
  }

  all(): Iterable<Breaker> {
    return this.#breakers.values();
  }

  /** Undefined if it has counted failures but has not closed yet. */
  stateOf(breaker: Breaker): 'closed' | 'due' | 'probing' | undefined {
    if (breaker.closedUntilMs > this.#clock.now()) return 'closed';
    if (this.#probes.has(breaker.key)) return 'probing';
    return isTripped(breaker) ? 'due' : undefined;
  }

  obstacle(place: Place): Obstacle | undefined {
    let probing: Obstacle | undefined;
    for (const breaker of this.#about(place)) {
      if (breaker.closedUntilMs > this.#clock.now()) return { breaker, state: 'closed' };
      if (this.#probes.has(breaker.key)) probing ??= { breaker, state: 'probing' };
    }
    return probing;
  }

  /** True when the runner may be launched there. It then tests what was closed and is due. */
  claim(place: Place, runner: string): boolean {
    if (this.obstacle(place) !== undefined) return false;
    for (const breaker of this.#about(place)) if (isTripped(breaker)) this.#probes.set(breaker.key, runner);
    return true;
  }

  /** It tests something that was closed. */
  isProbe(runner: string): boolean {
    return [...this.#probes.values()].includes(runner);
  }

  /** The runner no longer tests anything, whatever its outcome. */
  release(runner: string): void {
    this.#releaseWhere(runner, () => true);
  }

  /** The runner no longer tests this backend. */
  releaseAt(place: Place, runner: string): void {
    this.#releaseWhere(runner, (breaker) => isAt(breaker, place));
  }

  /** The runner tests this backend and no other. */
  settleAt(place: Place, runner: string): void {
    this.#releaseWhere(runner, (breaker) => !isAt(breaker, place));
  }

  /** The refusal of the place's image or shape, once it is final. */
  refusal(place: Place): Breaker | undefined {
    const breaker = this.#breakers.get(keyOf(place, 'refused'));
    return breaker !== undefined && stands(breaker) ? breaker : undefined;
  }

  /** Returns the breaker afterwards; undefined if the failure says nothing about the place. */
  async recordFailure(
    place: Place,
    subject: string | null,
    failure: Failure,
    retryAfterMs: number | undefined,
  ): Promise<Breaker | undefined> {
    const rule = ruleFor(failure.kind);
    if (rule === undefined || failure.source === 'github') return undefined;
    const now = this.#clock.now();
    const key = keyOf(place, rule.name);
    const before = this.#breakers.get(key);
    // Launches that were in flight when it closed fail too; they count as the same failure.
    const same = before !== undefined && before.failure.kind === failure.kind && before.closedUntilMs > now;
    if (same) return before;
    const after = afterFailure(
      { subject: this.#subject(key, place, rule, subject), rule, failure, retryAfterMs },
      before,
      now,
    );
    this.#set(after);
    this.#probes.delete(key);
    if (isTripped(after)) {
      this.#log.warn('breaker', {
        registration: place.registration,
        backend: place.backend,
        ...(after.subject === null ? {} : { about: after.subject }),
        ...failureFields(failure),
        failures: after.failures,
        since: new Date(after.sinceMs).toISOString(),
        closedUntil: new Date(after.closedUntilMs).toISOString(),
      });
    }
    await this.#ledger.putBreaker(after);
    await this.#forgetOldest(place.registration);
    return after;
  }

  /** Deletes the breakers that this proves to be over, and returns them. */
  async heal(place: Place, by: Rule['healedBy']): Promise<readonly Breaker[]> {
    const over = [...this.#about(place)].filter((breaker) => ruleFor(breaker.failure.kind)?.healedBy === by);
    const words = {
      accepted: 'the service took a launch',
      online: 'a container came online',
      work: 'GitHub gave a runner of it a job',
    };
    for (const breaker of over) await this.#delete(breaker, words[by]);
    return over;
  }

  /** Deletes all breakers of the registration, or of one of its backends, and returns them. */
  async reset(registration: string, backend: string | undefined): Promise<readonly Breaker[]> {
    const chosen = [...this.#breakers.values()].filter(
      (breaker) => breaker.registration === registration && (backend === undefined || breaker.backend === backend),
    );
    for (const breaker of chosen) await this.#delete(breaker, 'an operator reset it');
    return chosen;
  }

  /** Those recorded under other options or credentials than the registration has now. Returns them. */
  async forgetObsolete(registration: string): Promise<readonly Breaker[]> {
    const keys = this.#keys.get(registration) ?? new Set();
    const known = [...keys].flatMap((key) => this.#breakers.get(key) ?? []);
    const obsolete = known.filter(
      ({ backend, configuration }) => this.#configurationOf(registration, backend) !== configuration,
    );
    for (const breaker of obsolete) await this.#delete(breaker, 'its configuration has changed');
    return obsolete;
  }

  /** The last of its registration. */
  #set(breaker: Breaker): void {
    this.#breakers.set(breaker.key, breaker);
    const keys = this.#keys.get(breaker.registration) ?? new Set();
    this.#keys.set(breaker.registration, keys);
    keys.delete(breaker.key);
    keys.add(breaker.key);
  }

  #unset({ key, registration }: Breaker): boolean {
    this.#keys.get(registration)?.delete(key);
    return this.#breakers.delete(key);
  }

  async #forgetOldest(registration: string): Promise<void> {
    const keys = this.#keys.get(registration) ?? new Set();
    for (const key of keys) {
      if (keys.size <= MAX_BREAKERS) return;
      const breaker = this.#breakers.get(key);
      // One that concerns the whole backend is not one of many.
      if (breaker === undefined || breaker.shape === null) continue;
      this.#probes.delete(key);
      this.#unset(breaker);
      await this.#ledger.deleteBreaker(key);
    }
  }

  async #delete(breaker: Breaker, reason: string): Promise<void> {
    this.#probes.delete(breaker.key);
    if (!this.#unset(breaker)) return;
    if (isTripped(breaker)) {
      this.#log.info('breaker-over', {
        registration: breaker.registration,
        backend: breaker.backend,
        ...(breaker.subject === null ? {} : { about: breaker.subject }),
        kind: breaker.failure.kind,
        failures: breaker.failures,
        lastedSeconds: Math.round((this.#clock.now() - breaker.sinceMs) / 1000),
        reason,
      });
    }
    await this.#ledger.deleteBreaker(breaker.key);
  }

  #releaseWhere(runner: string, over: (breaker: Breaker) => boolean): void {
    for (const [key, holder] of this.#probes) {
      const breaker = this.#breakers.get(key);
      if (holder === runner && (breaker === undefined || over(breaker))) this.#probes.delete(key);
    }
  }

  *#about(place: Place): Generator<Breaker> {
    for (const rule of RULES) {
      const breaker = this.#breakers.get(keyOf(place, rule));
      if (breaker !== undefined) yield breaker;
    }
  }

  #subject(key: string, { registration, backend, shape }: Place, { name }: Rule, subject: string | null): Subject {
    const configuration = this.#configurationOf(registration, backend) ?? '';
    const common = { key, registration, backend, rule: name, configuration };
    return name === 'account' ? { ...common, shape: null, subject: null } : { ...common, shape, subject };
  }
}

export function placeOf(lane: Pick<LaneSpec, 'registration' | 'specHash'>, backend: string): Place {
  return { registration: lane.registration, backend, shape: lane.specHash };
}

function isAt(breaker: Breaker, place: Place): boolean {
  return breaker.registration === place.registration && breaker.backend === place.backend;
}

function keyOf({ registration, backend, shape }: Place, rule: RuleName): string {
  return rule === 'account' ? `${registration}/${backend}` : `${registration}/${backend}/${shape}/${rule}`;
}
