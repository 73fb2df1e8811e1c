/** What a registration's runners are: how many, by default and as far as labels may change it. */
import { isGlob, MAX_GLOB_CHARACTERS, matchesAny } from '../labels/glob.ts';
import { nearest } from '../labels/nearest.ts';
import { defined } from '../model/defined.ts';
import type { Backend, Claim, Grant, Policy, ShapeDefaults } from '../model/registration.ts';
import { holdRunners } from './held-claim.ts';
import { holdPreset, type NamedPreset } from './held-runners.ts';
import type { Reading } from './reading.ts';
import type { RegistrationContext } from './registration-context.ts';
import { durationMs, type RegistrationFile, registrationFile } from './schema.ts';
import { shapeOf, spotModesOf } from './shared-sections.ts';

const DEFAULT_MAX_RUNNERS = 10;

const form = registrationFile.shape;

export function readMaxRunners(reading: Reading, grant: Grant | undefined): number {
  const most = grant?.limits.maxRunners;
  const asked = reading.section(['maxRunners'], form.maxRunners);
  if (asked === undefined) return Math.min(DEFAULT_MAX_RUNNERS, most ?? DEFAULT_MAX_RUNNERS);
  if (grant !== undefined) holdRunners(reading, grant, asked);
  return asked;
}

/** A process backend has no image, but admission needs a name all the same. */
const NO_IMAGE = 'host';

/** `mayBeSilent`: the image can come from the defaults of the organization. */
export function readDefaults(reading: Reading, backends: readonly Backend[], mayBeSilent: boolean): ShapeDefaults {
  const file = reading.section(['defaults'], form.defaults);
  const defaults = shapeOf(file);
  if (defaults.image !== undefined || reading.mentions(['defaults', 'image'])) return defaults;
  if (backends.length > 0 && backends.every(({ kind }) => kind === 'process')) return { ...defaults, image: NO_IMAGE };
  if (mayBeSilent) return defaults;
  reading.problem(
    ['defaults'],
    'there is no default image',
    'Add `defaults.image`, the full reference of a runner image.',
  );
  return defaults;
}

/** The domain that never has hosts (RFC 2606): what `shr import` writes where it found no image. */
const NOWHERE = /^[^/]*\.invalid(?::\d+)?\//i;

/** What `shr import` left to do. One that only observes starts nothing, and may be read before its images are there. */
export function checkPlaceholders(
  reading: Reading,
  defaults: ShapeDefaults,
  images: Readonly<Record<string, string>>,
): void {
  const named = Object.entries(images).map(([name, image]) => [['images', name], image] as const);
  for (const [path, image] of [[['defaults', 'image'], defaults.image] as const, ...named]) {
    if (image === undefined || !NOWHERE.test(image) || !reading.has(path)) continue;
    reading.note(
      path,
      `the image is a placeholder, and jobs would fail: nothing can be pulled from a host below \`.invalid\``,
      'Write the reference of your runner image: docs/runner-image.md. Or write `observe: true`, which starts nothing.',
    );
  }
}

export function policyOf(
  reading: Reading,
  file: RegistrationFile['policy'],
  imageRepository: string | undefined,
): Policy {
  const policy: Policy = {
    maxCpu: file?.maxCpu,
    maxMemoryGiB: file?.maxMemoryGiB,
    maxDiskGiB: file?.maxDiskGiB,
    maxTimeLimitMs: file?.maxTimeout === undefined ? undefined : durationMs(file.maxTimeout, 0),
    // A registration that names a repository for `img-TAG` allows its tags.
    images: file?.images ?? (imageRepository === undefined ? [] : [`${imageRepository}:*`]),
    subnets: file?.subnets ?? [],
    securityGroups: file?.securityGroups ?? [],
    buckets: file?.buckets ?? [],
    regions: file?.regions ?? [],
    backends: file?.backends ?? [],
    architectures: file?.architectures ?? [],
    spot: spotModesOf(reading, ['policy', 'spot'], file?.spot),
    dockerInDocker: file?.dockerInDocker ?? false,
    publicRepositories: file?.publicRepositories ?? false,
    ...defined<Pick<Policy, 'forks'>>({ forks: file?.forks }),
    ...defined<Pick<Policy, 'workflows' | 'branches' | 'events' | 'actors'>>({
      workflows: file?.workflows,
      branches: file?.branches,
      events: file?.events,
      actors: file?.actors,
    }),
  };
  boundGlobs(reading, policy);
  return policy;
}

/** Each label of a job may be compared with each of these, on the thread that serves all tenants. */
function boundGlobs(reading: Reading, policy: Policy): void {
  const { images, subnets, securityGroups, buckets, regions, backends } = policy;
  const { workflows = [], branches = [], events = [], actors = [] } = policy;
  const lists = [images, subnets, securityGroups, buckets, regions, backends, workflows, branches, events, actors];
  const characters = lists.flat().reduce((sum, glob) => sum + (isGlob(glob) ? glob.length : 0), 0);
  if (characters <= MAX_GLOB_CHARACTERS) return;
  reading.problem(
    ['policy'],
    `its globs have ${characters} characters together, and the limit is ${MAX_GLOB_CHARACTERS}`,
    'Use fewer and shorter globs; names without `*` and `?` do not count.',
  );
}

/** The presets that the policy allows as they are. */
export function takeShapes(
  reading: Reading,
  globs: readonly string[],
  backends: readonly Backend[],
  context: RegistrationContext,
): Readonly<Record<string, ShapeDefaults>> {
  const { shapes } = context.platform.presets;
  return take(reading, { field: 'shapes', globs, named: shapes, shapeOf: (shape) => shape }, backends, context);
}

export function takeImages(
  reading: Reading,
  globs: readonly string[],
  backends: readonly Backend[],
  context: RegistrationContext,
): Readonly<Record<string, string>> {
  const { images } = context.platform.presets;
  return take(
    reading,
    { field: 'imagePresets', globs, named: images, shapeOf: (image) => ({ image }) },
    backends,
    context,
  );
}

interface Taking<Preset> {
  readonly field: NamedPreset['field'];
  readonly globs: readonly string[];
  readonly named: Readonly<Record<string, Preset>>;
  readonly shapeOf: (preset: Preset) => ShapeDefaults;
}

function take<Preset>(
  reading: Reading,
  { field, globs, named, shapeOf }: Taking<Preset>,
  backends: readonly Backend[],
  { platform, grant }: RegistrationContext,
): Readonly<Record<string, Preset>> {
  const names = Object.keys(named);
  for (const [index, glob] of globs.entries()) {
    if (names.some((name) => matchesAny([glob], name)) || !platform.complete) continue;
    const guess = nearest(glob, names);
    const known = names.length === 0 ? 'none' : names.slice(0, 10).join(', ');
    reading.problem(
      ['policy', field, index],
      `dispatcher.yaml has no ${field === 'shapes' ? 'shape' : 'image preset'} \`${glob}\``,
      guess === undefined ? `It has: ${known}.` : `Did you mean \`${guess}\`?`,
    );
  }
  const taken: Record<string, Preset> = {};
  for (const [name, preset] of Object.entries(named)) {
    if (!matchesAny(globs, name)) continue;
    const asked = { field, name, shape: shapeOf(preset), globs };
    if (grant !== undefined && !holdPreset(reading, grant, asked, backends)) continue;
    taken[name] = preset;
  }
  return taken;
}

export function readRunnerGroup(reading: Reading, claim: Claim | undefined): string {
  const group = reading.section(['runnerGroup'], form.runnerGroup);
  if (group === undefined) return 'Default';
  if (claim?.kind === 'user' || claim?.kind === 'repositories') {
    reading.problem(['runnerGroup'], 'runner groups exist only at organizations and enterprises', 'Remove it.');
  }
  return group;
}
