/** Who pulls images: a login or an identity of `registries`, else an anonymous caller. Pure. */

import { loginFor } from '../registry/image-reference.ts';
import type { Puller } from '../registry/puller.ts';
import type { AzureAciOptions } from './options.ts';

export function pullerOf({ registries }: Pick<AzureAciOptions, 'registries'>): Puller {
  const identities = registries.flatMap((entry) => ('identity' in entry ? [entry] : []));
  return {
    logins: registries.flatMap((entry) => ('password' in entry ? [entry] : [])),
    option: 'registries',
    identityAt(registry) {
      const identity = loginFor(registry, identities)?.identity;
      return identity === undefined ? undefined : `the identity ${identity.slice(identity.lastIndexOf('/') + 1)}`;
    },
    whenPrivate: 'give its login or an identity in registries',
  };
}
