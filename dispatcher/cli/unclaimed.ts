/** What to do about a repository that no registration claims, for `shr explain`. */
import type { JobSubject } from '../jobs/lane.ts';
import { nearest } from '../labels/nearest.ts';
import { ownersOf, type Registration } from '../model/registration.ts';

const MAX_NAMED = 5;

/** Undefined if one claims it: then the labels decide, and the reason names them. */
export function unclaimedCure(job: JobSubject, registrations: readonly Registration[]): string | undefined {
  const here = registrations.filter(({ host }) => host.toLowerCase() === job.host.toLowerCase());
  const repository = `${job.owner}/${job.repository}`;
  const claimed = new Set(here.flatMap(claimsOf));
  if (claimed.has(repository.toLowerCase()) || claimed.has(`${job.owner}/*`.toLowerCase())) return undefined;
  const hosts = [...new Set(registrations.map(({ host }) => host))];
  if (here.length === 0 && hosts.length > 0) {
    return `Name the host with --host (the registrations are for ${listed(hosts)}), or set \`host: ${job.host}\` in one.`;
  }
  const claim = `let a registration claim ${job.owner} or ${repository}`;
  if (claimed.size === 0) return `To have it served, ${claim}.`;
  const owners = [...claimed].map((one) => one.slice(0, one.indexOf('/')));
  // Of its own owner other repositories are claimed: that is not misspelt.
  const isKnown = owners.includes(job.owner.toLowerCase());
  const guess = nearest(repository, claimed) ?? (isKnown ? undefined : nearest(job.owner, owners));
  if (guess !== undefined) return `Did you mean ${guess}? Else ${claim}.`;
  return `Correct --repo (${listed([...claimed])} are claimed), or ${claim}.`;
}

/** `acme/*`, or each repository; in lower case, as GitHub compares. */
function claimsOf({ claim }: Registration): readonly string[] {
  if (claim.kind !== 'repositories') return ownersOf(claim).map((owner) => `${owner}/*`.toLowerCase());
  return claim.repositories.map(({ owner, repository }) => `${owner}/${repository}`.toLowerCase());
}

function listed(names: readonly string[]): string {
  const more = names.length > MAX_NAMED ? ` and ${names.length - MAX_NAMED} more` : '';
  return `${names.slice(0, MAX_NAMED).join(', ')}${more}`;
}
