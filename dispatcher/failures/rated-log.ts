/** Lines that others can cause as often as they like: so many in a span, and the next has the number of those left out. */
import type { Clock } from '../../time/clock.ts';
import type { Log } from '../log.ts';

export interface RatedLogOptions {
  readonly log: Pick<Log, 'warn'>;
  readonly clock: Pick<Clock, 'now'>;
  /** In a span, of one event about one thing. The span begins with its first line. */
  readonly lines: number;
  readonly spanMs: number;
}

interface Span {
  readonly sinceMs: number;
  lines: number;
  leftOut: number;
}

export class RatedLog {
  readonly #options: RatedLogOptions;
  /** Never forgotten: see `warn`. */
  readonly #spans = new Map<string, Span>();

  constructor(options: RatedLogOptions) {
    this.#options = options;
  }

  /** `about`: what has lines of its own. Only things of which there is a bounded number, such as what is configured. */
  warn(event: string, about: Readonly<Record<string, string>>, fields: Readonly<Record<string, unknown>>): void {
    const { clock, lines, log, spanMs } = this.#options;
    const key = `${event} ${JSON.stringify(about)}`;
    const nowMs = clock.now();
    const before = this.#spans.get(key);
    // A clock that was set back must not silence it.
    const isOver = before === undefined || nowMs < before.sinceMs || nowMs - before.sinceMs >= spanMs;
    if (!isOver && before.lines >= lines) {
      before.leftOut += 1;
      return;
    }
    const span = isOver ? { sinceMs: nowMs, lines: 0, leftOut: before?.leftOut ?? 0 } : before;
    log.warn(event, { ...about, ...fields, ...(span.leftOut === 0 ? {} : { leftOut: span.leftOut }) });
    this.#spans.set(key, { ...span, lines: span.lines + 1, leftOut: 0 });
  }
}
