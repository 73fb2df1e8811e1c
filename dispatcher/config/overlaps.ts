/**
 * Registrations that claim what another tenant owns: its repositories, its labels, its part of a shared owner. Also
 * what only shows once all are read: credentials that would go to two hosts, runners beyond a tenant's limit.
 */
import { cureOf, placeOf } from '../admission/grants.ts';
import { type Holding, placesIn, type Territory } from '../admission/territory.ts';
import { foldLabel, quote } from '../labels/values.ts';
import type { Path } from '../model/problem.ts';
import type { Grant, Registration } from '../model/registration.ts';
import { labelInCommon } from './grant-overlaps.ts';

export interface Overlap {
  /** The problem is reported in its file. */
  readonly registration: Registration;
  readonly path: Path;
  readonly message: string;
  readonly cure: string;
}

/** In the order of the registrations, which are sorted by name. */
export function findOverlaps(territory: Territory, registrations: readonly Registration[]): readonly Overlap[] {
  const found = registrations.flatMap((registration) =>
    placesIn(registration.claim).flatMap((place, index) => overlapsAt(territory, registration, place, index)),
  );
  return [...found, ...reachesForThePlatforms(registrations)];
}

/** A tenant's runners for a whole owner that includes a repository claimed by the platform's own registrations. */
function reachesForThePlatforms(registrations: readonly Registration[]): readonly Overlap[] {
  const claimed = new Map<string, { readonly repository: string; readonly by: Registration }[]>();
  for (const by of registrations) {
    if (by.grant !== undefined || by.claim.kind !== 'repositories') continue;
    for (const { owner, repository } of by.claim.repositories) {
      const key = `${by.host} ${owner}`.toLowerCase();
      claimed.set(key, [...(claimed.get(key) ?? []), { repository: `${owner}/${repository}`, by }]);
    }
  }
  return registrations.flatMap((registration) => {
    const { host, claim, grant, labels } = registration;
    if (grant === undefined || (claim.kind !== 'organization' && claim.kind !== 'enterprise')) return [];
    return placesIn(claim).flatMap((place, index) =>
      (claimed.get(`${host} ${place}`.toLowerCase()) ?? []).flatMap(({ repository, by }): readonly Overlap[] => {
        const label = labelInCommon(labels.map(foldLabel), by.labels.map(foldLabel));
        if (label === undefined) return [];
        const message = `GitHub could give its runners jobs of ${repository} with the label ${quote(label)}, which the platform's own registration ${quote(by.name)} claims`;
        return [{ registration, path: pathOf(claim.kind, index), message, cure: APART }];
      }),
    );
  });
}

const APART = 'Give one of them another label, or claim `repositories` instead of the whole owner.';

function overlapsAt(
  territory: Territory,
  registration: Registration,
  place: string,
  index: number,
): readonly Overlap[] {
  const { host, claim, grant, labels } = registration;
  const slash = place.indexOf('/');
  const path = pathOf(claim.kind, index);
  const tell = (message: string, cure: string, at: Path = path): Overlap => ({ registration, path: at, message, cure });
  const holding =
    slash < 0
      ? territory.whoseOwner(host, place)
      : territory.whose(host, place.slice(0, slash), place.slice(slash + 1));
  const overlaps: Overlap[] = [];
  const rivals = (holding?.grants ?? []).filter(({ tenant }) => tenant !== grant?.tenant);
  const [rival] = rivals;
  const isOurs = holding !== undefined && rivals.length < holding.grants.length;
  if (rival !== undefined && holding !== undefined && holding.by !== 'everyone') {
    const label = labelInCommon(
      labels.map(foldLabel),
      rivals.flatMap((other) => other.labels),
    );
    if (grant !== undefined && !isOurs)
      overlaps.push(tell(`${place} belongs to ${whose(rival, holding)}`, cure(rival)));
    else if (grant === undefined && label !== undefined) {
      const message = `jobs of ${place} with the label ${quote(label)} belong to ${whose(rival, holding)}`;
      overlaps.push(tell(message, cure(rival)));
    }
  }
  const platforms = territory.platforms(host, place);
  if (holding === undefined && platforms !== undefined && grant?.owners.includes('*') === true) {
    const message = `\`"*"\` does not cover ${place}: the platform's own registration ${quote(platforms)} claims it`;
    overlaps.push(tell(message, `Leave it to that one, or write \`${place}\` in \`tenants.${grant.tenant}\`.`));
  }
  if (grant !== undefined && isOurs && rival !== undefined && registration.webhookSecrets.length > 0) {
    const message = `the secret could report jobs of tenant ${quote(rival.tenant)}, which was granted ${place} too`;
    overlaps.push(
      tell(message, 'Remove it, and let a shared endpoint (`webhooks` of dispatcher.yaml) or polling bring the jobs.', [
        'webhook',
      ]),
    );
  }
  if (claim.kind === 'organization' || claim.kind === 'enterprise') {
    for (const other of territory.othersWithin(host, place, grant?.tenant)) {
      const label = labelInCommon(labels.map(foldLabel), other.grant.labels);
      if (label === undefined) continue;
      const at = placeOf(other.grant, 'repositories');
      const message = `GitHub could give its runners jobs of ${other.repository} with the label ${quote(label)}, which belong to tenant ${quote(other.grant.tenant)} (${at})`;
      overlaps.push(tell(message, APART));
    }
  }
  return overlaps;
}

function pathOf(kind: Registration['claim']['kind'], index: number): Path {
  switch (kind) {
    case 'organization':
    case 'user':
      return [kind];
    case 'enterprise':
      return ['organizations', index];
    case 'repositories':
      return ['repositories', index];
  }
}

function whose(grant: Grant, { by }: Holding): string {
  return `tenant ${quote(grant.tenant)} (${placeOf(grant, by === 'owner' ? 'owners' : 'repositories')})`;
}

function cure({ tenant }: Grant): string {
  return `Leave them to that tenant, or take them from \`tenants.${tenant}\` in dispatcher.yaml.`;
}

/**
 * A tenant's limit applies to all its registrations together. `heldBefore`: what a registration had already comes first, so
 * that who asks for more takes it from nobody. What does not fit takes nothing from those after it.
 */
export function findOverRunners(
  registrations: readonly Registration[],
  heldBefore: (registration: Registration) => number = () => 0,
): readonly Overlap[] {
  const sums = new Map<string, number>();
  return heldFirst(
    registrations,
    ({ maxRunners }) => maxRunners,
    heldBefore,
    (registration, runners) => {
      const { grant, maxRunners } = registration;
      const most = grant?.limits.maxRunners;
      // Exceeds the limit by itself: reported where it was read.
      if (grant === undefined || most === undefined || maxRunners > most) return undefined;
      const sum = (sums.get(grant.tenant) ?? 0) + runners;
      if (sum <= most) {
        sums.set(grant.tenant, sum);
        return undefined;
      }
      const limit = { field: 'limits.maxRunners', what: '', value: sum } as const;
      return {
        registration,
        path: ['maxRunners'],
        message: `the registrations of tenant ${quote(grant.tenant)} together have ${sum} runners, and the limit is ${most}`,
        cure: `Lower \`maxRunners\` here or in another one. ${cureOf(grant, limit)}`,
      };
    },
  );
}

/**
 * `take`: so many more for it, or why not. Each is first given what it had; then, in the order of the registrations, what it
 * asks for beyond.
 */
export function heldFirst(
  registrations: readonly Registration[],
  wanted: (registration: Registration) => number,
  heldBefore: (registration: Registration) => number,
  take: (registration: Registration, runners: number) => Overlap | undefined,
): readonly Overlap[] {
  const asking: { readonly registration: Registration; readonly more: number }[] = [];
  const overlaps: Overlap[] = [];
  for (const registration of registrations) {
    const all = wanted(registration);
    if (all === 0) continue;
    const held = Math.min(all, heldBefore(registration));
    const found = take(registration, held);
    if (found !== undefined) overlaps.push(found);
    else if (all > held) asking.push({ registration, more: all - held });
  }
  return [...overlaps, ...asking.flatMap(({ registration, more }) => take(registration, more) ?? [])];
}

/** For the platform's credentials that name no host, without tenants: even then they must have only one host. */
export function findTravellers(registrations: readonly Registration[]): readonly Overlap[] {
  const first = new Map<unknown, Registration>();
  return registrations.flatMap((registration) => {
    const { credentials, host } = registration;
    const secret = credentials.kind === 'token' ? credentials.token : credentials.privateKey;
    const other = first.get(secret);
    if (other === undefined) first.set(secret, registration);
    if (other === undefined || other.host === host) return [];
    return [
      {
        registration,
        path: ['credentials', 'use'],
        message: `the credentials would be sent to ${host}, and registration \`${other.name}\` sends them to ${other.host}`,
        cure: 'Give each host credentials of its own, and name it there: `host: HOST`.',
      },
    ];
  });
}
