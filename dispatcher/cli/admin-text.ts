/** Formats admin API responses for the terminal. */
import type { AbsentView, LedgerProblemView, UnreadableView } from '../http/admin-shapes.ts';
import { printable } from './output.ts';

/** A multi-line text, each line free of control characters. */
export function printableLines(text: string): string {
  return text
    .split(/\r?\n/)
    .map((line) => line.split('\t').map(printable).join('\t'))
    .join('\n');
}

/** Names and values, leaving out empty ones. */
export function told(
  fields: readonly (readonly [name: string, value: string | null])[],
): readonly (readonly [string, string])[] {
  return fields.filter((field): field is readonly [string, string] => field[1] !== null);
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

/** The sentence about live runners whose registration is not in force. */
export function absentLine({ absence, registration, runners, served }: AbsentView): string {
  const belong = `${runners} live ${runners === 1 ? 'runner belongs' : 'runners belong'} to the registration ${printable(registration)}`;
  const left = absence === 'removed' ? 'which is not in the configuration' : 'which is set aside';
  const cure = absence === 'removed' ? 'put it back until they are gone' : 'correct what `shr validate` names';
  const why = served === true ? `${left}: they finish their jobs and are removed` : `${left}: ${cure}`;
  return `${belong}, ${why} (shr runners --registration ${printable(registration)}).\n`;
}

/** The line printed below a truncated list. */
export function more(cutOff: boolean, what: string): string {
  return cutOff ? `There are more ${what}: narrow the question, or raise --limit (at most 500).\n` : '';
}

/** Printed below a list that may be out of date, because nothing new can be written down. */
export function notWritten(problem: LedgerProblemView | null, nowMs: number): string {
  if (problem === null) return '';
  return `This may be out of date: for ${age(problem.since, nowMs)}, ${printable(problem.message)}\n`;
}

/** Printed below a list that rows of the ledger are missing from. */
export function leftOut(rows: readonly UnreadableView[]): string {
  if (rows.length === 0) return '';
  const which = rows.map(({ fault, key }) => `  ${printable(key)} (${printable(fault)})\n`).join('');
  const [count, them] = rows.length === 1 ? ['1 row', 'it'] : [`${rows.length} rows`, 'them'];
  return `Not listed: ${count} of the ledger that cannot be read. Stop the dispatcher and correct or delete ${them}:\n${which}`;
}
