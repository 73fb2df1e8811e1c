/**
 * Which tenant owns a repository. Pure. The most specific grant decides: the repository itself, a glob on it, its
 * owner, and last `"*"`, which excludes what other tenants were granted. Tenants with the same owner share its
 * repositories, each with labels of its own: one label in one repository belongs to one tenant.
 */

import { isGlob, matchesAny, matchesGlob } from '../labels/glob.ts';
import { foldLabel, quote } from '../labels/values.ts';
import type { Grant, JobClaims, Registration, TenantEntry, WebhookEndpoint } from '../model/registration.ts';
import { cureOf, placeOf, type Ungranted } from './grants.ts';

/** Whose a repository is, and by what kind of entry. */
export interface Holding {
  readonly by: 'repository' | 'glob' | 'owner' | 'everyone';
  /** More than one: they share it, and their labels tell them apart. */
  readonly grants: readonly Grant[];
}

/** Why a registration does not get a job that it claims. */
export interface Withheld {
  readonly reason: string;
  readonly cure: string;
  /** The line that decided: `dispatcher.yaml:12:3`. */
  readonly place: string;
  /** The job is another tenant's: its outcome is not disclosed to this registration. */
  readonly others: boolean;
}

type PlatformRegistration = Pick<Registration, 'name' | 'host' | 'claim' | 'grant'>;

/** Which grants hold which repositories, indexed by host and owner. */
export class Territory {
  /** By host and `owner/name`. */
  readonly #repositories = new Map<string, Grant[]>();
  /** By host and owner: everything granted under it by name or glob. */
  readonly #within = new Map<string, NamedRepository[]>();
  readonly #owners = new Map<string, Grant[]>();
  /** By host. */
  readonly #everyone = new Map<string, Grant[]>();
  /** Owners and repositories that the platform's own registrations claim, each with the name of one that claims it. */
  readonly #platform = new Map<string, string>();

  /** Without tenants ownership does not apply, and every registration gets what it claims. */
  constructor(tenants: readonly TenantEntry[] | undefined, registrations: readonly PlatformRegistration[]) {
    const grants = new Map<string, Grant>();
    for (const { grant } of [...registrations, ...(tenants ?? [])]) {
      if (grant !== undefined) grants.set(grant.tenant, grant);
    }
    for (const grant of grants.values()) for (const host of grant.hosts) this.#add(host, grant);
    if (grants.size === 0) return;
    for (const { name, host, claim, grant } of registrations) {
      if (grant !== undefined) continue;
      for (const place of placesIn(claim)) this.#platform.set(key(host, place), name);
    }
  }

  #add(host: string, grant: Grant): void {
    for (const owner of grant.owners) {
      if (owner === '*') append(this.#everyone, key(host, ''), grant);
      else append(this.#owners, key(host, owner), grant);
    }
    for (const repository of grant.repositories) {
      const owner = repository.slice(0, repository.indexOf('/'));
      append(this.#within, key(host, owner), { repository, grant });
      if (!isGlob(repository)) append(this.#repositories, key(host, repository), grant);
    }
  }

  /** Undefined: it was granted to no tenant. */
  whose(host: string, owner: string, repository: string): Holding | undefined {
    const name = `${owner}/${repository}`.toLowerCase();
    const exact = this.#repositories.get(key(host, name));
    if (exact !== undefined) return { by: 'repository', grants: exact };
    const matching = this.#namedWithin(host, owner).filter(({ repository: glob }) => matchesGlob(glob, name));
    if (matching.length > 0) return { by: 'glob', grants: [...new Set(matching.map(({ grant }) => grant))] };
    const platforms = this.#platform.has(key(host, owner)) || this.#platform.has(key(host, name));
    return this.#whoseOwner(host, owner, platforms);
  }

  /** Of an owner as a whole: which tenants may register runners there. Some of its repositories may be another's. */
  whoseOwner(host: string, owner: string): Holding | undefined {
    return this.#whoseOwner(host, owner, this.#platform.has(key(host, owner)));
  }

  #whoseOwner(host: string, owner: string, platforms: boolean): Holding | undefined {
    const named = this.#owners.get(key(host, owner));
    if (named !== undefined) return { by: 'owner', grants: named };
    const everyone = platforms ? undefined : this.#everyone.get(key(host, ''));
    return everyone === undefined ? undefined : { by: 'everyone', grants: everyone };
  }

  /** The registration of the platform's own that claims an owner, or a repository as `owner/name`. */
  platforms(host: string, place: string): string | undefined {
    const owner = place.split('/')[0] ?? '';
    return this.#platform.get(key(host, place)) ?? this.#platform.get(key(host, owner));
  }

  /** The repositories of an owner, by name or glob, that were granted to others than this one. */
  othersWithin(host: string, owner: string, tenant: string | undefined): readonly NamedRepository[] {
    return this.#namedWithin(host, owner).filter(({ grant }) => grant.tenant !== tenant);
  }

  #namedWithin(host: string, owner: string): readonly NamedRepository[] {
    return this.#within.get(key(host, owner)) ?? [];
  }

  /** Undefined: the registration may take the job, which carries these labels of the registration. */
  withheld(
    registration: JobClaims,
    job: { readonly host: string; readonly owner: string; readonly repository: string },
    holding: Holding | undefined,
    labels: readonly string[],
  ): Withheld | undefined {
    const { grant } = registration;
    const name = `${job.owner}/${job.repository}`;
    if (grant === undefined) return heldBefore(holding, name, labels);
    if (!grant.hosts.includes(job.host.toLowerCase())) {
      return ungranted(grant, { field: 'hosts', what: `the host ${job.host}`, value: job.host });
    }
    if (holding === undefined || !holding.grants.some(({ tenant }) => tenant === grant.tenant)) {
      const [other] = holding?.grants ?? [];
      if (holding !== undefined && other !== undefined && holding.by !== 'everyone') {
        return belongsTo(other, holding.by, name);
      }
      return ungranted(grant, { field: 'repositories', what: `the repository ${name}`, value: name.toLowerCase() });
    }
    const { claim } = registration;
    if (claim.kind === 'enterprise' && !grant.enterprises.includes(claim.enterprise.toLowerCase())) {
      const { enterprise } = claim;
      return ungranted(grant, { field: 'enterprises', what: `the enterprise ${enterprise}`, value: enterprise });
    }
    const label = labels.find((candidate) => !matchesAny(grant.labels, foldLabel(candidate)));
    if (label === undefined) return undefined;
    return ungranted(grant, { field: 'labels', what: `the label ${quote(label)}`, value: label });
  }

  /**
   * Whether an entry of the shared endpoint may report on a repository: for the owners that it names, and with `"*"`
   * for what no tenant was granted, and for the tenants that it names.
   */
  reaches(endpoint: WebhookEndpoint, owner: string, repository: string): boolean {
    if (endpoint.owners.some((named) => named.toLowerCase() === owner.toLowerCase())) return true;
    if (!endpoint.owners.includes('*')) return false;
    const holding = this.whose(endpoint.host, owner, repository);
    if (holding === undefined) return true;
    const tenants = endpoint.tenants ?? [];
    return tenants.includes('*') || holding.grants.every(({ tenant }) => tenants.includes(tenant));
  }

  /**
   * Whether a registration's own webhook secret may report on a repository of its claim: never on one that another
   * tenant shares, whose jobs it could forge.
   */
  isAlone(registration: Pick<Registration, 'host' | 'grant'>, owner: string, repository: string): boolean {
    const { grant, host } = registration;
    if (grant === undefined) return true;
    const holding = this.whose(host, owner, repository);
    return holding?.grants.every(({ tenant }) => tenant === grant.tenant) === true;
  }
}

/** One entry of a grant. */
export interface NamedRepository {
  /** `owner/name`, or a glob. */
  readonly repository: string;
  readonly grant: Grant;
}

/** What a claim covers: owners, or repositories as `owner/name`. */
export function placesIn(claim: Registration['claim']): readonly string[] {
  switch (claim.kind) {
    case 'enterprise':
      return claim.organizations;
    case 'organization':
      return [claim.organization];
    case 'user':
      return [claim.user];
    case 'repositories':
      return claim.repositories.map(({ owner, repository }) => `${owner}/${repository}`);
  }
}

/** The platform's own registrations get the rest: a tenant's label in a tenant's repository belongs to the tenant. */
function heldBefore(holding: Holding | undefined, name: string, labels: readonly string[]): Withheld | undefined {
  if (holding === undefined || holding.by === 'everyone') return undefined;
  const owner = holding.grants.find((grant) => labels.some((label) => matchesAny(grant.labels, foldLabel(label))));
  return owner === undefined ? undefined : belongsTo(owner, holding.by, name);
}

function belongsTo(other: Grant, by: Holding['by'], name: string): Withheld {
  const field = by === 'repository' || by === 'glob' ? 'repositories' : 'owners';
  const place = placeOf(other, field);
  return {
    reason: `${name} belongs to tenant ${quote(other.tenant)} (${place})`,
    cure: `Leave it to that tenant's registrations, or change \`tenants.${other.tenant}.${field}\` (${place}).`,
    place,
    others: true,
  };
}

function ungranted(grant: Grant, what: Ungranted): Withheld {
  return {
    reason: `tenant ${quote(grant.tenant)} was not granted ${what.what}`,
    cure: cureOf(grant, what),
    place: placeOf(grant, what.field),
    others: false,
  };
}

function key(host: string, place: string): string {
  return `${host.toLowerCase()} ${place.toLowerCase()}`;
}

function append<T>(map: Map<string, T[]>, at: string, item: T): void {
  const list = map.get(at);
  if (list === undefined) map.set(at, [item]);
  else if (!list.includes(item)) list.push(item);
}
