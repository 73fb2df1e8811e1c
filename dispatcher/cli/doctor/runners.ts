/** Where the registration's runners register: permission to do so, the runner group, and whose jobs can reach them. */
import { z } from 'zod';
import type { Clock } from '../../../time/clock.ts';
import { createGithub } from '../../github/client.ts';
import { requestersFor } from '../../github/credential.ts';
import { GithubError } from '../../github/github.ts';
import { listPages } from '../../github/pages.ts';
import type { Caller } from '../../github/requester.ts';
import { RunnerGroups } from '../../github/runner-groups.ts';
import { type GithubScope, ownerOfScope, scopePath } from '../../jobs/scope.ts';
import { type Claim, type Registration, requiresHook } from '../../model/registration.ts';
import { bad, type DoctorFinding, githubCure, good, note, wordsOf } from './finding.ts';
import type { Ways } from './repositories.ts';

const GITHUB = 'github';
const MAX_SCOPES = 20;

const groupAnswer = z.object({
  name: z.string().max(512),
  visibility: z.string().max(64),
  allows_public_repositories: z.boolean(),
});

/** Queries as the service does, without registering anything. `repositories`: of the claim, as `acme/web`. */
export async function checkRunners(
  registration: Registration,
  repositories: readonly string[],
  ways: Ways,
): Promise<readonly DoctorFinding[]> {
  const github = createGithub({ registration, ...ways });
  const scopes = scopesOf(registration);
  const findings: DoctorFinding[] = [];
  const readable: string[] = [];
  for (const scope of scopes.slice(0, MAX_SCOPES)) {
    const path = scopePath(scope);
    try {
      // At most one page: a full list could take 100.
      await github.findRunner(scope, `no-such-runner-${path.length}`, 'verify');
      readable.push(path);
    } catch (error) {
      findings.push(bad(GITHUB, 'runners', `runners of ${path}: ${wordsOf(error)}`, githubCure(error)));
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
  const requester = requestersFor({ ...registration, ...ways })(ownerOfScope(scope));
  findings.push(...(await checkGroup(registration, repositories, requester, scope, ways.clock)));
  return findings;
}

async function checkGroup(
  registration: Registration,
  repositories: readonly string[],
  requester: Caller,
  scope: Exclude<GithubScope, { readonly kind: 'repository' }>,
  clock: Clock,
): Promise<readonly DoctorFinding[]> {
  const { runnerGroup, claim } = registration;
  let id: number;
  let group: z.infer<typeof groupAnswer>;
  try {
    id = await new RunnerGroups(clock).idOf(requester, scope, runnerGroup);
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
          : githubCure(error),
      ),
    ];
  }
  const there = good(
    GITHUB,
    'runner group',
    `'${group.name}' of ${scopePath(scope)} is there, for ${group.visibility} repositories`,
  );
  const admitted =
    group.visibility === 'selected'
      ? await checkAdmitted(requester, scope, { id, name: group.name }, claim, repositories)
      : [];
  return [there, ...admitted, exposure(group.name, group.allows_public_repositories, registration)];
}

const MAX_PAGES = 20;
const SHOWN = 5;
const admittedRepositories = z.object({
  total_count: z.int().min(0),
  repositories: z.array(z.union([z.object({ full_name: z.string() }), z.unknown().transform(() => null)])),
});
const admittedOrganizations = z.object({
  total_count: z.int().min(0),
  organizations: z.array(z.union([z.object({ login: z.string() }), z.unknown().transform(() => null)])),
});

/** A group for selected repositories gets no jobs from others: their runners would idle while the jobs wait. */
async function checkAdmitted(
  requester: Caller,
  scope: Exclude<GithubScope, { readonly kind: 'repository' }>,
  group: { readonly id: number; readonly name: string },
  claim: Claim,
  repositories: readonly string[],
): Promise<readonly DoctorFinding[]> {
  const claimed = scope.kind === 'enterprise' ? (claim.kind === 'enterprise' ? claim.organizations : []) : repositories;
  let admitted: ReadonlySet<string>;
  try {
    admitted = await admittedTo(requester, scope, group.id);
  } catch (error) {
    return [bad(GITHUB, 'runner group', `whom '${group.name}' admits: ${wordsOf(error)}`, githubCure(error))];
  }
  const what = scope.kind === 'enterprise' ? 'organization' : 'repository';
  const shut = claimed.filter((name) => !admitted.has(name.toLowerCase()));
  if (shut.length === 0) {
    return [good(GITHUB, 'runner group', `'${group.name}' admits every ${what} of the claim`)];
  }
  const names = `${shut.slice(0, SHOWN).join(', ')}${shut.length > SHOWN ? ` and ${shut.length - SHOWN} more` : ''}`;
  return [
    bad(
      GITHUB,
      'runner group',
      `'${group.name}' does not admit ${names}: GitHub does not give their jobs to its runners`,
      `add them to the runner group (Settings → Actions → Runner groups), or let the registration claim only what the group admits`,
    ),
  ];
}

async function admittedTo(
  requester: Caller,
  scope: Exclude<GithubScope, { readonly kind: 'repository' }>,
  id: number,
): Promise<ReadonlySet<string>> {
  const paging = { purpose: 'verify', mostPages: MAX_PAGES, beyond: 'fail' } as const;
  if (scope.kind === 'enterprise') {
    const listed = await listPages<z.infer<typeof admittedOrganizations>, { readonly login: string } | null>(
      requester,
      {
        ...paging,
        route: '/enterprises/{enterprise}/actions/runner-groups/{runner_group_id}/organizations',
        parameters: { enterprise: scope.enterprise, runner_group_id: id },
        answer: admittedOrganizations,
        page: (data) => ({ items: data.organizations, total: data.total_count }),
      },
    );
    return new Set((listed?.items ?? []).flatMap((one) => (one === null ? [] : [one.login.toLowerCase()])));
  }
  const listed = await listPages<z.infer<typeof admittedRepositories>, { readonly full_name: string } | null>(
    requester,
    {
      ...paging,
      route: '/orgs/{org}/actions/runner-groups/{runner_group_id}/repositories',
      parameters: { org: scope.organization, runner_group_id: id },
      answer: admittedRepositories,
      page: (data) => ({ items: data.repositories, total: data.total_count }),
    },
  );
  return new Set((listed?.items ?? []).flatMap((one) => (one === null ? [] : [one.full_name.toLowerCase()])));
}

/**
 * Refusing a job does not keep it from our runners: GitHub assigns jobs, not we. The runner group keeps it away, or the
 * hook in the runner stops it.
 */
function exposure(group: string, groupAllows: boolean, registration: Registration): DoctorFinding {
  if (registration.policy.publicRepositories) {
    return groupAllows
      ? good(
          GITHUB,
          'exposure',
          'public repositories, and so forks of strangers, may use these runners: as `policy` says',
        )
      : bad(
          GITHUB,
          'exposure',
          `the policy allows public repositories, the runner group '${group}' does not: their jobs wait forever`,
          'allow public repositories in the runner group, or take `policy.publicRepositories` out',
        );
  }
  if (groupAllows && requiresHook(registration)) {
    return note(
      GITHUB,
      'exposure',
      `the runner group '${group}' lets jobs of public repositories take runners that were started for others: the hook in the runner alone stops them, in images that carry it`,
      "untick 'Allow public repositories' in the runner group (Settings → Actions → Runner groups)",
    );
  }
  return groupAllows
    ? bad(
        GITHUB,
        'exposure',
        `neither the runner group '${group}' nor the hook keeps jobs of public repositories, which are refused here, from runners that were started for others`,
        "untick 'Allow public repositories' in the runner group (Settings → Actions → Runner groups), or set `requireHook: true` with an image that carries the hook",
      )
    : good(GITHUB, 'exposure', `the runner group '${group}' keeps public repositories away`);
}

/** The repositories of a user account are known only once jobs arrive. */
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
