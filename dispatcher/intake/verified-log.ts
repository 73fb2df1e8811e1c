/**
 * What is wrong with signed deliveries: a tenant can sign any number of them, so one line of each event per endpoint and
 * ten seconds is logged. The metrics count them all.
 */
import type { Clock } from '../../time/clock.ts';
import type { Log } from '../log.ts';

const QUIET_MS = 10_000;

export type VerifiedEvent = 'intake.foreign' | 'intake.malformed' | 'intake.no-job' | 'intake.unknown-status';

interface Quiet {
  readonly untilMs: number;
  unsaid: number;
}

export class VerifiedLog {
  readonly #clock: Pick<Clock, 'now'>;
  readonly #log: Pick<Log, 'warn'>;
  /** By endpoint and event: as many as the configuration has endpoints, four times. */
  readonly #quiet = new Map<string, Quiet>();

  constructor(clock: Pick<Clock, 'now'>, log: Pick<Log, 'warn'>) {
    this.#clock = clock;
    this.#log = log;
  }

  /** `unsaid` of a line: how many deliveries of the endpoint had the same event without one, since the last. */
  warn(event: VerifiedEvent, endpoint: string, fields: Readonly<Record<string, unknown>>): void {
    const key = `${event} ${endpoint}`;
    const nowMs = this.#clock.now();
    const quiet = this.#quiet.get(key);
    // A clock that was set back must not silence it.
    if (quiet !== undefined && nowMs < quiet.untilMs && quiet.untilMs - nowMs <= QUIET_MS) {
      quiet.unsaid += 1;
      return;
    }
    this.#quiet.set(key, { untilMs: nowMs + QUIET_MS, unsaid: 0 });
    const unsaid = quiet?.unsaid ?? 0;
    this.#log.warn(event, { endpoint, ...fields, ...(unsaid === 0 ? {} : { unsaid }) });
  }
}
