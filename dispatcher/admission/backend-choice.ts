/** Which backends of a registration can run a job. Pure. */
import { type Fit, isProviderError, type ShapeWish } from '../../providers/provider.ts';
import { coresInWords } from '../../providers/shape-words.ts';
import { foldLabel, quote } from '../labels/values.ts';
import type { Backend, Limits, Registration } from '../model/registration.ts';
import type { Granted } from './policy.ts';
import type { Refusal } from './refusal.ts';

/** What admission asks of a provider; a `Provider` is one. Only the provider decides whether it can run it. Pure. */
export interface BackendFit {
  /** As `Provider.fit`. May throw a ProviderError: then the launch decides. */
  fit(wish: ShapeWish): Fit;
}

/**
 * The provider behind a registration's backend. Undefined if it is unknown (its module is not loaded yet): the
 * backend then stays in the lane, and the launch decides.
 */
export type BackendFits = (registration: string, backend: string) => BackendFit | undefined;

/** Those that the labels leave: `backend-B`, `region-R`. `reason`: why none is left, where a region is the cause. */
export function selectBackends(
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
  const has = regions.length === 0 ? 'none has a region' : `there is ${[...new Set(regions)].join(', ')}`;
  return { backends: placed, reason: placed.length > 0 ? undefined : `none is in region ${quote(region)}; ${has}` };
}

/** Why this backend cannot run the wish; undefined if it can, or if its provider is not known yet. */
export function whyUnfit(
  registration: Registration,
  backend: Backend,
  grant: Granted,
  backendFit: BackendFits | undefined,
): string | undefined {
  const provider = backendFit?.(registration.name, backend.name);
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

/** A service that rounds up must not push a job's override past a limit: `memory-16` could become 8 cores. */
function overPolicy(registration: Registration, grant: Granted, shape: ShapeWish): string | undefined {
  if (!grant.overridden.has('cpu') && !grant.overridden.has('memory')) return undefined;
  const { organization, policy, grant: { limits } = {} } = registration;
  const own = {
    maxCpu: least(policy.maxCpu, limits?.maxCpu),
    maxMemoryGiB: least(policy.maxMemoryGiB, limits?.maxMemoryGiB),
  };
  const over = roundedOver(own, grant.wish, shape);
  if (over !== undefined)
    return `it would round up to ${over.what}, more than the ${over.most} that the registration allows`;
  if (organization === undefined) return undefined;
  const theirs = roundedOver(
    { maxCpu: organization.policy.maxCpu, maxMemoryGiB: organization.policy.maxMemoryGiB },
    grant.wish,
    shape,
  );
  if (theirs === undefined) return undefined;
  const place = organization.places[`policy.${theirs.field}`] ?? organization.file;
  return `it would round up to ${theirs.what}, more than the ${theirs.most} that the defaults of the organization allow (${place})`;
}

function roundedOver(
  { maxCpu, maxMemoryGiB }: Pick<Limits, 'maxCpu' | 'maxMemoryGiB'>,
  wish: ShapeWish,
  { cpu, memoryGiB }: ShapeWish,
): { readonly field: 'maxCpu' | 'maxMemoryGiB'; readonly what: string; readonly most: number } | undefined {
  if (cpu !== undefined && maxCpu !== undefined && cpu > Math.max(maxCpu, wish.cpu ?? 0)) {
    return { field: 'maxCpu', what: coresInWords(cpu), most: maxCpu };
  }
  if (
    memoryGiB !== undefined &&
    maxMemoryGiB !== undefined &&
    memoryGiB > Math.max(maxMemoryGiB, wish.memoryGiB ?? 0)
  ) {
    return { field: 'maxMemoryGiB', what: `${memoryGiB} GiB`, most: maxMemoryGiB };
  }
  return undefined;
}

function least(one: number | undefined, other: number | undefined): number | undefined {
  return one === undefined ? other : other === undefined ? one : Math.min(one, other);
}

/** The refusal of a job that no backend can run. `placement`: the reason of `selectBackends`. */
export function noBackend(
  registration: Registration,
  wish: ShapeWish,
  placement: string | undefined,
  unfit: readonly string[],
): Refusal {
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
