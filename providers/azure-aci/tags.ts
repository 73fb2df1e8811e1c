/**
 * `InstanceTags` as tags of an Azure resource, and back. Pure.
 *
 * Values that Azure accepts unchanged stay readable, so that cost reports can group by them. Tag names are
 * case-insensitive; values have at most 256 characters and may lose leading and trailing spaces. The rest goes, as JSON
 * in base64url, into pieces named `shr.more.1`, `shr.more.2` …
 */
import { z } from 'zod';
import { decodeTags, encodeTags } from '../kit/tags.ts';
import { type InstanceTags, ProviderError } from '../provider.ts';

/**
 * Distinguishes two container groups that had the same name: Azure's own resource id is derived from the name alone.
 */
export const INSTANCE_TAG = 'shr.instance';
const MORE = 'shr.more.';

/** Azure's limits for a resource. */
const MAX_TAGS = 50;
const MAX_VALUE = 256;
const plainName = /^[a-z0-9._-]{1,512}$/;
const plainValue = /^(?! )[\x20-\x7e]{1,256}(?<! )$/;

export function toTags(
  tags: InstanceTags,
  instance: string,
  others: Readonly<Record<string, string>>,
): Record<string, string> {
  const flat = Object.entries(encodeTags(tags));
  const isPlain = ([name, value]: readonly [string, string]): boolean =>
    plainName.test(name) && plainValue.test(value) && !name.startsWith(MORE);
  const rest = flat.filter((entry) => !isPlain(entry));
  const text = rest.length === 0 ? '' : Buffer.from(JSON.stringify(rest)).toString('base64url');
  const pieces = text.match(new RegExp(`.{1,${MAX_VALUE}}`, 'g')) ?? [];
  const all = Object.fromEntries([
    ...Object.entries(others),
    ...flat.filter(isPlain),
    [INSTANCE_TAG, instance],
    ...pieces.map((piece, index) => [`${MORE}${index + 1}`, piece] as const),
  ]);
  const count = Object.keys(all).length;
  if (count > MAX_TAGS) {
    const longest = Object.entries(tags.charge).sort(([, one], [, other]) => other.length - one.length);
    const names = longest.slice(0, 3).map(([name]) => JSON.stringify(name.slice(0, 40)));
    throw new ProviderError(
      'invalid',
      'azure-aci launch',
      `${count} tags, and Azure takes ${MAX_TAGS}: shorten or drop charge labels, such as ${names.join(', ')}`,
    );
  }
  return all;
}

const pairs = z.array(z.tuple([z.string(), z.string()]));

/** Undefined if the tags are not ours or are damaged. */
export function fromTags(
  given: Readonly<Record<string, string>>,
): { readonly tags: InstanceTags; readonly instance: string } | undefined {
  // Azure may return names in a different case.
  const named = new Map(Object.entries(given).map(([name, value]) => [name.toLowerCase(), value]));
  const instance = named.get(INSTANCE_TAG);
  if (instance === undefined) return undefined;
  let text = '';
  for (let index = 1; ; index += 1) {
    const piece = named.get(`${MORE}${index}`);
    if (piece === undefined) break;
    text += piece;
  }
  const rest = text === '' ? [] : parse(text);
  if (rest === undefined) return undefined;
  const tags = decodeTags({
    ...Object.fromEntries([...named].filter(([name]) => name !== INSTANCE_TAG && !name.startsWith(MORE))),
    ...Object.fromEntries(rest),
  });
  return tags === undefined ? undefined : { tags, instance };
}

function parse(text: string): readonly (readonly [string, string])[] | undefined {
  try {
    const parsed = pairs.safeParse(JSON.parse(Buffer.from(text, 'base64url').toString()));
    return parsed.success ? parsed.data : undefined;
  } catch {
    return undefined;
  }
}
