/**
 * Jobs, runners and lanes on which the work itself fails, such as one whose row cannot be read. Each rests for a growing while,
 * is logged once and shown with its registration, and all others go on.
 */
import { backoffMs } from '../../time/backoff.ts';
import type { Clock } from '../../time/clock.ts';
import { MINUTE, SECOND } from '../../time/units.ts';
import { defectFailure, type Failure, ownFailure } from '../failures/failure.ts';
import type { StateLog } from '../failures/state-log.ts';
import type { UnreadableRow } from '../ledger/ledger.ts';

/** A visit costs a call to GitHub and one to a service. */
const FIRST_REST_MS = { job: 5 * SECOND, runner: MINUTE, lane: 5 * SECOND } as const;
const MAX_REST_MS = 5 * MINUTE;
/** Beyond that the one that failed longest ago is forgotten, and tried again when its turn comes. */
const MAX_RESTING = 10_000;

export interface Rest {
  /** The job's key, the runner's name, or `lane` and its key. */
  readonly about: string;
  readonly registration: string | null;
  readonly failure: Failure;
  readonly sinceMs: number;
  readonly times: number;
  readonly untilMs: number;
}

/** As the log names it, and whose it is. */
export interface Subject {
  readonly kind: 'job' | 'runner' | 'lane';
  readonly key: string;
  readonly registration: string | null;
}

/** What is wrong with a row that cannot be read, and what to do. */
export function unreadableWords(fault: string, which = 'its row'): string {
  return `${which} in the ledger cannot be read (${fault}). Stop the dispatcher and correct or delete the row`;
}

const EVENTS = { job: 'job-not-settled', runner: 'visit-failed', lane: 'lane-not-planned' } as const;

export class Resting {
  readonly #clock: Pick<Clock, 'now'>;
  readonly #states: StateLog;
  readonly #rests = new Map<string, Rest>();

  constructor(clock: Pick<Clock, 'now'>, states: StateLog) {
    this.#clock = clock;
    this.#states = states;
  }

  /** The work on it failed (again). Answers until when it rests. */
  rest(subject: Subject, error: unknown): number {
    return this.#restFor(subject, defectFailure(error, this.#clock.now()), { error });
  }

  /** Its row, or one that it needs, cannot be read. Answers until when it rests. */
  restUnreadable(kind: Subject['kind'], { key, registration, fault }: UnreadableRow, which = 'its row'): number {
    const failure = ownFailure('ledger', unreadableWords(fault, which), this.#clock.now());
    return this.#restFor({ kind, key, registration }, failure, {});
  }

  /** Whether it is to be left alone for now. */
  has(key: string): boolean {
    const rest = this.#rests.get(key);
    if (rest === undefined) return false;
    const leftMs = rest.untilMs - this.#clock.now();
    // Longer than any rest: the clock was set back.
    return leftMs > 0 && leftMs <= MAX_REST_MS;
  }

  /** The work on it succeeded. */
  resume({ kind, key }: Pick<Subject, 'kind' | 'key'>): void {
    this.#rests.delete(key);
    this.#states.well(EVENTS[kind], { [kind]: key });
  }

  keys(): Iterable<string> {
    return this.#rests.keys();
  }

  get(key: string): Rest | undefined {
    return this.#rests.get(key);
  }

  /** Those of a registration, for display. */
  of(registration: string): readonly Rest[] {
    return [...this.#rests.values()].filter((rest) => rest.registration === registration);
  }

  /** When the first of them is tried again. */
  nextMs(): number | undefined {
    let next: number | undefined;
    for (const { untilMs } of this.#rests.values()) if (untilMs < (next ?? Number.POSITIVE_INFINITY)) next = untilMs;
    return next;
  }

  #restFor({ kind, key, registration }: Subject, failure: Failure, more: Readonly<Record<string, unknown>>): number {
    const now = this.#clock.now();
    const before = this.#rests.get(key);
    const times = (before?.times ?? 0) + 1;
    const untilMs = now + backoffMs(FIRST_REST_MS[kind], MAX_REST_MS, times - 1);
    this.#states.failed(EVENTS[kind], { [kind]: key }, failure, { registration, ...more });
    this.#rests.delete(key);
    const [oldest] = this.#rests.keys();
    if (oldest !== undefined && this.#rests.size >= MAX_RESTING) this.#rests.delete(oldest);
    const about = kind === 'lane' ? `lane ${key}` : key;
    this.#rests.set(key, { about, registration, failure, sinceMs: before?.sinceMs ?? now, times, untilMs });
    return untilMs;
  }
}
