/** Which repositories a registration's poller reads. */
import type { Claim } from '../../dispatcher/model/registration.ts';

export function covers(claim: Claim, owner: string, repository: string): boolean {
  switch (claim.kind) {
    case 'enterprise':
      return claim.organizations.includes(owner);
    case 'organization':
      return claim.organization === owner;
    case 'user':
      return claim.user === owner;
    case 'repositories':
      return claim.repositories.some((one) => one.owner === owner && one.repository === repository);
  }
}
