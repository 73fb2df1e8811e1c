/**
 * The sizes that Cloud Run offers for jobs, as a table. Pure.
 * Source: https://cloud.google.com/run/docs/configuring/jobs/cpu and …/jobs/memory-limits ("Memory required" per vCPU;
 * jobs run in the second generation, which requires 512 MiB). The comment in the SDK's k8s.min.proto omits 6; the pages
 * have it.
 */

import { roundUp } from '../kit/wish.ts';
import type { Shape, ShapeWish } from '../provider.ts';
import { coresInWords, roundingInWords, sizeInWords } from '../shape-words.ts';

export interface Size {
  readonly cpu: number;
  readonly leastGiB: number;
  readonly mostGiB: number;
}

export const sizes: readonly Size[] = [
  { cpu: 1, leastGiB: 0.5, mostGiB: 4 },
  { cpu: 2, leastGiB: 0.5, mostGiB: 8 },
  { cpu: 4, leastGiB: 2, mostGiB: 16 },
  { cpu: 6, leastGiB: 4, mostGiB: 24 },
  { cpu: 8, leastGiB: 4, mostGiB: 32 },
];

export type Sized =
  | { readonly size: Pick<Shape, 'cpu' | 'memoryGiB'>; readonly note?: string }
  | { readonly reason: string };

/** The smallest that satisfies the wish. Memory is sold by the MiB. */
export function sizeFor(wish: Pick<ShapeWish, 'cpu' | 'memoryGiB'>): Sized {
  const wishedGiB = wish.memoryGiB === undefined ? undefined : roundUp(wish.memoryGiB, 1024);
  const size = sizes.find((one) => one.cpu >= (wish.cpu ?? 0) && one.mostGiB >= (wishedGiB ?? 0));
  if (size === undefined) {
    const wished = sizeInWords(wish).join(' and ');
    return { reason: `Cloud Run sells at most 8 cores and 32 GiB, not ${wished}; the largest is cpu-8, memory-32` };
  }
  // The default is 2 GiB per core, as with other services.
  const memoryGiB = Math.max(size.leastGiB, wishedGiB ?? Math.min(2 * size.cpu, size.mostGiB));
  const changes = [
    ...roundingInWords(wish, { cpu: size.cpu, memoryGiB }),
    ...(wish.cpu === undefined && wish.memoryGiB !== undefined && size.cpu > 1
      ? [`${memoryGiB} GiB are sold with ${coresInWords(size.cpu)}`]
      : []),
  ];
  return {
    size: { cpu: size.cpu, memoryGiB },
    ...(changes.length === 0 ? {} : { note: changes.join('; ') }),
  };
}
