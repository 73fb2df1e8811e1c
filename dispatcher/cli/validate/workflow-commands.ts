/**
 * Problems as the commands that GitHub's runner reads from a step's output: annotations at their lines. What a tenant
 * wrote cannot end such a command or begin another: https://docs.github.com/en/actions/reference/workflow-commands.
 */
import type { Problem } from '../../model/problem.ts';
import { printable } from '../output.ts';

/** GitHub shows at most 10 errors and 10 notices of a step; the others are in the log. */
export function workflowCommand(level: 'error' | 'notice', problem: Problem): string {
  const properties = [
    ['file', problem.file],
    ...(problem.line === 0 ? [] : [['line', `${problem.line}`] as const, ['col', `${problem.column}`] as const]),
    ...(problem.path === '' ? [] : [['title', problem.path] as const]),
  ] as const;
  const written = properties.map(([name, value]) => `${name}=${escapeProperty(value)}`);
  return `::${level} ${written.join(',')}::${escapeMessage(`${problem.message}. ${problem.cure}`)}`;
}

/**
 * A line of text that no runner takes for a command: `::` counts at the beginning of a line, the older form `##[` anywhere
 * in it.
 */
export function harmless(line: string): string {
  return printable(line)
    .replaceAll('##[', '# #[')
    .replace(/^(\s*):(?=:)/, '$1: ');
}

function escapeMessage(text: string): string {
  // `printable` leaves no line end, and `##[` would be a command where this line is repeated.
  return printable(text).replaceAll('##[', '# #[').replaceAll('%', '%25');
}

function escapeProperty(text: string): string {
  return escapeMessage(text).replaceAll(':', '%3A').replaceAll(',', '%2C');
}
