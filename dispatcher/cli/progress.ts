/** One line on standard error that says what is going on, where somebody watches. */
import { printable } from './output.ts';
import type { Terminal } from './terminal.ts';

export interface Progress {
  show(text: string): void;
  /** Wipes it. */
  end(): void;
}

/** Silent where the output is no terminal: a log of the same line is of no use. */
export function showProgress(terminal: Terminal): Progress {
  const columns = terminal.width;
  if (columns === undefined) return { show: () => {}, end: () => {} };
  return {
    show: (text) => terminal.error(`\r\u001b[2K${printable(text).slice(0, Math.max(0, columns - 1))}`),
    end: () => terminal.error('\r\u001b[2K'),
  };
}
