/** Which lines of dispatcher.yaml let a tenant's job have its runner, for `shr explain`. */
import { type GrantField, placeOf } from '../admission/grants.ts';
import { Territory } from '../admission/territory.ts';
import type { JobSubject, LaneSpec } from '../jobs/lane.ts';
import type { Grant, Registration, TenantEntry } from '../model/registration.ts';

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
  const used: readonly (readonly [GrantField, boolean])[] = [
    ['powers.images', true],
    ['powers.buckets', wish.bucket !== undefined],
    ['powers.subnets', wish.subnet !== undefined],
    ['powers.securityGroups', wish.securityGroup !== undefined],
    ['powers.regions', wish.region !== undefined],
    ['powers.spot', wish.spot],
    ['powers.dockerInDocker', wish.dockerInDocker],
    ['powers.publicRepositories', powers.publicRepositories && job.visibility === 'public'],
    ['limits.maxDiskGiB', wish.diskGiB !== undefined],
    ['limits.maxTimeout', wish.timeLimitMs !== undefined],
  ];
  return used.flatMap(([field, is]) => (is ? [field] : []));
}
