/** Changes in words: as plain text, and as Markdown in which nothing that a tenant wrote is more than text. */
import { printable } from '../output.ts';
import type { Change, Changes, FieldChange, Overlap, RegistrationChange } from './changes.ts';

/** GitHub takes a summary of up to 1 MiB for a step. */
const MAX_MARKDOWN = 500_000;

export function changeLines(changes: Changes): readonly string[] {
  return lines(changes, printable);
}

function lines(changes: Changes, quoted: (text: string) => string, indent = '  ', bullet = ''): readonly string[] {
  const all = [
    ...changes.grants.map((change) => ({
      title: `tenant ${quoted(change.name)} ${state(change)}`,
      change,
      overlaps: [],
    })),
    ...changes.registrations.map((change) => ({
      title: titleOf(change, quoted),
      change,
      overlaps: change.overlaps,
    })),
  ];
  const told = all.flatMap(({ title, change, overlaps }) => [
    `${bullet}${title}`,
    ...change.fields.map((field) => `${indent}${bullet}${fieldText(change, field, quoted)}`),
    ...overlaps.map((one) => `${indent}${bullet}${overlapText(one, quoted)}`),
  ]);
  const broken = changes.unread.map(
    (name) => `${bullet}registration ${quoted(name)} cannot be compared, as its file has problems`,
  );
  return [...told, ...broken];
}

function titleOf(change: RegistrationChange, quoted: (text: string) => string): string {
  const tenant = change.tenant === undefined ? '' : ` (tenant ${quoted(change.tenant)})`;
  return `registration ${quoted(change.name)}${tenant} ${state(change)}`;
}

function state({ kind }: Change): string {
  return kind === 'changed' ? 'changes' : `is ${kind}`;
}

function fieldText({ kind }: Change, change: FieldChange, quoted: (text: string) => string): string {
  const { field, added, removed, hidden } = change;
  const list = (items: readonly string[]): string => items.map(quoted).join(', ');
  const name = quoted(field);
  if (kind === 'new') return `${name}: ${list(added)}`;
  if (added.length === 1 && removed.length === 1) return `${name}: ${list(removed)} → ${list(added)}`;
  const parts = [
    ...(added.length > 0 ? [`+ ${list(added)}`] : []),
    ...(removed.length > 0 ? [`− ${list(removed)}`] : []),
    ...(hidden ? [field.startsWith('backends.') ? 'options changed' : 'changed'] : []),
  ];
  return `${name}: ${parts.join('; ')}`;
}

function overlapText({ place, label, registration, tenant }: Overlap, quoted: (text: string) => string): string {
  const whose = tenant === undefined ? '' : ` of tenant ${quoted(tenant)}`;
  return `overlap: jobs of ${quoted(place)} with the label ${quoted(label)} are asked for by ${quoted(registration)}${whose} too`;
}

/** A report for `$GITHUB_STEP_SUMMARY`. `changes`: undefined when there is nothing to compare with. */
export function markdownReport(
  outcome: { readonly problems: readonly string[]; readonly notes: number; readonly files: number },
  changes: Changes | undefined,
): string {
  const { problems, notes, files } = outcome;
  const said = [
    `## Registrations: ${problems.length === 0 ? 'no problems' : `${problems.length} to correct`}`,
    '',
    `Files read: ${files}. Notes: ${notes}.`,
    '',
    ...problems.map((problem) => `- ${code(problem)}`),
    ...(changes === undefined ? [] : ['', '### What changes', '', ...changeList(changes)]),
    '',
  ];
  let text = '';
  for (const line of said) {
    if (text.length + line.length > MAX_MARKDOWN) return `${text}\nThe rest is in the log of the step.\n`;
    text += `${line}\n`;
  }
  return text;
}

function changeList(changes: Changes): readonly string[] {
  const list = lines(changes, code, '  ', '- ');
  return list.length === 0 ? ['Nothing.'] : list;
}

/** A code span: without links, mentions, images or HTML, whatever the text. */
function code(text: string): string {
  const plain = printable(text);
  const longest = Math.max(0, ...(plain.match(/`+/g) ?? []).map((run) => run.length));
  const fence = '`'.repeat(longest + 1);
  const room = plain === '' || /^[` ]|[` ]$/.test(plain) ? ' ' : '';
  return `${fence}${room}${plain}${room}${fence}`;
}
