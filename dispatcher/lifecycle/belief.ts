/**
 * Which parts of a listing to trust. Tags are written by the owner of the account: a tenant can put another tenant's
 * runner, or another scope, into the tags of its own container. So a backend's listing is trusted only for runners
 * placed there, and for new ones only within its registration's claim. Pure.
 */
import type { Instance, InstanceTags } from '../../providers/provider.ts';
import { ulidTime } from '../../time/clock.ts';
import { type GithubScope, parseScopePath } from '../jobs/scope.ts';
import type { RunnerRow } from '../ledger/ledger.ts';
import type { Claim } from '../model/registration.ts';

export type Belief =
  | { readonly kind: 'believed' }
  /** It belongs to another registration, which has its own listing. */
  | { readonly kind: 'not-asked' }
  | { readonly kind: 'doubted'; readonly why: string };

const BELIEVED: Belief = { kind: 'believed' };

const YEAR_10000_MS = Date.UTC(10_000, 0, 1);

/** `samePlace`: the runner's own backend is this one, or the same account by another name. */
export function believeKnown(
  registration: string,
  instance: Instance,
  row: Pick<RunnerRow, 'registration'>,
  samePlace: boolean,
): Belief {
  const own = ownTags(registration, instance);
  if ('kind' in own) return own;
  if (row.registration !== registration) return doubted(`the runner is ${row.registration}'s`);
  return samePlace ? BELIEVED : doubted('the runner was placed on another backend');
}

/** For a runner that is not in the ledger. */
export function believeUnknown(dispatcherId: string, registration: string, claim: Claim, instance: Instance): Belief {
  const own = ownTags(registration, instance);
  if ('kind' in own) return own;
  const prefix = `${dispatcherId}-`;
  const named = own.runner.startsWith(prefix) && ulidTime(own.runner.slice(prefix.length)) !== undefined;
  if (!named) return doubted('its name is not one that this dispatcher gives');
  if (![own.createdAtMs, own.deadlineAtMs].every(isTime)) return doubted('its tags have invalid times');
  const scope = scopeOf(own.scope);
  if (scope === undefined || !isWithin(claim, scope)) return doubted(`the registration does not claim ${own.scope}`);
  return BELIEVED;
}

function ownTags(registration: string, { ref, tags }: Instance): InstanceTags | Belief {
  if (tags === undefined || tags.registration !== registration) return { kind: 'not-asked' };
  return tags.runner === ref.name ? tags : doubted('its tags name another runner than its name does');
}

function isTime(ms: number): boolean {
  return Number.isSafeInteger(ms) && ms >= 0 && ms < YEAR_10000_MS;
}

function doubted(why: string): Belief {
  return { kind: 'doubted', why };
}

function scopeOf(path: string): GithubScope | undefined {
  try {
    return parseScopePath(path);
  } catch {
    return undefined;
  }
}

/** A runner may register where the claim says, or (with a bucket) at one of the claim's repositories. */
function isWithin(claim: Claim, scope: GithubScope): boolean {
  switch (claim.kind) {
    case 'enterprise':
      if (scope.kind === 'repository') return claim.organizations.some((one) => same(one, scope.owner));
      return scope.kind === 'enterprise' && same(scope.enterprise, claim.enterprise);
    case 'organization':
      if (scope.kind === 'repository') return same(scope.owner, claim.organization);
      return scope.kind === 'organization' && same(scope.organization, claim.organization);
    case 'user':
      return scope.kind === 'repository' && same(scope.owner, claim.user);
    case 'repositories':
      return (
        scope.kind === 'repository' &&
        claim.repositories.some(
          ({ owner, repository }) => same(owner, scope.owner) && same(repository, scope.repository),
        )
      );
  }
}

function same(one: string, other: string): boolean {
  return one.toLowerCase() === other.toLowerCase();
}
