/**
 * Something that fails and is retried is a state, not an event: the log says when it begins, when it changes and
 * when it is over, with how often and how long, however often it was retried in between.
 */
import type { Clock } from '../../time/clock.ts';
import type { Log } from '../log.ts';
import { type Failure, failureFields } from './failure.ts';

interface State {
  readonly kind: string;
  readonly words: string;
  readonly sinceMs: number;
  readonly times: number;
  readonly saidAtMs: number;
}

/** Two alternating failures are not logged at each attempt. */
const CHANGES_APART_MS = 60_000;
/** Beyond that the oldest is forgotten, and logged again if it recurs. */
const MAX_STATES = 10_000;

/** Identifies the subject of a state. Use the same words each time, or it becomes another state. */
export type About = Readonly<Record<string, string | null>>;

/** Logs a failing state when it begins, at growing intervals while it lasts, and when it is over. */
export class StateLog {
  readonly #log: Pick<Log, 'warn' | 'info'>;
  readonly #clock: Pick<Clock, 'now'>;
  readonly #states = new Map<string, State>();

  constructor(log: Pick<Log, 'warn' | 'info'>, clock: Pick<Clock, 'now'>) {
    this.#log = log;
    this.#clock = clock;
  }

  /** It failed (again). `more`: additional fields for this one line. */
  failed(event: string, about: About, failure: Failure, more: Readonly<Record<string, unknown>> = {}): void {
    const key = keyOf(event, about);
    const now = this.#clock.now();
    const before = this.#states.get(key);
    const kind = `${failure.kind} ${failure.code ?? ''}`;
    const words = blurred(failure.message);
    const other = before !== undefined && (before.kind !== kind || before.words !== words);
    // A clock that was set back must not silence it.
    const may = before !== undefined && Math.abs(now - before.saidAtMs) >= CHANGES_APART_MS;
    const says = before === undefined || (other && may);
    if (says) {
      const lasting = before === undefined ? {} : lastingFields(before, now);
      this.#log.warn(event, { ...about, ...failureFields(failure), ...more, ...lasting });
    }
    if (before === undefined && this.#states.size >= MAX_STATES) {
      const [oldest] = this.#states.keys();
      if (oldest !== undefined) this.#states.delete(oldest);
    }
    this.#states.set(key, {
      kind: says ? kind : before.kind,
      words: says ? words : before.words,
      sinceMs: before?.sinceMs ?? now,
      times: (before?.times ?? 0) + 1,
      saidAtMs: says ? now : before.saidAtMs,
    });
  }

  /** It succeeded: logged only if it had failed before. */
  well(event: string, about: About): void {
    const key = keyOf(event, about);
    const before = this.#states.get(key);
    if (before === undefined) return;
    this.#states.delete(key);
    this.#log.info(`${event}-over`, { ...about, ...lastingFields(before, this.#clock.now()) });
  }
}

function keyOf(event: string, about: About): string {
  return JSON.stringify([event, about]);
}

function lastingFields({ sinceMs, times }: State, nowMs: number): Readonly<Record<string, unknown>> {
  return {
    since: new Date(sinceMs).toISOString(),
    lastedSeconds: Math.max(0, Math.round((nowMs - sinceMs) / 1000)),
    times,
  };
}

/** The same text except for what differs at each attempt: request ids, times, counters. */
function blurred(words: string): string {
  return words.replace(/[0-9a-f-]*[0-9][0-9a-f-]*/gi, '#');
}
