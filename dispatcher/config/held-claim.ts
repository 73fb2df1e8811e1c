/** Checks against the tenant's grant whose jobs a registration serves, and what it refers to by name. */

import { matchesAny } from '../labels/glob.ts';
import { foldLabel, quote } from '../labels/values.ts';
import type { Path } from '../model/problem.ts';
import type { Claim, Grant } from '../model/registration.ts';
import { refuse } from './held.ts';
import type { Reading } from './reading.ts';

export interface Claimed {
  readonly host: string;
  readonly claim: Claim;
  readonly labels: readonly string[];
  readonly priority: number;
  readonly runnerGroup: string;
}

export function holdClaim(reading: Reading, grant: Grant, claimed: Claimed): void {
  const { host, claim, labels, priority, runnerGroup } = claimed;
  if (!grant.hosts.includes(host)) {
    refuse(reading, ['host'], grant, { field: 'hosts', what: `the host ${host}`, value: host });
  }
  holdPlaces(reading, grant, claim);
  for (const [index, label] of labels.entries()) {
    if (matchesAny(grant.labels, foldLabel(label))) continue;
    const path = reading.has(['labels', index]) ? ['labels', index] : ['labels'];
    refuse(reading, path, grant, { field: 'labels', what: `the label ${quote(label)}`, value: label });
  }
  if (priority > grant.maxPriority) {
    refuse(reading, ['priority'], grant, { field: 'priority', what: `the priority ${priority}`, value: priority });
  }
  if (claim.kind === 'user' || claim.kind === 'repositories' || grant.runnerGroups.includes(runnerGroup)) return;
  refuse(reading, ['runnerGroup'], grant, {
    field: 'runnerGroups',
    what: `the runner group ${quote(runnerGroup)}`,
    value: runnerGroup,
  });
}

function holdPlaces(reading: Reading, grant: Grant, claim: Claim): void {
  const owners = new Set(grant.owners);
  const holdOwner = (path: Path, owner: string): void => {
    if (owners.has('*') || owners.has(owner.toLowerCase())) return;
    refuse(reading, path, grant, { field: 'owners', what: `the owner ${owner}`, value: owner });
  };
  switch (claim.kind) {
    case 'enterprise': {
      const { enterprise } = claim;
      if (!grant.enterprises.includes(enterprise.toLowerCase())) {
        const what = `the enterprise ${enterprise}`;
        refuse(reading, ['enterprise'], grant, { field: 'enterprises', what, value: enterprise });
      }
      for (const [index, organization] of claim.organizations.entries())
        holdOwner(['organizations', index], organization);
      return;
    }
    case 'organization':
      holdOwner(['organization'], claim.organization);
      return;
    case 'user':
      holdOwner(['user'], claim.user);
      return;
    case 'repositories':
      for (const [index, { owner, repository }] of claim.repositories.entries()) {
        const name = `${owner}/${repository}`;
        const folded = name.toLowerCase();
        if (owners.has('*') || owners.has(owner.toLowerCase()) || matchesAny(grant.repositories, folded)) continue;
        const what = `the repository ${name}`;
        refuse(reading, ['repositories', index], grant, { field: 'repositories', what, value: name });
      }
  }
}

/** What a registration refers to by name: credentials, backends, kinds of backends. */
export function holdNamed(
  reading: Reading,
  path: Path,
  grant: Grant | undefined,
  field: 'credentials' | 'backends' | 'backendKinds',
  name: string,
): boolean {
  if (grant === undefined || isGranted(grant, field, name)) return true;
  const nouns = { credentials: 'the credentials', backends: 'the backend', backendKinds: 'backends of kind' };
  refuse(reading, path, grant, { field, what: `${nouns[field]} ${quote(name)}`, value: name });
  return false;
}

/** Credentials and kinds are written out: a glob would grant the next secret, or whatever a package brings, unseen. */
function isGranted(grant: Grant, field: 'credentials' | 'backends' | 'backendKinds', name: string): boolean {
  return field === 'backends' ? matchesAny(grant.backends, name) : grant[field].includes(name);
}

/** A backend that the tenant may use: one of the platform's (`names`), or else one of its own. Undefined: none. */
export function offeredBackend(
  { backends, backendKinds }: Grant,
  names: readonly string[],
):
  | { readonly use: string; readonly kind?: undefined }
  | { readonly kind: string; readonly use?: undefined }
  | undefined {
  const use = names.find((name) => matchesAny(backends, name));
  if (use !== undefined) return { use };
  const [kind] = backendKinds;
  return kind === undefined ? undefined : { kind };
}

export function holdRunners(reading: Reading, grant: Grant, asked: number): void {
  if (asked <= (grant.limits.maxRunners ?? Number.POSITIVE_INFINITY)) return;
  refuse(reading, ['maxRunners'], grant, { field: 'limits.maxRunners', what: `${asked} runners`, value: asked });
}
