/**
 * Whether another dispatcher works under our id: a second one with a ledger of its own launches a runner for each job
 * that we launch one for. Told by instances that carry our id and an incarnation that our ledger does not know, made
 * after this process started. Why so: docs/decisions/0014-incarnation-tag.md.
 */
import { z } from 'zod';
import type { Instance, InstanceTags } from '../../providers/provider.ts';
import type { Clock } from '../../time/clock.ts';
import { MINUTE } from '../../time/units.ts';
import type { Ledger } from '../ledger/ledger.ts';
import type { Log } from '../log.ts';

/** Where an instance was seen. */
export interface Place {
  readonly registration: string;
  readonly backend: string;
  /** The platform's account: a tenant could have put the instance into its own. */
  readonly ownedByPlatform: boolean;
}

/** Another dispatcher's newest instance at one place. */
export interface OtherDispatcher extends Place {
  readonly incarnation: string;
  readonly runner: string;
  readonly createdAtMs: number;
}

const INCARNATIONS = 'engine/incarnations';
/** Of ours, the newest: a process that starts every minute is remembered for more than an hour. */
const MAX_INCARNATIONS = 100;
/** What the clocks of two machines may differ by, and a launch of the process before us may take to show. */
const SLACK_MS = MINUTE;
/** A dispatcher that has launched nothing for so long is gone, or idle, which does no harm. */
const FRESH_MS = 30 * MINUTE;
/** Instances of one place that are told of: a tenant's own account may list any number of new ones. */
const MAX_DOUBTED = 100;

const known = z.array(z.string()).catch([]);

export class OtherDispatchers {
  readonly #ledger: Pick<Ledger, 'cursor' | 'putCursor'>;
  readonly #incarnation: string;
  readonly #clock: Clock;
  readonly #log: Log;
  #ours: ReadonlySet<string>;
  #startedAtMs = Number.POSITIVE_INFINITY;
  readonly #seen = new Map<string, OtherDispatcher>();
  /** Instances by place. */
  readonly #doubted = new Map<string, Set<string>>();

  constructor(ledger: Pick<Ledger, 'cursor' | 'putCursor'>, incarnation: string, clock: Clock, log: Log) {
    this.#ledger = ledger;
    this.#incarnation = incarnation;
    this.#clock = clock;
    this.#log = log;
    this.#ours = new Set([incarnation]);
  }

  /** Before the first listing: what an earlier start of ours launched is not another dispatcher's. */
  async load(): Promise<void> {
    this.#startedAtMs = this.#clock.now();
    const earlier = known.parse(parseJson((await this.#ledger.cursor(INCARNATIONS)) ?? '[]'));
    const all = [...earlier.filter((one) => one !== this.#incarnation), this.#incarnation].slice(-MAX_INCARNATIONS);
    this.#ours = new Set(all);
    await this.#ledger.putCursor(INCARNATIONS, JSON.stringify(all), this.#clock.now());
  }

  /** After each listing of a backend, with all that carries our id. */
  look(place: Place, instances: readonly Instance[]): void {
    const key = keyOf(place);
    const before = this.#seen.get(key);
    const newest = instances
      .flatMap(({ tags }) => (tags?.incarnation === undefined ? [] : [{ ...tags, incarnation: tags.incarnation }]))
      .filter((tags) => this.isTheirs(tags))
      .sort((one, other) => other.createdAtMs - one.createdAtMs)
      .at(0);
    if (newest === undefined) {
      if (before === undefined || this.#isFresh(before.createdAtMs)) return;
      this.#seen.delete(key);
      this.#log.info('other-dispatcher-over', { registration: place.registration, backend: place.backend });
      return;
    }
    const { incarnation, runner, createdAtMs } = newest;
    const found: OtherDispatcher = { ...place, incarnation, runner, createdAtMs };
    this.#seen.set(key, found);
    if (before?.incarnation === incarnation) return;
    this.#log.error('other-dispatcher', {
      registration: place.registration,
      backend: place.backend,
      runner,
      incarnation,
      everywhere: place.ownedByPlatform,
      reason: otherDispatcherWords(found),
    });
  }

  /** Why nothing is launched on this backend; undefined if launching is safe. */
  obstacle(registration: string, backend: string): string | undefined {
    const here = this.#alarm(keyOf({ registration, backend }));
    const found = here ?? this.alarms().find(({ ownedByPlatform }) => ownedByPlatform);
    return found === undefined ? undefined : otherDispatcherWords(found);
  }

  /** What has been seen of others and is fresh. */
  alarms(): readonly OtherDispatcher[] {
    return [...this.#seen.values()].filter(({ createdAtMs }) => this.#isFresh(createdAtMs));
  }

  /** Launched by another dispatcher a short while ago. */
  isTheirs(tags: InstanceTags): boolean {
    return tags.incarnation !== undefined && !this.#ours.has(tags.incarnation) && this.#isFresh(tags.createdAtMs);
  }

  /** A listing that says more than it may: told once an instance, of the first hundred of each place. */
  doubt({ registration, backend }: Pick<Place, 'registration' | 'backend'>, ref: Instance['ref'], why: string): void {
    const key = keyOf({ registration, backend });
    const doubted = this.#doubted.get(key) ?? new Set();
    if (doubted.has(ref.id) || doubted.size > MAX_DOUBTED) return;
    this.#doubted.set(key, doubted.add(ref.id));
    const isLast = doubted.size > MAX_DOUBTED;
    this.#log.warn('instance-doubted', {
      registration,
      backend,
      ...(isLast ? {} : { instance: ref.id }),
      reason: isLast ? `more than ${MAX_DOUBTED} instances so far: no more of them are told of` : why,
    });
  }

  #alarm(key: string): OtherDispatcher | undefined {
    const found = this.#seen.get(key);
    return found !== undefined && this.#isFresh(found.createdAtMs) ? found : undefined;
  }

  #isFresh(createdAtMs: number): boolean {
    return createdAtMs > this.#startedAtMs + SLACK_MS && this.#clock.now() - createdAtMs < FRESH_MS;
  }
}

/** For people, in the lane, the log and the readiness. */
export function otherDispatcherWords({ registration, backend, runner }: OtherDispatcher): string {
  return `another dispatcher with our id launched ${runner} on ${backend} (seen by ${registration}): two would launch a runner each for every job. Stop one of them, or give it an id of its own; launches go on ${FRESH_MS / MINUTE} min after its last one`;
}

function keyOf({ registration, backend }: Pick<Place, 'registration' | 'backend'>): string {
  return `${registration}/${backend}`;
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
