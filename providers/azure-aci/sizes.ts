/** What Azure Container Instances sells. Pure. */

import { roundUp } from '../kit/wish.ts';
import type { Fit, ShapeWish } from '../provider.ts';
import { coresInWords, roundingInWords, sizeInWords } from '../shape-words.ts';
import type { AzureAciOptions } from './options.ts';

/**
 * Largest container group by kind [vendor's page "Resource availability & quota limits", 2025-11-17]. Beyond 4 cores or
 * 16 GB a region may lack capacity. The service says GB; its containers see GiB.
 */
export const largest = {
  Standard: { cpu: 31, memoryGiB: 240 },
  Confidential: { cpu: 31, memoryGiB: 180 },
  spot: { cpu: 4, memoryGiB: 16 },
} as const;

/** Minimum for a container group [vendor's page "Container groups"]. */
export const MIN = { cpu: 1, memoryGiB: 1 } as const;
/** Both are accurate to one decimal place [reference of `az container create`]. */
const PER_UNIT = 10;
/** Storage of each container; cannot be increased [same page as `largest`]. */
export const STORAGE_GIB = 50;

interface Most {
  readonly cpu: number;
  readonly memoryGiB: number;
}

export function mostOf(
  options: {
    readonly sku: 'Standard' | 'Confidential';
    readonly mostCpu?: number | undefined;
    readonly mostMemoryGiB?: number | undefined;
  },
  spot: boolean,
): Most {
  const sold = spot ? largest.spot : largest[options.sku];
  return {
    cpu: Math.min(sold.cpu, options.mostCpu ?? sold.cpu),
    memoryGiB: Math.min(sold.memoryGiB, options.mostMemoryGiB ?? sold.memoryGiB),
  };
}

/** Not in a virtual network, not Confidential, and without a choice of zone [vendor's page "Spot containers"]. */
export function sellsSpot(
  options: Pick<AzureAciOptions, 'location' | 'spotLocations' | 'subnetId' | 'zone' | 'sku'>,
): boolean {
  const { location, spotLocations, subnetId, zone, sku } = options;
  return spotLocations.includes(location) && subnetId === undefined && zone === undefined && sku === 'Standard';
}

/** A missing cpu becomes one core per 4 GiB, a missing memory 2 GiB per core, within the sizes that are sold. */
export function fitSize(wish: ShapeWish, most: Most): Fit {
  const wishedCpu = wish.cpu ?? Math.min((wish.memoryGiB ?? 4) / 4, most.cpu);
  const cpu = roundUp(Math.max(wishedCpu, MIN.cpu), PER_UNIT);
  const memoryGiB = roundUp(Math.max(wish.memoryGiB ?? Math.min(2 * cpu, most.memoryGiB), MIN.memoryGiB), PER_UNIT);
  const tooLarge = [
    ...(cpu > most.cpu ? [coresInWords(wish.cpu ?? cpu)] : []),
    ...(memoryGiB > most.memoryGiB ? [`${wish.memoryGiB ?? memoryGiB} GiB`] : []),
  ];
  if (tooLarge.length > 0) {
    const kind = wish.spot ? 'spot container group' : 'container group';
    return {
      fits: false,
      reason: `${tooLarge.join(' and ')}: the largest ${kind} here has ${sizeInWords(most).join(' and ')}`,
    };
  }
  const changes = roundingInWords(wish, { cpu, memoryGiB });
  return {
    fits: true,
    shape: { ...wish, cpu, memoryGiB },
    ...(changes.length === 0 ? {} : { note: `${changes.join('; ')}, which is billed` }),
  };
}
