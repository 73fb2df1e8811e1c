/**
 * `InstanceTags` in the service's tags: at most 20, keys of at most 64 characters, values of at most 128, of an alphabet
 * that the vendor does not document. Values that are safe in any alphabet stay readable (`list` filters by dispatcher,
 * charge labels split bills); the rest goes into `shr-1`, `shr-2` … as base64url. Pure.
 */

import { DISPATCHER_TAG, decodeTags, encodeTags } from '../kit/tags.ts';
import { type InstanceTags, ProviderError } from '../provider.ts';

export interface Tag {
  readonly key: string;
  readonly value: string;
}

/**
 * The runner's name, unencoded: `inspect` by name needs it as a filter for the status call, which has no name filter.
 */
export const RUNNER_TAG = 'shr.runner';

/** The vendor's limit of 20, minus one for Docker in Docker. */
const MAX_TAGS = 19;
const MAX_VALUE = 128;
const CLEAR_CHARGES = 8;
const plainKey = /^shr\.[a-z0-9.-]{1,48}$/;
const plainValue = /^[A-Za-z0-9]([A-Za-z0-9._@/ -]{0,126}[A-Za-z0-9])?$/;
/** Prefixes reserved by the vendor. */
const reserved = /^(aliyun|acs|http)/i;

export function toTags(tags: InstanceTags): readonly Tag[] {
  const clear: Tag[] = [];
  const packed: Record<string, string> = {};
  let charges = 0;
  for (const [key, value] of Object.entries(encodeTags(tags))) {
    const charge = key.startsWith('shr.charge.');
    const always = key === DISPATCHER_TAG || key === RUNNER_TAG;
    const fits = plainKey.test(key) && plainValue.test(value) && !reserved.test(value);
    if (always || (charge && fits && charges < CLEAR_CHARGES)) {
      clear.push({ key, value });
      charges += charge ? 1 : 0;
    } else {
      packed[key] = value;
    }
  }
  const text = Buffer.from(JSON.stringify(packed)).toString('base64url');
  const pieces = text.match(new RegExp(`.{1,${MAX_VALUE}}`, 'g')) ?? [];
  if (clear.length + pieces.length > MAX_TAGS) {
    const longest = Object.entries(tags.charge)
      .sort((one, other) => other[0].length + other[1].length - (one[0].length + one[1].length))
      .slice(0, 3)
      .map(([key]) => JSON.stringify(key));
    throw new ProviderError(
      'invalid',
      'ali-eci launch',
      `the tags do not fit into the service's 20 of 128 characters; shorten the charge labels ${longest.join(', ')}`,
    );
  }
  return [...clear, ...pieces.map((value, index) => ({ key: `shr-${index + 1}`, value }))];
}

/** Undefined if the tags are not ours or are damaged. */
export function fromTags(tags: readonly Tag[]): InstanceTags | undefined {
  const map = new Map(tags.map(({ key, value }) => [key, value]));
  let text = '';
  for (let index = 1; map.has(`shr-${index}`); index += 1) text += map.get(`shr-${index}`) ?? '';
  const clear = [...map].filter(([key]) => key.startsWith('shr.'));
  return decodeTags({ ...unpacked(text), ...Object.fromEntries(clear) });
}

function unpacked(text: string): Record<string, string> {
  try {
    const parsed: unknown = JSON.parse(Buffer.from(text, 'base64url').toString());
    if (typeof parsed !== 'object' || parsed === null) return {};
    return Object.fromEntries(
      Object.entries(parsed).flatMap(([key, value]) => (typeof value === 'string' ? [[key, value]] : [])),
    );
  } catch {
    return {};
  }
}
