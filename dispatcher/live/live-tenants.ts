/**
 * What each registration is made of at run time. Made anew only for what changed; one that is no longer in force stays
 * until its runners are gone, and launches nothing.
 */
import type { ProviderPool } from '../backends/pool.ts';
import { fingerprint } from '../config/fingerprint.ts';
import type { Github } from '../github/github.ts';
import type { Tenant } from '../lifecycle/engine.ts';
import type { Registration } from '../model/registration.ts';
import type { Difference } from './difference.ts';

export interface LiveTenantsOptions<G extends Github> {
  readonly githubOf: (registration: Registration) => G;
  readonly backends: Pick<ProviderPool, 'forgetFormer' | 'of' | 'reconfigure'>;
}

type LiveTenant<G> = Omit<Tenant, 'github'> & { readonly github: G };

export class LiveTenants<G extends Github> {
  readonly #options: LiveTenantsOptions<G>;
  readonly #tenants = new Map<string, LiveTenant<G>>();
  /** Whose backends were configured otherwise, and that may have runners from that time. */
  readonly #changed = new Set<string>();

  constructor(registrations: readonly Registration[], options: LiveTenantsOptions<G>) {
    this.#options = options;
    for (const one of registrations) this.#serve(one, options.githubOf(one));
  }

  /** Changed in place. */
  get all(): ReadonlyMap<string, LiveTenant<G>> {
    return this.#tenants;
  }

  /** Those in `all` that are not in force. */
  leaving(): readonly string[] {
    return [...this.#tenants].flatMap(([name, { leaving }]) => (leaving === undefined ? [] : [name]));
  }

  apply({ changed, ended, moved }: Pick<Difference, 'changed' | 'ended' | 'moved'>): void {
    for (const registration of moved) {
      const tenant = this.#tenants.get(registration.name);
      if (tenant !== undefined) this.#tenants.set(registration.name, { ...tenant, registration });
    }
    for (const registration of changed) {
      const before = this.#tenants.get(registration.name);
      const isSame = before !== undefined && wayToGithub(before.registration) === wayToGithub(registration);
      this.#serve(registration, isSame ? before.github : this.#options.githubOf(registration));
      this.#options.backends.reconfigure(registration);
      if (before !== undefined) this.#changed.add(registration.name);
    }
    for (const { absence, name } of ended) {
      const tenant = this.#tenants.get(name);
      if (tenant !== undefined) this.#tenants.set(name, { ...tenant, leaving: absence });
    }
  }

  /** Those of `withoutRunners` that are of the past are forgotten. Returns the registrations that are gone with that. */
  forget(hasRunners: (registration: string) => boolean): readonly string[] {
    const { backends } = this.#options;
    for (const name of this.#changed) {
      if (hasRunners(name)) continue;
      backends.forgetFormer(name);
      this.#changed.delete(name);
    }
    const gone = this.leaving().filter((name) => !hasRunners(name));
    for (const name of gone) {
      this.#tenants.delete(name);
      backends.reconfigure({ name, backends: [] });
      backends.forgetFormer(name);
    }
    return gone;
  }

  /** Whether `forget` has anything to look for. */
  get isWaiting(): boolean {
    return this.#changed.size > 0 || this.leaving().length > 0;
  }

  #serve(registration: Registration, github: G): void {
    const { name } = registration;
    this.#tenants.set(name, {
      registration,
      github,
      // A launch that began before a change asks with the backends as they are then.
      provider: (backend, launchedAtMs) => {
        const present = this.#tenants.get(name)?.registration ?? registration;
        return this.#options.backends.of(present, backend, launchedAtMs);
      },
    });
  }
}

/** All that a client of GitHub is made of: one that is still right keeps its tokens and what it learned. */
function wayToGithub({ apiUrl, claim, credentials, grant, host, poll }: Registration): string {
  return fingerprint([host, apiUrl, claim, credentials, poll.repositories, grant?.tenant]);
}
