/** Checks a registration against its tenant's grant: reports what exceeds it, with the line that would grant it. */
import type { ShapeWish } from '../../providers/provider.ts';
import { coresInWords } from '../../providers/shape-words.ts';
import {
  cureOf,
  type GrantField,
  missingExposure,
  missingPowers,
  overLimits,
  placeOf,
  type Ungranted,
} from '../admission/grants.ts';
import { formatDuration } from '../labels/duration.ts';
import { isGlob, isWithin, matchesAny } from '../labels/glob.ts';
import { foldLabel, quote } from '../labels/values.ts';
import type { Path } from '../model/problem.ts';
import type { Backend, Claim, Grant, Limits, Policy, Powers, ShapeDefaults } from '../model/registration.ts';
import type { Reading } from './reading.ts';
import type { ShapeFile } from './schema.ts';

function refuse(reading: Reading, path: Path, grant: Grant, what: Ungranted, where = ''): void {
  if (!reading.unresolved(path)) reading.problem(path, messageOf(grant, what, where), cureOf(grant, what));
}

function messageOf(grant: Grant, { what, field }: Ungranted, where: string): string {
  const verb = field.startsWith('limits.') && where === '' ? 'may not have' : 'was not granted';
  return `tenant ${quote(grant.tenant)} ${verb} ${what}${where}`;
}

// ── whose jobs ───────────────────────────────────────────────────────────────────────────────────────────────────────

export interface Claimed {
  readonly host: string;
  readonly claim: Claim;
  readonly labels: readonly string[];
  readonly priority: number;
  readonly runnerGroup: string;
}

export function holdClaim(reading: Reading, grant: Grant, claimed: Claimed): void {
  const { host, claim, labels, priority, runnerGroup } = claimed;
  if (!grant.hosts.includes(host)) {
    refuse(reading, ['host'], grant, { field: 'hosts', what: `the host ${host}`, value: host });
  }
  holdPlaces(reading, grant, claim);
  for (const [index, label] of labels.entries()) {
    if (matchesAny(grant.labels, foldLabel(label))) continue;
    const path = reading.has(['labels', index]) ? ['labels', index] : ['labels'];
    refuse(reading, path, grant, { field: 'labels', what: `the label ${quote(label)}`, value: label });
  }
  if (priority > grant.maxPriority) {
    refuse(reading, ['priority'], grant, { field: 'priority', what: `the priority ${priority}`, value: priority });
  }
  if (claim.kind === 'user' || claim.kind === 'repositories' || grant.runnerGroups.includes(runnerGroup)) return;
  refuse(reading, ['runnerGroup'], grant, {
    field: 'runnerGroups',
    what: `the runner group ${quote(runnerGroup)}`,
    value: runnerGroup,
  });
}

function holdPlaces(reading: Reading, grant: Grant, claim: Claim): void {
  const owners = new Set(grant.owners);
  const holdOwner = (path: Path, owner: string): void => {
    if (owners.has('*') || owners.has(owner.toLowerCase())) return;
    refuse(reading, path, grant, { field: 'owners', what: `the owner ${owner}`, value: owner });
  };
  switch (claim.kind) {
    case 'enterprise': {
      const { enterprise } = claim;
      if (!grant.enterprises.includes(enterprise.toLowerCase())) {
        const what = `the enterprise ${enterprise}`;
        refuse(reading, ['enterprise'], grant, { field: 'enterprises', what, value: enterprise });
      }
      for (const [index, organization] of claim.organizations.entries())
        holdOwner(['organizations', index], organization);
      return;
    }
    case 'organization':
      holdOwner(['organization'], claim.organization);
      return;
    case 'user':
      holdOwner(['user'], claim.user);
      return;
    case 'repositories':
      for (const [index, { owner, repository }] of claim.repositories.entries()) {
        const name = `${owner}/${repository}`;
        const folded = name.toLowerCase();
        if (owners.has('*') || owners.has(owner.toLowerCase()) || matchesAny(grant.repositories, folded)) continue;
        const what = `the repository ${name}`;
        refuse(reading, ['repositories', index], grant, { field: 'repositories', what, value: name });
      }
  }
}

/** What a registration refers to by name: credentials, backends, kinds of backends. */
export function holdNamed(
  reading: Reading,
  path: Path,
  grant: Grant | undefined,
  field: 'credentials' | 'backends' | 'backendKinds',
  name: string,
): boolean {
  if (grant === undefined || grant[field].includes(name)) return true;
  const nouns = { credentials: 'the credentials', backends: 'the backend', backendKinds: 'backends of kind' };
  refuse(reading, path, grant, { field, what: `${nouns[field]} ${quote(name)}`, value: name });
  return false;
}

export function holdRunners(reading: Reading, grant: Grant, asked: number): void {
  if (asked <= (grant.limits.maxRunners ?? Number.POSITIVE_INFINITY)) return;
  refuse(reading, ['maxRunners'], grant, { field: 'limits.maxRunners', what: `${asked} runners`, value: asked });
}

// ── what its runners are ─────────────────────────────────────────────────────────────────────────────────────────────

type ShapeField = Extract<GrantField, `limits.${string}` | `powers.${string}`>;

/** Names of the fields of a grant in `defaults`. */
const DEFAULT_OF: Readonly<Record<ShapeField, keyof ShapeFile | undefined>> = {
  'limits.maxRunners': undefined,
  'limits.maxCpu': 'cpu',
  'limits.maxMemoryGiB': 'memoryGiB',
  'limits.maxDiskGiB': 'diskGiB',
  'limits.maxTimeout': 'timeLimit',
  'powers.images': 'image',
  'powers.buckets': 'bucket',
  'powers.subnets': 'subnet',
  'powers.securityGroups': 'securityGroup',
  'powers.regions': undefined,
  'powers.publicRepositories': undefined,
  'powers.spot': 'spot',
  'powers.dockerInDocker': 'dockerInDocker',
};

function isShapeField(field: GrantField): field is ShapeField {
  return Object.hasOwn(DEFAULT_OF, field);
}

const ON_SHARED = ' on shared backends';

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
  for (const missing of backends.some(({ shared }) => shared === true) ? missingPowers(grant, defaults) : []) {
    refuse(reading, at(missing.field), grant, missing, ON_SHARED);
  }
  // The service fills in what the file leaves open, perhaps above the limit.
  for (const leftOpen of Object.values(LEFT_OPEN)) {
    const { limit, field } = leftOpen(grant.limits, defaults) ?? {};
    if (limit === undefined || field === undefined) continue;
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
    keyof Limits,
    (limits: Limits, defaults: ShapeDefaults) => { readonly limit: string; readonly field: ShapeField } | undefined
  >
> = {
  // Not of one runner.
  maxRunners: () => undefined,
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

type ListPower = { [K in keyof Powers]: Powers[K] extends readonly string[] ? K : never }[keyof Powers];

const LISTS: { readonly [K in ListPower]: { readonly field: K; readonly noun: string } } = {
  images: { field: 'images', noun: 'images' },
  buckets: { field: 'buckets', noun: 'buckets' },
  subnets: { field: 'subnets', noun: 'subnets' },
  securityGroups: { field: 'securityGroups', noun: 'security groups' },
  regions: { field: 'regions', noun: 'regions' },
};

/** The most that labels may ask for under a policy, field by field. */
const MOST: { readonly [K in keyof Policy]: (policy: Policy) => Partial<ShapeWish> } = {
  spot: ({ spot }) => ({ spot }),
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
  // Backends are granted by name where they are used, public repositories by `missingExposure`, architectures to all.
  backends: () => ({}),
  architectures: () => ({}),
  publicRepositories: () => ({}),
};

export function holdPolicy(reading: Reading, grant: Grant, policy: Policy, backends: readonly Backend[]): void {
  for (const { field, noun } of Object.values(LISTS)) {
    for (const [index, glob] of policy[field].entries()) {
      if (isWithin(grant.powers[field], field === 'regions' ? glob.toLowerCase() : glob)) continue;
      // Without `policy.images` they are derived from the repository.
      const path = reading.has(['policy', field]) ? ['policy', field, index] : ['imageRepository'];
      const missing: Ungranted = { field: `powers.${field}`, what: `the ${noun} ${quote(glob)}`, value: glob };
      tellPower(reading, path, grant, missing, backends);
    }
  }
  const wishes = Object.values(MOST).map((most) => most(policy));
  const at = (field: GrantField): Path => ['policy', field.slice(field.indexOf('.') + 1)];
  for (const over of wishes.flatMap((wish) => overLimits(grant, wish))) refuse(reading, at(over.field), grant, over);
  const exposed = missingExposure(grant, policy.publicRepositories ? 'public' : 'private');
  for (const missing of [...wishes.flatMap((wish) => missingPowers(grant, wish)), ...exposed]) {
    tellPower(reading, at(missing.field), grant, missing, backends);
  }
}

/** Whether the registration may use a platform shape that its policy names. */
export function holdShape(
  reading: Reading,
  grant: Grant,
  { name, shape, globs }: { readonly name: string; readonly shape: ShapeDefaults; readonly globs: readonly string[] },
  backends: readonly Backend[],
): boolean {
  const over = overLimits(grant, shape);
  const shared = backends.every((backend) => backend.shared === true);
  const [beyond] = [...over, ...(shared ? missingPowers(grant, shape) : [])];
  if (beyond === undefined) return true;
  const index = globs.findIndex((glob) => glob === name && !isGlob(glob));
  const message = `the shape \`${name}\` has ${beyond.what}, which tenant ${quote(grant.tenant)} was not granted`;
  if (index >= 0) reading.problem(['policy', 'shapes', index], message, cureOf(grant, beyond));
  else reading.note(['policy', 'shapes'], `${message}: it is left out`, cureOf(grant, beyond));
  return false;
}
