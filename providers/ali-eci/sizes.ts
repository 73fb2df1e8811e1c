/** What the service sells. Pure. */

import type { Fit, ShapeWish } from '../provider.ts';
import { coresInWords, roundingInWords, sizeInWords } from '../shape-words.ts';

/**
 * Cores, and the GiB sizes available for each. Source: the vendor's page "vCPU and memory specifications" of ECI. The
 * service rounds anything in between up and bills the larger size; rounding here lets us report it.
 */
export const sizes: readonly (readonly [cpu: number, memoryGiB: readonly number[]])[] = [
  [0.25, [0.5, 1]],
  [0.5, [1, 2]],
  [1, [2, 4, 8]],
  [2, [1, 2, 4, 8, 16]],
  [4, [2, 4, 8, 16, 32]],
  [8, [4, 8, 16, 32, 64]],
  [12, [12, 24, 48, 96]],
  [16, [16, 32, 64, 128]],
  [24, [24, 48, 96, 192]],
  [32, [32, 64, 128, 256]],
  [52, [96, 192, 384]],
  [64, [128, 256, 512]],
];

/**
 * The sizes used for rounding. With 12, 24 and 52 cores among them, a larger wish could get less: 12 cores and 13 GiB
 * would become 12 and 24, but 13 cores and 14 GiB would become 16 and 16. Those three, and 2 cores with 1 GiB, are used
 * only for an exact match.
 */
const steps = sizes
  .filter(([cpu]) => ![12, 24, 52].includes(cpu))
  .map(([cpu, memories]) => [cpu, cpu === 2 ? memories.filter((memory) => memory > 1) : memories] as const);

/** Extra ephemeral storage, in GiB, on top of the 30 included with every instance. */
export const MAX_DISK_GIB = 5000;

/**
 * Spot capacity starts at 2 cores; smaller creations are refused (InvalidSpotCpuMemorySpec). Source: the vendor's page
 * on workflow clusters ("preemptible instances support 2 vCPU and more only").
 */
const MIN_SPOT_CPU = 2;
const MAX_CPU = 64;

/** Defaults when one of the two is missing: 2 GiB per core, or 1 core per 4 GiB. When both are missing: one core. */
export function fitSize(wish: ShapeWish): Fit {
  const wished = wish.cpu ?? (wish.memoryGiB === undefined ? 1 : Math.min(wish.memoryGiB / 4, MAX_CPU));
  const cpu = wish.spot ? Math.max(wished, MIN_SPOT_CPU) : wished;
  const memory = wish.memoryGiB ?? 2 * cpu;
  const found = exact(cpu, memory) ?? roundedUp(cpu, memory);
  if (found === undefined) {
    return {
      fits: false,
      reason: `${wish.cpu === undefined ? 'any cores' : coresInWords(wish.cpu)} with ${wish.memoryGiB ?? 'any'} GiB are not sold; the largest is 64 cores with 512 GiB`,
    };
  }
  const [soldCpu, soldMemory] = found;
  const sold = { cpu: soldCpu, memoryGiB: soldMemory };
  const changes = roundingInWords(wish, sold);
  return {
    fits: true,
    shape: { ...wish, ...sold },
    ...(changes.length === 0 ? {} : { note: `${changes.join('; ')}: ${sizeInWords(sold).join(' with ')} are billed` }),
  };
}

function exact(cpu: number, memory: number): readonly [number, number] | undefined {
  const row = sizes.find(([sold]) => sold === cpu);
  return row?.[1].includes(memory) === true ? [cpu, memory] : undefined;
}

/** The steps are closed under taking the element-wise minimum, so every wish has a unique smallest size. */
function roundedUp(cpu: number, memory: number): readonly [number, number] | undefined {
  for (const [soldCpu, memories] of steps) {
    const soldMemory = soldCpu < cpu ? undefined : memories.find((sold) => sold >= memory);
    if (soldMemory !== undefined) return [soldCpu, soldMemory];
  }
  return undefined;
}
