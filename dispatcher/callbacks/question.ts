/**
 * May this job run on this runner? GitHub, not we, assigns jobs: a runner can be handed one that admission refused, or
 * never saw. The hook in the runner asks before the first step. Pure.
 */
import { judgeVisibility } from '../admission/policy.ts';
import type { Claim, Registration } from '../model/registration.ts';

export interface Asked {
  readonly owner: string;
  readonly repository: string;
  /** As GitHub told us; undefined: it has not yet. */
  readonly visibility: 'public' | 'private' | 'internal' | undefined;
}

/** `unknown`: GitHub has not said yet what decides. The hook asks again. */
export type Verdict = { readonly may: 'yes' } | { readonly may: 'no' | 'unknown'; readonly reason: string };

export function mayRun(registration: Registration, asked: Asked): Verdict {
  const name = `${asked.owner}/${asked.repository}`;
  if (!covers(registration.claim, asked))
    return { may: 'no', reason: `${name} is not among the repositories of registration ${registration.name}` };
  const exposed = judgeVisibility(registration, asked.visibility, name);
  if (exposed === undefined) return { may: 'yes' };
  return exposed.code === 'unknown-visibility'
    ? { may: 'unknown', reason: exposed.reason }
    : { may: 'no', reason: `${exposed.reason}. ${exposed.cure}` };
}

function covers(claim: Claim, { owner, repository }: Asked): boolean {
  const same = (left: string, right: string) => left.toLowerCase() === right.toLowerCase();
  switch (claim.kind) {
    case 'enterprise':
      return claim.organizations.some((organization) => same(organization, owner));
    case 'organization':
      return same(claim.organization, owner);
    case 'user':
      return same(claim.user, owner);
    case 'repositories':
      return claim.repositories.some((one) => same(one.owner, owner) && same(one.repository, repository));
  }
}
