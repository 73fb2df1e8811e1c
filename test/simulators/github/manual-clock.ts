import type { Clock } from '../../../time/clock.ts';

/** Time that stands still until it is told to move. It starts at the real time, because App JWTs carry that. */
export class ManualClock implements Clock {
  #nowMs = Date.now();
  #timers = new Set<{ atMs: number; action: () => void }>();

  now(): number {
    return this.#nowMs;
  }

  after(ms: number, action: () => void): () => void {
    const timer = { atMs: this.#nowMs + ms, action };
    this.#timers.add(timer);
    return () => this.#timers.delete(timer);
  }

  advance(ms: number): void {
    const endMs = this.#nowMs + ms;
    for (;;) {
      let next: { atMs: number; action: () => void } | undefined;
      for (const timer of this.#timers) if (timer.atMs <= endMs && (!next || timer.atMs < next.atMs)) next = timer;
      if (!next) break;
      this.#timers.delete(next);
      this.#nowMs = Math.max(this.#nowMs, next.atMs);
      next.action();
    }
    this.#nowMs = endMs;
  }
}
