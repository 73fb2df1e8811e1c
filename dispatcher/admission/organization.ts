/**
 * What the `shr.yaml` of an organization means for a registration: as a limit of its own (`forced`), or for what the
 * registration does not say (`default`). It only narrows: a default of it counts as far as a label may ask for the same.
 * Pure.
 */
import type { ShapeWish } from '../../providers/provider.ts';
import { matchesAny } from '../labels/glob.ts';
import { type Override, quote } from '../labels/values.ts';
import { defined } from '../model/defined.ts';
import type {
  Limits,
  OrganizationFile,
  OrganizationLimits,
  OrganizationPolicy,
  OrganizationShape,
  Powers,
  Registration,
} from '../model/registration.ts';
import { missingPowers, overLimits, type Ungranted } from './grants.ts';
import { judgeOverride } from './policy.ts';
import type { Refusal } from './refusal.ts';

export interface Narrowed {
  readonly registration: Registration;
  /** Defaults that are not used, because no label may ask for them: `defaults.cpu`; and `canary`, where it may not. */
  readonly unused: readonly string[];
}

/** `file` undefined: there is none. */
export function narrowedBy(registration: Registration, file: OrganizationFile | undefined): Narrowed {
  const mode = registration.organizationDefaults;
  if (mode === undefined || file === undefined) return { registration, unused: [] };
  const policy = mode === 'forced' ? file.policy : unsaid(registration, file.policy);
  const { defaults, unused: unusedDefaults } = usedDefaults(registration, file.defaults);
  const unused = [...unusedDefaults];
  const decided: Record<string, string> = {};
  const switches: { publicRepositories?: false; forks?: false } = {};
  for (const field of ['publicRepositories', 'forks'] as const) {
    // One that is off already was turned off by the registration.
    const isOn = registration.policy[field] ?? registration.policy.publicRepositories;
    if (policy[field] !== false || !isOn) continue;
    switches[field] = false;
    decided[`policy.${field}`] = placeIn(file, `policy.${field}`);
  }
  const own = registration.maxRunnersPerRun;
  const theirs = file.maxRunnersPerRun;
  const { canary, ...rest } = registration;
  const isCanaryAllowed = canary !== undefined && matchesAny(policy.images ?? ['*'], canary.image);
  if (canary !== undefined && !isCanaryAllowed) unused.push('canary');
  const isTheirs = theirs !== undefined && (own === undefined || (mode === 'forced' && theirs < own));
  if (isTheirs) decided['maxRunnersPerRun'] = placeIn(file, 'maxRunnersPerRun');
  return {
    registration: {
      ...rest,
      ...(isCanaryAllowed ? { canary } : {}),
      defaults: { ...defaults, ...registration.defaults },
      policy: { ...registration.policy, ...switches },
      ...(isTheirs ? { maxRunnersPerRun: theirs } : {}),
      organization: { file: file.file, policy, places: file.places, decided },
    },
    unused,
  };
}

/** The field of a default for a field of the policy. */
const DEFAULT_OF = {
  maxCpu: 'cpu',
  maxMemoryGiB: 'memoryGiB',
  maxDiskGiB: 'diskGiB',
  maxTimeLimitMs: 'timeLimitMs',
  images: 'image',
  subnets: 'subnet',
  securityGroups: 'securityGroup',
  spot: 'spot',
  dockerInDocker: 'dockerInDocker',
  workflows: undefined,
  branches: undefined,
  events: undefined,
  actors: undefined,
  publicRepositories: undefined,
  forks: undefined,
} as const satisfies Record<keyof OrganizationPolicy, keyof ShapeWish | undefined>;

/** What neither the policy of the registration nor its defaults speak of. */
function unsaid({ defaults, policy: own }: Registration, policy: OrganizationPolicy): OrganizationPolicy {
  const isSaid = (field: keyof OrganizationPolicy): boolean => {
    const key = DEFAULT_OF[field];
    if (key !== undefined && defaults[key] !== undefined) return true;
    const value = own[field];
    // Of a list that says who is served, the empty one serves no one.
    if (key === undefined && Array.isArray(value)) return true;
    return Array.isArray(value) ? value.length > 0 : value !== undefined && value !== false;
  };
  const left = <K extends keyof OrganizationPolicy>(field: K) => (isSaid(field) ? undefined : policy[field]);
  return defined<OrganizationPolicy>({
    maxCpu: left('maxCpu'),
    maxMemoryGiB: left('maxMemoryGiB'),
    maxDiskGiB: left('maxDiskGiB'),
    maxTimeLimitMs: left('maxTimeLimitMs'),
    images: left('images'),
    subnets: left('subnets'),
    securityGroups: left('securityGroups'),
    workflows: left('workflows'),
    branches: left('branches'),
    events: left('events'),
    actors: left('actors'),
    spot: left('spot'),
    dockerInDocker: left('dockerInDocker'),
    publicRepositories: left('publicRepositories'),
    forks: left('forks'),
  });
}

function usedDefaults(
  registration: Registration,
  { architecture, cpu, image, memoryGiB, timeLimitMs }: OrganizationShape,
): { readonly defaults: OrganizationShape; readonly unused: readonly string[] } {
  const own = registration.defaults;
  const unused: string[] = [];
  const used = <T>(name: string, value: T | undefined, isSaid: boolean, asked: (value: T) => Override) => {
    if (value === undefined || isSaid) return undefined;
    if (mayAsk(registration, asked(value))) return value;
    unused.push(`defaults.${name}`);
    return undefined;
  };
  const label = '';
  const defaults = defined<OrganizationShape>({
    cpu: used('cpu', cpu, own.cpu !== undefined, (value) => ({ key: 'cpu', value, label })),
    memoryGiB: used('memoryGiB', memoryGiB, own.memoryGiB !== undefined, (value) => ({ key: 'memory', value, label })),
    architecture: used('architecture', architecture, own.architecture !== undefined, (value) => ({
      key: 'architecture',
      value,
      label,
    })),
    image: used('image', image, own.image !== undefined, (value) => ({ key: 'image', value, label })),
    timeLimitMs: used('timeLimit', timeLimitMs, own.timeLimitMs !== undefined, (value) => ({
      key: 'timeout',
      value,
      label,
    })),
  });
  return { defaults, unused };
}

/** Whether a label could. */
function mayAsk(registration: Registration, asked: Override): boolean {
  if (asked.key !== 'image') return judgeOverride(asked, registration, registration.defaults) === undefined;
  const { images, policy, presetImages = {} } = registration;
  const named = [...Object.values(images), ...Object.values(presetImages)];
  return named.includes(asked.value) || matchesAny(policy.images, asked.value);
}

/** What the organization does not allow, each with the line that decided. */
export function judgeOrganization({ organization }: Registration, wish: ShapeWish): readonly Refusal[] {
  if (organization === undefined) return [];
  const grant = asGrant(organization.policy);
  const over = overLimits(grant, wish).map((what) => refusalOf(organization, what, 'over-limit'));
  const missing = missingPowers(grant, wish).map((what) => refusalOf(organization, what, 'not-allowed'));
  return [...over, ...missing];
}

/** Judged as a grant is. What it does not speak of is not limited by it. */
function asGrant(policy: OrganizationPolicy): { readonly limits: Limits; readonly powers: Powers } {
  const all = ['*'];
  return {
    limits: {
      maxRegistrations: Number.POSITIVE_INFINITY,
      maxRunners: undefined,
      maxCpu: policy.maxCpu,
      maxMemoryGiB: policy.maxMemoryGiB,
      // Of a grant, none means none at all.
      maxDiskGiB: policy.maxDiskGiB ?? Number.POSITIVE_INFINITY,
      maxTimeLimitMs: policy.maxTimeLimitMs ?? Number.POSITIVE_INFINITY,
    },
    powers: {
      images: policy.images ?? all,
      buckets: all,
      subnets: policy.subnets ?? all,
      securityGroups: policy.securityGroups ?? all,
      regions: all,
      publicRepositories: true,
      dockerInDocker: policy.dockerInDocker ?? true,
      spot: policy.spot ?? true,
    },
  };
}

function refusalOf(organization: OrganizationLimits, { field, what }: Ungranted, code: Refusal['code']): Refusal {
  const name = `policy.${field.slice(field.indexOf('.') + 1)}`;
  const place = placeIn(organization, name);
  return {
    code,
    reason: `the defaults of the organization do not allow ${what} (${place})`,
    cure: `Ask for less, or ask those who keep ${organization.file} to change \`${name}\`.`,
    place,
  };
}

function placeIn({ file, places }: Pick<OrganizationFile, 'file' | 'places'>, field: string): string {
  return places[field] ?? file;
}

/** Nothing is admitted before it is known what the organization forces. */
export function unknownOrganization({ name, organizationUnknown }: Registration): Refusal | undefined {
  if (organizationUnknown === undefined) return undefined;
  return {
    code: 'organization-unknown',
    field: 'organizationDefaults',
    reason: `registration ${quote(name)} waits for the defaults of its organization: ${organizationUnknown}`,
    cure: 'They are asked for again by themselves; jobs that still wait are then taken.',
  };
}
