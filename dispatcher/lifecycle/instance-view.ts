/** A service's instances as last listed, one listing shared by all registrations that use the same backend. */
import type { Instance, Provider } from '../../providers/provider.ts';

/** A sweep every few minutes can share it. A hundred tenants of one account would otherwise list it 100 times. */
const MAX_AGE_MS = 60_000;

export interface InstanceListing {
  /** When it was requested: anything the ledger learned since is newer. */
  readonly atMs: number;
  readonly instances: readonly Instance[];
}

export class InstanceView {
  readonly #dispatcher: string;
  readonly #now: () => number;
  readonly #listings = new WeakMap<Provider, { readonly atMs: number; readonly listing: Promise<InstanceListing> }>();

  constructor(dispatcher: string, now: () => number) {
    this.#dispatcher = dispatcher;
    this.#now = now;
  }

  /** Rejects with ProviderError, and then keeps nothing. */
  async list(provider: Provider): Promise<InstanceListing> {
    const atMs = this.#now();
    const known = this.#listings.get(provider);
    // Listing is newer than now: the clock went backwards, so treat it as stale.
    if (known !== undefined && known.atMs <= atMs && atMs - known.atMs <= MAX_AGE_MS) return await known.listing;
    const listing = provider.list({ dispatcher: this.#dispatcher }).then((instances) => ({ atMs, instances }));
    this.#listings.set(provider, { atMs, listing });
    try {
      return await listing;
    } catch (error) {
      if (this.#listings.get(provider)?.listing === listing) this.#listings.delete(provider);
      throw error;
    }
  }
}
