/**
 * The grammar of `runs-on` labels. Pure: it parses labels one by one and knows no registrations, so that the caller can
 * give a registration's own label precedence over an override that looks the same. The table for users: docs/labels.md.
 */

import { readOneLabel } from './one-label.ts';
import { type JobLabel, malformed, type Reading } from './reading.ts';
import { isSpotMode } from './spot-mode.ts';
import { cureOf, foldLabel, isFlag, isPrefix, overrideOfFlag, type Prefix, quote, READERS } from './values.ts';

/** The label that a registration listens to if it names none, and what the one-label form stands for. */
export const DEFAULT_LABEL = 'serverless-hosted-runner';

/** `generate-jitconfig` takes 1 to 100 labels. */
export const MAX_LABELS = 100;
/** Far above anything that GitHub accepts; bounds what we parse, hash and store. */
export const MAX_LABEL_LENGTH = 256;

/** A job's labels without (case-insensitive) duplicates, in their original order. */
export function readLabels(labels: readonly string[]): readonly JobLabel[] {
  const read = new Map<string, JobLabel>();
  for (const text of labels) {
    const folded = foldLabel(text);
    if (!read.has(folded)) read.set(folded, { text, folded, reading: readLabel(text) });
  }
  return [...read.values()];
}

/** A label that GitHub gives every such runner. `folded`: in lower case. */
export function isBuiltIn(folded: string): boolean {
  return folded === 'self-hosted' || folded === 'linux' || folded === 'x64' || folded === 'arm64';
}

/** Never throws: what cannot be read is `malformed` if it begins like one of ours, else `plain`. */
export function readLabel(text: string): Reading {
  const folded = foldLabel(text);
  if (isBuiltIn(folded)) {
    const architecture = folded === 'x64' || folded === 'arm64' ? folded : undefined;
    return {
      kind: 'built-in',
      override: architecture && { key: 'architecture', value: architecture, label: text },
    };
  }
  if (folded.startsWith('shr=')) return readOneLabel(text);
  if (isFlag(folded)) return { kind: 'override', override: overrideOfFlag(folded, text) };
  const mode = folded.startsWith('spot-') ? folded.slice('spot-'.length) : '';
  // Any other word after it may be a label of someone else's, such as `spot-fleet`.
  if (isSpotMode(mode)) return { kind: 'override', override: { key: 'spot', value: mode, label: text } };
  const dash = text.indexOf('-');
  const prefix = folded.slice(0, Math.max(0, dash));
  if (!isPrefix(prefix)) return { kind: 'plain' };
  const value = text.slice(dash + 1);
  const glued = severalInOne(text);
  if (glued !== undefined)
    return { kind: 'malformed', mistake: malformed(text, glued.position, glued.wrong, glued.cure) };
  const result = READERS[prefix](valueOfDashed(prefix, text, value), text);
  if ('key' in result) return { kind: 'override', override: result };
  const cure = cureOf(result, (right) => `${prefix}-${right}`);
  const [only, ...others] = result.right;
  const mistake = malformed(text, dash + 2, result.wrong, cure);
  if (only === undefined || others.length > 0) return { kind: 'malformed', mistake };
  return { kind: 'malformed', mistake: { ...mistake, meant: `${prefix}-${only}` } };
}

/** GitHub treats `runs-on: a,b` as one label. `position` is that of the separator, counted from 1. */
export function severalInOne(
  text: string,
): { readonly position: number; readonly wrong: string; readonly cure: string } | undefined {
  // A comma between digits is a decimal one.
  if (/^(?:shr|runs-on)=/i.test(text) || /^[a-z]+-\d+,\d+$/i.test(text)) return undefined;
  if (/^\s*\[.*\]\s*$/s.test(text)) {
    return {
      position: 1,
      wrong: 'a list in quotes is one label',
      cure: 'Write it without the quotes, or with `fromJSON(…)` around it.',
    };
  }
  // A label may contain spaces and semicolons. Between two of our labels they were meant as separators.
  const separator = text.includes(',') ? /,/ : /[;|+&]|\s/;
  const parts = text.split(separator).map((part) => part.trim());
  if (parts.length < 2) return undefined;
  const position = text.search(separator) + 1;
  const written = parts.filter((part) => part !== '');
  // `sid-` may be followed by anything, so only one of our labels after a comma shows that it was meant as a separator.
  const anything = foldLabel(text).startsWith('sid-');
  if (anything && !parts.slice(1).some((part) => readLabel(part).kind !== 'plain')) return undefined;
  if (!text.includes(',') && !written.every((part) => readLabel(part).kind === 'override')) return undefined;
  const name = separatorName(text.charAt(position - 1));
  return {
    position,
    wrong: `${name} does not separate labels`,
    cure: `Write a YAML list: \`runs-on: [${written.slice(0, 10).join(', ').slice(0, 200)}]\`.`,
  };
}

/** In words, for messages. */
export function separatorName(separator: string): string {
  if (separator === ',') return 'a comma';
  return separator.trim() === '' ? 'a blank' : quote(separator);
}

/**
 * The identifiers of Alibaba's vswitches and of Alibaba's and AWS's security groups begin with the prefix itself, and so
 * do AWS's subnets (8 or 17 hex digits): there the label is the identifier. `subnet-default` means the subnet `default`.
 */
function valueOfDashed(prefix: Prefix, text: string, value: string): string {
  if (value === '') return value;
  if (prefix === 'vsw' || prefix === 'sg') return `${prefix}-${value}`;
  if (prefix === 'subnet' && /^(?:[0-9a-f]{8}|[0-9a-f]{17})$/.test(value)) return text.toLowerCase();
  return value;
}
