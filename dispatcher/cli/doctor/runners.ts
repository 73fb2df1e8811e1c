/** Where the registration's runners will register: that it may, that the group is there, and whose jobs reach them. */
import { z } from 'zod';
import type { Clock, Random } from '../../clock.ts';
import type { Registration } from '../../config/model.ts';
import { BudgetPool } from '../../github/budget-pool.ts';
import { createGithub } from '../../github/client.ts';
import { requestersFor } from '../../github/credential.ts';
import { GithubError } from '../../github/github.ts';
import type { Requester } from '../../github/requester.ts';
import { RunnerGroups } from '../../github/runner-groups.ts';
import { type GithubScope, scopePath } from '../../github/scope.ts';
import { bad, type DoctorFinding, good, wordsOf } from './finding.ts';

const GITHUB = 'github';
const MOST_SCOPES = 20;

const groupAnswer = z.object({
  name: z.string().max(512),
  visibility: z.string().max(64),
  allows_public_repositories: z.boolean(),
});

/** Asks as the service does, with a budget of its own. Nothing is registered. */
export async function checkRunners(
  registration: Registration,
  clock: Clock,
  random: Random,
): Promise<readonly DoctorFinding[]> {
  const budgets = new BudgetPool(clock);
  const github = createGithub({ registration, budgets, clock, random });
  const scopes = scopesOf(registration);
  const findings: DoctorFinding[] = [];
  const readable: string[] = [];
  for (const scope of scopes.slice(0, MOST_SCOPES)) {
    const path = scopePath(scope);
    try {
      // One page at the most: a list of all could be 100.
      await github.findRunner(scope, `no-such-runner-${path.length}`, 'verify');
      readable.push(path);
    } catch (error) {
      findings.push(bad(GITHUB, 'runners', `runners of ${path}: ${wordsOf(error)}`, cureOf(error)));
    }
  }
  if (readable.length > 0) findings.push(good(GITHUB, 'runners', `can be read at ${readable.join(', ')}`));
  const [scope] = scopes;
  if (scope === undefined || scope.kind === 'repository') {
    findings.push(
      good(GITHUB, 'exposure', 'runners register at single repositories: no job of another one can reach them'),
    );
    return findings;
  }
  if (readable.length === 0) return findings;
  const requester = requestersFor({ ...registration, budgets, clock, random })(ownerOf(scope));
  findings.push(...(await checkGroup(registration, requester, scope, clock)));
  return findings;
}

async function checkGroup(
  { runnerGroup, policy }: Registration,
  requester: Requester,
  scope: Exclude<GithubScope, { readonly kind: 'repository' }>,
  clock: Clock,
): Promise<readonly DoctorFinding[]> {
  let group: z.infer<typeof groupAnswer>;
  try {
    const id = await new RunnerGroups(clock).idOf(requester, scope, runnerGroup);
    const answer = await requester.call({
      method: 'GET',
      route:
        scope.kind === 'enterprise'
          ? '/enterprises/{enterprise}/actions/runner-groups/{runner_group_id}'
          : '/orgs/{org}/actions/runner-groups/{runner_group_id}',
      parameters: {
        ...(scope.kind === 'enterprise' ? { enterprise: scope.enterprise } : { org: scope.organization }),
        runner_group_id: id,
      },
      purpose: 'verify',
      answer: groupAnswer,
    });
    if (answer.accepted) throw new Error('no status was to be accepted');
    group = answer.data;
  } catch (error) {
    return [
      bad(
        GITHUB,
        'runner group',
        `the runner group '${runnerGroup}' of ${scopePath(scope)}: ${wordsOf(error)}`,
        error instanceof GithubError && error.kind === 'not-found'
          ? 'create it (Settings → Actions → Runner groups), or correct `runnerGroup` in the registration'
          : cureOf(error),
      ),
    ];
  }
  const there = good(
    GITHUB,
    'runner group',
    `'${group.name}' of ${scopePath(scope)} is there, for ${group.visibility} repositories`,
  );
  return [there, exposure(group.name, group.allows_public_repositories, policy.publicRepositories)];
}

/**
 * Refusing a job is not keeping it from our runners: GitHub, not we, hands out jobs (DESIGN, "Security"). No hook in the
 * runner asks yet, so the runner group alone can hold this.
 */
function exposure(group: string, groupAllows: boolean, policyAllows: boolean): DoctorFinding {
  if (policyAllows) {
    return groupAllows
      ? good(
          GITHUB,
          'exposure',
          'public repositories, and so forks of strangers, may use these runners: as `policy` says',
        )
      : bad(
          GITHUB,
          'exposure',
          `the policy allows public repositories, the runner group '${group}' does not: their jobs wait for ever`,
          'allow public repositories in the runner group, or take `policy.publicRepositories` out',
        );
  }
  return groupAllows
    ? bad(
        GITHUB,
        'exposure',
        `jobs of public repositories are refused here, but the runner group '${group}' lets them take runners that were started for others`,
        "untick 'Allow public repositories' in the runner group (Settings → Actions → Runner groups)",
      )
    : good(GITHUB, 'exposure', `the runner group '${group}' keeps public repositories away`);
}

/** Of a user account the repositories are known only once jobs come. */
function scopesOf({ claim }: Registration): readonly GithubScope[] {
  switch (claim.kind) {
    case 'enterprise':
      return [{ kind: 'enterprise', enterprise: claim.enterprise }];
    case 'organization':
      return [{ kind: 'organization', organization: claim.organization }];
    case 'user':
      return [];
    case 'repositories':
      return claim.repositories.map(({ owner, repository }) => ({ kind: 'repository', owner, repository }));
  }
}

function ownerOf(scope: Exclude<GithubScope, { readonly kind: 'repository' }>): string {
  return scope.kind === 'enterprise' ? scope.enterprise : scope.organization;
}

function cureOf(error: unknown): string {
  if (!(error instanceof GithubError)) return 'look at the message, and try again';
  switch (error.kind) {
    case 'unauthorized':
      return 'renew the key or token, or install the App';
    case 'forbidden':
      return 'grant the permissions that the README lists under "Credentials"';
    case 'not-found':
      return 'look at the spelling of owner and repository, and let the credentials see them';
    case 'rate-limited':
      return "the hour's requests are used up: try again later";
    case 'transient':
      return "try again; then look at GitHub's status page";
    case 'conflict':
    case 'invalid':
      return 'look at the message, and at the registration';
  }
}
