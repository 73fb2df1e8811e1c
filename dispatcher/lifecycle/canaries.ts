/**
 * The candidate images of all registrations, and what became of their starts: kept in the ledger, so that one that was
 * stopped stays so after a restart.
 */
import { z } from 'zod';
import type { Clock } from '../../time/clock.ts';
import { type Failure, failureFields, failureWords, isFailureKind, isFailureSource } from '../failures/failure.ts';
import type { LaneSpec } from '../jobs/lane.ts';
import type { Ledger } from '../ledger/ledger.ts';
import type { Log } from '../log.ts';
import type { Canary, Registration } from '../model/registration.ts';
import {
  afterFailedStart,
  afterStart,
  type CanaryState,
  failedOf,
  isDrawn,
  isProven,
  isSameCanary,
  MAX_UNPROVEN,
  newCanary,
} from './canary-rules.ts';
import { SharedMemory } from './shared-memory.ts';

type Canaried = Pick<Registration, 'name' | 'canary' | 'defaults'>;
type Start = { readonly registration: string; readonly image: string; readonly runner: string };

/** Starts that were counted: what is told of a runner may be told twice. Of one registration. */
const MAX_COUNTED = 1000;

const stateSchema = z.object({
  image: z.string(),
  percent: z.number(),
  starts: z.string().regex(/^[+-]*$/),
  stopped: z
    .object({
      atMs: z.int(),
      reason: z.string(),
      failure: z.object({
        source: z.custom<Failure['source']>((value) => typeof value === 'string' && isFailureSource(value)),
        kind: z.custom<Failure['kind']>((value) => typeof value === 'string' && isFailureKind(value)),
        code: z.string().nullable(),
        requestId: z.string().nullable(),
        message: z.string(),
        atMs: z.int(),
      }),
    })
    .nullable(),
}) satisfies z.ZodType<CanaryState>;

export class Canaries {
  readonly #ledger: Pick<Ledger, 'cursor' | 'putCursor'>;
  readonly #clock: Pick<Clock, 'now'>;
  readonly #log: Log;
  /** By registration. One that is not here is not begun with: what became of it before is not known yet. */
  readonly #states = new Map<string, CanaryState>();
  /** Runners that were launched on it, and have neither come online nor ended. By registration. */
  readonly #underWay = new Map<string, Set<string>>();
  readonly #counted = new SharedMemory<true>(MAX_COUNTED);

  constructor(ledger: Pick<Ledger, 'cursor' | 'putCursor'>, clock: Pick<Clock, 'now'>, log: Log) {
    this.#ledger = ledger;
    this.#clock = clock;
    this.#log = log;
  }

  /** At the start, and when the registration has changed. With another candidate or share it is begun with anew. */
  async load({ name, canary }: Pick<Registration, 'name' | 'canary'>): Promise<void> {
    const text = await this.#ledger.cursor(placeOf(name));
    const before = text === undefined || text === '' ? undefined : this.#read(name, text);
    if (canary !== undefined && before !== undefined && isSameCanary(before, canary)) {
      this.#states.set(name, before);
      return;
    }
    this.#underWay.delete(name);
    if (canary === undefined) {
      this.#states.delete(name);
      if (text !== undefined && text !== '') await this.#ledger.putCursor(placeOf(name), '', this.#clock.now());
    } else if (before !== undefined) await this.#put(name, newCanary(canary));
    else this.#states.set(name, newCanary(canary));
    if (before !== undefined && before.stopped !== null)
      this.#tellResumed(name, before, 'its configuration has changed');
  }

  /** The registration is not in force: if it comes back as it was, so does this. */
  forget(registration: string): void {
    this.#states.delete(registration);
    this.#underWay.delete(registration);
  }

  /** The image of this launch, if it is to be the candidate. The runner is then on its way until its start is known. */
  draw({ canary, defaults, name }: Canaried, lane: Pick<LaneSpec, 'wish'>, runner: string): string | undefined {
    const state = this.#states.get(name);
    if (canary === undefined || state === undefined || lane.wish.image !== defaults.image) return undefined;
    if (!isSameCanary(state, canary) || state.stopped !== null) return undefined;
    const underWay = this.#underWay.get(name) ?? new Set();
    if (!isProven(state) && underWay.size >= MAX_UNPROVEN) return undefined;
    if (!isDrawn(canary.percent, runner)) return undefined;
    this.#underWay.set(name, underWay.add(runner));
    return canary.image;
  }

  /** A container of it came online. */
  async recordOnline(start: Start): Promise<void> {
    const state = this.#counting(start);
    if (state !== undefined) await this.#put(start.registration, afterStart(state));
  }

  async recordFailure(start: Start, failure: Failure): Promise<void> {
    const state = this.#counting(start);
    if (state === undefined) return;
    const after = afterFailedStart(state, failure, this.#clock.now());
    if (after.stopped !== null) {
      const { image, percent, starts } = after;
      const { reason: words, ...fields } = failureFields(failure);
      this.#log.warn('canary-stopped', {
        ...{ registration: start.registration, image, percent, starts: starts.length, failed: failedOf(after) },
        ...{ ...fields, failure: words, reason: after.stopped.reason },
      });
    }
    await this.#put(start.registration, after);
  }

  /** Its launch is over, whatever came of it. */
  release(runner: string): void {
    for (const runners of this.#underWay.values()) runners.delete(runner);
  }

  /** An operator says that it is well now. Returns what was stopped. */
  async reset(registration: string): Promise<CanaryState | undefined> {
    const before = this.#states.get(registration);
    if (before === undefined || before.stopped === null) return undefined;
    await this.#put(registration, newCanary(before));
    this.#tellResumed(registration, before, 'an operator reset it');
    return before;
  }

  of(registration: string): CanaryState | undefined {
    return this.#states.get(registration);
  }

  /** Undefined: it counts for nothing, as that of another candidate does. */
  #counting({ image, registration, runner }: Start): CanaryState | undefined {
    this.release(runner);
    const state = this.#states.get(registration);
    if (state === undefined || state.image !== image || state.stopped !== null) return undefined;
    if (this.#counted.has(runner)) return undefined;
    this.#counted.set(registration, runner, true);
    return state;
  }

  async #put(registration: string, state: CanaryState): Promise<void> {
    this.#states.set(registration, state);
    await this.#ledger.putCursor(placeOf(registration), JSON.stringify(state), this.#clock.now());
  }

  #tellResumed(registration: string, { image, stopped }: CanaryState, reason: string): void {
    const stoppedAt = new Date(stopped?.atMs ?? 0).toISOString();
    this.#log.info('canary-resumed', { registration, image, stoppedAt, reason });
  }

  #read(registration: string, text: string): CanaryState | undefined {
    const read = stateSchema.safeParse(jsonOf(text));
    if (read.success) return read.data;
    // The price is a few launches that test the candidate again.
    const reason = 'what the ledger says of it cannot be read: its starts are counted anew';
    this.#log.warn('canary-unreadable', { registration, reason });
    return undefined;
  }
}

export function stoppedWords(registration: string, { image, stopped }: CanaryState): string {
  if (stopped === null) return '';
  return (
    `the candidate image ${image} is stopped, because ${stopped.reason} (the last: ${failureWords(stopped.failure)}): all launches use ` +
    `the stable image. Change \`canary\` of the registration, or, once the image is well, run \`shr backends reset ${registration}\``
  );
}

/** Of a candidate, for people: `10 % on ghcr.io/acme/runner:2.336`. */
export function canaryWords({ image, percent }: Canary, isStopped: boolean): string {
  return isStopped ? `stopped: ${image}` : `${percent} % on ${image}`;
}

function placeOf(registration: string): string {
  return `canary/${registration}`;
}

function jsonOf(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
