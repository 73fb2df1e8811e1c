/**
 * The grammar of `runs-on` labels. Pure: it reads labels one by one and knows no registration, so that the caller can
 * let a registration's own label win over an override that looks the same. The table for users: docs/labels.md.
 */
import type { Architecture } from '../../providers/provider.ts';
import { formatDuration, parseDuration } from './duration.ts';
import { nearest } from './nearest.ts';

/** The label that a registration listens to when it names none, and what the one-label form stands for. */
export const DEFAULT_LABEL = 'serverless-hosted-runner';

/** `generate-jitconfig` takes 1 to 100 labels. */
export const MOST_LABELS = 100;
/** Far above anything that GitHub's own forms accept; it bounds what we parse, hash and store. */
export const LONGEST_LABEL = 256;

/** GitHub runs a job for at most five days. */
const LONGEST_TIMEOUT_MS = 5 * 86_400_000;
const SHORTEST_TIMEOUT_MS = 60_000;

interface OverrideValues {
  readonly cpu: number;
  /** GiB. */
  readonly memory: number;
  /** As written: a named image, a tag, or a full reference. Admission tells them apart. */
  readonly image: string;
  readonly subnet: string;
  readonly securityGroup: string;
  /** GiB. */
  readonly disk: number;
  readonly bucket: string;
  readonly shape: string;
  readonly architecture: Architecture;
  readonly spot: true;
  readonly dind: true;
  /** Milliseconds. */
  readonly timeout: number;
  readonly region: string;
  readonly backend: string;
  /** Sets nothing: it makes the label set unique. */
  readonly unique: string;
}

export type OverrideKey = keyof OverrideValues;

/** What one label, or one part of a `shr=` label, asks for. `label` is how the job wrote it. */
export type Override = {
  readonly [K in OverrideKey]: { readonly key: K; readonly value: OverrideValues[K]; readonly label: string };
}[OverrideKey];

export type OverrideOf<K extends OverrideKey> = Extract<Override, { readonly key: K }>;

/** A label that looks like an override and cannot be read as one. */
export interface Mistake {
  readonly kind: 'malformed' | 'contradiction';
  /** The whole label. */
  readonly label: string;
  /** Where in the label the trouble starts, counted from 1. */
  readonly position: number;
  /** What is wrong, in words. */
  readonly problem: string;
  /** What to write instead. */
  readonly cure: string;
}

type Reading =
  /** GitHub's own: `self-hosted`, `linux`, `x64`, `arm64`. */
  | { readonly kind: 'built-in'; readonly override: OverrideOf<'architecture'> | undefined }
  | { readonly kind: 'override'; readonly override: Override }
  /** `shr=<unique>/key=value/…` */
  | { readonly kind: 'one-label'; readonly overrides: readonly Override[]; readonly mistakes: readonly Mistake[] }
  | { readonly kind: 'malformed'; readonly mistake: Mistake }
  /** Neither: only a registration's own label can be this. */
  | { readonly kind: 'plain' };

export interface JobLabel {
  readonly text: string;
  /** Labels compare without case. */
  readonly folded: string;
  readonly reading: Reading;
}

export function foldLabel(label: string): string {
  return label.toLowerCase();
}

/** A job's labels, doubles (without case) left out, in the order they were written. */
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
  if (folded === 'spot' || folded === 'dind') {
    return { kind: 'override', override: { key: folded, value: true, label: text } };
  }
  const dash = text.indexOf('-');
  const prefix = folded.slice(0, Math.max(0, dash));
  if (!isPrefix(prefix)) return { kind: 'plain' };
  const value = text.slice(dash + 1);
  const result = READERS[prefix](valueOfDashed(prefix, text, value), text);
  if ('key' in result) return { kind: 'override', override: result };
  const cure = result.right === undefined ? `Correct or remove it.` : `Write ${quote(`${prefix}-${result.right}`)}.`;
  return { kind: 'malformed', mistake: malformed(text, dash + 2, result.wrong, cure) };
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

const ONE_LABEL_KEYS: Readonly<Record<string, Prefix>> = {
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

/**
 * `/` separates, or `,` where a value needs the slash (a full image reference): the first comma decides for the whole
 * label. A slash left over in the unique part is then the sign of a mix, and refused instead of swallowed.
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
  if (part.includes('=') || /^(?:spot|dind)$/i.test(part)) {
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
  if (name === 'spot' || name === 'dind') {
    if (equals < 0) return { key: name, value: true, label };
    return {
      offset: equals,
      wrong: `${quote(name)} takes no value`,
      cure: `Write ${quote(name)} alone, or leave it out.`,
    };
  }
  if (part === '') return { offset: 0, wrong: 'a part is empty', cure: 'Remove the doubled or trailing separator.' };
  const prefix = Object.hasOwn(ONE_LABEL_KEYS, name) ? ONE_LABEL_KEYS[name] : undefined;
  if (prefix === undefined) {
    const guess = nearest(name, [...Object.keys(ONE_LABEL_KEYS), 'spot', 'dind']);
    const known = `${Object.keys(ONE_LABEL_KEYS).join(', ')}, spot, dind`;
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
    cure: result.right === undefined ? 'Correct or remove it.' : `Write ${quote(`${name}=${result.right}`)}.`,
  };
}

// ── values ───────────────────────────────────────────────────────────────────────────────────────────────────────────

/** `right` is a value that could stand there, without its key. */
interface WrongValue {
  readonly wrong: string;
  readonly right: string | undefined;
}

type Read = (value: string, label: string) => Override | WrongValue;

const READERS = {
  cpu: (value, label) => {
    const cores = readNumber(value, { what: 'cores', most: 1024, example: '2' });
    return typeof cores === 'number' ? { key: 'cpu', value: cores, label } : cores;
  },
  memory: (value, label) => {
    const gib = readNumber(value, { what: 'GiB', most: 65_536, example: '4' });
    return typeof gib === 'number' ? { key: 'memory', value: gib, label } : gib;
  },
  img: (value, label) => {
    if (IMAGE.test(value) && !value.includes('..')) return { key: 'image', value, label };
    return { wrong: `${quote(value)} is no image name, tag or reference`, right: undefined };
  },
  vsw: (value, label) => readName('subnet', value, label, IDENTIFIER),
  subnet: (value, label) => readName('subnet', value, label, IDENTIFIER),
  sg: (value, label) => readName('securityGroup', value, label, IDENTIFIER),
  disk: (value, label) => {
    const size = /^(\d{1,9})\s*([kmgt]i?b?)$/i.exec(value);
    if (size) return { wrong: 'the disk is in GiB, without a unit', right: size[1] };
    // Anything that is meant as a number is judged as one: `disk--5` is no bucket.
    if (/^[-+.\d]*$/.test(value)) {
      const gib = readNumber(value, { what: 'GiB', most: 1_048_576, example: '100' });
      return typeof gib === 'number' ? { key: 'disk', value: gib, label } : gib;
    }
    return readName('bucket', value, label, BUCKET);
  },
  bucket: (value, label) => readName('bucket', value, label, BUCKET),
  shape: (value, label) => readName('shape', value, label, NAME),
  arch: (value, label) => {
    const folded = foldLabel(value);
    if (folded === 'x64' || folded === 'arm64') return { key: 'architecture', value: folded, label };
    const right = /^(amd64|x86_64|x86-64)$/.test(folded) ? 'x64' : folded === 'aarch64' ? 'arm64' : 'arm64';
    return { wrong: `${quote(value)} is no architecture; there are x64 and arm64`, right };
  },
  timeout: (value, label) => {
    if (/^\d{1,9}$/.test(value)) return { wrong: `${quote(value)} has no unit`, right: `${value}m` };
    const ms = parseDuration(value);
    if (ms === undefined) return { wrong: `${quote(value)} is no duration`, right: '1h30m' };
    if (ms < SHORTEST_TIMEOUT_MS) return { wrong: 'it is less than a minute', right: '1m' };
    if (ms > LONGEST_TIMEOUT_MS) return { wrong: 'it is more than the 5 days that GitHub gives a job', right: '5d' };
    return { key: 'timeout', value: ms, label };
  },
  region: (value, label) => readName('region', value, label, NAME),
  backend: (value, label) => readName('backend', value, label, NAME),
  sid: (value, label) => {
    if (value !== '') return { key: 'unique', value, label };
    return { wrong: 'nothing follows: did an expression come out empty?', right: '${{ github.run_id }}' };
  },
} satisfies Record<string, Read>;

type Prefix = keyof typeof READERS;

function isPrefix(text: string): text is Prefix {
  // `bucket` exists in the one-label form alone: the dashed label is `disk-BUCKET`.
  return text !== 'bucket' && Object.hasOwn(READERS, text);
}

/** The characters of image references; what they mean is admission's business. */
const IMAGE = /^[A-Za-z0-9][A-Za-z0-9._/:@-]{0,254}$/;
const IDENTIFIER = /^[A-Za-z0-9][A-Za-z0-9._/-]{0,199}$/;
const NAME = /^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$/;
const BUCKET = /^[A-Za-z0-9][A-Za-z0-9._-]{1,61}[A-Za-z0-9]$/;

function readName(
  key: 'subnet' | 'securityGroup' | 'bucket' | 'shape' | 'region' | 'backend',
  value: string,
  label: string,
  pattern: RegExp,
): Override | WrongValue {
  if (value === '') return { wrong: 'nothing follows', right: undefined };
  if (!pattern.test(value) || value.includes('..')) {
    const what = key === 'securityGroup' ? 'security group' : key;
    return { wrong: `${quote(value)} is no ${what} name: letters, digits, \`.\`, \`_\` and \`-\``, right: undefined };
  }
  return { key, value, label };
}

function readNumber(
  value: string,
  { what, most, example }: { readonly what: string; readonly most: number; readonly example: string },
): number | WrongValue {
  if (value === '') return { wrong: 'nothing follows', right: example };
  if (!/^\d{1,9}(?:\.\d{1,3})?$/.test(value)) {
    const milli = /^(\d{1,6})m$/i.exec(value);
    if (milli && what === 'cores') return { wrong: `cores are a plain number`, right: String(Number(milli[1]) / 1000) };
    const unit = /^\d{1,9}(?:\.\d{1,3})?\s*([a-z]{1,5})$/i.exec(value)?.[1];
    if (unit !== undefined)
      return { wrong: `it is in ${what}, without a unit`, right: value.slice(0, -unit.length).trim() };
    const leading = /^(\d{1,9}(?:\.\d{1,3})?)/.exec(value)?.[1];
    const right = leading !== undefined && Number(leading) > 0 ? leading : example;
    return { wrong: `${quote(value)} is no number of ${what} (digits, with a point for fractions)`, right };
  }
  const number = Number(value);
  if (number <= 0) return { wrong: `${quote(value)} is not more than 0`, right: example };
  if (number > most) return { wrong: `${quote(value)} is more than ${most}`, right: undefined };
  return number;
}

// ── all of a job's overrides together ────────────────────────────────────────────────────────────────────────────────

export interface Overrides {
  /** At most one of each key. */
  readonly overrides: readonly Override[];
  readonly mistakes: readonly Mistake[];
}

/**
 * What these labels ask for together. The same thing twice is fine; two different ones are a mistake. The answer does
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

/** An override in words: `4 cores`, `8 GiB of memory`. */
export function describe(override: Override): string {
  switch (override.key) {
    case 'cpu':
      return override.value === 1 ? '1 core' : `${override.value} cores`;
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

/** Long values are cut: a reason is read by people, and kept. */
export function quote(text: string): string {
  return `\`${text.length > 80 ? `${text.slice(0, 77)}…` : text}\``;
}
