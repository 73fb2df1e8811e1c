/** What the grant of a tenant does not allow a job. Pure. */
import type { ShapeWish } from '../../providers/provider.ts';
import type { JobSubject } from '../jobs/lane.ts';
import { quote } from '../labels/values.ts';
import type { Backend, Grant, Registration } from '../model/registration.ts';
import {
  cureOf,
  missingExposure,
  missingForks,
  missingPowers,
  overLimits,
  placeOf,
  type Ungranted,
  unlistedHook,
} from './grants.ts';
import { laneScope } from './lane-of.ts';
import type { Refusal, RefusalCode } from './refusal.ts';

/** What the tenant was not granted on any backend that could run the job. */
export function judgeGrant(
  registration: Registration,
  job: JobSubject,
  wish: ShapeWish,
  selected: readonly Backend[],
): readonly Refusal[] {
  const { grant } = registration;
  if (grant === undefined) return [];
  const refusals = overLimits(grant, wish).map((over) =>
    ungrantedRefusal(grant, over, 'over-limit', `tenant ${quote(grant.tenant)} may not take ${over.what}`),
  );
  for (const unlisted of unlistedHook(grant, wish)) {
    refusals.push(
      ungrantedRefusal(grant, unlisted, 'not-granted', `tenant ${quote(grant.tenant)} may not use ${unlisted.what}`),
    );
  }
  const scope = laneScope(registration, job, wish);
  const group = registration.runnerGroup;
  if (scope.kind !== 'repository' && !grant.runnerGroups.includes(group)) {
    const what = { field: 'runnerGroups', what: `the runner group ${quote(group)}`, value: group } as const;
    refusals.push(ungrantedRefusal(grant, what, 'not-granted', `${wasNot(grant)} ${what.what}`));
  }
  if (refusals.length > 0 || selected.length === 0 || selected.some(({ shared }) => shared !== true)) {
    return refusals;
  }
  return missingOnShared(grant, job, wish).map((missing) =>
    ungrantedRefusal(grant, missing, 'not-granted', `${wasNot(grant)} ${missing.what} on shared backends`),
  );
}

function missingOnShared(grant: Grant, job: JobSubject, wish: ShapeWish): readonly Ungranted[] {
  const isDenial = job.isVisibilityUnproven === true && job.visibility !== 'public';
  // Of a public repository its own power decides.
  const mayBeFork = job.isFork !== undefined && job.isFork !== false && job.visibility !== 'public';
  return [
    ...missingExposure(grant, isDenial ? undefined : job.visibility),
    ...missingForks(grant, mayBeFork),
    ...missingPowers(grant, wish),
  ];
}

function ungrantedRefusal(grant: Grant, what: Ungranted, code: RefusalCode, reason: string): Refusal {
  const place = placeOf(grant, what.field);
  return { code, reason: `${reason} (${place})`, cure: cureOf(grant, what), place };
}

function wasNot(grant: Grant): string {
  return `tenant ${quote(grant.tenant)} was not granted`;
}

/** Why a shared backend cannot run this job, where the registration has other backends. */
export function whyWithheld(
  registration: Registration,
  name: string,
  job: JobSubject,
  wish: ShapeWish,
): string | undefined {
  const { grant } = registration;
  const backend = registration.backends.find((candidate) => candidate.name === name);
  if (grant === undefined || backend?.shared !== true) return undefined;
  const missing = missingOnShared(grant, job, wish);
  if (missing.length === 0) return undefined;
  const [first] = missing;
  const place = first === undefined ? '' : ` (${placeOf(grant, first.field)})`;
  return `${wasNot(grant)} ${missing.map(({ what }) => what).join(', ')} there${place}`;
}
