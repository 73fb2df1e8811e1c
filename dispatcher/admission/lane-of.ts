/** The lane of an admitted job: what makes its runner interchangeable with others. Pure. */
import { createHash } from 'node:crypto';
import { base32nopad } from '@scure/base';
import type { ShapeWish } from '../../providers/provider.ts';
import type { JobSubject, LaneSpec } from '../jobs/lane.ts';
import { type GithubScope, scopePath } from '../jobs/scope.ts';
import type { JobLabel } from '../labels/reading.ts';
import { type Backend, type Registration, requiresHook, scopeFor } from '../model/registration.ts';

/**
 * A bucket is mounted under a prefix of the repository, so its runner must not serve another one: GitHub would hand an
 * organization's runner to any repository's job with these labels. Such a lane registers at the repository.
 */
export function laneScope(registration: Registration, job: JobSubject, wish: ShapeWish): GithubScope {
  if (wish.bucket === undefined) return scopeFor(registration.claim, job.owner, job.repository);
  return { kind: 'repository', owner: job.owner.toLowerCase(), repository: job.repository.toLowerCase() };
}

/** Runner groups exist only at organizations and enterprises. */
const REPOSITORY_RUNNER_GROUP = 'Default';

/** The wish with the repository's own folder in the bucket, so that repositories cannot read each other's files. */
export function withBucketPrefix(wish: ShapeWish, job: JobSubject): ShapeWish {
  if (wish.bucket === undefined) return wish;
  // A colon (before a port) is not allowed in a folder's name, and no host has an underscore.
  const host = job.host.replace(':', '_');
  return { ...wish, bucketPrefix: `${host}/${job.owner}/${job.repository}`.toLowerCase() };
}

/** What makes a lane. */
export interface LaneParts {
  readonly registration: Registration;
  readonly job: JobSubject;
  readonly labels: readonly JobLabel[];
  readonly wish: ShapeWish;
  /** Those that can run it. */
  readonly backends: readonly string[];
  /** Those that its labels leave, whether or not they can run it. */
  readonly selected: readonly Backend[];
}

/** Jobs with equal keys share runners. Keys are in ledgers and tags: they must not change between versions. */
export function laneOf({ registration, job, labels, wish, backends, selected }: LaneParts): LaneSpec {
  const scope = laneScope(registration, job, wish);
  const runnerGroup = scope.kind === 'repository' ? REPOSITORY_RUNNER_GROUP : registration.runnerGroup;
  const host = registration.host.toLowerCase();
  const folded = labels.map((label) => label.folded).sort();
  return {
    key: digest([registration.name, host, scopePath(scope).toLowerCase(), runnerGroup, folded]),
    registration: registration.name,
    host,
    scope,
    runnerGroup,
    labels: labels.map((label) => label.text),
    wish,
    backends,
    // Of the selected backends, not of those that fit: what fits is known only once a provider is loaded, and a runner
    // launched before that is just as good.
    specHash: jobSpecHash(wish, selected),
  };
}

/** Of runners that were launched, or taken from a pool, for jobs with this wish. `selected`: as in `LaneParts`. */
export function jobSpecHash(wish: ShapeWish, selected: readonly Pick<Backend, 'name'>[]): string {
  return digest([sorted(wish), selected.map(({ name }) => name)]);
}

/** Of containers that are started ahead of their jobs. No job is in it, and its key changes with whatever makes them. */
export function standbyLaneOf(
  registration: Registration,
  scope: GithubScope,
  wish: ShapeWish,
  backends: readonly (readonly [name: string, configuration: string | undefined])[],
): LaneSpec {
  // Made without the demand, it would run a job without the proof of the hook.
  const demand = requiresHook(registration) ? ['hook'] : [];
  const specHash = digest(['standby', sorted(wish), backends, ...demand]);
  return {
    key: digest(['standby', registration.name, specHash]),
    registration: registration.name,
    host: registration.host.toLowerCase(),
    scope,
    runnerGroup: scope.kind === 'repository' ? REPOSITORY_RUNNER_GROUP : registration.runnerGroup,
    labels: [],
    wish,
    backends: backends.map(([name]) => name),
    // Not that of any lane with jobs: containers that never ask for a job close nothing for those.
    specHash,
  };
}

/** Whether a container made for one is as good as one made for the other. */
export function isSameWish(one: ShapeWish, other: ShapeWish): boolean {
  return JSON.stringify(sorted(one)) === JSON.stringify(sorted(other));
}

function sorted(wish: ShapeWish): readonly (readonly [string, unknown])[] {
  return Object.entries(wish).sort(([a], [b]) => (a < b ? -1 : 1));
}

/** 80 bits of SHA-256 as 16 characters that fit into names and tags everywhere. JSON keeps the parts apart. */
function digest(parts: unknown): string {
  const bytes = createHash('sha256').update(JSON.stringify(parts)).digest();
  return base32nopad.encode(bytes.subarray(0, 10)).toLowerCase();
}
