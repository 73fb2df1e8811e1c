/** What a workflow's author probably meant when no registration takes the job. Stays silent rather than guess. */
import { isBuiltIn, readLabel, separatorName, severalInOne } from '../labels/grammar.ts';
import { isNotOffered, keyMeantBy } from '../labels/keys.ts';
import { meantArchitecture } from '../labels/meaning.ts';
import { nearestName } from '../labels/nearest.ts';
import type { JobLabel } from '../labels/reading.ts';
import { spotModeMeant } from '../labels/spot-mode.ts';
import { isFlag, quote } from '../labels/values.ts';

/** The maximum number of labels listed in a reason. */
export const NAMED = 5;

/** For labels that are not the registration's own, built in, or overrides. `own`: its labels, case folded. */
export function hintFor(labels: readonly JobLabel[], own: readonly string[]): string | undefined {
  for (const { text } of labels) {
    const several = severalInOne(text) ?? joined(text, own);
    if (several !== undefined) return `${several.wrong}. ${several.cure}`;
  }
  const guesses = labels.slice(0, NAMED).flatMap(({ text }) => {
    const meant = meantLabel(text, own);
    return meant === undefined ? [] : [{ text, meant }];
  });
  if (guesses.length > 0) {
    const words = guesses.map(({ text, meant }) =>
      labels.length === 1 ? quote(meant) : `${quote(meant)} for ${quote(text)}`,
    );
    return `did you mean ${words.join(', ')}?`;
  }
  for (const { text, folded } of labels) {
    if (isNotOffered(wordOf(text))) return `runners here have no ${wordOf(text).toUpperCase().replace(/S$/, '')}s`;
    if (HOSTED.test(folded)) return `${quote(text)} is a label of the runners that GitHub hosts`;
    const system = OTHER_SYSTEMS.exec(folded)?.[0];
    if (system !== undefined) return `runners here are Linux containers, not ${system}`;
  }
  return undefined;
}

const HOSTED = /^(?:ubuntu|windows|macos)-(?:latest|\d)/;

const OTHER_SYSTEMS = /^(?:windows|macos|osx)(?=$|[^a-z])/;

/** The label that was probably meant by another; undefined when none is close. */
export function meantLabel(text: string, own: readonly string[]): string | undefined {
  const written = text.toLowerCase().trim();
  return nearestName(written, own) ?? meantOverride(text.trim()) ?? nearestName(written, ['self-hosted', 'linux']);
}

const TRUE = /^(?:|true|yes|on|1|instances?)$/i;

function meantOverride(text: string): string | undefined {
  const architecture = meantArchitecture(text) ?? meantArchitecture(text.replace(/^linux[-_ ]?/i, ''));
  if (architecture !== undefined) return architecture;
  // `cpu4`, `cpu=4`, `cpu_4`, `mem-4`, `security-group-sg1`: the key ends where the value or a separator begins.
  const found = /^([a-z]+(?:[-_ ](?:group|limit|instances?|in|docker|switch|gib|gb))*)[-_=: ]*(.*)$/is.exec(text);
  const before = /^(\d[\d.]*)[-_ ]*([a-z]+)$/i.exec(text);
  const [, word = '', value = ''] = before === null ? (found ?? []) : [before[0], before[2], before[1]];
  if (word.toLowerCase() === 'shr') return oneLabel(`shr=${value}`);
  const foreign = /^runs-on=(.*)$/is.exec(text)?.[1];
  if (foreign !== undefined) return oneLabel(`shr=${foreign.replaceAll(/([a-z]+)=/gi, renamed)}`);
  // `4gb` is clear from its unit; no other number before a word is.
  const key = keyMeantBy(word) ?? (before !== null && /^(?:gb|gib|gi)$/i.test(word) ? 'memory' : undefined);
  if (key === undefined) return undefined;
  if (isFlag(key) && TRUE.test(value)) return key;
  if (key === 'spot') {
    const mode = spotModeMeant(value);
    return mode === undefined ? undefined : `spot-${mode}`;
  }
  if (isFlag(key)) return undefined;
  return readable(key === 'vsw' || key === 'sg' ? identifier(key, value) : `${key}-${value}`);
}

/** A key of RunsOn's label, which has the same form, as it is called here. */
function renamed(written: string, word: string): string {
  const key = keyMeantBy(word);
  return key === undefined || isFlag(key) ? written : `${key === 'img' ? 'image' : key}=`;
}

/** The vendors' identifiers already start with the prefix. */
function identifier(key: 'vsw' | 'sg', value: string): string {
  return value.toLowerCase().startsWith(`${key}-`) ? value : `${key}-${value}`;
}

function oneLabel(label: string): string | undefined {
  const reading = readLabel(label);
  return reading.kind === 'one-label' && reading.mistakes.length === 0 ? label : undefined;
}

/** The label itself if it can be parsed, else the one its cure suggests. */
function readable(label: string): string | undefined {
  const reading = readLabel(label);
  if (reading.kind === 'override') return label;
  return reading.kind === 'malformed' ? reading.mistake.meant : undefined;
}

/** `acme-runner cpu-4`, `acme-runner/cpu-4`: labels of this registration and overrides, in one. */
function joined(text: string, own: readonly string[]): { readonly wrong: string; readonly cure: string } | undefined {
  const separator = /[;|+&/\s]/.exec(text)?.[0];
  if (separator === undefined) return undefined;
  const parts = text
    .split(/[;|+&/\s]+/)
    .filter((part) => part !== '')
    .slice(0, 10);
  const known = (part: string) =>
    own.includes(part.toLowerCase()) || isBuiltIn(part.toLowerCase()) || readLabel(part).kind === 'override';
  if (parts.length < 2 || !parts.every(known)) return undefined;
  return {
    wrong: `${separatorName(separator)} does not separate labels`,
    cure: `Write a YAML list: \`runs-on: [${parts.join(', ').slice(0, 200)}]\`.`,
  };
}

function wordOf(text: string): string {
  return /^[a-z]+/i.exec(text)?.[0]?.toLowerCase() ?? '';
}

/** No label of the job belongs to a registration. `own`: every label that the registrations of the place listen to. */
export function whyUnheard(labels: readonly JobLabel[], own: readonly string[], where: string): string {
  const example = own.find((label) => label.length <= 80) ?? own[0] ?? '';
  if (labels.length === 0) {
    return (
      `the job has no labels: a runner group alone (\`runs-on: group:\`) does not say that it belongs here. ` +
      `Add a label that a registration of ${where} listens to: \`runs-on: {group: …, labels: [${example}]}\``
    );
  }
  const asked = listed(labels.map(({ text }) => text));
  if (labels.every(({ reading }) => reading.kind === 'built-in')) {
    return (
      `its labels (${asked}) are ones that every self-hosted runner has. ` +
      `Add one that a registration of ${where} listens to: ${listed(own)}`
    );
  }
  const read = labels.filter(({ reading }) => reading.kind !== 'built-in');
  const hint = hintFor(
    read.filter(({ text, reading }) => reading.kind === 'plain' || severalInOne(text) !== undefined),
    own,
  );
  if (hint === undefined && read.every(({ reading }) => reading.kind !== 'plain')) {
    return (
      `its labels (${asked}) describe the runner, but do not say that it belongs here. ` +
      `Add one that a registration of ${where} listens to: ${listed(own)}`
    );
  }
  return (
    `none of its labels (${asked}) is one that a registration of ${where} listens to: ${listed(own)}` +
    (hint === undefined ? '' : `; ${hint}`)
  );
}

/** The first few, quoted, and how many more there are. */
export function listed(labels: readonly string[]): string {
  if (labels.length === 0) return 'none';
  const more = labels.length > NAMED ? ` and ${labels.length - NAMED} more` : '';
  return labels.slice(0, NAMED).map(quote).join(', ') + more;
}
