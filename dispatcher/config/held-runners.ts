/** Checks against the tenant's grant what a registration's runners are: defaults, images, policy and shapes. */
import type { ShapeWish } from '../../providers/provider.ts';
import { coresInWords } from '../../providers/shape-words.ts';
import {
  cureOf,
  type GrantField,
  missingExposure,
  missingForks,
  missingPowers,
  overLimits,
  placeOf,
  type Ungranted,
  ungrantedSpot,
} from '../admission/grants.ts';
import { missingPreset } from '../admission/presets.ts';
import { formatDuration } from '../labels/duration.ts';
import { isGlob, isWithin } from '../labels/glob.ts';
import { CARRIED_OUT, SPOT_MODES, spotInWords } from '../labels/spot-mode.ts';
import { quote } from '../labels/values.ts';
import type { Path } from '../model/problem.ts';
import type { Backend, Grant, Limits, Policy, Powers, ShapeDefaults } from '../model/registration.ts';
import { messageOf, ON_SHARED, refuse } from './held.ts';
import type { Reading } from './reading.ts';
import type { ShapeFile } from './schema.ts';

type ShapeField = Extract<GrantField, `limits.${string}` | `powers.${string}`>;

/** Names of the fields of a grant in `defaults`. */
const DEFAULT_OF: Readonly<Record<ShapeField, keyof ShapeFile | undefined>> = {
  'limits.maxRegistrations': undefined,
  'limits.maxRunners': undefined,
  'limits.maxLaunchesPerMinute': undefined,
  'limits.maxRunnersPerRun': undefined,
  'limits.maxCpu': 'cpu',
  'limits.maxMemoryGiB': 'memoryGiB',
  'limits.maxDiskGiB': 'diskGiB',
  'limits.maxTimeout': 'timeLimit',
  'limits.workflows': undefined,
  'limits.branches': undefined,
  'limits.events': undefined,
  'limits.actors': undefined,
  'powers.images': 'image',
  'powers.buckets': 'bucket',
  'powers.subnets': 'subnet',
  'powers.securityGroups': 'securityGroup',
  'powers.regions': undefined,
  'powers.publicRepositories': undefined,
  'powers.forks': undefined,
  'powers.spot': 'spot',
  'powers.dockerInDocker': 'dockerInDocker',
};

function isShapeField(field: GrantField): field is ShapeField {
  return Object.hasOwn(DEFAULT_OF, field);
}

export function holdDefaults(
  reading: Reading,
  grant: Grant,
  defaults: ShapeDefaults,
  backends: readonly Backend[],
): void {
  const at = (field: GrantField): Path => {
    const key = isShapeField(field) ? DEFAULT_OF[field] : undefined;
    return key === undefined ? ['defaults'] : ['defaults', key];
  };
  for (const over of overLimits(grant, defaults)) refuse(reading, at(over.field), grant, over);
  for (const missing of backends.some(({ shared }) => shared === true)
    ? missingPowers(grant, { spot: false, ...defaults })
    : []) {
    refuse(reading, at(missing.field), grant, missing, ON_SHARED);
  }
  // The service fills in what the file leaves open, perhaps above the limit.
  for (const leftOpen of Object.values(LEFT_OPEN)) {
    const { limit, field } = leftOpen(grant.limits, defaults) ?? {};
    // A value that cannot be read is told by itself.
    if (limit === undefined || field === undefined || reading.mentions(at(field))) continue;
    reading.problem(
      ['defaults'],
      `tenant ${quote(grant.tenant)} has a limit of ${limit} (${placeOf(grant, field)}), and \`defaults\` does not say how much a runner takes`,
      `Add \`defaults.${DEFAULT_OF[field]}\`.`,
    );
  }
}

/** For each limit: whether a runner may exceed it because the defaults leave its size to the service. */
const LEFT_OPEN: Readonly<
  Record<
    keyof Required<Limits>,
    (limits: Limits, defaults: ShapeDefaults) => { readonly limit: string; readonly field: ShapeField } | undefined
  >
> = {
  // Not of one runner.
  maxRegistrations: () => undefined,
  maxRunners: () => undefined,
  maxLaunchesPerMinute: () => undefined,
  maxRunnersPerRun: () => undefined,
  workflows: () => undefined,
  branches: () => undefined,
  events: () => undefined,
  actors: () => undefined,
  maxCpu: ({ maxCpu }, { cpu }) =>
    maxCpu === undefined || cpu !== undefined ? undefined : { limit: coresInWords(maxCpu), field: 'limits.maxCpu' },
  maxMemoryGiB: ({ maxMemoryGiB }, { memoryGiB }) =>
    maxMemoryGiB === undefined || memoryGiB !== undefined
      ? undefined
      : { limit: `${maxMemoryGiB} GiB`, field: 'limits.maxMemoryGiB' },
  // Without a size there is no separate disk.
  maxDiskGiB: () => undefined,
  maxTimeLimitMs: ({ maxTimeLimitMs }, { timeLimitMs }) =>
    maxTimeLimitMs === undefined || timeLimitMs !== undefined
      ? undefined
      : { limit: formatDuration(maxTimeLimitMs), field: 'limits.maxTimeout' },
};

/** An error if all backends are shared; if some are the tenant's own, the setting applies only there. */
function tellPower(reading: Reading, path: Path, grant: Grant, missing: Ungranted, backends: readonly Backend[]): void {
  if (backends.every(({ shared }) => shared === true)) refuse(reading, path, grant, missing, ON_SHARED);
  else if (backends.some(({ shared }) => shared === true))
    reading.note(path, messageOf(grant, missing, ON_SHARED), cureOf(grant, missing));
}

export function holdImages(
  reading: Reading,
  grant: Grant,
  images: Readonly<Record<string, string>>,
  backends: readonly Backend[],
): void {
  for (const [name, image] of Object.entries(images)) {
    for (const missing of missingPowers(grant, { image })) {
      tellPower(reading, ['images', name], grant, missing, backends);
    }
  }
}

type ListPower = { [K in keyof Powers]-?: Powers[K] extends readonly string[] ? K : never }[keyof Powers];

const LISTS: { readonly [K in ListPower]: { readonly field: K; readonly noun: string } } = {
  images: { field: 'images', noun: 'images' },
  buckets: { field: 'buckets', noun: 'buckets' },
  subnets: { field: 'subnets', noun: 'subnets' },
  securityGroups: { field: 'securityGroups', noun: 'security groups' },
  regions: { field: 'regions', noun: 'regions' },
};

/** The most that labels may ask for under a policy, field by field. */
const MOST: { readonly [K in keyof Required<Policy>]: (policy: Policy) => Partial<ShapeWish> } = {
  dockerInDocker: ({ dockerInDocker }) => ({ dockerInDocker }),
  maxCpu: ({ maxCpu: cpu }) => (cpu === undefined ? {} : { cpu }),
  maxMemoryGiB: ({ maxMemoryGiB: memoryGiB }) => (memoryGiB === undefined ? {} : { memoryGiB }),
  maxDiskGiB: ({ maxDiskGiB: diskGiB }) => (diskGiB === undefined ? {} : { diskGiB }),
  maxTimeLimitMs: ({ maxTimeLimitMs: timeLimitMs }) => (timeLimitMs === undefined ? {} : { timeLimitMs }),
  // Globs are compared with globs: `LISTS`.
  images: () => ({}),
  subnets: () => ({}),
  securityGroups: () => ({}),
  buckets: () => ({}),
  regions: () => ({}),
  // Mode by mode: `holdSpot`.
  spot: () => ({}),
  // Backends are granted by name where they are used, public repositories and forks below, architectures to all.
  backends: () => ({}),
  architectures: () => ({}),
  publicRepositories: () => ({}),
  forks: () => ({}),
  // They narrow what is served, and the grant narrows it again when a job comes.
  workflows: () => ({}),
  branches: () => ({}),
  events: () => ({}),
  actors: () => ({}),
};

export function holdPolicy(reading: Reading, grant: Grant, policy: Policy, backends: readonly Backend[]): void {
  for (const { field, noun } of Object.values(LISTS)) {
    for (const [index, glob] of policy[field].entries()) {
      if (isWithin(grant.powers[field], field === 'regions' ? glob.toLowerCase() : glob)) continue;
      // Without `policy.images` they are derived from the repository.
      const path = reading.has(['policy', field]) ? ['policy', field, index] : ['imageRepository'];
      const missing: Ungranted = {
        field: `powers.${field}`,
        what: `the ${noun} ${quote(glob)}`,
        value: glob,
        isGlob: true,
      };
      tellPower(reading, path, grant, missing, backends);
    }
  }
  for (const { path, missing } of beyondSpot(reading, grant, policy))
    tellPower(reading, path, grant, missing, backends);
  const wishes = Object.values(MOST).map((most) => most(policy));
  const at = (field: GrantField): Path => ['policy', field.slice(field.indexOf('.') + 1)];
  for (const over of wishes.flatMap((wish) => overLimits(grant, wish))) refuse(reading, at(over.field), grant, over);
  const exposed = [
    ...missingExposure(grant, policy.publicRepositories ? 'public' : 'private'),
    ...missingForks(grant, policy.forks === true),
  ];
  for (const missing of [...wishes.flatMap((wish) => missingPowers(grant, wish)), ...exposed]) {
    tellPower(reading, at(missing.field), grant, missing, backends);
  }
}

/** The modes that a policy allows and the grant does not; `true` stands for all of them at once. */
function beyondSpot(
  reading: Reading,
  { powers }: Grant,
  { spot }: Policy,
): readonly { readonly path: Path; readonly missing: Ungranted }[] {
  const modes = typeof spot !== 'boolean' ? spot : spot ? SPOT_MODES : [];
  const found = modes.flatMap((mode, index) => {
    const missing = ungrantedSpot(powers, mode);
    const path = reading.has(['policy', 'spot', index]) ? ['policy', 'spot', index] : ['policy', 'spot'];
    return missing === undefined ? [] : [{ path, missing, mode }];
  });
  if (spot !== true || found.length === 0) return found;
  const what =
    powers.spot === false ? spotInWords('only') : `spot modes ${found.map(({ mode }) => quote(mode)).join(', ')}`;
  // The least that does something: the others need no grant, as nothing carries them out.
  const only = ungrantedSpot(powers, 'only');
  const useful = CARRIED_OUT.filter((mode) => mode === 'only' || ungrantedSpot(powers, mode) === undefined);
  const why = only === undefined ? 'so much was granted' : 'nothing else is carried out yet';
  const instead = `Write ${quote(`policy.spot: [${useful.join(', ')}]`)}: ${why}.`;
  return [{ path: ['policy', 'spot'], missing: { field: 'powers.spot', what, value: only?.value ?? [], instead } }];
}

/** A preset that a policy names, alone or by a glob. */
export interface NamedPreset {
  readonly field: 'shapes' | 'imagePresets';
  readonly name: string;
  readonly shape: ShapeDefaults;
  readonly globs: readonly string[];
}

/** Whether the registration may use a preset that its policy names. */
export function holdPreset(
  reading: Reading,
  grant: Grant,
  { field, name, shape, globs }: NamedPreset,
  backends: readonly Backend[],
): boolean {
  const [unnamed] = missingPreset(grant, name);
  const over = overLimits(grant, shape);
  const shared = backends.every((backend) => backend.shared === true);
  const [beyond] = [...over, ...(shared ? missingPowers(grant, shape) : [])];
  const missing = unnamed ?? beyond;
  if (missing === undefined) return true;
  const index = globs.findIndex((glob) => glob === name && !isGlob(glob));
  const what = field === 'shapes' ? 'shape' : 'image';
  const message =
    unnamed === undefined
      ? `the ${what} \`${name}\` has ${missing.what}, which tenant ${quote(grant.tenant)} was not granted`
      : messageOf(grant, unnamed, '');
  if (index >= 0) reading.problem(['policy', field, index], message, cureOf(grant, missing));
  else reading.note(['policy', field], `${message}: it is left out`, cureOf(grant, missing));
  return false;
}
