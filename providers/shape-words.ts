/** Sizes in words, the same in every message: of adapters, of labels and policies, of the command line. Pure. */
import type { ShapeWish } from './provider.ts';

type Size = Pick<ShapeWish, 'cpu' | 'memoryGiB'>;

/** `1 core`, `2.5 cores`. */
export function coresInWords(count: number): string {
  return `${count} ${count === 1 ? 'core' : 'cores'}`;
}

/** What is given of it: `2 cores`, `4 GiB`. */
export function sizeInWords({ cpu, memoryGiB }: Size): readonly string[] {
  return [...(cpu === undefined ? [] : [coresInWords(cpu)]), ...(memoryGiB === undefined ? [] : [`${memoryGiB} GiB`])];
}

/** How a service rounds a wish that it does not sell: `1 core becomes 2`, `3 GiB become 4`. */
export function roundingInWords(wished: Size, sold: Required<Size>): readonly string[] {
  const become = (count: number): string => (count === 1 ? 'becomes' : 'become');
  const { cpu, memoryGiB } = wished;
  return [
    ...(cpu === undefined || cpu === sold.cpu ? [] : [`${coresInWords(cpu)} ${become(cpu)} ${sold.cpu}`]),
    ...(memoryGiB === undefined || memoryGiB === sold.memoryGiB
      ? []
      : [`${memoryGiB} GiB ${become(memoryGiB)} ${sold.memoryGiB}`]),
  ];
}
