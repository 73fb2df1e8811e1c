interface Spent {
  readonly atMs: number;
  readonly amount: number;
  readonly rank: number;
}

/**
 * The amount spent in the last `spanMs`, by rank (0 is the most urgent). A log, not a token bucket: a bucket of
 * 900 lets 1,800 through within one minute. Holds at most as many entries as its limit allows.
 *
 * Pure: times are passed in and must not go back (see `steadyClock`). They may lie ahead, as turns already given away.
 */
export class RateWindow {
  readonly #spanMs: number;
  readonly #most: number;
  #spent: Spent[] = [];
  /** Index of the oldest entry that still counts. */
  #first = 0;
  /** By rank, for the entries that count. */
  readonly #sums: number[] = [];

  /** `most`: the limit, where `fitsAt` is given no other. */
  constructor(spanMs: number, most: number) {
    this.#spanMs = spanMs;
    this.#most = most;
  }

  /** By this rank and all less urgent ones. */
  used(nowMs: number, fromRank = 0): number {
    this.#forget(nowMs);
    let sum = 0;
    for (let rank = fromRank; rank < this.#sums.length; rank += 1) sum += this.#sums[rank] ?? 0;
    return sum;
  }

  /** When `amount` more fits under `limit`; `nowMs` if it already does, infinite if it never will. */
  fitsAt(nowMs: number, amount = 1, limit = this.#most, fromRank = 0): number {
    let over = this.used(nowMs, fromRank) + amount - limit;
    if (over <= 0) return nowMs;
    for (let index = this.#first; index < this.#spent.length; index += 1) {
      const spent = this.#spent[index];
      if (spent === undefined || spent.rank < fromRank) continue;
      over -= spent.amount;
      if (over <= 0) return spent.atMs + this.#spanMs;
    }
    return Number.POSITIVE_INFINITY;
  }

  /** Counts `amount` at this time, whether or not it fits: ask `fitsAt` first. */
  spend(nowMs: number, amount = 1, rank = 0): void {
    this.#forget(nowMs);
    this.#spent.push({ atMs: nowMs, amount, rank });
    this.#sums[rank] = (this.#sums[rank] ?? 0) + amount;
  }

  #forget(nowMs: number): void {
    for (;;) {
      const oldest = this.#spent[this.#first];
      if (oldest === undefined || oldest.atMs > nowMs - this.#spanMs) break;
      this.#sums[oldest.rank] = (this.#sums[oldest.rank] ?? 0) - oldest.amount;
      this.#first += 1;
    }
    // Compacting once per half is cheaper than once per entry.
    if (this.#first > 64 && this.#first * 2 > this.#spent.length) {
      this.#spent = this.#spent.slice(this.#first);
      this.#first = 0;
    }
  }
}
