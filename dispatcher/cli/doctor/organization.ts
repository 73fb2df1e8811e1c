/** Whether the defaults of the organization can be read, for a registration that asks for them. */
import { ORGANIZATION_FILE_BYTES, readOrganizationFile } from '../../config/organization-file.ts';
import { createGithub } from '../../github/client.ts';
import { GithubError } from '../../github/github.ts';
import { organizationFileCure } from '../../github/organization-file.ts';
import { formatProblem } from '../../model/problem.ts';
import type { Registration } from '../../model/registration.ts';
import { bad, type DoctorFinding, good, note, wordsOf } from './finding.ts';
import type { Ways } from './repositories.ts';

const GITHUB = 'github';
const SUBJECT = 'organization defaults';

export async function checkOrganization(registration: Registration, ways: Ways): Promise<readonly DoctorFinding[]> {
  const { claim, organizationDefaults } = registration;
  if (organizationDefaults === undefined || claim.kind !== 'organization') return [];
  try {
    const github = createGithub({ registration, ...ways });
    const found = await github.readOrganizationFile(claim.organization, ORGANIZATION_FILE_BYTES);
    if (found === undefined) {
      const message = `there is no shr.yaml in .github-private or .github of ${claim.organization} that the credentials see`;
      return [note(GITHUB, SUBJECT, message, 'if there should be one: give them Contents: read on that repository')];
    }
    const read = await readOrganizationFile(found.file, found.text);
    if (read.ok) return [good(GITHUB, SUBJECT, `${found.file} can be read, and has no problem`)];
    return [bad(GITHUB, SUBJECT, read.problems.slice(0, 3).map(formatProblem).join(' '), `correct ${found.file}`)];
  } catch (error) {
    if (!(error instanceof GithubError)) throw error;
    return [bad(GITHUB, SUBJECT, wordsOf(error), organizationFileCure(error))];
  }
}
