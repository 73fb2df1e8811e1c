/** Container groups as the service lists them: all pages, and an empty answer only if it is true. */
import { ProviderError } from '../provider.ts';
import type { Service } from './calls.ts';
import { countHidden } from './hidden.ts';
import { flatten, type Value } from './request.ts';
import { type ContainerGroup, describedGroups } from './state.ts';

/** The service's maximum. */
const PAGE = 20;
/** 20,000 container groups: far beyond any account's quota, so more than that means a faulty answer. */
const MAX_PAGES = 1000;

export type GroupFilter = { readonly [name: string]: Value };

export class Groups {
  readonly #service: Service;
  readonly #region: string;

  constructor(service: Service, region: string) {
    this.#service = service;
    this.#region = region;
  }

  /** All pages. A page may be short or empty while more follow. */
  async describe(filter: GroupFilter): Promise<readonly ContainerGroup[]> {
    const groups: ContainerGroup[] = [];
    let next: string | undefined;
    for (let page = 0; page < MAX_PAGES; page += 1) {
      const answer = await this.#service.call(
        'DescribeContainerGroups',
        flatten({ RegionId: this.#region, ...filter, Limit: PAGE, WithEvent: true, NextToken: next }),
        describedGroups,
      );
      groups.push(...(answer.ContainerGroups ?? []));
      const following = answer.NextToken ?? '';
      if (following === '' || following === next) return groups;
      next = following;
    }
    throw new ProviderError('transient', 'ali-eci DescribeContainerGroups', `no end after ${MAX_PAGES} pages`);
  }

  async requireTrulyEmpty(filter: GroupFilter): Promise<void> {
    const alive = await countHidden(this.#service, this.#region, filter);
    if (alive === 0) return;
    // Created between the two calls, or hidden from the first: either way not absent. Transient, because the first
    // heals.
    throw new ProviderError(
      'transient',
      'ali-eci DescribeContainerGroups',
      `it shows nothing, but DescribeContainerGroupStatus shows ${alive} alive: is the permission eci:DescribeContainerGroups missing?`,
      { code: 'hidden' },
    );
  }
}
