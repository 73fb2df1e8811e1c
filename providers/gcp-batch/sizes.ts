/**
 * The machine types available to a shape, and how `fit` chooses one for a wish. Pure.
 *
 * From Compute Engine's pages on general-purpose machines (https://cloud.google.com/compute/docs/general-purpose-machines).
 * Left out on purpose: N4, C4 and C4A, which only support Hyperdisk, while a Batch boot disk is a persistent disk; and
 * e2-micro and e2-small, whose 1 and 2 GiB would be shared by the Batch agent, Docker and the runner.
 */

import { refuseWish } from '../kit/wish.ts';
import type { Architecture, Capabilities, Fit, Shape, ShapeWish } from '../provider.ts';
import { sizeInWords } from '../shape-words.ts';

export interface Machine {
  readonly type: string;
  readonly cpu: number;
  readonly memoryGiB: number;
}

interface Series {
  readonly architecture: Architecture;
  /** From small to large: each has at least the cores and the memory of the previous one. */
  readonly machines: readonly Machine[];
}

function sized(name: string, gibPerCore: number, cores: readonly number[]): Machine[] {
  return cores.map((cpu) => ({ type: `${name}-${cpu}`, cpu, memoryGiB: cpu * gibPerCore }));
}

const N2 = [2, 4, 8, 16, 32, 48, 64, 80];
const C3 = [4, 8, 22, 44, 88, 176];

/**
 * A backend uses a single series, never a mix: within a series, more cores come with more memory, so that a larger wish
 * never gets a smaller machine.
 */
export const series = {
  // e2-medium has two virtual cores that share the time of one.
  'e2-standard': {
    architecture: 'x64',
    machines: [{ type: 'e2-medium', cpu: 1, memoryGiB: 4 }, ...sized('e2-standard', 4, [2, 4, 8, 16, 32])],
  },
  'e2-highmem': { architecture: 'x64', machines: sized('e2-highmem', 8, [2, 4, 8, 16]) },
  'e2-highcpu': { architecture: 'x64', machines: sized('e2-highcpu', 1, [2, 4, 8, 16, 32]) },
  'n2-standard': { architecture: 'x64', machines: sized('n2-standard', 4, [...N2, 96, 128]) },
  'n2-highmem': {
    architecture: 'x64',
    machines: [...sized('n2-highmem', 8, [...N2, 96]), { type: 'n2-highmem-128', cpu: 128, memoryGiB: 864 }],
  },
  'n2-highcpu': { architecture: 'x64', machines: sized('n2-highcpu', 1, [...N2, 96]) },
  'n2d-standard': { architecture: 'x64', machines: sized('n2d-standard', 4, [...N2, 96, 128, 224]) },
  'n2d-highmem': { architecture: 'x64', machines: sized('n2d-highmem', 8, [...N2, 96]) },
  'n2d-highcpu': { architecture: 'x64', machines: sized('n2d-highcpu', 1, [...N2, 96, 128, 224]) },
  'c3-standard': { architecture: 'x64', machines: sized('c3-standard', 4, C3) },
  'c3-highmem': { architecture: 'x64', machines: sized('c3-highmem', 8, C3) },
  'c3-highcpu': { architecture: 'x64', machines: sized('c3-highcpu', 2, C3) },
  't2d-standard': { architecture: 'x64', machines: sized('t2d-standard', 4, [1, 2, 4, 8, 16, 32, 48, 60]) },
  't2a-standard': { architecture: 'arm64', machines: sized('t2a-standard', 4, [1, 2, 4, 8, 16, 32, 48]) },
} as const satisfies Record<string, Series>;

export type SeriesName = keyof typeof series;

/** Undefined for a type that is not in the table. */
export function machineNamed(type: string): (Machine & { readonly architecture: Architecture }) | undefined {
  for (const { architecture, machines } of Object.values(series)) {
    const found = machines.find((machine) => machine.type === type);
    if (found !== undefined) return { ...found, architecture };
  }
  return undefined;
}

/** By architecture, from small to large. A backend with a fixed machine type only has that one. */
export type Machines = Readonly<Partial<Record<Architecture, readonly Machine[]>>>;

/** For a wish that specifies no size. */
const USUAL_CORES = 2;
/** Limits of a persistent disk: https://cloud.google.com/compute/docs/disks/persistent-disks */
const MAX_DISK_GIB = 65_536;
const MIN_DISK_GIB = 10;

/** The disk size that is created and billed. */
export function diskOf(wishedGiB: number): number {
  return Math.max(MIN_DISK_GIB, Math.ceil(wishedGiB));
}

export function fitWish(wish: ShapeWish, capabilities: Capabilities, machines: Machines): Fit {
  const refusal = refuseWish(wish, capabilities) ?? refuseStorage(wish);
  if (refusal !== undefined) return { fits: false, reason: refusal };
  const sold = machines[wish.architecture] ?? [];
  const machine = machineFor(wish, sold);
  if (machine === undefined) {
    const largest = sold.at(-1);
    const offer = largest === undefined ? 'there is none' : `the largest is ${describe(largest)}`;
    return { fits: false, reason: `no machine has ${words(wish)}; ${offer}` };
  }
  const shape = { ...wish, cpu: machine.cpu, memoryGiB: machine.memoryGiB };
  const exact = wish.cpu === machine.cpu && wish.memoryGiB === machine.memoryGiB;
  const { diskGiB } = wish;
  const changes = [
    ...(exact ? [] : [`${words(wish)} ${isOne(wish) ? 'becomes' : 'become'} ${describe(machine)}`]),
    ...(diskGiB === undefined || diskOf(diskGiB) === diskGiB
      ? []
      : [`${diskGiB} GiB of disk becomes ${diskOf(diskGiB)}`]),
  ];
  return { fits: true, shape, ...(changes.length === 0 ? {} : { note: changes.join('; ') }) };
}

/** The machine that a shape was derived from; undefined if the backend's options have changed since. */
export function machineOf(shape: Shape, machines: Machines): Machine | undefined {
  return machineFor(shape, machines[shape.architecture] ?? []);
}

function machineFor(wish: ShapeWish, sold: readonly Machine[]): Machine | undefined {
  const cpu = wish.cpu ?? 0;
  const memoryGiB = wish.memoryGiB ?? 0;
  const usual = wish.cpu === undefined && wish.memoryGiB === undefined ? USUAL_CORES : 0;
  const enough = sold.filter((machine) => machine.cpu >= cpu && machine.memoryGiB >= memoryGiB);
  return enough.find((machine) => machine.cpu >= usual) ?? enough.at(-1);
}

function refuseStorage(wish: ShapeWish): string | undefined {
  if (wish.diskGiB !== undefined && wish.bucket !== undefined) {
    return 'a disk and a bucket cannot both be at the work folder';
  }
  if (wish.diskGiB !== undefined && wish.diskGiB > MAX_DISK_GIB) {
    return `a disk has at most ${MAX_DISK_GIB} GiB, not ${wish.diskGiB}`;
  }
  // https://cloud.google.com/storage/docs/buckets#naming
  if (wish.bucket !== undefined && !/^[a-z0-9][a-z0-9._-]{1,220}[a-z0-9]$/.test(wish.bucket)) {
    return `${JSON.stringify(wish.bucket)} is not a valid Cloud Storage bucket name`;
  }
  const folders = (wish.bucketPrefix ?? '').split('/').filter((folder) => folder !== '');
  // As GitHub names owners and repositories: names like `.github` are common.
  const odd = folders.find((folder) => !/^[A-Za-z0-9._-]+$/.test(folder) || folder === '.' || folder === '..');
  if (odd !== undefined) return `${JSON.stringify(odd)} cannot be a folder of a bucket`;
  if (wish.subnet !== undefined && !SUBNETWORK.test(wish.subnet)) {
    return `${JSON.stringify(wish.subnet)} is not a valid subnetwork: write its name, or projects/P/regions/R/subnetworks/S`;
  }
  if (wish.securityGroup !== undefined && !NETWORK_TAG.test(wish.securityGroup)) {
    return `${JSON.stringify(wish.securityGroup)} is not a valid network tag: 1 to 63 of a-z, 0-9 and -, a letter first`;
  }
  return undefined;
}

const NAME = '[a-z](?:[a-z0-9-]{0,61}[a-z0-9])?';
/** RFC 1035, as allocationPolicy.tags requires. */
export const NETWORK_TAG = new RegExp(`^${NAME}$`);
/** A name, or a full resource name with its region, in this or another project (a shared network). */
export const SUBNETWORK = new RegExp(`^(?:${NAME}|(?:projects/[a-z0-9:.-]+/)?regions/[a-z0-9-]+/subnetworks/${NAME})$`);
export const NETWORK = new RegExp(`^(?:${NAME}|(?:projects/[a-z0-9:.-]+/)?global/networks/${NAME})$`);

function words(size: ShapeWish): string {
  const parts = sizeInWords(size);
  return parts.length === 0 ? 'no size' : parts.join(' and ');
}

/** Whether it is in the singular, as in `1 core`. */
function isOne(size: ShapeWish): boolean {
  return ['no size', '1 core', '1 GiB'].includes(words(size));
}

function describe(machine: Machine): string {
  return `${machine.type} (${sizeInWords(machine).join(', ')})`;
}
