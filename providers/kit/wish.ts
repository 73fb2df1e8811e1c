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
  if (!capabilities.architectures.includes(wish.architecture)) {
    return `architecture ${wish.architecture} is not sold here; there is ${capabilities.architectures.join(', ')}`;
  }
  if (wish.image.trim() === '') return 'the image has no name';
  if (wish.spot && !capabilities.spot) return 'spot capacity is not available here; drop the spot label';
  if (wish.dockerInDocker && !capabilities.dockerInDocker) return 'Docker in Docker is not supported here';
  if (wish.diskGiB !== undefined && !capabilities.disk) return 'a separate disk is not supported here';
  if (wish.bucket !== undefined && !capabilities.bucket) return 'a bucket at the work folder is not supported here';
  if (wish.subnet !== undefined && !capabilities.subnet) return 'a subnet cannot be chosen here';
  if (wish.securityGroup !== undefined && !capabilities.securityGroup) return 'a security group cannot be chosen here';
  if (
    wish.timeLimitMs !== undefined &&
    capabilities.longestLifeMs !== undefined &&
    wish.timeLimitMs > capabilities.longestLifeMs
  ) {
    return `a time limit of ${wish.timeLimitMs} ms is beyond the service's ${capabilities.longestLifeMs} ms`;
  }
  return undefined;
}

/** `1 core`, `2.5 cores`. */
export function coresInWords(count: number): string {
  return `${count} ${count === 1 ? 'core' : 'cores'}`;
}

/** How a service rounds a wish that it does not sell: `1 core becomes 2`. */
export function coresBecome(wished: number, sold: number): string {
  return `${coresInWords(wished)} ${wished === 1 ? 'becomes' : 'become'} ${sold}`;
}

/** Rounds up to a multiple of 1/`perUnit`. Binary fractions such as 0.1 + 0.2 do not push it one step too far. */
export function roundUp(value: number, perUnit: number): number {
  const steps = value * perUnit;
  const nearest = Math.round(steps);
  return (Math.abs(steps - nearest) < 1e-6 && nearest > 0 ? nearest : Math.ceil(steps)) / perUnit;
}
