/** Whether the branches of `sources` in dispatcher.yaml can be read, as the service would read them. Nothing is fetched. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { scrub } from '../../failures/scrub.ts';
import type { DispatcherConfig, GitSourceConfig } from '../../model/registration.ts';
import { GitRepository, type RepositoryOptions } from '../../sources/git-repository.ts';
import { cureOf } from '../../sources/git-source.ts';
import { bad, type DoctorFinding, good, wordsOf } from './finding.ts';

type Access = Pick<RepositoryOptions, 'clock' | 'environment' | 'protocols'>;

const MAX_WORDS = 300;

export async function checkSources(
  { sources = [] }: Pick<DispatcherConfig, 'sources'>,
  access: Access,
): Promise<readonly DoctorFinding[]> {
  const findings: DoctorFinding[] = [];
  // One after another: they are few, and may be of one host.
  for (const config of sources) findings.push(await checkSource(config, access));
  return findings;
}

async function checkSource(config: GitSourceConfig, access: Access): Promise<DoctorFinding> {
  const { branch, name, url } = config;
  const about = `source ${name}`;
  const folder = await mkdtemp(join(tmpdir(), 'shr-doctor-'));
  try {
    const tip = await new GitRepository({ ...access, config, folder }).tip();
    if (tip !== undefined)
      return good(about, 'branch', `${branch} of ${url} can be read, at commit ${tip.slice(0, 12)}`);
    return bad(
      about,
      'branch',
      `${url} has no branch ${branch}`,
      `correct \`branch\` of ${name} in dispatcher.yaml, or push it`,
    );
  } catch (error) {
    return bad(
      about,
      'branch',
      `${branch} of ${url} cannot be read: ${scrub(wordsOf(error), MAX_WORDS)}`,
      cureOf(error),
    );
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}
