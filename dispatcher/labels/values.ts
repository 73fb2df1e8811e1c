/** The overrides, and how the value of each is parsed. */
import type { Architecture } from '../../providers/provider.ts';
import { parseDuration } from './duration.ts';
import { meantArchitecture, meantCores, meantDuration, meantGibibytes } from './meaning.ts';
import type { SpotMode } from './spot-mode.ts';

/** GitHub runs a job for at most five days. */
const MAX_TIMEOUT_MS = 5 * 86_400_000;
const MIN_TIMEOUT_MS = 60_000;

interface OverrideValues {
  readonly cpu: number;
  /** GiB. */
  readonly memory: number;
  /** As written: a named image, a tag, or a full reference. Admission distinguishes them. */
  readonly image: string;
  readonly subnet: string;
  readonly securityGroup: string;
  /** GiB. */
  readonly disk: number;
  readonly bucket: string;
  readonly shape: string;
  readonly architecture: Architecture;
  readonly spot: SpotMode;
  readonly dind: true;
  /** Milliseconds. */
  readonly timeout: number;
  readonly region: string;
  readonly backend: string;
  /** Has no effect other than making the label set unique. */
  readonly unique: string;
}

/** What can be overridden. Names are ours; the words of labels are in `WORD_OF`. */
export type OverrideKey = keyof OverrideValues;

/** What one label, or one part of a `shr=` label, requests. */
export type Override = {
  readonly [K in OverrideKey]: {
    readonly key: K;
    readonly value: OverrideValues[K];
    /** The whole label, as the job wrote it. */
    readonly label: string;
    /** `cpu=4` of a `shr=` label. */
    readonly part?: string;
  };
}[OverrideKey];

/** `OverrideOf<'cpu'>` has a number as its value. */
export type OverrideOf<K extends OverrideKey> = Extract<Override, { readonly key: K }>;

/** GitHub compares labels without case. */
export function foldLabel(label: string): string {
  return label.toLowerCase();
}

/** Why a value cannot be read, and what was probably meant. */
export interface WrongValue {
  readonly wrong: string;
  /** Probable meanings, without the key: each can be parsed. Empty when none is close. */
  readonly right: readonly string[];
  /** If none is close: a description of valid values, and an example. */
  readonly what?: string;
  readonly example?: string;
}

type Read = (value: string, label: string) => Override | WrongValue;

/** By prefix. `label` is the whole label, for messages and for the override. */
export const READERS = {
  cpu: (value, label) => {
    const cores = readNumber(value, { what: 'cores', most: 1024, example: '2', meant: meantCores });
    return typeof cores === 'number' ? { key: 'cpu', value: cores, label } : cores;
  },
  memory: (value, label) => {
    const gib = readNumber(value, { what: 'GiB', most: 65_536, example: '4', meant: meantGibibytes });
    return typeof gib === 'number' ? { key: 'memory', value: gib, label } : gib;
  },
  img: (value, label): Override | WrongValue => {
    if (value === '') return { wrong: 'the value is empty', right: [] };
    if (IMAGE.test(value) && !value.includes('..')) return { key: 'image', value, label };
    return { wrong: `${quote(value)} is not an image name, tag or reference`, right: [] };
  },
  vsw: (value, label) => readName('subnet', value, label, IDENTIFIER),
  subnet: (value, label) => readName('subnet', value, label, IDENTIFIER),
  sg: (value, label) => readName('securityGroup', value, label, IDENTIFIER),
  disk: (value, label): Override | WrongValue => {
    // Anything that looks like a number is parsed as one: neither `disk--5` nor `disk-1.5TB` is a bucket.
    if (/^[-+.\d]*$/.test(value) || /^\d[\d.]*[-_\s]*[kmgt]i?b?$/i.test(value)) {
      const gib = readNumber(value, { what: 'GiB', most: 1_048_576, example: '100', meant: meantGibibytes });
      return typeof gib === 'number' ? { key: 'disk', value: gib, label } : gib;
    }
    return readName('bucket', value, label, BUCKET);
  },
  bucket: (value, label) => readName('bucket', value, label, BUCKET),
  shape: (value, label) => readName('shape', value, label, NAME),
  arch: (value, label): Override | WrongValue => {
    const folded = foldLabel(value);
    if (folded === 'x64' || folded === 'arm64') return { key: 'architecture', value: folded, label };
    const meant = meantArchitecture(value);
    return {
      wrong: `${quote(value)} is not a supported architecture`,
      right: meant === undefined ? ['x64', 'arm64'] : [meant],
    };
  },
  timeout: readTimeout,
  region: (value, label) => readName('region', value, label, NAME),
  backend: (value, label) => readName('backend', value, label, NAME),
  sid: (value, label): Override | WrongValue => {
    if (value !== '') return { key: 'unique', value, label };
    return { wrong: 'the value is empty: did an expression evaluate to nothing?', right: ['${{ github.run_id }}'] };
  },
} satisfies Record<string, Read>;

function readTimeout(value: string, label: string): Override | WrongValue {
  const example = { what: 'a duration', example: '90m' };
  if (/^\d{1,9}$/.test(value)) {
    // GitHub's `timeout-minutes` is in minutes; ten hours and more may have been meant as seconds.
    const guesses = Number(value) < 600 ? [`${value}m`] : [`${value}m`, `${value}s`];
    return { wrong: `${quote(value)} has no unit`, right: guesses.filter(isTimeout), ...example };
  }
  const ms = parseDuration(value);
  if (ms === undefined) {
    const meant = meantDuration(value);
    const right = meant !== undefined && isTimeout(meant) ? [meant] : [];
    return { wrong: `${quote(value)} is not a duration`, right, ...example };
  }
  if (ms < MIN_TIMEOUT_MS) return { wrong: 'it is less than a minute', right: ['1m'] };
  if (ms > MAX_TIMEOUT_MS) return { wrong: 'it is more than the 5 days that GitHub gives a job', right: ['5d'] };
  return { key: 'timeout', value: ms, label };
}

function isTimeout(text: string): boolean {
  const ms = parseDuration(text);
  return ms !== undefined && ms >= MIN_TIMEOUT_MS && ms <= MAX_TIMEOUT_MS;
}

/** The words before the dash: `cpu` of `cpu-4`. */
export type Prefix = keyof typeof READERS;

/** Overrides that may be a word alone. */
export type Flag = 'spot' | 'dind';

/** The words that are overrides by themselves. */
export const FLAGS: Readonly<Record<Flag, true>> = { spot: true, dind: true };

/** `text`: in lower case. */
export function isFlag(text: string): text is Flag {
  return Object.hasOwn(FLAGS, text);
}

/** What the word alone asks for: `spot` is `spot-only`. */
export function overrideOfFlag(flag: Flag, label: string): Override {
  return flag === 'spot' ? { key: flag, value: 'only', label } : { key: flag, value: true, label };
}

/** The word that each override is written with: `img-2`, `spot`. */
export const WORD_OF: Readonly<Record<OverrideKey, Prefix | Flag>> = {
  cpu: 'cpu',
  memory: 'memory',
  image: 'img',
  subnet: 'subnet',
  securityGroup: 'sg',
  disk: 'disk',
  bucket: 'disk',
  shape: 'shape',
  architecture: 'arch',
  spot: 'spot',
  dind: 'dind',
  timeout: 'timeout',
  region: 'region',
  backend: 'backend',
  unique: 'sid',
};

/** `text`: in lower case. */
export function isPrefix(text: string): text is Prefix {
  // `bucket` only exists in the one-label form: the dashed label is `disk-BUCKET`.
  return text !== 'bucket' && Object.hasOwn(READERS, text);
}

/** The characters of image references; admission interprets them. */
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
  if (value === '') return { wrong: 'the value is empty', right: [] };
  if (!pattern.test(value) || value.includes('..')) {
    const what = key === 'securityGroup' ? 'security group' : key;
    const article = /^[aeiou]/.test(what) ? 'an' : 'a';
    return {
      wrong: `${quote(value)} is not ${article} ${what} name: letters, digits, \`.\`, \`_\` and \`-\``,
      right: [],
    };
  }
  return { key, value, label };
}

interface NumberRule {
  readonly what: string;
  readonly most: number;
  readonly example: string;
  meant(value: string): string | undefined;
}

function readNumber(value: string, { what, most, example, meant }: NumberRule): number | WrongValue {
  const instead = { what: `a number of ${what}`, example };
  if (value === '') return { wrong: 'the value is empty', right: [], ...instead };
  if (!/^\d{1,9}(?:\.\d{1,3})?$/.test(value)) {
    const guess = meant(value);
    const right = guess !== undefined && Number(guess) <= most ? [guess] : [];
    const wrong =
      right.length > 0 && /[a-z]/i.test(value)
        ? `it is in ${what}, without a unit`
        : `${quote(value)} is not a number of ${what} (digits, with a point for fractions)`;
    return { wrong, right, ...instead };
  }
  const number = Number(value);
  if (number <= 0) return { wrong: `${quote(value)} is not more than 0`, right: [], ...instead };
  if (number > most) return { wrong: `${quote(value)} is more than ${most}`, right: [], ...instead };
  return number;
}

/** `spelled` writes a value as the job wrote its own: as a label, or as a part of the one-label form. */
export function cureOf(wrong: WrongValue, spelled: (value: string) => string): string {
  if (wrong.right.length > 0) return `Write ${wrong.right.map((value) => quote(spelled(value))).join(' or ')}.`;
  return wrong.example === undefined
    ? 'Correct or remove it.'
    : `Write ${wrong.what}, such as ${quote(spelled(wrong.example))}.`;
}

/** Long values are truncated: a reason is displayed, and stored. */
export function quote(text: string): string {
  return `\`${text.length > 80 ? `${text.slice(0, 77)}…` : text}\``;
}
