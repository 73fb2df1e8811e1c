/** How large a runner may be, as far as files say it: for `shr explain`, where the sizes that a backend sells are not known. */
import { sizeInWords } from '../../providers/shape-words.ts';
import { type GrantField, placeOf } from '../admission/grants.ts';
import type { Registration } from '../model/registration.ts';

export interface SizeLimits {
  /** How far labels go. Empty: they change no size. */
  readonly policy: Sizes;
  /** What the tenant may have at all. Absent: the registration is the platform's own. */
  readonly grant?: Sizes & { readonly places: readonly string[] };
}

interface Sizes {
  readonly maxCpu?: number;
  readonly maxMemoryGiB?: number;
  readonly maxDiskGiB?: number;
}

const SIZES = ['maxCpu', 'maxMemoryGiB', 'maxDiskGiB'] as const;

export function sizeLimitsOf({ grant, policy }: Pick<Registration, 'grant' | 'policy'>): SizeLimits {
  if (grant === undefined) return { policy: sizesOf(policy) };
  const { limits } = grant;
  const fields = SIZES.filter((size) => limits[size] !== undefined).map((size): GrantField => `limits.${size}`);
  const places = fields.map((field) => placeOf(grant, field));
  return { policy: sizesOf(policy), grant: { ...sizesOf(limits), places: [...new Set(places)] } };
}

export function sizeLimitsInWords({ grant, policy }: SizeLimits): string {
  const byPolicy = inWords(policy);
  const labels = byPolicy === '' ? 'labels change no size' : `labels ask for at most ${byPolicy} (policy)`;
  if (grant === undefined) return labels;
  const byGrant = inWords(grant);
  if (byGrant === '') return `${labels}; the tenant has no limits of size`;
  return `${labels}; the tenant has at most ${byGrant} (${grant.places.join(', ')})`;
}

function sizesOf(limits: { readonly [size in (typeof SIZES)[number]]: number | undefined }): Sizes {
  return Object.fromEntries(SIZES.flatMap((size) => (limits[size] === undefined ? [] : [[size, limits[size]]])));
}

function inWords({ maxCpu, maxDiskGiB, maxMemoryGiB }: Sizes): string {
  const sizes = sizeInWords({
    ...(maxCpu === undefined ? {} : { cpu: maxCpu }),
    ...(maxMemoryGiB === undefined ? {} : { memoryGiB: maxMemoryGiB }),
  });
  return [...sizes, ...(maxDiskGiB === undefined ? [] : [`a disk of ${maxDiskGiB} GiB`])].join(', ');
}
