/** One pass over the engine's loops, each on its own: a loop that fails rests for a while, and the others go on. */
import { backoffMs } from '../../time/backoff.ts';
import type { Clock } from '../../time/clock.ts';
import { MINUTE, SECOND } from '../../time/units.ts';
import { defectFailure } from '../failures/failure.ts';
import type { StateLog } from '../failures/state-log.ts';

const FIRST_REST_MS = SECOND;
const MAX_REST_MS = MINUTE;

export interface Loop {
  /** For the log. */
  readonly name: string;
  run(): Promise<void>;
  /** When it has to run without news, in ms since the epoch. */
  nextMs?(): Promise<number | null | undefined> | number | null | undefined;
}

export interface PassOptions {
  readonly clock: Pick<Clock, 'now'>;
  /** In the order in which they run. */
  readonly loops: readonly Loop[];
  readonly states: StateLog;
  /** False once nothing new may begin. */
  readonly working: () => boolean;
  /** Whether nothing at all can be recorded after this error: then the pass ends, because every loop would fail. */
  readonly ledgerFailed: (error: unknown) => boolean;
}

export class Pass {
  readonly #options: PassOptions;
  /** Loops that failed, by name. */
  readonly #rests = new Map<string, { readonly failures: number; readonly untilMs: number }>();

  constructor(options: PassOptions) {
    this.#options = options;
  }

  /** Runs the loops that do not rest. Answers when the next pass is due without news. Rejects with the ledger's errors. */
  async run(): Promise<number | undefined> {
    for (const loop of this.#options.loops) {
      // A stop begins nothing new, nor does a ledger that cannot be written.
      if (!this.#options.working()) return undefined;
      if (!this.#isResting(loop)) await this.#attempt(loop, () => loop.run());
    }
    let nextMs: number | undefined;
    for (const loop of this.#options.loops) {
      const dueMs = await this.#dueMs(loop);
      if (dueMs !== undefined && dueMs < (nextMs ?? Number.POSITIVE_INFINITY)) nextMs = dueMs;
    }
    return nextMs;
  }

  async #dueMs(loop: Loop): Promise<number | undefined> {
    let dueMs: number | null | undefined;
    const ask = async (): Promise<void> => {
      dueMs = await loop.nextMs?.();
    };
    if (this.#isResting(loop) || !(await this.#attempt(loop, ask))) return this.#rests.get(loop.name)?.untilMs;
    this.#clearRest(loop);
    return dueMs ?? undefined;
  }

  #isResting({ name }: Loop): boolean {
    const rest = this.#rests.get(name);
    if (rest === undefined) return false;
    const leftMs = rest.untilMs - this.#options.clock.now();
    // Longer than any rest: the clock was set back.
    return leftMs > 0 && leftMs <= MAX_REST_MS;
  }

  async #attempt(loop: Loop, work: () => Promise<void>): Promise<boolean> {
    const { clock, ledgerFailed, states } = this.#options;
    try {
      await work();
      return true;
    } catch (error) {
      if (ledgerFailed(error)) throw error;
      const now = clock.now();
      const failures = (this.#rests.get(loop.name)?.failures ?? 0) + 1;
      this.#rests.set(loop.name, { failures, untilMs: now + backoffMs(FIRST_REST_MS, MAX_REST_MS, failures - 1) });
      states.failed('cycle-failed', { loop: loop.name }, defectFailure(error, now), { error });
      return false;
    }
  }

  #clearRest({ name }: Loop): void {
    if (this.#rests.delete(name)) this.#options.states.well('cycle-failed', { loop: name });
  }
}
