/**
 * Detects that the dispatcher itself was suspended: its process was stopped, the machine slept, or the event loop was
 * blocked for long. What GitHub sent in that time was not answered, and GitHub does not send it again.
 */
import type { Clock } from '../../time/clock.ts';

export interface GapWatchOptions {
  readonly clock: Clock;
  /** Must not throw. */
  readonly onGap: (ms: number) => void;
}

const TICK_MS = 2_000;
/** GitHub gives up on a delivery after 10 s. */
const GAP_MS = 10_000;

export class GapWatch {
  readonly #options: GapWatchOptions;
  #lastMs = 0;
  #cancel: (() => void) | undefined;

  constructor(options: GapWatchOptions) {
    this.#options = options;
  }

  start(): void {
    this.#lastMs = this.#passedMs();
    this.#schedule();
  }

  stop(): void {
    this.#cancel?.();
    this.#cancel = undefined;
  }

  #schedule(): void {
    this.#cancel = this.#options.clock.after(TICK_MS, () => {
      const nowMs = this.#passedMs();
      const gapMs = nowMs - this.#lastMs - TICK_MS;
      this.#lastMs = nowMs;
      this.#schedule();
      if (gapMs >= GAP_MS) this.#options.onGap(gapMs);
    });
  }

  /** Elapsed time rather than clock time: setting the clock is not a gap. */
  #passedMs(): number {
    const { clock } = this.#options;
    return clock.elapsed?.() ?? clock.now();
  }
}
