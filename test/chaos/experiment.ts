/** What an experiment is, and how its outcome reads. */

export interface Size {
  readonly default: number;
  /** Whole numbers below it are refused. */
  readonly least: number;
  /** For the help; begins with the unit or with what is counted. */
  readonly what: string;
}

export interface Figure {
  readonly what: string;
  readonly value: number;
  /** The figure to reach: more is a miss. */
  readonly most: number;
  /** Behind both numbers; none for counts. */
  readonly unit?: string;
}

export interface Experiment<Name extends string = string> {
  /** One line. */
  readonly title: string;
  /** By option: `jobs` is given as `--clock-jobs 10`. */
  readonly sizes: Readonly<Record<Name, Size>>;
  /** Rejects when the experiment itself cannot be made, or does not come to its end. */
  run(sizes: Readonly<Record<Name, number>>, say: (line: string) => void): Promise<readonly Figure[]>;
}

export function isReached({ value, most }: Figure): boolean {
  return value <= most;
}

/** One line: the verdict, the experiment, each figure with the one to reach. */
export function inWords(name: string, figures: readonly Figure[]): string {
  const verdict = figures.every(isReached) ? 'ok    ' : 'MISSED';
  const words = figures.map((figure) => {
    const unit = figure.unit === undefined ? '' : ` ${figure.unit}`;
    const missed = isReached(figure) ? '' : ' MISSED';
    return `${figure.what} ${rounded(figure.value)}${unit} (at most ${rounded(figure.most)}${unit})${missed}`;
  });
  return `${verdict}  ${name.padEnd(13)} ${words.join('; ')}`;
}

function rounded(value: number): string {
  return String(Math.round(value * 100) / 100);
}
