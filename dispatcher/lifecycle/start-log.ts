/**
 * One line for each start that failed, as far as a backend has not more of them than anyone reads: the next line then
 * has the number of those left out.
 */
import type { Clock } from '../../time/clock.ts';
import { TokenBucket } from '../../time/token-bucket.ts';
import { MINUTE } from '../../time/units.ts';
import { type Failure, failureFields } from '../failures/failure.ts';
import type { Log } from '../log.ts';
import type { Launched } from './backends.ts';

/** Of one backend of one registration. */
const LINES_A_MINUTE = 10;

interface Lines {
  readonly bucket: TokenBucket;
  leftOut: number;
}

export class StartLog {
  readonly #log: Pick<Log, 'warn'>;
  readonly #clock: Pick<Clock, 'now'>;
  /** By registration and backend: as many as are configured. */
  readonly #lines = new Map<string, Lines>();

  constructor(log: Pick<Log, 'warn'>, clock: Pick<Clock, 'now'>) {
    this.#log = log;
    this.#clock = clock;
  }

  failed({ registration, backend, runner }: Omit<Launched, 'specHash'>, failure: Failure): void {
    const lines = this.#linesOf(`${registration}/${backend}`);
    const nowMs = this.#clock.now();
    if (lines.bucket.fitsAt(nowMs) > nowMs) {
      lines.leftOut += 1;
      return;
    }
    lines.bucket.spend(nowMs);
    const leftOut = lines.leftOut === 0 ? {} : { leftOut: lines.leftOut };
    lines.leftOut = 0;
    this.#log.warn('start-failed', { registration, backend, runner, ...failureFields(failure), ...leftOut });
  }

  #linesOf(key: string): Lines {
    const known = this.#lines.get(key);
    if (known !== undefined) return known;
    const stepMs = MINUTE / LINES_A_MINUTE;
    const lines = { bucket: new TokenBucket(stepMs, MINUTE - stepMs), leftOut: 0 };
    this.#lines.set(key, lines);
    return lines;
  }
}
