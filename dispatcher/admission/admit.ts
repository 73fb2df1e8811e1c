/**
 * Admission: maps a job to a lane and a wish, to a refusal with its reason and cure, or to "not ours". Pure.
 * The order: match, read the labels, the registration's policy, the shape, the backends.
 */
import { createHash } from 'node:crypto';
import { base32nopad } from '@scure/base';
import { type Fit, isProviderError, type ShapeWish } from '../../providers/provider.ts';
import { coresInWords } from '../../providers/shape-words.ts';
import type { Admission, Admit, JobSubject, LaneSpec } from '../jobs/lane.ts';
import { type GithubScope, scopePath } from '../jobs/scope.ts';
import {
  collectOverrides,
  foldLabel,
  type JobLabel,
  MAX_LABEL_LENGTH,
  MAX_LABELS,
  type Mistake,
  override,
  quote,
  readLabels,
} from '../labels/grammar.ts';
import {
  type Backend,
  type Grant,
  type JobClaims,
  type Registration,
  scopeFor,
  type TenantEntry,
} from '../model/registration.ts';
import { cureOf, missingExposure, missingPowers, overLimits, placeOf, type Ungranted } from './grants.ts';
import { indexRegistrations, match } from './match.ts';
import { applyPolicy, type Granted, judgeVisibility, type Objection, type RefusalCode } from './policy.ts';

/** What admission asks of a provider; a `Provider` is one. Only the provider decides whether it can run it. Pure. */
export interface BackendFit {
  fit(wish: ShapeWish): Fit;
}

export interface AdmitOptions {
  /** From dispatcher.yaml: a grant reserves labels for its tenant even where none of its registrations is in force. */
  readonly tenants?: readonly TenantEntry[] | undefined;
  /** What registrations that are set aside claim: those jobs, and only those, are refused in the meantime. */
  readonly setAside?: readonly JobClaims[];
  /**
   * The provider behind a registration's backend. Undefined if it is unknown (its module is not loaded yet): the
   * backend then stays in the lane, and the launch decides.
   */
  readonly backendFit?: (registration: string, backend: string) => BackendFit | undefined;
}

export function createAdmit(registrations: readonly Registration[], options: AdmitOptions = {}): Admit {
  const index = indexRegistrations(registrations, options.tenants, options.setAside);
  return (job) => {
    const labels = readLabels(job.labels);
    const found = match(index, job, labels);
    switch (found.outcome) {
      case 'none':
        return { outcome: 'not-ours', reason: found.reason };
      case 'tie':
        return tied(found.registrations, job);
      case 'set-aside':
        return setAside(found.registration);
      case 'withheld':
        return refused(found.registration, [{ code: 'not-granted', ...found.withheld }]);
      case 'matched':
        return admitTo(found.registration, job, labels, found.rest, options);
    }
  };
}

function admitTo(
  registration: Registration,
  job: JobSubject,
  labels: readonly JobLabel[],
  rest: readonly JobLabel[],
  options: AdmitOptions,
): Admission {
  const oversized = judgeSize(labels);
  if (oversized !== undefined) return refused(registration, [oversized]);

  const { overrides, mistakes } = collectOverrides(rest);
  if (mistakes.length > 0) return refused(registration, mistakes.map(fromMistake));

  const exposed = judgeVisibility(registration, job.visibility, `${job.owner}/${job.repository}`);
  if (exposed !== undefined) return refused(registration, [exposed]);

  const answer = applyPolicy(registration, overrides);
  if (!answer.granted) return refused(registration, answer.objections);

  const wish = withBucketPrefix(answer.grant.wish, job);
  const selected = selectBackends(registration, override(overrides, 'backend')?.value, wish.region);
  const ungranted = judgeGrant(registration, job, wish, selected.backends);
  if (ungranted.length > 0) return refused(registration, ungranted);
  const backends: string[] = [];
  const unfit: string[] = [];
  for (const backend of selected.backends) {
    const reason =
      whyWithheld(registration, backend.name, job, wish) ??
      whyUnfit(registration, backend, { ...answer.grant, wish }, options);
    if (reason === undefined) backends.push(backend.name);
    else unfit.push(`${quote(backend.name)}: ${reason}`);
  }
  if (backends.length === 0) return refused(registration, [noBackend(registration, wish, selected.reason, unfit)]);
  return { outcome: 'lane', lane: laneOf(registration, job, labels, wish, backends, selected.backends) };
}

// ── the tenant's grant ───────────────────────────────────────────────────────────────────────────────────────────────

/** What the tenant was not granted on any backend that could run the job. */
function judgeGrant(
  registration: Registration,
  job: JobSubject,
  wish: ShapeWish,
  selected: readonly Backend[],
): readonly Objection[] {
  const { grant } = registration;
  if (grant === undefined) return [];
  const objections = overLimits(grant, wish).map((over) =>
    ungrantedObjection(grant, over, 'over-limit', `tenant ${quote(grant.tenant)} may not take ${over.what}`),
  );
  const scope = laneScope(registration, job, wish);
  const group = registration.runnerGroup;
  if (scope.kind !== 'repository' && !grant.runnerGroups.includes(group)) {
    const what = { field: 'runnerGroups', what: `the runner group ${quote(group)}`, value: group } as const;
    objections.push(ungrantedObjection(grant, what, 'not-granted', `${wasNot(grant)} ${what.what}`));
  }
  if (objections.length > 0 || selected.length === 0 || selected.some(({ shared }) => shared !== true)) {
    return objections;
  }
  return missingOnShared(grant, job, wish).map((missing) =>
    ungrantedObjection(grant, missing, 'not-granted', `${wasNot(grant)} ${missing.what} on shared backends`),
  );
}

function missingOnShared(grant: Grant, job: JobSubject, wish: ShapeWish): readonly Ungranted[] {
  return [...missingExposure(grant, job.visibility), ...missingPowers(grant, wish)];
}

function ungrantedObjection(grant: Grant, what: Ungranted, code: RefusalCode, reason: string): Objection {
  const place = placeOf(grant, what.field);
  return { code, reason: `${reason} (${place})`, cure: cureOf(grant, what), place };
}

function wasNot(grant: Grant): string {
  return `tenant ${quote(grant.tenant)} was not granted`;
}

/** Why a shared backend cannot run this job, where the registration has other backends. */
export function whyWithheld(
  registration: Registration,
  name: string,
  job: JobSubject,
  wish: ShapeWish,
): string | undefined {
  const { grant } = registration;
  const backend = registration.backends.find((candidate) => candidate.name === name);
  if (grant === undefined || backend?.shared !== true) return undefined;
  const missing = missingOnShared(grant, job, wish);
  if (missing.length === 0) return undefined;
  const [first] = missing;
  const place = first === undefined ? '' : ` (${placeOf(grant, first.field)})`;
  return `${wasNot(grant)} ${missing.map(({ what }) => what).join(', ')} there${place}`;
}

// ── backends ─────────────────────────────────────────────────────────────────────────────────────────────────────────

function selectBackends(
  registration: Registration,
  name: string | undefined,
  region: string | undefined,
): { readonly backends: readonly Backend[]; readonly reason: string | undefined } {
  const named =
    name === undefined
      ? registration.backends
      : registration.backends.filter((backend) => foldLabel(backend.name) === foldLabel(name));
  if (region === undefined) return { backends: named, reason: undefined };
  // A backend without a region of its own cannot promise one: `region-R` must not be ignored.
  const placed = named.filter(
    (backend) => backend.region !== undefined && foldLabel(backend.region) === foldLabel(region),
  );
  const regions = named.flatMap((backend) => (backend.region === undefined ? [] : [quote(backend.region)]));
  const has = regions.length === 0 ? 'none says its region' : `there is ${[...new Set(regions)].join(', ')}`;
  return { backends: placed, reason: placed.length > 0 ? undefined : `none is in region ${quote(region)}; ${has}` };
}

function whyUnfit(
  registration: Registration,
  backend: Backend,
  grant: Granted,
  options: AdmitOptions,
): string | undefined {
  const provider = options.backendFit?.(registration.name, backend.name);
  if (provider === undefined) return undefined;
  const fit = fitOf(provider, grant.wish);
  // An adapter that threw has not decided anything: let the launch decide.
  if (fit === undefined) return undefined;
  if (!fit.fits) return fit.reason;
  return overPolicy(registration, grant, fit.shape);
}

function fitOf(provider: BackendFit, wish: ShapeWish): Fit | undefined {
  try {
    return provider.fit(wish);
  } catch (error) {
    if (isProviderError(error)) return undefined;
    throw error;
  }
}

/** A service that rounds up must not push a job's override past the limit: `memory-16` could become 8 cores. */
function overPolicy(registration: Registration, grant: Granted, shape: ShapeWish): string | undefined {
  if (!grant.overridden.has('cpu') && !grant.overridden.has('memory')) return undefined;
  const { policy, grant: { limits } = {} } = registration;
  const { wish } = grant;
  const mostCpu = least(policy.maxCpu, limits?.maxCpu);
  if (shape.cpu !== undefined && mostCpu !== undefined && shape.cpu > Math.max(mostCpu, wish.cpu ?? 0)) {
    return `it would round up to ${coresInWords(shape.cpu)}, more than the ${mostCpu} that the registration allows`;
  }
  const most = least(policy.maxMemoryGiB, limits?.maxMemoryGiB);
  if (shape.memoryGiB !== undefined && most !== undefined && shape.memoryGiB > Math.max(most, wish.memoryGiB ?? 0)) {
    return `it would round up to ${shape.memoryGiB} GiB, more than the ${most} that the registration allows`;
  }
  return undefined;
}

function least(one: number | undefined, other: number | undefined): number | undefined {
  return one === undefined ? other : other === undefined ? one : Math.min(one, other);
}

function noBackend(
  registration: Registration,
  wish: ShapeWish,
  placement: string | undefined,
  unfit: readonly string[],
): Objection {
  const why = placement ?? unfit.join('; ');
  return {
    code: 'no-backend',
    reason: `no backend of registration ${quote(registration.name)} can run ${inWords(wish)}: ${why}`,
    cure:
      placement === undefined
        ? `Ask for what a backend named above can run, or ask the owner of registration ${quote(registration.name)} for another backend.`
        : `Take a region that a backend is in, or ask the owner of registration ${quote(registration.name)} for a backend there.`,
  };
}

function inWords(wish: ShapeWish): string {
  const parts: Readonly<Record<keyof ShapeWish, string | undefined>> = {
    cpu: wish.cpu === undefined ? undefined : coresInWords(wish.cpu),
    memoryGiB: wish.memoryGiB === undefined ? undefined : `${wish.memoryGiB} GiB`,
    diskGiB: wish.diskGiB === undefined ? undefined : `${wish.diskGiB} GiB of disk`,
    bucket: wish.bucket === undefined ? undefined : `the bucket ${quote(wish.bucket)}`,
    subnet: wish.subnet === undefined ? undefined : `the subnet ${quote(wish.subnet)}`,
    securityGroup: wish.securityGroup === undefined ? undefined : `the security group ${quote(wish.securityGroup)}`,
    spot: wish.spot ? 'spot' : undefined,
    dockerInDocker: wish.dockerInDocker ? 'Docker in Docker' : undefined,
    architecture: wish.architecture,
    // No backend is refused for these, or the backend's own reason names them.
    image: undefined,
    bucketPrefix: undefined,
    region: undefined,
    timeLimitMs: undefined,
  };
  return Object.values(parts)
    .filter((part) => part !== undefined)
    .join(', ');
}

// ── the lane ─────────────────────────────────────────────────────────────────────────────────────────────────────────

/**
 * A bucket is mounted under a prefix of the repository, so its runner must not serve another one: GitHub would hand an
 * organization's runner to any repository's job with these labels. Such a lane registers at the repository.
 */
function laneScope(registration: Registration, job: JobSubject, wish: ShapeWish): GithubScope {
  if (wish.bucket === undefined) return scopeFor(registration.claim, job.owner, job.repository);
  return { kind: 'repository', owner: job.owner.toLowerCase(), repository: job.repository.toLowerCase() };
}

/** Runner groups exist only at organizations and enterprises. */
const REPOSITORY_RUNNER_GROUP = 'Default';

function withBucketPrefix(wish: ShapeWish, job: JobSubject): ShapeWish {
  if (wish.bucket === undefined) return wish;
  // A colon (before a port) is not allowed in a folder's name, and no host has an underscore.
  const host = job.host.replace(':', '_');
  return { ...wish, bucketPrefix: `${host}/${job.owner}/${job.repository}`.toLowerCase() };
}

function laneOf(
  registration: Registration,
  job: JobSubject,
  labels: readonly JobLabel[],
  wish: ShapeWish,
  backends: readonly string[],
  selected: readonly Backend[],
): LaneSpec {
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
    specHash: digest([Object.entries(wish).sort(([a], [b]) => (a < b ? -1 : 1)), selected.map(({ name }) => name)]),
  };
}

/** 80 bits of SHA-256 as 16 characters that fit into names and tags everywhere. JSON keeps the parts apart. */
function digest(parts: unknown): string {
  const bytes = createHash('sha256').update(JSON.stringify(parts)).digest();
  return base32nopad.encode(bytes.subarray(0, 10)).toLowerCase();
}

// ── refusals ─────────────────────────────────────────────────────────────────────────────────────────────────────────

function judgeSize(labels: readonly JobLabel[]): Objection | undefined {
  if (labels.length > MAX_LABELS) {
    return {
      code: 'too-many-labels',
      reason: `the job has ${labels.length} labels, and GitHub registers a runner with at most ${MAX_LABELS}`,
      cure: 'Use fewer labels, or the one-label form `shr=<unique>/cpu=4/…`.',
    };
  }
  const long = labels.find(({ text }) => text.length > MAX_LABEL_LENGTH);
  if (long === undefined) return undefined;
  return {
    code: 'label-too-long',
    reason: `the label ${quote(long.text)} has ${long.text.length} characters, more than ${MAX_LABEL_LENGTH}`,
    cure: 'Shorten it; a long image reference can become a named image of the registration.',
  };
}

function fromMistake(mistake: Mistake): Objection {
  const at = mistake.position > 1 ? ` (at character ${mistake.position})` : '';
  return {
    code: mistake.kind === 'malformed' ? 'malformed-label' : 'contradicting-labels',
    reason: `the label ${quote(mistake.label)}${at}: ${mistake.problem}`,
    cure: mistake.cure,
  };
}

function tied(registrations: readonly JobClaims[], job: JobSubject): Admission {
  const [first] = registrations;
  const names = registrations.map(({ name }) => quote(name)).join(' and ');
  return {
    outcome: 'refused',
    registration: first?.name ?? '',
    code: 'ambiguous-registration' satisfies RefusalCode,
    reason: `${names} claim the jobs of ${job.owner}/${job.repository} with these labels with the same right`,
    cure: 'Ask the operator of the dispatcher to give one of them a higher `priority`, or other labels; `shr validate` names such ties.',
  };
}

function setAside({ name }: JobClaims): Admission {
  return {
    outcome: 'refused',
    registration: name,
    code: 'registration-set-aside' satisfies RefusalCode,
    reason: `registration ${quote(name)} is set aside: its configuration has problems`,
    cure: 'Fix the problems that `shr validate` reports, and restart the dispatcher: jobs that still wait are then taken.',
  };
}

/** All of them at once, so that fixing the first does not reveal a second. */
function refused(registration: Pick<Registration, 'name'>, objections: readonly Objection[]): Admission {
  const [first] = objections;
  return {
    outcome: 'refused',
    registration: registration.name,
    code: first?.code ?? ('not-allowed' satisfies RefusalCode),
    reason: objections.map(({ reason }) => reason).join('; '),
    cure: [...new Set(objections.map(({ cure }) => cure))].join(' '),
    ...(first?.place === undefined ? {} : { place: first.place }),
  };
}
