/** Where GitHub is asked with the credentials of a registration. Pure. */
import type { GithubScope } from '../jobs/scope.ts';
import type { Registration } from '../model/registration.ts';

/** `repo`: `owner/name`, in its place. Undefined: the registration serves a user, and no repository is named. */
export function askingScope({ claim }: Pick<Registration, 'claim'>, repo: string | undefined): GithubScope | undefined {
  const [owner, repository] = repo?.split('/') ?? [];
  if (owner !== undefined && repository !== undefined) return { kind: 'repository', owner, repository };
  switch (claim.kind) {
    case 'enterprise':
      return { kind: 'enterprise', enterprise: claim.enterprise };
    case 'organization':
      return { kind: 'organization', organization: claim.organization };
    case 'user':
      return undefined;
    case 'repositories': {
      const [first] = claim.repositories;
      return first === undefined ? undefined : { kind: 'repository', ...first };
    }
  }
}
