import type { Clock } from '../../time/clock.ts';

interface Timer {
  atMs: number;
  readonly action: () => void;
}

/** Time that passes when it is told to. */
export class VirtualClock implements Clock {
  #nowMs: number;
  readonly #timers = new Set<Timer>();

  constructor(nowMs = Date.UTC(2026, 0, 5, 12)) {
    this.#nowMs = nowMs;
  }

  now(): number {
    return this.#nowMs;
  }

  after(ms: number, action: () => void): () => void {
    const timer = { atMs: this.#nowMs + Math.max(0, ms), action };
    this.#timers.add(timer);
    return () => this.#timers.delete(timer);
  }

  /** Somebody sets the clock: it shows another time, and the timers run on as long as they had to. */
  set(nowMs: number): void {
    const byMs = nowMs - this.#nowMs;
    const timers = [...this.#timers];
    this.#timers.clear();
    for (const timer of timers) {
      timer.atMs += byMs;
      this.#timers.add(timer);
    }
    this.#nowMs = nowMs;
  }

  /** Fires what is due on the way, in order, and lets each timer's consequences settle. */
  async advance(ms: number): Promise<void> {
    const endMs = this.#nowMs + ms;
    for (;;) {
      await settled();
      const next = this.#next();
      if (next === undefined || next.atMs > endMs) break;
      this.#timers.delete(next);
      this.#nowMs = Math.max(this.#nowMs, next.atMs);
      next.action();
    }
    this.#nowMs = endMs;
    await settled();
  }

  /**
   * Waits for work that goes over real sockets, and lets pass the pauses of at most `longestPauseMs` that it makes:
   * timers beyond are its time limits, and stay where they are. Longer pauses need `mayPass`, which says that nothing is
   * on the wire.
   */
  async during<T>(work: Promise<T>, longestPauseMs = 5_000, mayPass: () => boolean = () => true): Promise<T> {
    let done = false;
    const finished = work.finally(() => {
      done = true;
    });
    // Looked at by its caller below.
    finished.catch(() => {});
    while (!done) {
      await new Promise((resolve) => setTimeout(resolve, 1));
      const next = this.#next();
      if (!done && next !== undefined && next.atMs - this.#nowMs <= longestPauseMs && mayPass()) {
        await this.advance(next.atMs - this.#nowMs);
      }
    }
    return finished;
  }

  get timers(): number {
    return this.#timers.size;
  }

  #next(): Timer | undefined {
    let next: Timer | undefined;
    for (const timer of this.#timers) if (next === undefined || timer.atMs < next.atMs) next = timer;
    return next;
  }
}

/** All promises that can go on have gone on. */
export function settled(): Promise<void> {
  return new Promise((resolve) => {
    setImmediate(resolve);
  });
}
