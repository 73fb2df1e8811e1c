/**
 * Where a job comes from: its workflow and branch, which the registration's policy and the tenant's grant may narrow.
 * Pure. Both have to allow it.
 */
import type { JobSubject } from '../jobs/lane.ts';
import { matchesAny } from '../labels/glob.ts';
import { quote } from '../labels/values.ts';
import type { Registration } from '../model/registration.ts';
import { cureOf, placeOf } from './grants.ts';
import { ask, type Refusal } from './refusal.ts';

/** Null or undefined: GitHub has not said. */
export type Origin = Pick<JobSubject, 'workflow' | 'branch'>;

/** Field in `policy` and in `limits` of a grant, to what it is about. */
const FIELDS = {
  workflows: { noun: 'workflow', of: ({ workflow }: Origin) => workflow },
  branches: { noun: 'branch', of: ({ branch }: Origin) => branch },
} as const;

/** What neither policy nor grant allows, each with the line that decided. */
export function judgeOrigin(registration: Registration, origin: Origin): readonly Refusal[] {
  return (['workflows', 'branches'] as const).flatMap((field) => {
    const found = FIELDS[field].of(origin);
    const byPolicy = narrowed(registration.policy[field], found);
    if (byPolicy) return [ofPolicy(registration, field, found)];
    const byGrant = narrowed(registration.grant?.limits[field], found);
    return byGrant ? ofGrant(registration, field, found) : [];
  });
}

function narrowed(globs: readonly string[] | undefined, found: string | null | undefined): boolean {
  return globs !== undefined && (found === undefined || found === null || !matchesAny(globs, found));
}

function ofPolicy(registration: Registration, field: keyof typeof FIELDS, found: string | null | undefined): Refusal {
  const { noun } = FIELDS[field];
  const whose = `registration ${quote(registration.name)}`;
  if (found === undefined || found === null) {
    return { ...unsaid(noun, `${whose} serves only some`), field: `policy.${field}` };
  }
  const allowed = registration.policy[field] ?? [];
  return {
    code: 'origin-not-allowed',
    field: `policy.${field}`,
    reason: `${whose} does not serve the ${noun} ${quote(found)}; its \`policy.${field}\` has ${shown(allowed)}`,
    cure: `Run it from another ${noun}, ${ask(registration, field)} so that it includes this one.`,
  };
}

function ofGrant(
  { grant }: Registration,
  field: keyof typeof FIELDS,
  found: string | null | undefined,
): readonly Refusal[] {
  if (grant === undefined) return [];
  const { noun } = FIELDS[field];
  const what = { field: `limits.${field}`, what: `the ${noun}`, value: found ?? '' } as const;
  const place = placeOf(grant, what.field);
  const whose = `tenant ${quote(grant.tenant)}`;
  if (found === undefined || found === null)
    return [{ ...unsaid(noun, `${whose} may run only some (${place})`), place }];
  return [
    {
      code: 'not-granted',
      reason: `${whose} may not run the ${noun} ${quote(found)} (${place})`,
      cure: cureOf(grant, what),
      place,
    },
  ];
}

function unsaid(noun: string, why: string): Refusal {
  return {
    code: 'unknown-origin',
    reason: `GitHub has not said which ${noun} the job is of, and ${why}`,
    cure: 'It is looked at again with the next delivery.',
  };
}

const SHOWN = 10;

function shown(globs: readonly string[]): string {
  return globs.length === 0 ? 'none' : globs.slice(0, SHOWN).map(quote).join(', ');
}
