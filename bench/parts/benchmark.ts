/** The interface between `bench/run.ts` and a benchmark file, and the arithmetic that benchmarks share. */

export interface BenchmarkOptions {
  /** Undefined: the benchmark's own number, at least seven. */
  readonly rounds: number | undefined;
  /**
   * Jobs in a burst. Undefined: the benchmark's own number; with any other, the ratio is not comparable to the budget.
   */
  readonly jobs: number | undefined;
  /** One line of progress. */
  progress(line: string): void;
}

type Figures = Readonly<Record<string, number>>;

/** Prints as a table and as one line of JSON. A nested table (one row per provider) prints as JSON in its cell. */
export type BenchmarkResult = Readonly<
  Record<string, number | string | boolean | Figures | Readonly<Record<string, Figures>>>
>;

/** A file `bench/NAME.ts` exports `about` and `run`. */
export interface Benchmark {
  readonly about: string;
  run(options: BenchmarkOptions): Promise<BenchmarkResult>;
}

export function median(values: readonly number[]): number {
  return quantile(values, 0.5);
}

/** By linear interpolation between the two nearest values; NaN for an empty list. */
export function quantile(values: readonly number[], share: number): number {
  const sorted = [...values].sort((a, b) => a - b);
  const place = (sorted.length - 1) * share;
  const below = sorted[Math.floor(place)] ?? Number.NaN;
  const above = sorted[Math.ceil(place)] ?? Number.NaN;
  return below + (above - below) * (place - Math.floor(place));
}

export function rounded(value: number, digits = 2): number {
  return Number(value.toFixed(digits));
}
