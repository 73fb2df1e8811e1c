/** Changes in words: as plain text, and as Markdown in which nothing that a tenant wrote is more than text. */
import { printable } from '../output.ts';
import type { Change, Changes, FieldChange, Overlap, RegistrationChange } from './changes.ts';
import type { GrantFieldChange } from './grant-changes.ts';
import type { AdmittedRegistration, Proposal } from './proposal.ts';

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
  proposal?: Proposal,
): string {
  const { problems, notes, files } = outcome;
  const said = [
    `## Registrations: ${problems.length === 0 ? 'no problems' : `${problems.length} to correct`}`,
    '',
    `Files read: ${files}. Notes: ${notes}.`,
    '',
    ...problems.map((problem) => `- ${code(problem)}`),
    ...(changes === undefined ? [] : ['', '### What changes', '', ...changeList(changes)]),
    ...(proposal === undefined ? [] : proposalSection(proposal)),
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

/** Of a dispatcher.yaml that is not in force, with its heading. */
export function proposalText(proposal: Proposal): readonly string[] {
  const { heading, said } = proposalLines(proposal, printable, '  ', '');
  return [heading, ...said.map((line) => `  ${line}`)];
}

function proposalSection(proposal: Proposal): readonly string[] {
  const { heading, said } = proposalLines(proposal, code, '  ', '- ');
  return ['', `### ${heading}`, ...(said.length === 0 ? [] : ['', ...said])];
}

function proposalLines(
  { admitted, file, grants, isComparable, refused, tenancy }: Proposal,
  quoted: (text: string) => string,
  indent: string,
  bullet: string,
): { readonly heading: string; readonly said: readonly string[] } {
  if (!isComparable) return { heading: `${quoted(file)} has problems: what it would change is not told.`, said: [] };
  const said = [
    ...(tenancy === undefined ? [] : [`${bullet}${TENANCY[tenancy]}`]),
    ...grants.flatMap(({ tenant, kind, fields }) => [
      `${bullet}tenant ${quoted(tenant)} ${kind === 'changed' ? 'changes' : `is ${kind}`}`,
      ...fields.map((field) => `${indent}${bullet}${grantText(kind, field, quoted)}`),
    ]),
    ...refused.flatMap(({ reasons, ...one }) =>
      reasons.map((reason) => `${bullet}${whose(one, quoted)} would no longer be admitted: ${quoted(reason)}`),
    ),
    ...admitted.map((one) => `${bullet}${whose(one, quoted)} would be admitted then`),
  ];
  if (said.length === 0) return { heading: `${quoted(file)} changes nothing for tenants.`, said };
  return { heading: `Once ${quoted(file)} is merged (until then nothing is held to it):`, said };
}

const TENANCY = {
  begins: 'there are tenants: a registration that belongs to none of them is set aside',
  ends: 'no tenants are left: from a restart on every registration is the platform’s own, without limits and with its secrets',
} as const;

function whose({ registration, tenant }: AdmittedRegistration, quoted: (text: string) => string): string {
  return `registration ${quoted(registration)}${tenant === undefined ? '' : ` (tenant ${quoted(tenant)})`}`;
}

function grantText(
  kind: 'new' | 'removed' | 'changed',
  { field, form, added, removed, effect }: GrantFieldChange,
  quoted: (text: string) => string,
): string {
  const list = (items: readonly string[]): string => items.map(quoted).join(', ');
  const inWords = effect === undefined ? '' : ` (${effect})`;
  if (kind === 'new') return `${field}: ${list(added)}${inWords}`;
  if (form === 'value') return `${field}: ${list(removed)} → ${list(added)}${inWords}`;
  const parts = [
    ...(added.length > 0 ? [`+ ${list(added)}`] : []),
    ...(removed.length > 0 ? [`− ${list(removed)}`] : []),
  ];
  return `${field}: ${parts.join('; ')}${inWords}`;
}

/** A code span: without links, mentions, images or HTML, whatever the text. */
function code(text: string): string {
  const plain = printable(text);
  const longest = Math.max(0, ...(plain.match(/`+/g) ?? []).map((run) => run.length));
  const fence = '`'.repeat(longest + 1);
  const room = plain === '' || /^[` ]|[` ]$/.test(plain) ? ' ' : '';
  return `${fence}${room}${plain}${room}${fence}`;
}
