/** The sizes from the vendor's table; anything in between is rounded up, and billed as such. */
import type { Decoded } from './parameters.ts';
import { Refusal } from './refusal.ts';

const table: readonly (readonly [number, readonly number[]])[] = [
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

export function billed({ cpu, memory, container, spotStrategy }: Decoded): {
  readonly cpu: number;
  readonly memory: number;
} {
  const wantedCpu = cpu ?? container.Cpu ?? 2;
  const wantedMemory = memory ?? container.Memory ?? 4;
  if (spotStrategy !== 'NoSpot' && wantedCpu < 2) {
    throw new Refusal(
      400,
      'InvalidSpotCpuMemorySpec',
      'The specified CPU and memory are not allowed. You must create spot ECI using standard ECS specifications for CPU and memory.',
    );
  }
  for (const [soldCpu, memories] of table) {
    const soldMemory = soldCpu < wantedCpu ? undefined : memories.find((sold) => sold >= wantedMemory);
    if (soldMemory !== undefined) return { cpu: soldCpu, memory: soldMemory };
  }
  throw new Refusal(400, 'InvalidParameter.CPU.Memory', 'The specified cpu and memory are not allowed');
}
