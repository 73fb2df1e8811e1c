/** Which lines of dispatcher.yaml let a tenant's job have its runner, for explanations. Pure. */

import type { JobSubject, LaneSpec } from '../jobs/lane.ts';
import type { Grant, Limits, Powers, Registration, TenantEntry } from '../model/registration.ts';
import { type GrantField, placeOf } from './grants.ts';
import { Territory } from './territory.ts';

export interface GrantedBy {
  readonly tenant: string;
  readonly lines: readonly { readonly field: GrantField; readonly place: string }[];
}

/** Undefined: the registration is the platform's own, which needs no grant. */
export function grantedBy(
  lane: LaneSpec,
  job: JobSubject,
  registrations: readonly Registration[],
  tenants: readonly TenantEntry[] | undefined,
): GrantedBy | undefined {
  const registration = registrations.find(({ name }) => name === lane.registration);
  if (registration?.grant === undefined) return undefined;
  const { grant, backends } = registration;
  const holding = new Territory(tenants, registrations).whose(job.host, job.owner, job.repository);
  const isNamed = holding?.by === 'repository' || holding?.by === 'glob';
  const isShared = backends.some(({ name, shared }) => shared === true && lane.backends.includes(name));
  const fields: readonly GrantField[] = [
    isNamed ? 'repositories' : 'owners',
    'labels',
    ...(lane.scope.kind === 'repository' ? [] : (['runnerGroups'] as const)),
    ...(isShared ? powersOf(lane, job, grant) : []),
  ];
  return { tenant: grant.tenant, lines: fields.map((field) => ({ field, place: placeOf(grant, field) })) };
}

function powersOf({ wish }: LaneSpec, job: JobSubject, { powers }: Grant): readonly GrantField[] {
  const used: Readonly<Record<keyof Powers | keyof Limits, GrantField | undefined>> = {
    images: 'powers.images',
    buckets: wish.bucket === undefined ? undefined : 'powers.buckets',
    subnets: wish.subnet === undefined ? undefined : 'powers.subnets',
    securityGroups: wish.securityGroup === undefined ? undefined : 'powers.securityGroups',
    regions: wish.region === undefined ? undefined : 'powers.regions',
    // A list says of on-demand capacity, too, whether it may be used.
    spot: wish.spot || typeof powers.spot !== 'boolean' ? 'powers.spot' : undefined,
    dockerInDocker: wish.dockerInDocker ? 'powers.dockerInDocker' : undefined,
    publicRepositories:
      powers.publicRepositories && job.visibility === 'public' ? 'powers.publicRepositories' : undefined,
    forks: powers.forks === true && job.isFork === true && job.visibility !== 'public' ? 'powers.forks' : undefined,
    maxDiskGiB: wish.diskGiB === undefined ? undefined : 'limits.maxDiskGiB',
    maxTimeLimitMs: wish.timeLimitMs === undefined ? undefined : 'limits.maxTimeout',
    // They restrict a tenant, and grant it nothing.
    maxRegistrations: undefined,
    maxRunners: undefined,
    maxLaunchesPerMinute: undefined,
    maxRunnersPerRun: undefined,
    maxCpu: undefined,
    maxMemoryGiB: undefined,
    workflows: undefined,
    branches: undefined,
    events: undefined,
    actors: undefined,
  };
  return Object.values(used).filter((field) => field !== undefined);
}
