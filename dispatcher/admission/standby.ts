/** What the runners of a standby pool are: the same as a job with its labels would get. Pure. */
import type { ShapeWish } from '../../providers/provider.ts';
import type { JobSubject, LaneSpec } from '../jobs/lane.ts';
import { readLabels } from '../labels/grammar.ts';
import { collectOverrides, override } from '../labels/overrides.ts';
import type { JobLabel } from '../labels/reading.ts';
import { foldLabel, type Override, quote } from '../labels/values.ts';
import { type Backend, onlyScopeOf, ownersOf, type Registration, type StandbyPool } from '../model/registration.ts';
import { selectBackends } from './backend-choice.ts';
import { jobSpecHash, laneOf, standbyLaneOf } from './lane-of.ts';
import { judgeOrganization, unknownOrganization } from './organization.ts';
import { applyPolicy } from './policy.ts';
import { judgeSize } from './refused.ts';
import { whyWithheld } from './tenant-grant.ts';

export interface StandbyRefusal {
  readonly reason: string;
  readonly cure: string;
}

export type StandbyAnswer =
  /** `jobSpec`: that of runners which have a job that the pool is for. */
  | { readonly kind: 'lane'; readonly lane: LaneSpec; readonly jobSpec: string }
  | { readonly kind: 'refused'; readonly refusals: readonly StandbyRefusal[] };

/** `configurations`: of the backends, by name. With another one of them, the lane of parked containers has another key. */
export function poolLane(
  registration: Registration,
  pool: Pick<StandbyPool, 'labels' | 'mode'>,
  configurations: Pick<ReadonlyMap<string, string>, 'get'> = new Map(),
): StandbyAnswer {
  return pool.mode === 'registered'
    ? registeredLane(registration, pool)
    : parkedLane(registration, pool, configurations);
}

function parkedLane(
  registration: Registration,
  pool: Pick<StandbyPool, 'labels'>,
  configurations: Pick<ReadonlyMap<string, string>, 'get'>,
): StandbyAnswer {
  const scope = onlyScopeOf(registration.claim);
  if (scope === undefined) {
    return refused(
      'its runners register at each repository, and the tags of a container name one place',
      'Claim one repository, an organization or an enterprise, or remove `standby`.',
    );
  }
  const labels = readLabels(pool.labels);
  const plain = labels.find(({ reading }) => reading.kind === 'plain');
  if (plain !== undefined) {
    return refused(
      `${quote(plain.text)} changes nothing about a container`,
      'Keep only overrides such as `cpu-4`: a container gets the labels of its job when the job comes.',
    );
  }
  const made = whatIsMade(registration, labels, ({ kind }) => kind !== 'process', ['private']);
  if (made.kind === 'refused') return made;
  const { backends, selected, wish } = made;
  const configured = backends.map(({ name }) => [name, configurations.get(name)] as const);
  const lane = standbyLaneOf(registration, scope, wish, configured);
  return { kind: 'lane', lane, jobSpec: jobSpecHash(wish, selected) };
}

/** The lane of the jobs with exactly these labels. */
function registeredLane(registration: Registration, pool: Pick<StandbyPool, 'labels'>): StandbyAnswer {
  if (onlyScopeOf(registration.claim) === undefined) {
    return refused(
      'its runners register at each repository, and a runner that waits has to be at one of them',
      'Claim one repository, an organization or an enterprise, or remove `standby`.',
    );
  }
  const labels = readLabels(pool.labels);
  const oversized = judgeSize(labels);
  if (oversized !== undefined) return { kind: 'refused', refusals: [oversized] };
  const own = new Set(registration.labels.map(foldLabel));
  if (!labels.some(({ folded }) => own.has(folded))) {
    return refused(
      'no job of this registration has these labels alone',
      `Write all labels of the jobs, as in \`runs-on\`: one of its own, such as ${quote(registration.labels[0] ?? '')}, and the overrides.`,
    );
  }
  const foreign = labels.find(({ folded, reading }) => reading.kind === 'plain' && !own.has(folded));
  if (foreign !== undefined) {
    return refused(
      `${quote(foreign.text)} is neither its own label nor an override, so no job with it is served`,
      'Remove it, or add it to `labels` of the registration.',
    );
  }
  const unique = labels.find(
    ({ folded, reading }) =>
      !own.has(folded) &&
      (reading.kind === 'one-label' || (reading.kind === 'override' && reading.override.key === 'unique')),
  );
  if (unique !== undefined) {
    return refused(
      `${quote(unique.text)} belongs to one job, and a runner that is registered ahead of it would wait in vain`,
      'Remove it, or remove `mode`: a parked container gets the labels of its job when the job comes.',
    );
  }
  // GitHub may give it the job of any repository that is served.
  const visibilities = registration.policy.publicRepositories
    ? (['private', 'public'] as const)
    : (['private'] as const);
  const rest = labels.filter(({ folded }) => !own.has(folded));
  const made = whatIsMade(registration, rest, () => true, visibilities);
  if (made.kind === 'refused') return made;
  const { backends, selected, wish } = made;
  const job = { ...subjectOf(registration), labels: pool.labels, visibility: 'private' } as const;
  const names = backends.map(({ name }) => name);
  const lane = laneOf({ registration, job, labels, wish, backends: names, selected });
  return { kind: 'lane', lane, jobSpec: lane.specHash };
}

interface Made {
  readonly kind: 'made';
  readonly wish: ShapeWish;
  /** Those on which it may be for jobs of each of the visibilities. */
  readonly backends: readonly Backend[];
  /** Those that its labels leave. */
  readonly selected: readonly Backend[];
}

function whatIsMade(
  registration: Registration,
  labels: readonly JobLabel[],
  supports: (backend: Backend) => boolean,
  visibilities: readonly ('private' | 'public')[],
): Made | Extract<StandbyAnswer, { readonly kind: 'refused' }> {
  const { overrides, mistakes } = collectOverrides(labels);
  if (mistakes.length > 0) {
    return {
      kind: 'refused',
      refusals: mistakes.map(({ label, problem, cure }) => ({ reason: `${quote(label)}: ${problem}`, cure })),
    };
  }
  const answer = applyPolicy(registration, overrides);
  if (!answer.granted) return { kind: 'refused', refusals: answer.refusals };
  const { wish } = answer.grant;
  const unknown = unknownOrganization(registration);
  const beyond = [...(unknown === undefined ? [] : [unknown]), ...judgeOrganization(registration, wish)];
  if (beyond.length > 0) return { kind: 'refused', refusals: beyond };
  if (wish.bucket !== undefined) {
    return refused(
      'a bucket is mounted under the folder of a repository, which is not known before the job',
      'Remove the bucket from its shape: jobs with a bucket start a container of their own.',
    );
  }
  const { backends: selected, reason } = selectBackends(registration, backendOf(overrides), wish.region);
  const subject = { ...subjectOf(registration), labels: [] };
  // What a lane of public ones may not use is not among the backends for these.
  const backends = selected.filter(
    (backend) =>
      supports(backend) &&
      visibilities.every(
        (visibility) => whyWithheld(registration, backend.name, { ...subject, visibility }, wish) === undefined,
      ),
  );
  if (backends.length === 0) {
    return refused(
      reason ?? 'none of its backends supports standby containers',
      'Use a backend that runs a runner image, and that its tenant may use for this.',
    );
  }
  return { kind: 'made', wish, backends, selected };
}

function backendOf(overrides: readonly Override[]): string | undefined {
  return override(overrides, 'backend')?.value;
}

/** Of a registration with one scope. The repository is that of its scope, where it has one. */
function subjectOf({ claim, host }: Registration): Pick<JobSubject, 'host' | 'owner' | 'repository'> {
  const [owner = ''] = ownersOf(claim);
  const [only] = claim.kind === 'repositories' ? claim.repositories : [];
  return { host, owner, repository: only?.repository ?? '' };
}

function refused(reason: string, cure: string): Extract<StandbyAnswer, { readonly kind: 'refused' }> {
  return { kind: 'refused', refusals: [{ reason, cure }] };
}
