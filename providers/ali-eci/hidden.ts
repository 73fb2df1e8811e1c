/**
 * Without the permission DescribeContainerGroups answers an empty list [vendor's page of the call]. Two other calls bear
 * an empty list out: DescribeContainerGroupStatus, asked for the same, must not know of anything alive; and ListUsage,
 * which is about no resource, says outright when the key may do nothing here.
 */
import { z } from 'zod';
import type { Service } from './calls.ts';
import { flatten, type Value } from './request.ts';
import { describedStatus, isLive } from './state.ts';

/** 200 a page: as far as a list of container groups is followed. */
const MAX_PAGES = 100;
const anything = z.object({});

/** How many there are alive although DescribeContainerGroups showed none; enough of them to know. */
export async function countHidden(
  service: Service,
  region: string,
  filter: { readonly [name: string]: Value },
): Promise<number> {
  const [alive] = await Promise.all([
    countLiving(service, region, filter),
    service.call('ListUsage', flatten({ RegionId: region }), anything),
  ]);
  return alive;
}

/** Of the first page that has any. A page may be short or empty while more follow. */
async function countLiving(
  service: Service,
  region: string,
  filter: { readonly [name: string]: Value },
): Promise<number> {
  let next: string | undefined;
  for (let page = 0; page < MAX_PAGES; page += 1) {
    const answer = await service.call(
      'DescribeContainerGroupStatus',
      flatten({ RegionId: region, ...filter, NextToken: next }),
      describedStatus,
    );
    const alive = (answer.Data ?? []).filter((group) => isLive(group.Status)).length;
    const following = answer.NextToken ?? '';
    if (alive > 0 || following === '' || following === next) return alive;
    next = following;
  }
  return 0;
}
