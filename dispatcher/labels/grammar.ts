/**
 * The grammar of `runs-on` labels. Pure: it parses labels one by one and knows no registrations, so that the caller can
 * give a registration's own label precedence over an override that looks the same. The table for users: docs/labels.md.
 */

import { coresInWords } from '../../providers/shape-words.ts';
import { formatDuration } from './duration.ts';
import { keyMeantBy } from './keys.ts';
import {
  cureOf,
  FLAGS,
  foldLabel,
  isFlag,
  isPrefix,
  type Override,
  type OverrideKey,
  type OverrideOf,
  type Prefix,
  quote,
  READERS,
} from './values.ts';

export { foldLabel, isFlag, type Override, type OverrideKey, type OverrideOf, quote, WORD_OF } from './values.ts';

/** The label that a registration listens to if it names none, and what the one-label form stands for. */
export const DEFAULT_LABEL = 'serverless-hosted-runner';

/** `generate-jitconfig` takes 1 to 100 labels. */
export const MAX_LABELS = 100;
/** Far above anything that GitHub accepts; bounds what we parse, hash and store. */
export const MAX_LABEL_LENGTH = 256;

/** A label that looks like an override but cannot be parsed. */
export interface Mistake {
  readonly kind: 'malformed' | 'contradiction';
  /** The whole label. */
  readonly label: string;
  /** Where in the label the problem starts, counted from 1. */
  readonly position: number;
  /** What is wrong. */
  readonly problem: string;
  /** What to write instead. */
  readonly cure: string;
  /** The intended label, if there is one that can be parsed. */
  readonly meant?: string;
}

type Reading =
  /** GitHub's own: `self-hosted`, `linux`, `x64`, `arm64`. */
  | { readonly kind: 'built-in'; readonly override: OverrideOf<'architecture'> | undefined }
  | { readonly kind: 'override'; readonly override: Override }
  /** `shr=<unique>/key=value/…` */
  | { readonly kind: 'one-label'; readonly overrides: readonly Override[]; readonly mistakes: readonly Mistake[] }
  | { readonly kind: 'malformed'; readonly mistake: Mistake }
  /** Neither: it can only be a registration's own label. */
  | { readonly kind: 'plain' };

export interface JobLabel {
  readonly text: string;
  /** Labels are compared case-insensitively. */
  readonly folded: string;
  readonly reading: Reading;
}

/** A job's labels without (case-insensitive) duplicates, in their original order. */
export function readLabels(labels: readonly string[]): readonly JobLabel[] {
  const read = new Map<string, JobLabel>();
  for (const text of labels) {
    const folded = foldLabel(text);
    if (!read.has(folded)) read.set(folded, { text, folded, reading: readLabel(text) });
  }
  return [...read.values()];
}

export function isBuiltIn(folded: string): boolean {
  return folded === 'self-hosted' || folded === 'linux' || folded === 'x64' || folded === 'arm64';
}

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
  if (isFlag(folded)) return { kind: 'override', override: { key: folded, value: true, label: text } };
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
  if (foldLabel(text).startsWith('shr=') || /^[a-z]+-\d+,\d+$/i.test(text)) return undefined;
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

// ── the one-label form ───────────────────────────────────────────────────────────────────────────────────────────────

/** `sid` is its first part. */
type OneLabelKey = Exclude<Prefix, 'sid'> | 'image';

const ONE_LABEL_KEYS: Readonly<Record<OneLabelKey, Prefix>> = {
  cpu: 'cpu',
  memory: 'memory',
  image: 'img',
  img: 'img',
  subnet: 'subnet',
  vsw: 'vsw',
  sg: 'sg',
  disk: 'disk',
  bucket: 'bucket',
  shape: 'shape',
  arch: 'arch',
  timeout: 'timeout',
  region: 'region',
  backend: 'backend',
};

function isOneLabelKey(name: string): name is OneLabelKey {
  return Object.hasOwn(ONE_LABEL_KEYS, name);
}

/**
 * `/` separates, or `,` if a value contains a slash (a full image reference): the first comma decides for the whole
 * label. A slash left in the unique part then means that both were mixed, which is refused rather than swallowed.
 */
function readOneLabel(label: string): Reading {
  const separator = label.includes(',') ? ',' : '/';
  const overrides: Override[] = [];
  const mistakes: Mistake[] = [];
  let position = 'shr='.length + 1;
  for (const [index, part] of label.slice('shr='.length).split(separator).entries()) {
    const read = index === 0 ? readUnique(part, label) : readPart(part, label);
    if ('key' in read) overrides.push(read);
    else mistakes.push(malformed(label, position + read.offset, read.wrong, read.cure));
    position += part.length + 1;
  }
  return { kind: 'one-label', overrides, mistakes };
}

interface WrongPart {
  readonly offset: number;
  readonly wrong: string;
  readonly cure: string;
}

const UNIQUE_EXAMPLE = '`shr=${{ github.run_id }}-${{ github.run_attempt }}/cpu=4`';

function readUnique(part: string, label: string): Override | WrongPart {
  const cure = `Begin with a value that no other job has, such as ${UNIQUE_EXAMPLE}.`;
  if (part === '') return { offset: 0, wrong: 'the unique part after `shr=` is missing', cure };
  if (part.includes('/')) {
    return { offset: part.indexOf('/'), wrong: 'it mixes `,` and `/`', cure: 'Use one separator throughout.' };
  }
  if (/[;|&+\s]/.test(part)) {
    const offset = part.search(/[;|&+\s]/);
    return {
      offset,
      wrong: `${quote(part.charAt(offset))} does not separate`,
      cure: 'Separate by `/`, or by `,` throughout.',
    };
  }
  if (part.includes('=') || isFlag(foldLabel(part))) {
    return { offset: 0, wrong: `the unique part is missing before ${quote(part)}`, cure };
  }
  if (!/^[A-Za-z0-9._-]{1,128}$/.test(part)) {
    return {
      offset: 0,
      wrong: `the unique part ${quote(part)} may hold letters, digits, \`.\`, \`_\` and \`-\``,
      cure,
    };
  }
  return { key: 'unique', value: part, label };
}

function readPart(part: string, label: string): Override | WrongPart {
  const equals = part.indexOf('=');
  const name = foldLabel(equals < 0 ? part : part.slice(0, equals));
  if (isFlag(name)) {
    if (equals < 0) return { key: name, value: true, label };
    return {
      offset: equals,
      wrong: `${quote(name)} takes no value`,
      cure: `Write ${quote(name)} alone, or leave it out.`,
    };
  }
  if (part === '') return { offset: 0, wrong: 'a part is empty', cure: 'Remove the doubled or trailing separator.' };
  const prefix = isOneLabelKey(name) ? ONE_LABEL_KEYS[name] : undefined;
  if (prefix === undefined) {
    const guess = partMeantBy(equals < 0 ? part : name, label);
    const known = [...Object.keys(ONE_LABEL_KEYS), ...Object.keys(FLAGS)].join(', ');
    return {
      offset: 0,
      wrong: `there is no ${quote(name)}`,
      cure: guess === undefined ? `Known are: ${known}.` : `Did you mean ${quote(guess)}?`,
    };
  }
  if (equals < 0) return { offset: 0, wrong: `${quote(name)} has no value`, cure: `Write ${quote(`${name}=…`)}.` };
  const result = READERS[prefix](part.slice(equals + 1), label);
  if ('key' in result) return result;
  return {
    offset: equals + 1,
    wrong: result.wrong,
    cure: cureOf(result, (right) => `${name}=${right}`),
  };
}

/** `cores` is an alias for `cpu`; `cpu-4` and `cpu:4` for `cpu=4`. */
function partMeantBy(part: string, label: string): string | undefined {
  const [, word = '', value = ''] = /^([a-z]+)[-:_ ]?(.*)$/is.exec(part.trim()) ?? [];
  const key = keyMeantBy(word);
  if (key === undefined) return undefined;
  if (isFlag(key)) return value === '' ? key : undefined;
  const name = key === 'img' ? 'image' : key;
  if (value === '') return name;
  return 'key' in READERS[key](value, label) ? `${name}=${value}` : undefined;
}

// ── all of a job's overrides together ────────────────────────────────────────────────────────────────────────────────

export interface Overrides {
  /** At most one per key. */
  readonly overrides: readonly Override[];
  readonly mistakes: readonly Mistake[];
}

/**
 * What these labels request together. Repeating a value is fine; two different ones are an error. The result does
 * not depend on the order of the labels.
 */
export function collectOverrides(labels: readonly JobLabel[]): Overrides {
  const mistakes: Mistake[] = [];
  const byKey = new Map<OverrideKey, Override>();
  const sorted = [...labels].sort((a, b) => (a.folded < b.folded ? -1 : a.folded > b.folded ? 1 : 0));
  for (const { reading } of sorted) {
    if (reading.kind === 'malformed') mistakes.push(reading.mistake);
    if (reading.kind === 'one-label') mistakes.push(...reading.mistakes);
    for (const override of overridesIn(reading)) {
      const clash =
        override.key === 'disk' ? byKey.get('bucket') : override.key === 'bucket' ? byKey.get('disk') : undefined;
      const earlier = clash ?? byKey.get(override.key);
      if (earlier === undefined) byKey.set(override.key, override);
      else if (override.key !== 'unique' && (clash !== undefined || earlier.value !== override.value)) {
        mistakes.push({
          kind: 'contradiction',
          label: override.label,
          position: 1,
          problem: `it asks for ${describe(override)}, and ${quote(earlier.label)} for ${describe(earlier)}`,
          cure: 'Keep one of them.',
        });
      }
    }
  }
  return { overrides: [...byKey.values()], mistakes };
}

export function override<K extends OverrideKey>(overrides: readonly Override[], key: K): OverrideOf<K> | undefined {
  return overrides.find((candidate): candidate is OverrideOf<K> => candidate.key === key);
}

function overridesIn(reading: Reading): readonly Override[] {
  switch (reading.kind) {
    case 'override':
      return [reading.override];
    case 'built-in':
      return reading.override === undefined ? [] : [reading.override];
    case 'one-label':
      return reading.overrides;
    case 'malformed':
    case 'plain':
      return [];
  }
}

/** Describes an override: `4 cores`, `8 GiB of memory`. */
export function describe(override: Override): string {
  switch (override.key) {
    case 'cpu':
      return coresInWords(override.value);
    case 'memory':
      return `${override.value} GiB of memory`;
    case 'disk':
      return `${override.value} GiB of disk`;
    case 'timeout':
      return `a time limit of ${formatDuration(override.value)}`;
    case 'spot':
      return 'spot capacity';
    case 'dind':
      return 'Docker in Docker';
    case 'securityGroup':
      return `the security group ${quote(override.value)}`;
    case 'image':
    case 'subnet':
    case 'bucket':
    case 'shape':
    case 'architecture':
    case 'region':
    case 'backend':
      return `the ${override.key} ${quote(override.value)}`;
    case 'unique':
      return 'a runner of its own';
  }
}

function malformed(label: string, position: number, problem: string, cure: string): Mistake {
  return { kind: 'malformed', label, position, problem, cure };
}
