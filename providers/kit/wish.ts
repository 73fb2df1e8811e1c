/**
 * What every `fit` has in common: refuses nonsense and unsupported features, with a reason. Pure; every provider may
 * use it.
 */
import type { Capabilities, ShapeWish } from '../provider.ts';

/** Why no service with these capabilities can run the wish, whatever sizes it sells; undefined if it can. */
export function refuseWish(wish: ShapeWish, capabilities: Capabilities): string | undefined {
  for (const [what, size] of [
    ['cpu', wish.cpu],
    ['memory', wish.memoryGiB],
    ['disk', wish.diskGiB],
    ['time limit', wish.timeLimitMs],
  ] as const) {
    if (size !== undefined && !(Number.isFinite(size) && size > 0)) return `${what} must be more than 0, not ${size}`;
  }
  for (const refuse of Object.values(REFUSALS)) {
    const reason = refuse(wish, capabilities);
    if (reason !== undefined) return reason;
  }
  return undefined;
}

/** Every service decides on it by itself. */
const LEFT_TO_THE_SERVICE = (): undefined => undefined;

/** One for each field of a wish: a field that no service was asked about would be dropped without a word. */
const REFUSALS: {
  readonly [K in keyof ShapeWish]-?: (wish: ShapeWish, capabilities: Capabilities) => string | undefined;
} = {
  cpu: LEFT_TO_THE_SERVICE,
  memoryGiB: LEFT_TO_THE_SERVICE,
  architecture: ({ architecture }, { architectures }) =>
    architectures.includes(architecture)
      ? undefined
      : `architecture ${architecture} is not sold here; there is ${architectures.join(', ')}`,
  image: ({ image }) => (image.trim() === '' ? 'the image has no name' : undefined),
  spot: (wish, { spot }) =>
    wish.spot && !spot ? 'spot capacity is not available here; drop the spot label' : undefined,
  dockerInDocker: (wish, { dockerInDocker }) =>
    wish.dockerInDocker && !dockerInDocker ? 'Docker in Docker is not supported here' : undefined,
  diskGiB: ({ diskGiB }, { disk }) =>
    diskGiB !== undefined && !disk ? 'a separate disk is not supported here' : undefined,
  bucket: (wish, { bucket }) =>
    wish.bucket !== undefined && !bucket ? 'a bucket at the work folder is not supported here' : undefined,
  // Goes with the bucket.
  bucketPrefix: LEFT_TO_THE_SERVICE,
  subnet: (wish, { subnet }) => (wish.subnet !== undefined && !subnet ? 'a subnet cannot be chosen here' : undefined),
  securityGroup: (wish, { securityGroup }) =>
    wish.securityGroup !== undefined && !securityGroup ? 'a security group cannot be chosen here' : undefined,
  // The choice of the backend has applied it.
  region: LEFT_TO_THE_SERVICE,
  timeLimitMs: ({ timeLimitMs }, { longestLifeMs }) =>
    timeLimitMs !== undefined && longestLifeMs !== undefined && timeLimitMs > longestLifeMs
      ? `a time limit of ${timeLimitMs} ms is beyond the service's ${longestLifeMs} ms`
      : undefined,
};

/** Rounds up to a multiple of 1/`perUnit`. Binary fractions such as 0.1 + 0.2 do not push it one step too far. */
export function roundUp(value: number, perUnit: number): number {
  const steps = value * perUnit;
  const nearest = Math.round(steps);
  return (Math.abs(steps - nearest) < 1e-6 && nearest > 0 ? nearest : Math.ceil(steps)) / perUnit;
}
