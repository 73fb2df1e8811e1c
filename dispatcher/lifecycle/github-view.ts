/** GitHub's runners as last listed, one listing shared by all runners of a scope: looking at 100 costs one call. */

import { MINUTE } from '../../time/units.ts';
import { type CallPurpose, GithubError, type GithubRunner } from '../github/github.ts';
import { parseScopePath } from '../jobs/scope.ts';
import type { RunnerRow } from '../ledger/ledger.ts';
import type { Tenant } from './ports.ts';
import type { RunnerContext } from './runner-context.ts';

/** Between two listings of one scope that are asked for because runners have ended. */
const LISTING_PAUSE_MS = 2_000;
/** Longer than anyone takes a listing for young. A registration has as many scopes as its jobs name repositories. */
const FORGOTTEN_MS = 10 * MINUTE;

interface Listing {
  /** When the request was sent. */
  readonly atMs: number;
  readonly runners: Promise<ReadonlyMap<string, GithubRunner>>;
}

export class GithubView {
  readonly #context: Pick<RunnerContext, 'now'>;
  /** The oldest first. */
  readonly #listings = new Map<string, Listing>();

  constructor(context: Pick<RunnerContext, 'now'>) {
    this.#context = context;
  }

  /** The runner in a listing at most `maxAgeMs` old; undefined if it is not listed. Rejects with GithubError. */
  async runner(tenant: Tenant, runner: RunnerRow, maxAgeMs: number): Promise<GithubRunner | undefined> {
    const listing = await this.list(tenant, runner.scope, maxAgeMs, 'verify');
    const listed = listing.get(runner.name);
    if (listed?.unreadable === undefined) return listed;
    throw new GithubError('transient', `the runners of ${runner.scope}`, `${runner.name}: ${listed.unreadable}`);
  }

  /**
   * The runners from a listing requested at `sinceMs` or later. Undefined while the last one is older,
   * but too recent to ask again: a hundred runners that end one after the other must not cost a listing each.
   */
  async since(
    tenant: Tenant,
    scope: string,
    sinceMs: number,
    purpose: CallPurpose,
  ): Promise<ReadonlyMap<string, GithubRunner> | undefined> {
    const now = this.#context.now();
    const listedMs = this.#listings.get(`${tenant.registration.name}/${scope}`)?.atMs ?? Number.NEGATIVE_INFINITY;
    if (listedMs < sinceMs && now - listedMs < LISTING_PAUSE_MS) return undefined;
    return await this.list(tenant, scope, Math.max(0, now - sinceMs), purpose);
  }

  async list(
    tenant: Tenant,
    scope: string,
    maxAgeMs: number,
    purpose: CallPurpose,
  ): Promise<ReadonlyMap<string, GithubRunner>> {
    const key = `${tenant.registration.name}/${scope}`;
    const now = this.#context.now();
    const known = this.#listings.get(key);
    if (known !== undefined && now - known.atMs <= maxAgeMs) return await known.runners;
    const runners = tenant.github
      .listRunners(parseScopePath(scope), purpose)
      .then((list) => new Map(list.map((runner) => [runner.name, runner])));
    this.#listings.delete(key);
    this.#forgetBefore(now - FORGOTTEN_MS);
    this.#listings.set(key, { atMs: now, runners });
    try {
      return await runners;
    } catch (error) {
      if (this.#listings.get(key)?.runners === runners) this.#listings.delete(key);
      throw error;
    }
  }

  #forgetBefore(atMs: number): void {
    for (const [key, listing] of this.#listings) {
      if (listing.atMs >= atMs) return;
      this.#listings.delete(key);
    }
  }

  /** How many it holds. */
  get size(): number {
    return this.#listings.size;
  }
}
