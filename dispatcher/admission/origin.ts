/**
 * Where a job comes from: its workflow and branch, what started its run, and who. The registration's policy and the
 * tenant's grant may narrow each. Pure. Both have to allow it, and the defaults of
 * the organization where they hold.
 */
import type { JobSubject } from '../jobs/lane.ts';
import { matchesAny } from '../labels/glob.ts';
import { quote } from '../labels/values.ts';
import type { Registration } from '../model/registration.ts';
import { cureOf, placeOf } from './grants.ts';
import { ask, type Refusal } from './refusal.ts';

/** Null or undefined: GitHub has not said. */
export type Origin = Pick<JobSubject, 'workflow' | 'branch' | 'event' | 'actors'>;

/** What is known of one field: all of it has to be allowed. Undefined: not known. */
type Found = readonly string[] | undefined;

interface Field {
  readonly noun: string;
  readonly of: (origin: Origin) => Found;
  /** As GitHub compares logins. */
  readonly folded?: boolean;
  /** What the author of the job can do. */
  readonly instead: string;
}

/** Field in `policy` and in `limits` of a grant, to what it is about. */
const FIELDS = {
  workflows: {
    noun: 'workflow',
    of: ({ workflow }: Origin) => one(workflow),
    instead: 'Run it from another workflow',
  },
  branches: { noun: 'branch', of: ({ branch }: Origin) => one(branch), instead: 'Run it from another branch' },
  events: { noun: 'event', of: ({ event }: Origin) => one(event), instead: 'Start it by another event' },
  actors: {
    noun: 'actor',
    of: ({ actors }: Origin) => (actors === null || actors?.length === 0 ? undefined : actors),
    folded: true,
    instead: 'Have it started by another account',
  },
} as const satisfies Readonly<Record<string, Field>>;

export type OriginField = keyof typeof FIELDS;

/** Those that only a read of the run tells. */
const OF_RUN = ['events', 'actors'] as const;

/** Whether a job of it cannot be decided on before GitHub has been asked for the run. */
export function dependsOnRun({ grant, organization, policy }: Registration): boolean {
  return OF_RUN.some((field) =>
    [policy[field], grant?.limits[field], organization?.policy[field]].some((globs) => globs !== undefined),
  );
}

/** What neither policy nor grant allows, each with the line that decided. */
export function judgeOrigin(registration: Registration, origin: Origin): readonly Refusal[] {
  return (['workflows', 'branches', 'events', 'actors'] as const).flatMap((field) => {
    const found = FIELDS[field].of(origin);
    const byPolicy = narrowed(registration.policy[field], field, found);
    if (byPolicy) return [ofPolicy(registration, field, found)];
    const byGrant = narrowed(registration.grant?.limits[field], field, found);
    if (byGrant) return ofGrant(registration, field, found);
    const byOrganization = narrowed(registration.organization?.policy[field], field, found);
    return byOrganization ? ofOrganization(registration, field, found) : [];
  });
}

function one(found: string | null | undefined): Found {
  return found === undefined || found === null ? undefined : [found];
}

function narrowed(globs: readonly string[] | undefined, field: OriginField, found: Found): boolean {
  return globs !== undefined && (found === undefined || beyond(globs, field, found).length > 0);
}

/** Those of them that no glob covers. */
function beyond(globs: readonly string[], field: OriginField, found: readonly string[]): readonly string[] {
  const { folded = false }: Field = FIELDS[field];
  const patterns = folded ? globs.map((glob) => glob.toLowerCase()) : globs;
  return [...new Set(found)].filter((value) => !matchesAny(patterns, folded ? value.toLowerCase() : value));
}

function ofPolicy(registration: Registration, field: OriginField, found: Found): Refusal {
  const { noun, instead } = FIELDS[field];
  const whose = `registration ${quote(registration.name)}`;
  if (found === undefined) return { ...unsaid(noun, `${whose} serves only some`), field: `policy.${field}` };
  const allowed = registration.policy[field] ?? [];
  const refused = beyond(allowed, field, found).map(quote).join(' and ');
  return {
    code: 'origin-not-allowed',
    field: `policy.${field}`,
    reason: `${whose} does not serve the ${noun} ${refused}; its \`policy.${field}\` has ${shown(allowed)}`,
    cure: `${instead}, ${ask(registration, field, `let ${quote(`policy.${field}`)} include this one`)}.`,
  };
}

function ofGrant({ grant }: Registration, field: OriginField, found: Found): readonly Refusal[] {
  if (grant === undefined) return [];
  const { noun } = FIELDS[field];
  const refused = found === undefined ? [] : beyond(grant.limits[field] ?? [], field, found);
  const what = { field: `limits.${field}`, what: `the ${noun}`, value: refused } as const;
  const place = placeOf(grant, what.field);
  const whose = `tenant ${quote(grant.tenant)}`;
  if (found === undefined) return [{ ...unsaid(noun, `${whose} may run only some (${place})`), place }];
  return [
    {
      code: 'not-granted',
      reason: `${whose} may not run the ${noun} ${refused.map(quote).join(' and ')} (${place})`,
      cure: cureOf(grant, what),
      place,
    },
  ];
}

function ofOrganization({ organization }: Registration, field: OriginField, found: Found): readonly Refusal[] {
  if (organization === undefined) return [];
  const { noun, instead } = FIELDS[field];
  const place = organization.places[`policy.${field}`] ?? organization.file;
  if (found === undefined) return [{ ...unsaid(noun, `its organization serves only some (${place})`), place }];
  const allowed = organization.policy[field] ?? [];
  const refused = beyond(allowed, field, found).map(quote).join(' and ');
  return [
    {
      code: 'origin-not-allowed',
      reason: `the organization does not serve the ${noun} ${refused}; its \`policy.${field}\` has ${shown(allowed)} (${place})`,
      cure: `${instead}, or ask those who keep ${organization.file} to add this one.`,
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
