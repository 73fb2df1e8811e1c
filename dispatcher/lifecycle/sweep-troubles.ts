/** What the sweeps of each registration last failed at. A trouble is logged when it begins, changes and ends. */
import type { Clock } from '../../time/clock.ts';
import { StateLog } from '../failures/state-log.ts';
import type { Log } from '../log.ts';
import type { SweepFailure } from './sweep.ts';

export interface SweepTrouble extends SweepFailure {
  readonly sinceMs: number;
  /** Sweeps that met it. */
  readonly times: number;
}

/** Of one side of one registration. */
const MAX_TROUBLES = 100;

export class SweepTroubles {
  readonly #clock: Pick<Clock, 'now'>;
  readonly #states: StateLog;
  readonly #sides = new Map<string, ReadonlyMap<string, SweepTrouble>>();

  constructor(clock: Pick<Clock, 'now'>, log: Pick<Log, 'warn' | 'info'>) {
    this.#clock = clock;
    this.#states = new StateLog(log, clock);
  }

  /** Everything that one sweep of this side failed at. */
  record(registration: string, side: Side, failures: readonly SweepFailure[]): void {
    const before = this.#sides.get(keyOf(registration, side)) ?? new Map<string, SweepTrouble>();
    const now = new Map<string, SweepTrouble>();
    for (const { about, failure } of failures.slice(0, MAX_TROUBLES)) {
      const known = before.get(about);
      this.#states.failed('sweep-failed', { registration, [side]: about }, failure);
      const sinceMs = known?.sinceMs ?? this.#clock.now();
      now.set(about, { about, failure, sinceMs, times: (known?.times ?? 0) + 1 });
    }
    for (const { about } of before.values()) {
      if (!now.has(about)) this.#states.well('sweep-failed', { registration, [side]: about });
    }
    this.#sides.set(keyOf(registration, side), now);
  }

  /** It is not swept any more. */
  forget(registration: string): void {
    for (const side of sides) {
      this.record(registration, side, []);
      this.#sides.delete(keyOf(registration, side));
    }
  }

  of(registration: string): readonly SweepTrouble[] {
    return sides.flatMap((side) => [...(this.#sides.get(keyOf(registration, side))?.values() ?? [])]);
  }
}

/** As the log names what a trouble is about. */
const sides = ['backend', 'scope'] as const;
type Side = (typeof sides)[number];

function keyOf(registration: string, side: Side): string {
  return `${registration}/${side}`;
}
