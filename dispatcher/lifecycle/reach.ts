/** Whether a job can have come to a runner at all. Pure. */

import type { JobRow, RunnerRow } from '../ledger/ledger.ts';
import type { Claim } from '../model/registration.ts';

export type Reach =
  | 'covered'
  /** Its repository lies outside of where the runner is registered: GitHub cannot have given it the job. */
  | 'outside'
  /** The job ran on another runner that has, or has been given, the same name. */
  | 'namesake';

/**
 * GitHub hands a runner the jobs of its scope alone. A fact about any other repository that names it is made up, or about
 * another runner of that name: names are unique within one scope only. `claim`: of the runner's registration, where it
 * is still configured.
 */
export function reachOf(
  runner: Pick<RunnerRow, 'host' | 'scope' | 'githubRunnerId'>,
  claim: Claim | undefined,
  job: Pick<JobRow, 'host' | 'owner' | 'repository' | 'runnerId'>,
): Reach {
  if (runner.host.toLowerCase() !== job.host.toLowerCase()) return 'outside';
  if (!scopeCovers(runner.scope.toLowerCase(), claim, job.owner.toLowerCase(), job.repository.toLowerCase())) {
    return 'outside';
  }
  // The id that a job names for an enterprise's runner has not been seen yet (docs/assumptions.md): the name has to do.
  const comparable = !runner.scope.startsWith('enterprises/');
  const differs = runner.githubRunnerId !== null && job.runnerId !== null && runner.githubRunnerId !== job.runnerId;
  return comparable && differs ? 'namesake' : 'covered';
}

/** All in lower case. */
function scopeCovers(scope: string, claim: Claim | undefined, owner: string, repository: string): boolean {
  const [kind, first] = scope.split('/');
  switch (kind) {
    case 'repos':
      return scope === `repos/${owner}/${repository}`;
    case 'orgs':
      return first === owner;
    case 'enterprises':
      return (
        claim?.kind === 'enterprise' &&
        claim.enterprise.toLowerCase() === first &&
        claim.organizations.some((organization) => organization.toLowerCase() === owner)
      );
    default:
      return false;
  }
}
