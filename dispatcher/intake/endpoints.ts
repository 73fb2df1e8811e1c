/** Which secrets may have signed a delivery, and which repositories each of them covers. */
import { createSecretKey, type KeyObject } from 'node:crypto';
import { Territory } from '../admission/territory.ts';
import type { Claim, Registration, Secret, TenantEntry, WebhookEndpoint } from '../model/registration.ts';

/** The owner of one secret: an App or platform webhook of the shared endpoint, or a registration. */
export interface WebhookSource {
  /** The delivery's endpoint in the ledger. Stays the same when secrets rotate. */
  readonly endpoint: string;
  /** Lower case. Taken from here, never from the payload. */
  readonly host: string;
  /** The registration that owns the secret; null: the platform. */
  readonly registration: string | null;
  mayReport(owner: string, repository: string): boolean;
}

export interface Candidate {
  readonly key: KeyObject;
  readonly webhookSource: WebhookSource;
}

/** What GitHub says about the hook. Unsigned: it only selects which secrets are tried, and proves nothing. */
export interface HookHeaders {
  /** `X-GitHub-Hook-Installation-Target-Type`: `integration` for an App. */
  readonly targetType: string | undefined;
  /** `X-GitHub-Hook-Installation-Target-ID`: the App's id where the type is `integration`. */
  readonly targetId: string | undefined;
  /** `X-GitHub-Enterprise-Host`: sent by GitHub Enterprise Server. */
  readonly enterpriseHost: string | undefined;
}

/** Each attempt costs an HMAC over the whole body, which any sender can cause. */
const maxCandidates = 2;

/**
 * Shared endpoint, in this order:
 * 1. an App's delivery: the entries with its id, if there are any (ids of two GitHub hosts can be the same);
 * 2. everything else, and an App without an entry: the entries without an id;
 * 3. of those, the entries of the host that `X-GitHub-Enterprise-Host` names (`github.com` when it is missing), if
 *    there are any: `*.ghe.com` is not known to send the header;
 * 4. of their secrets the first two. More than that on one host cannot be told apart before the signature is checked:
 *    tenants with hooks of their own have endpoints of their own.
 */
export class EndpointIndex {
  readonly #apps: ReadonlyMap<string, HostIndex>;
  readonly #plain: HostIndex;
  readonly #registrations: ReadonlyMap<string, readonly Candidate[]>;

  constructor(
    endpoints: readonly WebhookEndpoint[],
    registrations: readonly Registration[],
    tenants?: readonly TenantEntry[],
  ) {
    const territory = new Territory(tenants, registrations);
    const apps = new Map<string, WebhookEndpoint[]>();
    for (const endpoint of endpoints) {
      if (endpoint.appId === undefined) continue;
      const sameId = apps.get(endpoint.appId);
      if (sameId === undefined) apps.set(endpoint.appId, [endpoint]);
      else sameId.push(endpoint);
    }
    this.#apps = new Map([...apps].map(([appId, entries]) => [appId, indexHosts(entries, territory)]));
    this.#plain = indexHosts(
      endpoints.filter((endpoint) => endpoint.appId === undefined),
      territory,
    );
    this.#registrations = new Map(
      registrations.map((registration) => [
        registration.name,
        candidates(registration.webhookSecrets, registrationSource(registration, territory)).slice(0, maxCandidates),
      ]),
    );
  }

  shared(headers: HookHeaders): readonly Candidate[] {
    const app =
      headers.targetType === 'integration' && headers.targetId !== undefined
        ? this.#apps.get(headers.targetId)
        : undefined;
    const hosts = app ?? this.#plain;
    return hosts.byHost.get(headers.enterpriseHost?.toLowerCase() ?? 'github.com') ?? hosts.first;
  }

  /** Undefined: the registration does not exist, or has no secrets of its own. */
  registration(name: string): readonly Candidate[] | undefined {
    const found = this.#registrations.get(name);
    return found === undefined || found.length === 0 ? undefined : found;
  }
}

export interface EndpointsOptions {
  /** Called for each delivery, so that the configuration can be reloaded: return the same array until then. */
  readonly endpoints: () => readonly WebhookEndpoint[];
  readonly registrations: () => readonly Registration[];
  /** Their grants limit which repositories each secret covers. Absent or undefined: there are no tenants. */
  readonly tenants?: () => readonly TenantEntry[] | undefined;
}

/** The index of the configuration as it is now: made anew when that returns different arrays. */
export class CurrentEndpoints {
  readonly #options: EndpointsOptions;
  #of: readonly unknown[] = [];
  #index = new EndpointIndex([], []);

  constructor(options: EndpointsOptions) {
    this.#options = options;
    this.current();
  }

  current(): EndpointIndex {
    const endpoints = this.#options.endpoints();
    const registrations = this.#options.registrations();
    const tenants = this.#options.tenants?.();
    const of = [endpoints, registrations, tenants];
    if (of.some((part, index) => part !== this.#of[index])) {
      this.#index = new EndpointIndex(endpoints, registrations, tenants);
      this.#of = of;
    }
    return this.#index;
  }
}

interface HostIndex {
  readonly byHost: ReadonlyMap<string, readonly Candidate[]>;
  readonly first: readonly Candidate[];
}

function indexHosts(entries: readonly WebhookEndpoint[], territory: Territory): HostIndex {
  const all = entries.flatMap((entry) => candidates(entry.secrets, endpointSource(entry, territory)));
  const byHost = new Map<string, Candidate[]>();
  for (const candidate of all) {
    const sameHost = byHost.get(candidate.webhookSource.host);
    if (sameHost === undefined) byHost.set(candidate.webhookSource.host, [candidate]);
    else if (sameHost.length < maxCandidates) sameHost.push(candidate);
  }
  return { byHost, first: all.slice(0, maxCandidates) };
}

function candidates(secrets: readonly Secret[], webhookSource: WebhookSource): readonly Candidate[] {
  return (
    secrets
      .map((secret) => secret.reveal())
      // Anyone can sign with an empty secret. The configuration refuses it; this is the second check.
      .filter((value) => value.length > 0)
      .map((value) => ({ key: createSecretKey(value, 'utf8'), webhookSource }))
  );
}

function endpointSource(entry: WebhookEndpoint, territory: Territory): WebhookSource {
  const host = entry.host.toLowerCase();
  return {
    endpoint: entry.appId === undefined ? `${host}/webhook` : `${host}/app/${entry.appId}`,
    host,
    registration: null,
    mayReport: (owner, repository) => territory.reaches(entry, owner, repository),
  };
}

function registrationSource(registration: Registration, territory: Territory): WebhookSource {
  const claims = claimed(registration.claim);
  return {
    endpoint: `registration/${registration.name}`,
    host: registration.host.toLowerCase(),
    registration: registration.name,
    mayReport: (owner, repository) => claims(owner, repository) && territory.isAlone(registration, owner, repository),
  };
}

function claimed(claim: Claim): WebhookSource['mayReport'] {
  switch (claim.kind) {
    case 'enterprise':
      return oneOf(claim.organizations);
    case 'organization':
      return oneOf([claim.organization]);
    case 'user':
      return oneOf([claim.user]);
    case 'repositories': {
      const names = new Set(claim.repositories.map((name) => `${name.owner}/${name.repository}`.toLowerCase()));
      return (owner, repository) => names.has(`${owner}/${repository}`.toLowerCase());
    }
  }
}

function oneOf(owners: readonly string[]): WebhookSource['mayReport'] {
  const known = new Set(owners.map((owner) => owner.toLowerCase()));
  return (owner) => known.has(owner.toLowerCase());
}
