/** Whether a tenant's grant covers one thing, and if not, the line of dispatcher.yaml that would. Pure. */

import type { ShapeWish } from '../../providers/provider.ts';
import type { JobSubject } from '../jobs/lane.ts';
import { formatDuration } from '../labels/duration.ts';
import { matchesAny } from '../labels/glob.ts';
import { quote } from '../labels/grammar.ts';
import type { Grant, Limits, Powers } from '../model/registration.ts';

/** A field of an entry of `tenants`, as dispatcher.yaml calls it. */
export type GrantField =
  | 'hosts'
  | 'owners'
  | 'enterprises'
  | 'repositories'
  | 'labels'
  | 'priority'
  | 'runnerGroups'
  | 'credentials'
  | 'backends'
  | 'backendKinds'
  | `limits.${Exclude<keyof Limits, 'maxTimeLimitMs'> | 'maxTimeout'}`
  | `powers.${keyof Powers}`;

/** What was asked for and not granted. */
export interface Ungranted {
  readonly field: GrantField;
  /** In words: "spot capacity", "the label `gpu`". */
  readonly what: string;
  /** What the field would have to contain: an item of a list, or the value. */
  readonly value: string | number | true;
}

/** Where the field stands, or would: `dispatcher.yaml:12:3`. */
export function placeOf(grant: Grant, field: GrantField): string {
  return grant.places[field] ?? 'dispatcher.yaml';
}

const SHOWN = 5;

/** "To grant it, …", with the line of dispatcher.yaml. */
export function cureOf(grant: Grant, { field, value }: Ungranted): string {
  const path = `tenants.${grant.tenant}.${field}`;
  const granted = listOf(grant, field);
  if (granted === undefined) return `To grant it, write \`${path}: ${value}\` (${placeOf(grant, field)}).`;
  if (granted.length >= SHOWN) return `To grant it, add \`${value}\` to \`${path}\` (${placeOf(grant, field)}).`;
  const list = [...granted, String(value)].map((item) => (/^[\w./:-]+$/.test(item) ? item : JSON.stringify(item)));
  return `To grant it, write \`${path}: [${list.join(', ')}]\` (${placeOf(grant, field)}).`;
}

/** The field's contents, if it is a list. */
function listOf(grant: Grant, field: GrantField): readonly string[] | undefined {
  switch (field) {
    case 'hosts':
    case 'owners':
    case 'enterprises':
    case 'repositories':
    case 'labels':
    case 'runnerGroups':
    case 'credentials':
    case 'backends':
    case 'backendKinds':
      return grant[field];
    case 'powers.images':
      return grant.powers.images;
    case 'powers.buckets':
      return grant.powers.buckets;
    case 'powers.subnets':
      return grant.powers.subnets;
    case 'powers.securityGroups':
      return grant.powers.securityGroups;
    case 'powers.regions':
      return grant.powers.regions;
    case 'priority':
    case 'limits.maxRunners':
    case 'limits.maxCpu':
    case 'limits.maxMemoryGiB':
    case 'limits.maxDiskGiB':
    case 'limits.maxTimeout':
    case 'powers.publicRepositories':
    case 'powers.dockerInDocker':
    case 'powers.spot':
      return undefined;
  }
}

/** What exceeds the tenant's limits, which apply on every backend. */
export function overLimits({ limits }: Grant, wish: Partial<ShapeWish>): readonly Ungranted[] {
  const over: Ungranted[] = [];
  const hold = (most: number | undefined, value: number | undefined, ungranted: Ungranted): void => {
    if (most !== undefined && value !== undefined && value > most) over.push(ungranted);
  };
  const { cpu = 0, memoryGiB = 0, diskGiB = 0, timeLimitMs = 0 } = wish;
  hold(limits.maxCpu, wish.cpu, { field: 'limits.maxCpu', what: `${cpu} cores`, value: cpu });
  hold(limits.maxMemoryGiB, wish.memoryGiB, {
    field: 'limits.maxMemoryGiB',
    what: `${memoryGiB} GiB of memory`,
    value: memoryGiB,
  });
  hold(limits.maxDiskGiB, wish.diskGiB, {
    field: 'limits.maxDiskGiB',
    what: `${diskGiB} GiB of disk`,
    value: diskGiB,
  });
  hold(limits.maxTimeLimitMs, wish.timeLimitMs, {
    field: 'limits.maxTimeout',
    what: `a time limit of ${formatDuration(timeLimitMs)}`,
    value: formatDuration(timeLimitMs),
  });
  return over;
}

/** What the tenant was not granted on a shared backend, where anything beyond plain cores and memory needs a grant. */
export function missingPowers({ powers, limits }: Grant, wish: Partial<ShapeWish>): readonly Ungranted[] {
  const missing: Ungranted[] = [];
  const among = (
    field: 'images' | 'buckets' | 'subnets' | 'securityGroups' | 'regions',
    noun: string,
    value: string | undefined,
  ): void => {
    if (value === undefined || matchesAny(powers[field], field === 'regions' ? value.toLowerCase() : value)) return;
    missing.push({ field: `powers.${field}`, what: `the ${noun} ${quote(value)}`, value });
  };
  among('images', 'image', wish.image);
  among('buckets', 'bucket', wish.bucket);
  among('subnets', 'subnet', wish.subnet);
  among('securityGroups', 'security group', wish.securityGroup);
  among('regions', 'region', wish.region);
  if (wish.spot === true && !powers.spot) {
    missing.push({ field: 'powers.spot', what: 'spot capacity', value: true });
  }
  if (wish.dockerInDocker === true && !powers.dockerInDocker) {
    missing.push({ field: 'powers.dockerInDocker', what: 'Docker in Docker', value: true });
  }
  if (wish.diskGiB !== undefined && limits.maxDiskGiB === undefined) {
    missing.push({ field: 'limits.maxDiskGiB', what: `${wish.diskGiB} GiB of disk`, value: wish.diskGiB });
  }
  if (wish.timeLimitMs !== undefined && limits.maxTimeLimitMs === undefined) {
    const value = formatDuration(wish.timeLimitMs);
    missing.push({ field: 'limits.maxTimeout', what: `a time limit of ${value}`, value });
  }
  return missing;
}

/** A job that untrusted authors may have written, on a shared backend. Until GitHub has said, it counts as one. */
export function missingExposure({ powers }: Grant, visibility: JobSubject['visibility']): readonly Ungranted[] {
  if (visibility === 'private' || visibility === 'internal' || powers.publicRepositories) return [];
  const what =
    visibility === 'public'
      ? 'jobs of public repositories'
      : 'jobs of public repositories (GitHub has not said yet whether this is one)';
  return [{ field: 'powers.publicRepositories', what, value: true }];
}
