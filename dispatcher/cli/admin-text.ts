/** Answers of the admin API as people read them in a terminal. */

/**
 * Job names, reasons and output come from strangers: control characters, which could move the cursor or rewrite what
 * stands above, are shown as dots.
 */
export function printable(text: string): string {
  return text.replace(/[\p{Cc}\p{Bidi_Control}\u2028\u2029]/gu, '·');
}

/** The same for a text of many lines. */
export function printableLines(text: string): string {
  return text
    .split(/\r?\n/)
    .map((line) => line.split('\t').map(printable).join('\t'))
    .join('\n');
}

const WIDEST_CELL = 60;

/** Columns as wide as their widest cell; the last one is not cut. */
export function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const cells = [head, ...rows].map((row) =>
    row.map((cell, column) => (column === head.length - 1 ? printable(cell) : cut(printable(cell)))),
  );
  const widths = head.map((_, column) => Math.max(...cells.map((row) => (row[column] ?? '').length)));
  const lines = cells.map((row) =>
    row
      .map((cell, column) => cell.padEnd(widths[column] ?? 0))
      .join('  ')
      .trimEnd(),
  );
  return `${lines.join('\n')}\n`;
}

function cut(text: string): string {
  return text.length > WIDEST_CELL ? `${text.slice(0, WIDEST_CELL - 1)}…` : text;
}

/** `name: value` lines, without those that say nothing. */
export function facts(pairs: readonly (readonly [name: string, value: string | null | undefined])[]): string {
  const told = pairs.filter((pair): pair is readonly [string, string] => pair[1] !== null && pair[1] !== undefined);
  const width = Math.max(0, ...told.map(([name]) => name.length));
  return told.map(([name, value]) => `${`${name}:`.padEnd(width + 2)}${printable(value)}\n`).join('');
}

/** How long ago, or `-`: `5s`, `3m10s`, `2h05m`, `4d03h`. */
export function age(at: string | null, nowMs: number): string {
  return at === null ? '-' : span(nowMs - Date.parse(at));
}

function span(ms: number): string {
  const seconds = Math.max(0, Math.floor(ms / 1000));
  const two = (value: number) => String(value).padStart(2, '0');
  if (seconds < 60) return `${seconds}s`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)}m${two(seconds % 60)}s`;
  if (seconds < 86_400) return `${Math.floor(seconds / 3600)}h${two(Math.floor(seconds / 60) % 60)}m`;
  return `${Math.floor(seconds / 86_400)}d${two(Math.floor(seconds / 3600) % 24)}h`;
}

/** The sentence under a list that was cut. */
export function more(cutOff: boolean, what: string): string {
  return cutOff ? `There are more ${what}: narrow the question, or raise --limit (at most 500).\n` : '';
}
