/** Anyone can send unsigned requests: one line of each kind per ten seconds is logged; the metrics count them all. */
import type { Clock } from '../../time/clock.ts';
import type { Log } from '../log.ts';

const QUIET_MS = 10_000;

export type Unauthenticated = 'unsigned' | 'no-secret' | 'bad-signature';

export class UnauthenticatedLog {
  readonly #clock: Pick<Clock, 'now'>;
  readonly #log: Pick<Log, 'warn'>;
  readonly #quietUntilMs = new Map<Unauthenticated, number>();

  constructor(clock: Pick<Clock, 'now'>, log: Pick<Log, 'warn'>) {
    this.#clock = clock;
    this.#log = log;
  }

  /** `registration`: the name in the URL; undefined for the shared endpoint. */
  warn(outcome: Unauthenticated, registration: string | undefined, from: string): void {
    const nowMs = this.#clock.now();
    if (nowMs < (this.#quietUntilMs.get(outcome) ?? 0)) return;
    this.#quietUntilMs.set(outcome, nowMs + QUIET_MS);
    this.#log.warn('intake.refused', { outcome, registration: registration ?? null, from });
  }
}
