/**
 * How commands print: tables for people, JSON for programs. No table library cuts at the terminal's edge and escapes.
 */
import { plainJson } from '../failures/plain-json.ts';
import type { Terminal } from './terminal.ts';

export interface Column<Row> {
  readonly title: string;
  readonly value: (row: Row) => string | number | null | undefined;
  readonly align?: 'left' | 'right';
}

const GAP = '  ';

/** Columns as wide as their widest value; the last one is truncated at the terminal's edge. */
export function printTable<Row>(terminal: Terminal, rows: readonly Row[], columns: readonly Column<Row>[]): void {
  const cells = rows.map((row) => columns.map((column) => printable(String(column.value(row) ?? '-'))));
  const widths = columns.map((column, index) =>
    Math.max(column.title.length, ...cells.map((line) => line[index]?.length ?? 0)),
  );
  const line = (values: readonly string[]): string => {
    const padded = values.map((value, index) => {
      const width = widths[index] ?? 0;
      return columns[index]?.align === 'right' ? value.padStart(width) : value.padEnd(width);
    });
    const text = padded.join(GAP).trimEnd();
    const room = terminal.width;
    return room !== undefined && room > 0 && text.length > room ? `${text.slice(0, room - 1)}…` : text;
  };
  terminal.out(`${line(columns.map(({ title }) => title.toUpperCase()))}\n`);
  for (const values of cells) terminal.out(`${line(values)}\n`);
}

/** Names and values in two columns. */
export function printFields(terminal: Terminal, fields: readonly (readonly [string, string])[]): void {
  const width = Math.max(0, ...fields.map(([name]) => name.length));
  for (const [name, value] of fields) terminal.out(`${name.padEnd(width)}${GAP}${printable(value)}\n`);
}

/** One value as one document, ending in a newline. */
export function printJson(terminal: Terminal, value: unknown): void {
  terminal.out(`${plainJson(JSON.stringify(value, null, 2))}\n`);
}

/** Job, branch and workflow names are untrusted: their control characters never reach the terminal. */
export function printable(text: string): string {
  return text.replace(/[\p{Cc}\p{Cf}\u2028\u2029]/gu, (character) =>
    character === '\n' || character === '\t' ? ' ' : '\uFFFD',
  );
}

/** `1 file`, `2 files`. */
export function counted(count: number, noun: string): string {
  return `${count} ${noun}${count === 1 ? '' : 's'}`;
}
