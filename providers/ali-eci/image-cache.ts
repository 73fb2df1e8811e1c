/** Makes an image cache of the account, so that a container group starts without a pull. */
import { createHash } from 'node:crypto';
import { z } from 'zod';
import { Deadlines } from '../kit/deadlines.ts';
import { ProviderError, type ProviderHost } from '../provider.ts';
import { Service } from './calls.ts';
import type { AliEciOptions } from './options.ts';
import { Rate } from './rate.ts';
import { flatten, registryParameters } from './request.ts';

export interface ImageCache {
  readonly id: string;
  readonly name: string;
  /** Status as reported by the service: `Preparing`, `Creating`, `Ready`, `Failed` … */
  readonly status: string;
  /** Such as `40%`, if the service reports it. */
  readonly progress?: string;
}

const created = z.object({ ImageCacheId: z.string().min(1) });
const described = z.object({
  ImageCaches: z
    .array(
      z.object({
        ImageCacheId: z.string(),
        ImageCacheName: z.string().default(''),
        Status: z.string().default(''),
        Progress: z.string().optional(),
        Images: z.array(z.string()).nullish(),
      }),
    )
    .nullish(),
});

/**
 * Idempotent by image: returns the existing cache if there is one. It takes minutes until it is `Ready`; meanwhile, and
 * for as long as it exists, it is billed as a snapshot. Call again to follow its progress. Rejects with ProviderError.
 */
export async function createImageCache(options: AliEciOptions, host: ProviderHost, image: string): Promise<ImageCache> {
  if (image.trim() === '' || image.length > 255) {
    throw new ProviderError('invalid', 'ali-eci CreateImageCache', 'an image reference has 1 to 255 characters');
  }
  const service = new Service(options, new Deadlines(host), new Rate(host, options.rateShare, options.timeoutMs));
  try {
    return await ensure(options, service, image);
  } finally {
    service.close();
  }
}

async function ensure(options: AliEciOptions, service: Service, image: string): Promise<ImageCache> {
  // A name derived from the reference, which may be too long to be a name itself.
  const name = `shr-${createHash('sha256').update(image).digest('hex').slice(0, 24)}`;
  const existing = await find(options, service, name);
  if (existing !== undefined && existing.status !== 'Failed') return existing;
  const { ImageCacheId: id } = await service.call(
    'CreateImageCache',
    flatten({
      RegionId: options.region,
      ImageCacheName: name,
      ClientToken: `${name}-${existing?.id ?? 'first'}`.slice(0, 64),
      Image: [image],
      VSwitchId: options.vSwitchIds.join(','),
      SecurityGroupId: options.securityGroupId,
      ResourceGroupId: options.resourceGroupId,
      // Reuses layers from other caches of the account.
      AutoMatchImageCache: true,
      ...registryParameters(options),
    }),
    created,
  );
  return { id, name, status: 'Preparing' };
}

async function find(options: AliEciOptions, service: Service, name: string): Promise<ImageCache | undefined> {
  const answer = await service.call(
    'DescribeImageCaches',
    flatten({ RegionId: options.region, ImageCacheName: name }),
    described,
  );
  const found = (answer.ImageCaches ?? []).filter((cache) => cache.ImageCacheName === name);
  const cache = found.find(({ Status }) => Status !== 'Failed') ?? found[0];
  if (cache === undefined) return undefined;
  return {
    id: cache.ImageCacheId,
    name,
    status: cache.Status,
    ...(cache.Progress === undefined ? {} : { progress: cache.Progress }),
  };
}
