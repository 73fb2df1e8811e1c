/** `InstanceTags` as the flat string map that most services use (labels, tags), and back. Every provider may use it. */
import { z } from 'zod';
import type { InstanceTags } from '../provider.ts';

const CHARGE = 'shr.charge.';

/** The label that `list` filters by. */
export const DISPATCHER_TAG = 'shr.dispatcher';

/** Keys begin with `shr.`; the charge tags with `shr.charge.`. `decodeTags` reverses it. */
export function encodeTags(tags: InstanceTags): Record<string, string> {
  return Object.fromEntries([
    [DISPATCHER_TAG, tags.dispatcher],
    ['shr.registration', tags.registration],
    ['shr.lane', tags.lane],
    ['shr.scope', tags.scope],
    ['shr.runner', tags.runner],
    ...(tags.incarnation === undefined ? [] : [['shr.incarnation', tags.incarnation]]),
    ['shr.created-at-ms', String(tags.createdAtMs)],
    ['shr.deadline-at-ms', String(tags.deadlineAtMs)],
    ...Object.entries(tags.charge).map(([key, value]) => [`${CHARGE}${key}`, value]),
  ]);
}

const milliseconds = z
  .string()
  .regex(/^-?\d{1,16}$/)
  .transform(Number);

const flatTags = z.object({
  [DISPATCHER_TAG]: z.string(),
  'shr.registration': z.string(),
  'shr.lane': z.string(),
  'shr.scope': z.string(),
  'shr.runner': z.string(),
  'shr.incarnation': z.string().optional(),
  'shr.created-at-ms': milliseconds,
  'shr.deadline-at-ms': milliseconds,
});

/** Undefined if a tag is missing or malformed: the resource is not ours. Other labels are ignored. */
export function decodeTags(labels: Readonly<Record<string, string>>): InstanceTags | undefined {
  const parsed = flatTags.safeParse(labels);
  if (!parsed.success) return undefined;
  const incarnation = parsed.data['shr.incarnation'];
  return {
    dispatcher: parsed.data[DISPATCHER_TAG],
    registration: parsed.data['shr.registration'],
    lane: parsed.data['shr.lane'],
    scope: parsed.data['shr.scope'],
    runner: parsed.data['shr.runner'],
    ...(incarnation === undefined ? {} : { incarnation }),
    createdAtMs: parsed.data['shr.created-at-ms'],
    deadlineAtMs: parsed.data['shr.deadline-at-ms'],
    charge: Object.fromEntries(
      Object.entries(labels)
        .filter(([key]) => key.startsWith(CHARGE))
        .map(([key, value]) => [key.slice(CHARGE.length), value]),
    ),
  };
}
