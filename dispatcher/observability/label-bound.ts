/**
 * Keeps the number of time series bounded: the first `most` values get a series of their own, all others share one.
 * Sums over a metric stay right, whatever is folded.
 */

/** Cannot collide with a registration: their names are `[a-z0-9-]`. */
export const OTHER = '_other';

export class LabelBound {
  readonly #most: number;
  readonly #known = new Set<string>();

  constructor(most: number) {
    this.#most = most;
  }

  /** True when `value` has a series of its own, now and as long as the process lives. */
  admits(value: string): boolean {
    if (this.#known.has(value)) return true;
    if (this.#known.size >= this.#most) return false;
    this.#known.add(value);
    return true;
  }

  fold(value: string): string {
    return this.admits(value) ? value : OTHER;
  }
}
