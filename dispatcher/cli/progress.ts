/** One status line on standard error, when it is a terminal. */
import { printable } from './output.ts';
import type { Terminal } from './terminal.ts';

export interface Progress {
  show(text: string): void;
  /** Clears it. */
  end(): void;
}

/** Silent when the output is not a terminal: repeating the line in a log is useless. */
export function showProgress(terminal: Terminal): Progress {
  const columns = terminal.width;
  if (columns === undefined) return { show: () => {}, end: () => {} };
  return {
    show: (text) => terminal.error(`\r\u001b[2K${printable(text).slice(0, Math.max(0, columns - 1))}`),
    end: () => terminal.error('\r\u001b[2K'),
  };
}
