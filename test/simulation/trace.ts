/** What happened, line by line, and its fingerprint. */
import { createHash } from 'node:crypto';

export interface Line {
  readonly atMs: number;
  /** `github`, `provider`, `webhook`, `poll`, `engine`, `ledger`, `world`. */
  readonly part: string;
  /** Names of the jobs, runners and lanes that it is about. */
  readonly subjects: readonly string[];
  readonly text: string;
}

export class History {
  readonly lines: Line[] = [];
  readonly #now: () => number;
  readonly #startMs: number;
  readonly #hash = createHash('sha256');

  constructor(now: () => number) {
    this.#now = now;
    this.#startMs = now();
  }

  record(part: string, subjects: readonly string[], text: string): void {
    const line: Line = { atMs: this.#now(), part, subjects, text };
    this.lines.push(line);
    this.#hash.update(`${line.atMs} ${part} ${subjects.join(',')} ${text}\n`);
  }

  /** The fingerprint of everything so far. The same seed gives the same one. */
  fingerprint(): string {
    return this.#hash.copy().digest('hex');
  }

  /** The lines about any of these, the last `limit` of them. */
  storyOf(subjects: readonly string[], limit = 60): readonly Line[] {
    const wanted = new Set(subjects);
    return this.lines.filter((line) => line.subjects.some((subject) => wanted.has(subject))).slice(-limit);
  }

  format(line: Line): string {
    const seconds = (line.atMs - this.#startMs) / 1000;
    const hours = Math.floor(seconds / 3600);
    const minutes = Math.floor((seconds % 3600) / 60);
    const rest = (seconds % 60).toFixed(3).padStart(6, '0');
    const time = `${String(hours).padStart(2, '0')}:${String(minutes).padStart(2, '0')}:${rest}`;
    const about = line.subjects.length === 0 ? '' : `[${line.subjects.join(' ')}] `;
    return `${time} ${line.part.padEnd(8)} ${about}${line.text}`;
  }
}
