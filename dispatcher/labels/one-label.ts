/** The one-label form: `shr=<unique>/key=value/…`. Pure. */

import { keyMeantBy } from './keys.ts';
import { type Mistake, malformed, type Reading } from './reading.ts';
import { isSpotMode, SPOT_MODES, spotModeMeant } from './spot-mode.ts';
import {
  cureOf,
  FLAGS,
  foldLabel,
  isFlag,
  type Override,
  overrideOfFlag,
  type Prefix,
  quote,
  READERS,
} from './values.ts';

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
export function readOneLabel(label: string): Reading {
  const separator = label.includes(',') ? ',' : '/';
  const overrides: Override[] = [];
  const mistakes: Mistake[] = [];
  let position = 'shr='.length + 1;
  for (const [index, part] of partsOf(label.slice('shr='.length), separator).entries()) {
    const read = index === 0 ? readUnique(part, label) : readPart(part, label);
    if ('key' in read) overrides.push(read);
    else mistakes.push(malformed(label, position + read.offset, read.wrong, read.cure));
    position += part.length + 1;
  }
  return { kind: 'one-label', overrides, mistakes };
}

/** A part that `/` cut out of an image reference or an identifier is given back to it: `image=ghcr.io/acme/runner`. */
function partsOf(text: string, separator: string): readonly string[] {
  const parts: string[] = [];
  for (const part of text.split(separator)) {
    const before = parts.at(-1);
    if (
      separator === '/' &&
      parts.length > 1 &&
      before !== undefined &&
      MAY_HOLD_A_SLASH.test(before) &&
      isRestOfValue(part)
    ) {
      parts[parts.length - 1] = `${before}/${part}`;
    } else parts.push(part);
  }
  return parts;
}

const MAY_HOLD_A_SLASH = /^(?:image|img|subnet|vsw|sg)=./i;

function isRestOfValue(part: string): boolean {
  return (
    part !== '' &&
    !part.includes('=') &&
    !isFlag(foldLabel(part)) &&
    keyMeantBy(WORD_AND_VALUE.exec(part)?.[1] ?? '') === undefined
  );
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
    if (equals < 0) return { ...overrideOfFlag(name, label), part };
    if (name === 'spot') return readSpot(part, equals, label);
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
  if (part.includes('/') && !label.includes(',')) {
    return {
      offset: part.indexOf('/'),
      wrong: `the value of ${quote(name)} holds a slash`,
      cure: 'Separate by `,` throughout, such as `shr=1,image=ghcr.io/acme/runner:2`.',
    };
  }
  if (equals < 0) return { offset: 0, wrong: `${quote(name)} has no value`, cure: `Write ${quote(`${name}=…`)}.` };
  const result = READERS[prefix](part.slice(equals + 1), label);
  if ('key' in result) return { ...result, part };
  return {
    offset: equals + 1,
    wrong: result.wrong,
    cure: cureOf(result, (right) => `${name}=${right}`),
  };
}

/** `spot=only` */
function readSpot(part: string, equals: number, label: string): Override | WrongPart {
  const mode = foldLabel(part.slice(equals + 1));
  if (isSpotMode(mode)) return { key: 'spot', value: mode, label, part };
  const guess = spotModeMeant(mode);
  return {
    offset: equals,
    wrong: `\`spot\` takes no value but ${SPOT_MODES.map(quote).join(', ')}`,
    cure: guess === undefined ? 'Write `spot` alone, or leave it out.' : `Did you mean ${quote(`spot=${guess}`)}?`,
  };
}

const WORD_AND_VALUE = /^([a-z]+)[-:_ ]?(.*)$/is;

/** `cores` is an alias for `cpu`; `cpu-4` and `cpu:4` for `cpu=4`. */
function partMeantBy(part: string, label: string): string | undefined {
  const [, word = '', value = ''] = WORD_AND_VALUE.exec(part.trim()) ?? [];
  const key = keyMeantBy(word);
  if (key === undefined) return undefined;
  if (key === 'spot' && isSpotMode(foldLabel(value))) return `spot=${foldLabel(value)}`;
  if (isFlag(key)) return value === '' ? key : undefined;
  const name = key === 'img' ? 'image' : key;
  if (value === '') return name;
  return 'key' in READERS[key](value, label) ? `${name}=${value}` : undefined;
}
