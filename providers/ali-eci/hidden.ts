/**
 * Without the permission, DescribeContainerGroups returns an empty list [vendor's page of the call]. Two other calls
 * confirm an empty list: DescribeContainerGroupStatus, asked for the same groups, must not report any alive; and
 * ListUsage, which is not tied to a resource, is refused outright when the key has no permissions here.
 */
import { z } from 'zod';
import type { Service } from './calls.ts';
import { flatten, type Value } from './request.ts';
import { describedStatus, isLive } from './state.ts';

/** Maximum number of pages to read, with 200 container groups each. */
const MAX_PAGES = 100;
const anything = z.object({});

/** How many are alive although DescribeContainerGroups showed none. Counts only until the answer is certain. */
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

/** From the first non-empty page. A page may be short or empty while more follow. */
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
