/** Who pulls images: the machine's account from Google's registries, or the login in `registryAuth`. */
import { googleRegistries } from '../google/registries.ts';
import { loginFor } from '../registry/image-reference.ts';
import type { Puller } from '../registry/puller.ts';
import type { GcpBatchOptions } from './options.ts';

export function pullerOf(
  { registryAuth, serviceAccount }: Pick<GcpBatchOptions, 'registryAuth' | 'serviceAccount'>,
  headers: () => Promise<Headers>,
): Puller {
  const google = googleRegistries(headers, serviceAccount);
  return {
    // The password of registryAuth is in Secret Manager, which only the machine may read.
    logins: [],
    option: 'registryAuth',
    identityAt: (registry) =>
      registryAuth !== undefined && loginFor(registry, [registryAuth]) !== undefined
        ? `${registryAuth.username} of registryAuth`
        : google.identityAt(registry),
    tokenAt: google.tokenAt,
    whenPrivate: 'give its login in registryAuth',
  };
}
