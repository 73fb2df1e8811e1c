/** Time that stands still until the simulation moves it, so that hours pass in milliseconds and always in the same order. */
import { type Clock, eventLoopTurn } from '../../time/clock.ts';

export { eventLoopTurn };

interface Timer {
  readonly atMs: number;
  /** Order of arming: decides between timers of the same millisecond. */
  readonly order: number;
  action: (() => void) | undefined;
}

function isBefore(left: Timer, right: Timer): boolean {
  return left.atMs < right.atMs || (left.atMs === right.atMs && left.order < right.order);
}

export class VirtualClock implements Clock {
  #now: number;
  #order = 0;
  /** A binary heap: the earliest timer first. */
  readonly #heap: Timer[] = [];
  readonly #settle: () => Promise<void>;

  /**
   * @param settle called after every timer: resolves once everything that the timer set off has come to rest, that is,
   *   waits for nothing but later timers.
   */
  constructor(startMs: number, settle: () => Promise<void> = eventLoopTurn) {
    this.#now = startMs;
    this.#settle = settle;
  }

  now(): number {
    return this.#now;
  }

  after(ms: number, action: () => void): () => void {
    this.#order += 1;
    const timer: Timer = { atMs: this.#now + Math.max(0, Math.ceil(ms)), order: this.#order, action };
    this.#push(timer);
    return () => {
      timer.action = undefined;
    };
  }

  /** Runs every timer up to and including `untilMs`, and stands at `untilMs` afterwards. */
  async run(untilMs: number): Promise<void> {
    await this.#settle();
    for (;;) {
      const next = this.#heap[0];
      if (next === undefined || next.atMs > untilMs) break;
      this.#pop();
      const action = next.action;
      if (action === undefined) continue;
      this.#now = next.atMs;
      action();
      await this.#settle();
    }
    this.#now = Math.max(this.#now, untilMs);
  }

  async advance(ms: number): Promise<void> {
    await this.run(this.#now + ms);
  }

  /** Timers that are armed and not cancelled. */
  get armed(): number {
    return this.#heap.filter((timer) => timer.action !== undefined).length;
  }

  #push(timer: Timer): void {
    const heap = this.#heap;
    let index = heap.length;
    heap.push(timer);
    while (index > 0) {
      const above = (index - 1) >> 1;
      const parent = heap[above];
      if (parent === undefined || !isBefore(timer, parent)) break;
      heap[index] = parent;
      index = above;
    }
    heap[index] = timer;
  }

  #pop(): void {
    const heap = this.#heap;
    const last = heap.pop();
    if (last === undefined || heap.length === 0) return;
    let index = 0;
    for (;;) {
      const left = heap[2 * index + 1];
      const right = heap[2 * index + 2];
      if (left === undefined) break;
      const goRight = right !== undefined && isBefore(right, left);
      const child = goRight ? right : left;
      if (!isBefore(child, last)) break;
      heap[index] = child;
      index = 2 * index + (goRight ? 2 : 1);
    }
    heap[index] = last;
  }
}
