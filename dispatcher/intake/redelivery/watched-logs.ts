/** Which of GitHub's logs of deliveries speak of deliveries to this dispatcher, and whose credentials may read them. Pure. */
import type { FoundHook, HookPlace } from '../../github/delivery-log.ts';
import { type Claim, lineOf, type Registration } from '../../model/registration.ts';
import type { EndpointIndex } from '../endpoints.ts';

export type WatchedRegistration = Pick<
  Registration,
  'name' | 'grant' | 'host' | 'apiUrl' | 'claim' | 'credentials' | 'webhookSecrets' | 'redelivery'
>;

export interface WatchedLog {
  /** In the ledger: one for each place and endpoint of ours. */
  readonly log: string;
  readonly place: HookPlace;
  /** Of the ledger's deliveries. */
  readonly endpoint: string;
  /** `/webhooks/github/acme` */
  readonly path: string;
  /** Those whose credentials may read it, the platform's own first, then one of each tenant in turn. At least one. */
  readonly holders: readonly WatchedRegistration[];
  /** Whose turn it is: of all that hold it together, so that none of them can use up the turns of the others. */
  readonly line: string;
  /** By several tenants. */
  readonly isShared: boolean;
}

export function watchedLogs(
  registrations: readonly WatchedRegistration[],
  endpoints: Pick<EndpointIndex, 'shared'>,
): readonly WatchedLog[] {
  const found = new Map<string, Omit<WatchedLog, 'line' | 'isShared'> & { readonly holders: WatchedRegistration[] }>();
  for (const registration of registrations.filter(({ redelivery }) => redelivery !== false)) {
    for (const place of placesOf(registration)) {
      const target = targetOf(registration, place, endpoints);
      if (target === undefined) continue;
      const log = `${registration.host.toLowerCase()} ${words(registration, place)} ${target.endpoint}`;
      const known = found.get(log);
      if (known === undefined) found.set(log, { log, place, ...target, holders: [registration] });
      else known.holders.push(registration);
    }
  }
  return [...found.values()].map((one) => {
    const lines = [...Map.groupBy(one.holders, lineOf)];
    const places = new Map(lines.flatMap(([, ofLine]) => ofLine.map((holder, place) => [holder, place] as const)));
    const holders = one.holders.toSorted(
      (a, b) =>
        Number(a.grant !== undefined) - Number(b.grant !== undefined) || (places.get(a) ?? 0) - (places.get(b) ?? 0),
    );
    const line = lines
      .map(([name]) => name)
      .sort()
      .join(', ');
    return { ...one, holders, line, isShared: lines.length > 1 };
  });
}

/** An App first: it has one webhook for all owners, and needs no permission for its own. */
function placesOf({ claim, credentials, host }: WatchedRegistration): readonly HookPlace[] {
  const own = ownPlaces(claim);
  const isAtHome = (credentials.host ?? host) === host;
  return credentials.kind === 'app' && isAtHome ? [{ kind: 'app' }, ...own] : own;
}

/** Which repositories a user has is not known without asking: their webhooks are looked for where a claim names them. */
function ownPlaces(claim: Claim): readonly OwnPlace[] {
  switch (claim.kind) {
    case 'enterprise':
      return claim.organizations.map((organization) => ({ kind: 'organization', organization }));
    case 'organization':
      return [{ kind: 'organization', organization: claim.organization }];
    case 'user':
      return [];
    case 'repositories':
      return claim.repositories.map(({ owner, repository }) => ({ kind: 'repository', owner, repository }));
  }
}

/** Undefined: no secret here would fit deliveries from there. */
function targetOf(
  registration: WatchedRegistration,
  place: HookPlace,
  endpoints: Pick<EndpointIndex, 'shared'>,
): Pick<WatchedLog, 'endpoint' | 'path'> | undefined {
  const { name, host, credentials, webhookSecrets } = registration;
  if (webhookSecrets.length > 0) return { endpoint: `registration/${name}`, path: `/webhooks/github/${name}` };
  const [candidate] = endpoints.shared({
    targetType: place.kind === 'app' ? 'integration' : place.kind,
    targetId: place.kind === 'app' && credentials.kind === 'app' ? credentials.appId : undefined,
    enterpriseHost: host,
  });
  if (candidate === undefined || candidate.webhookSource.host !== host.toLowerCase()) return undefined;
  const { endpoint, mayReport } = candidate.webhookSource;
  const covered: readonly OwnPlace[] = place.kind === 'app' ? reachOf(registration.claim) : [place];
  const speaks = covered.some((one) =>
    one.kind === 'organization' ? mayReport(one.organization, '') : mayReport(one.owner, one.repository),
  );
  return speaks ? { endpoint, path: '/webhooks/github' } : undefined;
}

type OwnPlace = Exclude<HookPlace, { readonly kind: 'app' }>;

function reachOf(claim: Claim): readonly OwnPlace[] {
  return claim.kind === 'user' ? [{ kind: 'repository', owner: claim.user, repository: '' }] : ownPlaces(claim);
}

function words({ credentials }: WatchedRegistration, place: HookPlace): string {
  switch (place.kind) {
    case 'app':
      return `app/${credentials.kind === 'app' ? credentials.appId : ''}`;
    case 'organization':
      return `orgs/${place.organization.toLowerCase()}`;
    case 'repository':
      return `repos/${place.owner}/${place.repository}`.toLowerCase();
  }
}

export interface OwnHook extends FoundHook {
  /** False: its address has another host than ours, and that it leads here has yet to be seen. */
  readonly isCertain: boolean;
}

/** The one that delivers to the path. `several`: of these only its deliveries could tell which is ours. */
export function ownHook(
  hooks: readonly FoundHook[],
  path: string,
  publicUrl: string | undefined,
): OwnHook | 'none' | 'several' {
  const exact = publicUrl === undefined ? undefined : hooks.find(({ url }) => plain(url) === `${publicUrl}${path}`);
  if (exact !== undefined) return { ...exact, isCertain: true };
  const alike = hooks.filter(({ url }) => URL.parse(url)?.pathname.replace(/\/+$/, '').endsWith(path) === true);
  const [only, ...others] = alike;
  if (only === undefined) return 'none';
  return others.length > 0 ? 'several' : { ...only, isCertain: false };
}

function plain(url: string): string {
  return url.replace(/\/+$/, '');
}
