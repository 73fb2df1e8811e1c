/** What one version of the configuration changes against the one before. Pure. */
import type { Absence } from '../config/absent.ts';
import { fingerprint } from '../config/fingerprint.ts';
import type { JobPlace } from '../ledger/ledger.ts';
import type { Claim, Configuration, JobClaims, Registration } from '../model/registration.ts';

export interface Difference {
  /** In force now, and new or configured otherwise. */
  readonly changed: readonly Registration[];
  /** The same in all but where dispatcher.yaml grants it: for messages. */
  readonly moved: readonly Registration[];
  /** In force before, and not now. */
  readonly ended: readonly { readonly name: string; readonly absence: Absence }[];
  /** Whose waiting jobs may be admitted otherwise, beside those of the registrations themselves. */
  readonly readmit: 'all' | readonly JobPlace[];
}

type Compared = Pick<Configuration, 'dispatcher' | 'registrations' | 'quarantined'>;

/** What was not read anew is the same object, and costs a comparison of two pointers. */
export function differenceOf(before: Compared, after: Compared): Difference {
  const known = new Map(before.registrations.map((one) => [one.name, one]));
  const present = new Set(after.registrations.map(({ name }) => name));
  const setAside = new Set(after.quarantined.map(({ name }) => name));
  const changed: Registration[] = [];
  const moved: Registration[] = [];
  for (const registration of after.registrations) {
    const earlier = known.get(registration.name);
    if (earlier === registration) continue;
    const same = earlier !== undefined && fingerprint(earlier) === fingerprint(registration);
    (same ? moved : changed).push(registration);
  }
  const ended = before.registrations
    .filter(({ name }) => !present.has(name))
    .map(({ name }) => ({ name, absence: setAside.has(name) ? ('set-aside' as const) : ('removed' as const) }));
  return { changed, moved, ended, readmit: readmitted(before, after, new Set(moved)) };
}

/** A grant decides on the jobs of others too: with other tenants, any job may be admitted otherwise. */
function readmitted(before: Compared, after: Compared, moved: ReadonlySet<Registration>): Difference['readmit'] {
  if (before.dispatcher.tenants !== after.dispatcher.tenants) {
    if (fingerprint(before.dispatcher.tenants) !== fingerprint(after.dispatcher.tenants)) return 'all';
  }
  const earlier = claimsOf(before);
  const later = claimsOf(after);
  const differing = [
    ...[...later].filter(([claims]) => !earlier.has(claims) && !isMoved(claims, moved)),
    ...[...earlier].filter(([claims]) => !later.has(claims) && !isMoved(claims, moved)),
  ];
  const places = new Map<string, JobPlace>();
  for (const [{ host, claim }] of differing) {
    for (const place of placesOf(host, claim)) {
      places.set(`${place.host}/${place.owner}/${place.repository ?? ''}`.toLowerCase(), place);
    }
  }
  // Which jobs a file would claim that cannot be read is not known.
  const unread = ({ quarantined }: Compared) =>
    quarantined
      .filter(({ claims }) => claims === undefined)
      .map(({ name }) => name)
      .join();
  return unread(before) === unread(after) ? [...places.values()] : 'all';
}

function claimsOf({ quarantined, registrations }: Compared): ReadonlyMap<JobClaims, JobClaims> {
  const claims = [...registrations, ...quarantined.flatMap((one) => one.claims ?? [])];
  return new Map(claims.map((one) => [one, one]));
}

function isMoved(claims: JobClaims, moved: ReadonlySet<Registration>): boolean {
  for (const { name } of moved) if (name === claims.name) return true;
  return false;
}

function placesOf(host: string, claim: Claim): readonly JobPlace[] {
  switch (claim.kind) {
    case 'enterprise':
      return claim.organizations.map((owner) => ({ host, owner }));
    case 'organization':
      return [{ host, owner: claim.organization }];
    case 'user':
      return [{ host, owner: claim.user }];
    case 'repositories':
      return claim.repositories.map(({ owner, repository }) => ({ host, owner, repository }));
  }
}
