/**
 * One every `stepMs`, and `burstMs` worth of them at once after a rest. Spreads a queue evenly, where a `RateWindow`
 * sends a whole span's worth and then nothing. In a span it lets at most `(spanMs + burstMs) / stepMs + 1` through.
 *
 * Pure: times are passed in and must not go back (see `steadyClock`). They may lie ahead, as turns already given away.
 */
export class TokenBucket {
  readonly #stepMs: number;
  readonly #burstMs: number;
  /** When the next one would be due at an even pace: all that a bucket has to remember. */
  #dueAtMs = Number.NEGATIVE_INFINITY;

  constructor(stepMs: number, burstMs: number) {
    this.#stepMs = stepMs;
    this.#burstMs = burstMs;
  }

  /** When the next one fits, in whole milliseconds; `nowMs` if it already does. */
  fitsAt(nowMs: number): number {
    // Sums of fractions may end up a trifle above the whole millisecond that they stand for.
    return Math.max(nowMs, Math.ceil(this.#dueAtMs - this.#burstMs - 1e-6));
  }

  /** Nothing was taken for so long that it is like a new one. */
  isFull(nowMs: number): boolean {
    return this.#dueAtMs <= nowMs;
  }

  /** Takes one at this time, whether or not it fits: ask `fitsAt` first. */
  spend(nowMs: number): void {
    this.#dueAtMs = Math.max(this.#dueAtMs, nowMs) + this.#stepMs;
  }
}
