/**
 * `InstanceTags` as the labels of a Batch job, and back. Pure.
 *
 * A label's key and value have at most 63 characters of [a-z0-9_-], and a job takes 63 labels
 * (https://cloud.google.com/batch/docs/organize-resources-using-labels). So the dispatcher's id and the runner's name
 * stay readable, for `list` and for people, and the rest goes as base32 into as many labels as it takes. Underscores in
 * the keys, because a minus sign in a filter of Google's APIs can mean "not".
 */
import { base32nopad } from '@scure/base';
import { z } from 'zod';
import { type InstanceTags, ProviderError } from '../provider.ts';

export const DISPATCHER_LABEL = 'shr_dispatcher';
const RUNNER_LABEL = 'shr_runner';
const PART = /^shr_(\d{1,2})$/;

const MAX_LABELS = 63;
/** Label limit of a machine and its disks; the service reserves three for itself. */
const MAX_BILLING_LABELS = 61;
const VALUE_LENGTH = 63;
const PIECE = new RegExp(`.{1,${VALUE_LENGTH}}`, 'g');

/** Order of the values in the encoded array, which has no keys because every byte of it costs 1.6 characters. */
const packed = z
  .tuple([z.string(), z.string(), z.string(), z.number(), z.number(), z.array(z.tuple([z.string(), z.string()]))])
  // The incarnation, if there is one.
  .rest(z.string());

export function toLabels(tags: InstanceTags): Record<string, string> {
  for (const [what, text] of [
    ['dispatcher', tags.dispatcher],
    ['runner', tags.runner],
  ] as const) {
    if (!/^[a-z0-9_-]{1,63}$/.test(text)) {
      throw new ProviderError(
        'invalid',
        'gcp-batch launch',
        `the ${what} ${JSON.stringify(text)} is not a valid label`,
      );
    }
  }
  const rest: z.infer<typeof packed> = [
    tags.registration,
    tags.lane,
    tags.scope,
    tags.createdAtMs,
    tags.deadlineAtMs,
    Object.entries(tags.charge),
    ...(tags.incarnation === undefined ? [] : [tags.incarnation]),
  ];
  const text = base32nopad.encode(Buffer.from(JSON.stringify(rest))).toLowerCase();
  const parts = text.match(PIECE) ?? [];
  if (parts.length + 2 > MAX_LABELS) {
    const most = Math.floor(((MAX_LABELS - 2) * VALUE_LENGTH * 5) / 8);
    throw new ProviderError(
      'invalid',
      'gcp-batch launch',
      `the tags have ${Math.ceil((text.length * 5) / 8)} bytes, the labels of a Batch job hold ${most}: shorten chargeLabels (${Object.keys(tags.charge).join(', ')})`,
    );
  }
  return Object.fromEntries([
    [DISPATCHER_LABEL, tags.dispatcher],
    [RUNNER_LABEL, tags.runner],
    ...parts.map((part, index): [string, string] => [`shr_${index}`, part]),
  ]);
}

/** Undefined if the job is not ours, or its labels are damaged. */
export function fromLabels(labels: Readonly<Record<string, string>>): InstanceTags | undefined {
  const dispatcher = labels[DISPATCHER_LABEL];
  const runner = labels[RUNNER_LABEL];
  if (dispatcher === undefined || runner === undefined) return undefined;
  const parts = Object.entries(labels).flatMap(([key, value]) => {
    const number = PART.exec(key)?.[1];
    return number === undefined ? [] : [[Number(number), value] as const];
  });
  const text = parts
    .sort(([first], [second]) => first - second)
    .map(([, value]) => value)
    .join('');
  const json = fromBase32(text);
  if (json === undefined) return undefined;
  const parsed = packed.safeParse(readJson(json));
  if (!parsed.success) return undefined;
  const [registration, lane, scope, createdAtMs, deadlineAtMs, charge, incarnation] = parsed.data;
  return {
    dispatcher,
    registration,
    lane,
    scope,
    runner,
    ...(incarnation === undefined ? {} : { incarnation }),
    createdAtMs,
    deadlineAtMs,
    charge: Object.fromEntries(charge),
  };
}

/**
 * Labels of the machine and its disks, to tell them apart on the bill: the owner, and those of the tenant's charge
 * labels that are valid Google labels as they are. The others are on the job, encoded; nothing is truncated.
 */
export function billingLabels(tags: InstanceTags, jobLabels: number): Record<string, string> {
  const room = Math.min(MAX_BILLING_LABELS, MAX_LABELS - jobLabels);
  const wanted = [['shr_registration', tags.registration] as const, ...Object.entries(tags.charge)];
  return Object.fromEntries(
    wanted
      .filter(
        ([key, value]) =>
          /^[a-z][a-z0-9_-]{0,62}$/.test(key) &&
          /^[a-z0-9_-]{0,63}$/.test(value) &&
          // Google reserves goog- and google-; we reserve shr_ with one or two digits.
          !/^(goog-|google-)/.test(key) &&
          (!key.startsWith('shr_') || key === 'shr_registration'),
      )
      .slice(0, Math.max(0, room)),
  );
}

/** Undefined when it is not what `toLabels` makes. */
function fromBase32(text: string): string | undefined {
  // The library takes upper case, and a few other letters become one of it.
  if (!/^[a-z2-7]*$/.test(text)) return undefined;
  try {
    return Buffer.from(base32nopad.decode(text.toUpperCase())).toString('utf8');
  } catch {
    return undefined;
  }
}

function readJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
