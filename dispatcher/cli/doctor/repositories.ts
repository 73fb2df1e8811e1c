/** Whether the claimed owner exists and its repositories are visible: what polling will find. */
import { z } from 'zod';
import { createGithub, type GithubOptions } from '../../github/client.ts';
import { requestersFor } from '../../github/credential.ts';
import type { Claim, Registration } from '../../model/registration.ts';
import { bad, type DoctorFinding, githubCure, githubWords, good, wordsOf } from './finding.ts';

const GITHUB = 'github';
const SUBJECT = 'repositories';
/** For a claim by name; a file may list thousands. */
const MAX_NAMES = 20;
const MAX_FINDINGS = 20;

export type Ways = Omit<GithubOptions, 'registration'>;

export interface RepositoriesReport {
  readonly findings: readonly DoctorFinding[];
  /** `acme/web`: those that are readable. */
  readonly names: readonly string[];
}

/** Queries as the poll does. */
export async function checkRepositories(registration: Registration, ways: Ways): Promise<RepositoriesReport> {
  const { claim, credentials } = registration;
  // If an App is installed, its owner exists.
  const byName = claim.kind === 'user' && credentials.kind === 'token';
  const findings = byName ? await checkUser(registration, claim, ways) : [];
  if (findings.some(({ ok }) => !ok)) return { findings, names: [] };
  const looked = { ...registration, claim: shortened(claim) };
  try {
    const github = createGithub({ registration: looked, ...ways });
    const { repositories, failures } = await github.listRepositories(new AbortController().signal);
    const names = repositories.map(({ owner, repository }) => `${owner}/${repository}`);
    const failed = failures
      .slice(0, MAX_FINDINGS)
      .map(({ about, error }) => bad(GITHUB, SUBJECT, `${about}: ${githubWords(error)}`, githubCure(error)));
    const more = failures.length - failed.length;
    return {
      names,
      findings: [
        ...findings,
        ...failed,
        ...(more > 0 ? [bad(GITHUB, SUBJECT, `${more} more cannot be read`, 'mend those above first')] : []),
        ...(names.length > 0 ? [good(GITHUB, SUBJECT, `${seen(names)} can be read`)] : []),
        ...(names.length === 0 && failures.length === 0
          ? [
              bad(
                GITHUB,
                SUBJECT,
                'none can run jobs: all are archived or disabled',
                'unarchive one, or correct the claim',
              ),
            ]
          : []),
      ],
    };
  } catch (error) {
    return { findings: [...findings, bad(GITHUB, SUBJECT, wordsOf(error), githubCure(error))], names: [] };
  }
}

/** `/user/repos` answers for a nonexistent name as for any other: with what the token can see. */
async function checkUser(
  { host, apiUrl, credentials, claim }: Registration,
  { user }: Extract<Claim, { readonly kind: 'user' }>,
  ways: Ways,
): Promise<readonly DoctorFinding[]> {
  try {
    const answer = await requestersFor({ host, apiUrl, claim, credentials, ...ways })(user).call({
      method: 'GET',
      route: '/users/{username}',
      parameters: { username: user },
      purpose: 'verify',
      answer: z.object({ login: z.string(), type: z.string().optional() }),
      accept: [404],
    });
    if (answer.accepted) {
      return [bad(GITHUB, 'owner', `there is no user account ${user}`, 'correct `user` in the registration')];
    }
    if (answer.data.type === 'Organization') {
      return [
        bad(GITHUB, 'owner', `${user} is an organization`, `write \`organization: ${user}\` in place of \`user\``),
      ];
    }
    return [good(GITHUB, 'owner', `the user account ${answer.data.login} is there`)];
  } catch (error) {
    return [bad(GITHUB, 'owner', `the user account ${user}: ${wordsOf(error)}`, githubCure(error))];
  }
}

function shortened(claim: Claim): Claim {
  return claim.kind === 'repositories' ? { ...claim, repositories: claim.repositories.slice(0, MAX_NAMES) } : claim;
}

function seen(names: readonly string[]): string {
  return names.length <= 3 ? names.join(', ') : `${names.length} (${names.slice(0, 2).join(', ')}, …)`;
}
