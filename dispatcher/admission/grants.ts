/** Whether a tenant's grant covers one thing, and if not, the line of dispatcher.yaml that would. Pure. */

import type { ShapeWish } from '../../providers/provider.ts';
import { coresInWords } from '../../providers/shape-words.ts';
import type { JobSubject } from '../jobs/lane.ts';
import { formatDuration } from '../labels/duration.ts';
import { isGlob, matchesAny } from '../labels/glob.ts';
import { nearestName } from '../labels/nearest.ts';
import {
  allowsSpotMode,
  SPOT_MODES,
  type SpotMode,
  type SpotModes,
  spotInWords,
  spotModeOf,
} from '../labels/spot-mode.ts';
import { unreachable } from '../labels/unreachable.ts';
import { quote } from '../labels/values.ts';
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
  | 'secretStores'
  | 'bases'
  | 'presets'
  | 'requireHook'
  | 'reservedRunners'
  | 'weight'
  | 'hookImages'
  | `limits.${Exclude<keyof Limits, 'maxTimeLimitMs'> | 'maxTimeout'}`
  | `powers.${keyof Powers}`;

/** What was asked for and not granted. */
export interface Ungranted {
  readonly field: GrantField;
  /** In words: "spot capacity", "the label `gpu`". */
  readonly what: string;
  /** The least that the field would have to contain: items of a list, or the value. */
  readonly value: string | number | true | readonly string[];
  /** A glob is asked for: without it `*` and `?` are characters of a name, which no glob means alone. */
  readonly isGlob?: true;
  /** What can be asked for in its place, so that no more than `value` has to be granted: nothing, if that is empty. */
  readonly instead?: string;
}

/** Where the field stands, or would: `dispatcher.yaml:12:3`. */
export function placeOf(grant: Grant, field: GrantField): string {
  return grant.places[field] ?? 'dispatcher.yaml';
}

const SHOWN = 5;

/** "To grant it, …", with the line of dispatcher.yaml: no more than what was asked for. First what was meant, if a typo. */
export function cureOf(grant: Grant, { instead, ...ungranted }: Ungranted): string {
  if (instead === undefined) {
    const meant = meantName(grant, ungranted);
    const granting = grantingCure(grant, ungranted);
    if (meant === undefined) return granting;
    return `Did you mean ${quote(meant)}? Otherwise, ${granting.charAt(0).toLowerCase()}${granting.slice(1)}`;
  }
  const isGranted = typeof ungranted.value === 'object' && ungranted.value.length === 0;
  return isGranted ? instead : `${instead} ${grantingCure(grant, ungranted)}`;
}

function grantingCure(grant: Grant, ungranted: Omit<Ungranted, 'instead'>): string {
  const { field, value } = ungranted;
  const path = `tenants.${grant.tenant}.${field}`;
  const place = placeOf(grant, field);
  const granted = value === true ? undefined : listOf(grant, field);
  if (granted === undefined) return `To grant it, write \`${path}: ${value}\` (${place}).`;
  const more = typeof value === 'object' ? value : [String(value)];
  // What a job or a file is called must not grant what other names have.
  if (ungranted.isGlob !== true && more.some(isGlob)) {
    return `Take a name without \`*\` and \`?\`: in \`${path}\` (${place}) they stand for others, too.`;
  }
  if (granted.length >= SHOWN) return `To grant it, add ${more.map(quote).join(', ')} to \`${path}\` (${place}).`;
  const list = [...granted, ...more].map((item) => (/^[\w./:-]+$/.test(item) ? item : JSON.stringify(item)));
  return `To grant it, write \`${path}: [${list.join(', ')}]\` (${place}).`;
}

/** What was granted and is spelled almost alike: in the tenant's own grant alone, since others' names are not its business. */
function meantName(grant: Grant, { field, value, isGlob: isPattern }: Omit<Ungranted, 'instead'>): string | undefined {
  const [asked, another] = typeof value === 'object' ? value : [value];
  if (typeof asked !== 'string' || another !== undefined || isPattern === true || isGlob(asked)) return undefined;
  if (field === 'powers.spot') return undefined;
  const granted = [
    ...(listOf(grant, field) ?? []),
    ...(field === 'repositories' ? grant.owners.map((owner) => `${owner}/*`) : []),
  ];
  const name = nearestName(
    asked,
    granted.filter((one) => !isGlob(one)),
  );
  if (name !== undefined) return name;
  for (const glob of granted) {
    const begun = glob.indexOf('*') === glob.length - 1 ? withBeginning(asked, glob.slice(0, -1)) : undefined;
    if (begun !== undefined) return begun;
  }
  return undefined;
}

const MOST_APART = 2;

/** `ghcr.io/amce/web`, where `ghcr.io/acme/*` was granted: the beginning up to the same sign, as it was granted. */
function withBeginning(asked: string, beginning: string): string | undefined {
  const sign = beginning.at(-1);
  if (sign === undefined || /[\p{L}\p{N}?]/u.test(sign)) return undefined;
  const from = Math.max(1, beginning.length - MOST_APART);
  for (let end = from; end <= Math.min(asked.length - 1, beginning.length + MOST_APART); end += 1) {
    if (asked[end - 1] !== sign || nearestName(asked.slice(0, end), [beginning]) === undefined) continue;
    return `${beginning}${asked.slice(end)}`;
  }
  return undefined;
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
    case 'bases':
      return grant.bases ?? [];
    case 'presets':
      return grant.presets ?? [];
    case 'secretStores':
      return grant.secretStores ?? [];
    case 'limits.workflows':
      return grant.limits.workflows ?? [];
    case 'limits.branches':
      return grant.limits.branches ?? [];
    case 'limits.events':
      return grant.limits.events ?? [];
    case 'limits.actors':
      return grant.limits.actors ?? [];
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
    case 'hookImages':
      return grant.requireHook?.images ?? [];
    case 'priority':
    case 'reservedRunners':
    case 'weight':
    case 'requireHook':
    case 'limits.maxRegistrations':
    case 'limits.maxRunners':
    case 'limits.maxLaunchesPerMinute':
    case 'limits.maxRunnersPerRun':
    case 'limits.maxCpu':
    case 'limits.maxMemoryGiB':
    case 'limits.maxDiskGiB':
    case 'limits.maxTimeout':
    case 'powers.publicRepositories':
    case 'powers.forks':
    case 'powers.dockerInDocker':
      return undefined;
    case 'powers.spot':
      return spotModesIn(grant.powers.spot);
    default:
      return unreachable(field);
  }
}

/** As a list that says the same. */
function spotModesIn(modes: SpotModes): readonly SpotMode[] {
  if (typeof modes !== 'boolean') return modes;
  return modes ? SPOT_MODES : ['never'];
}

/** What a grant says about one field of a wish. */
interface GrantRule {
  /**
   * What exceeds a limit, on any backend. A tenant without the limit may have any amount: so only what every runner has
   * goes without a `power`.
   */
  readonly limit?: (limits: Limits, wish: Partial<ShapeWish>) => Ungranted | undefined;
  /** What was not granted on a shared backend. */
  readonly power?: (grant: Pick<Grant, 'limits' | 'powers'>, wish: Partial<ShapeWish>) => Ungranted | undefined;
}

/** Needs no grant. */
const FREE: GrantRule = {};

/** One for each field of a wish: a field without a rule would be granted to every tenant. */
const RULES: { readonly [K in keyof ShapeWish]-?: GrantRule } = {
  cpu: {
    limit: ({ maxCpu }, { cpu }) => above(maxCpu, cpu, 'limits.maxCpu', coresInWords),
  },
  memoryGiB: {
    limit: ({ maxMemoryGiB }, { memoryGiB }) =>
      above(maxMemoryGiB, memoryGiB, 'limits.maxMemoryGiB', (gib) => `${gib} GiB of memory`),
  },
  architecture: FREE,
  image: { power: ({ powers }, { image }) => outside(powers.images, image, 'images', 'image') },
  bucket: { power: ({ powers }, { bucket }) => outside(powers.buckets, bucket, 'buckets', 'bucket') },
  // Follows from the repository.
  bucketPrefix: FREE,
  subnet: { power: ({ powers }, { subnet }) => outside(powers.subnets, subnet, 'subnets', 'subnet') },
  securityGroup: {
    power: ({ powers }, { securityGroup }) =>
      outside(powers.securityGroups, securityGroup, 'securityGroups', 'security group'),
  },
  region: { power: ({ powers }, { region }) => outside(powers.regions, region, 'regions', 'region') },
  spot: {
    power: ({ powers }, { spot }) => (spot === undefined ? undefined : ungrantedSpot(powers, spotModeOf(spot))),
  },
  dockerInDocker: {
    power: ({ powers }, { dockerInDocker }) =>
      dockerInDocker === true && !powers.dockerInDocker
        ? { field: 'powers.dockerInDocker', what: 'Docker in Docker', value: true }
        : undefined,
  },
  diskGiB: {
    limit: ({ maxDiskGiB }, { diskGiB }) =>
      above(maxDiskGiB, diskGiB, 'limits.maxDiskGiB', (gib) => `${gib} GiB of disk`),
    power: ({ limits }, { diskGiB }) =>
      diskGiB !== undefined && limits.maxDiskGiB === undefined
        ? { field: 'limits.maxDiskGiB', what: `${diskGiB} GiB of disk`, value: diskGiB }
        : undefined,
  },
  timeLimitMs: {
    limit: ({ maxTimeLimitMs: most }, { timeLimitMs: asked }) =>
      most !== undefined && asked !== undefined && asked > most ? ungrantedTime(asked) : undefined,
    power: ({ limits }, { timeLimitMs: asked }) =>
      asked !== undefined && limits.maxTimeLimitMs === undefined ? ungrantedTime(asked) : undefined,
  },
};

function above(
  most: number | undefined,
  asked: number | undefined,
  field: GrantField,
  inWords: (asked: number) => string,
): Ungranted | undefined {
  return most !== undefined && asked !== undefined && asked > most
    ? { field, what: inWords(asked), value: asked }
    : undefined;
}

function outside(
  globs: readonly string[],
  asked: string | undefined,
  field: 'images' | 'buckets' | 'subnets' | 'securityGroups' | 'regions',
  noun: string,
): Ungranted | undefined {
  if (asked === undefined || covers(globs, field === 'regions' ? asked.toLowerCase() : asked)) return undefined;
  return { field: `powers.${field}`, what: `the ${noun} ${quote(asked)}`, value: asked };
}

/** What separates names in a list, or leads elsewhere in a path. */
const NOT_ONE_NAME = /[\s\p{C},;|&%?#*\\]|(?:^|\/)\.{1,2}(?:\/|$)|\/\//u;

/**
 * A glob stands for single names: `web-*` must not cover `web-1,vault`, which a service takes for two subnets, nor
 * `web-1/../vault`. What is granted letter for letter may be anything.
 */
function covers(globs: readonly string[], asked: string): boolean {
  if (!NOT_ONE_NAME.test(asked)) return matchesAny(globs, asked);
  return globs.includes(asked) || globs.includes('*');
}

/** On-demand capacity is plain cores and memory: only a list without `never` withholds it. */
export function ungrantedSpot({ spot: granted }: Powers, mode: SpotMode): Ungranted | undefined {
  const isGranted = allowsSpotMode(granted, mode) || (granted === false && mode === 'never');
  if (isGranted) return undefined;
  return { field: 'powers.spot', what: spotInWords(mode), value: mode };
}

function ungrantedTime(timeLimitMs: number): Ungranted {
  const value = formatDuration(timeLimitMs);
  return { field: 'limits.maxTimeout', what: `a time limit of ${value}`, value };
}

/** The field that demands the hook. */
export const hookDemand: GrantField = 'requireHook';

/** The platform itself says that the image carries our hooks. */
export function listsHook({ requireHook }: Grant, image: string): boolean {
  return requireHook !== undefined && covers(requireHook.images, image);
}

/** Where no label is proof, an image that is not listed cannot be proven. */
export function unlistedHook(grant: Grant, { image }: ShapeWish): readonly Ungranted[] {
  if (grant.requireHook === undefined || grant.requireHook.labels || listsHook(grant, image)) return [];
  return [
    { field: 'hookImages', what: `the image ${quote(image)}, which is not listed as carrying the hooks`, value: image },
  ];
}

/** What exceeds the tenant's limits, which apply on every backend. */
export function overLimits({ limits }: Pick<Grant, 'limits'>, wish: Partial<ShapeWish>): readonly Ungranted[] {
  return Object.values(RULES).flatMap(({ limit }) => limit?.(limits, wish) ?? []);
}

/** What the tenant was not granted on a shared backend, where anything beyond plain cores and memory needs a grant. */
export function missingPowers(grant: Pick<Grant, 'limits' | 'powers'>, wish: Partial<ShapeWish>): readonly Ungranted[] {
  return Object.values(RULES).flatMap(({ power }) => power?.(grant, wish) ?? []);
}

/** A base of dispatcher.yaml that a registration extends. */
export function missingBase({ bases = [] }: Grant, name: string): readonly Ungranted[] {
  return matchesAny(bases, name) ? [] : [{ field: 'bases', what: `the base ${quote(name)}`, value: name }];
}

/** What a policy that serves forks needs on a shared backend. */
export function missingForks({ powers }: Grant, servesForks: boolean): readonly Ungranted[] {
  if (!servesForks || powers.forks === true) return [];
  return [{ field: 'powers.forks', what: 'jobs of forks', value: true }];
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
