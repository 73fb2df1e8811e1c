import type { Assignments } from '../assignment.ts';
import { type Authenticator, demandRepository, demandScope, type Need, sees } from '../auth.ts';
import type { Faults } from '../faults.ts';
import type { Limits } from '../limits.ts';
import type { Repository, RunnerScope } from '../model.ts';
import type { RunnerRelease } from '../payloads/application.ts';
import type { Urls } from '../payloads/urls.ts';
import { type Call, notFound } from '../router.ts';
import type { Runs } from '../runs.ts';
import type { Sessions } from '../sessions.ts';
import type { Webhooks } from '../webhooks.ts';
import type { World } from '../world.ts';

/** Everything that an endpoint may need. */
export interface Context {
  readonly world: World;
  readonly runs: Runs;
  readonly assignments: Assignments;
  readonly sessions: Sessions;
  readonly webhooks: Webhooks;
  readonly faults: Faults;
  readonly limits: Limits;
  readonly authenticator: Authenticator;
  readonly jit: boolean;
  readonly runnerRelease: RunnerRelease;
  urls(): Urls;
  /** The address for runners. */
  runnerUrl(): string;
}

/** The repository `:owner/:repo` of the path, if the credential has the permission on it. */
export function repositoryOf(context: Context, call: Call, permission: string, need: Need): Repository {
  const repository = context.world.repository(call.param('owner'), call.param('repo'));
  if (!repository || !sees(call.credential, repository)) throw notFound();
  demandRepository(call.credential, repository, permission, need);
  return repository;
}

export type ScopeKind = RunnerScope['kind'];

export const scopePrefix = {
  enterprise: '/enterprises/:enterprise',
  organization: '/orgs/:org',
  repository: '/repos/:owner/:repo',
} as const satisfies Record<ScopeKind, string>;

/** The scope in the path, if the credential may manage its runners. */
export function scopeOf(context: Context, call: Call, kind: ScopeKind, need: Need): RunnerScope {
  const scope = findScope(context, call, kind);
  const permission = kind === 'organization' ? 'organization_self_hosted_runners' : 'administration';
  demandScope(call.credential, scope, permission, need);
  return scope;
}

function findScope(context: Context, call: Call, kind: ScopeKind): RunnerScope {
  const { world } = context;
  if (kind === 'enterprise') {
    const enterprise = world.enterprises.get(call.param('enterprise').toLowerCase());
    if (enterprise) return { kind, enterprise };
  } else if (kind === 'organization') {
    const account = world.account(call.param('org'));
    if (account?.type === 'Organization') return { kind, account };
  } else {
    const repository = world.repository(call.param('owner'), call.param('repo'));
    if (repository) return { kind, repository };
  }
  throw notFound();
}
