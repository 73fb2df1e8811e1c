/**
 * May this job run on this runner? GitHub, not we, assigns jobs: a runner can be handed one that admission refused, or
 * never saw. The hook in the runner asks before the first step. Pure.
 */
import { judgeFork } from '../admission/fork.ts';
import { cureOf, missingExposure, placeOf } from '../admission/grants.ts';
import { dependsOnRun, judgeOrigin } from '../admission/origin.ts';
import { judgeVisibility } from '../admission/policy.ts';
import { quote } from '../labels/values.ts';
import type { Claim, Registration } from '../model/registration.ts';

export interface Asked {
  readonly owner: string;
  readonly repository: string;
  /** As GitHub told us; undefined: it has not yet. */
  readonly visibility: 'public' | 'private' | 'internal' | undefined;
  /** Only the webhook of a tenant tells of the visibility: no grant depends on it. */
  readonly isVisibilityUnproven: boolean;
  readonly workflow: string | null;
  readonly branch: string | null;
  readonly event: string | null;
  readonly actors: readonly string[] | null;
  /** Undefined: neither the event nor GitHub has told. */
  readonly isFork: boolean | undefined;
}

/** `unknown`: GitHub has not said yet what decides. The hook asks again. */
export type Verdict =
  | { readonly may: 'yes' }
  | { readonly may: 'no'; readonly reason: string }
  /** `needs`: what a read of the run at GitHub tells. */
  | { readonly may: 'unknown'; readonly reason: string; readonly needs?: 'fork' | 'origin' };

/** `backend`: where the runner runs. */
export function mayRun(registration: Registration, backend: string | null, asked: Asked): Verdict {
  const name = `${asked.owner}/${asked.repository}`;
  if (!covers(registration.claim, asked))
    return { may: 'no', reason: `${name} is not among the repositories of registration ${registration.name}` };
  const exposed = judgeVisibility(registration, asked.visibility, name);
  if (exposed === undefined) {
    return (
      judgedByOrigin(registration, asked) ??
      withheld(registration, backend, asked) ??
      judgedAsFork(registration, backend, asked) ?? { may: 'yes' }
    );
  }
  return exposed.code === 'unknown-visibility'
    ? { may: 'unknown', reason: exposed.reason }
    : { may: 'no', reason: `${exposed.reason}. ${exposed.cure}` };
}

/** GitHub gives a runner any job with its labels, of whatever workflow and branch. */
function judgedByOrigin(registration: Registration, asked: Asked): Verdict | undefined {
  const refusals = judgeOrigin(registration, asked);
  // What is certain needs no further question.
  const refusal = refusals.find(({ code }) => code !== 'unknown-origin') ?? refusals[0];
  if (refusal === undefined) return undefined;
  if (refusal.code !== 'unknown-origin') return { may: 'no', reason: `${refusal.reason}. ${refusal.cure}` };
  const needs = dependsOnRun(registration) && (asked.event === null || asked.actors === null);
  return { may: 'unknown', reason: refusal.reason, ...(needs ? { needs: 'origin' } : {}) };
}

/** Last: it may take a read of the run. */
function judgedAsFork(registration: Registration, backend: string | null, asked: Asked): Verdict | undefined {
  const { owner, repository, visibility, isFork } = asked;
  const refusal = judgeFork(registration, backend, { repository: `${owner}/${repository}`, visibility, isFork });
  if (refusal === undefined) return undefined;
  if (refusal.isCertain) return { may: 'no', reason: `${refusal.reason}. ${refusal.cure}` };
  return { may: 'unknown', reason: refusal.reason, ...(isFork === undefined ? { needs: 'fork' } : {}) };
}

/** GitHub gives a tenant's runner on a shared backend also the jobs of repositories that its grant keeps from there. */
function withheld(registration: Registration, name: string | null, asked: Asked): Verdict | undefined {
  const { backends, grant } = registration;
  if (grant === undefined || backends.find((backend) => backend.name === name)?.shared !== true) return undefined;
  const isPublic = asked.visibility === 'public';
  const [missing] = missingExposure(grant, asked.isVisibilityUnproven && !isPublic ? undefined : asked.visibility);
  if (missing === undefined) return undefined;
  const what = `${asked.owner}/${asked.repository}: tenant ${quote(grant.tenant)} was not granted ${missing.what} on shared backends (${placeOf(grant, missing.field)})`;
  return isPublic ? { may: 'no', reason: `${what}. ${cureOf(grant, missing)}` } : { may: 'unknown', reason: what };
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
