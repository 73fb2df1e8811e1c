/** Artifact Registry and what is left of Container Registry: Google's services pull there as accounts of the project. */
import type { Puller } from '../registry/check-images.ts';

/** Hosts of Google's own, on their usual port: our token goes to nobody else. */
const HOST = /^(([a-z]+\.)?gcr\.io|[a-z0-9-]+-docker\.pkg\.dev)$/;

/** `headers` are those of a request that is ours; `identity` is who pulls, in words. */
export function googleRegistries(
  headers: () => Promise<Headers>,
  identity: string,
): Required<Pick<Puller, 'identityAt' | 'tokenAt'>> {
  return {
    identityAt: (registry) => (HOST.test(registry) ? identity : undefined),
    async tokenAt(registry) {
      if (!HOST.test(registry)) return undefined;
      try {
        // As `curl -H "Authorization: Bearer $(gcloud auth print-access-token)"` does:
        // https://cloud.google.com/artifact-registry/docs/docker/authentication#token
        return /^Bearer (\S+)$/i.exec((await headers()).get('authorization') ?? '')?.[1];
      } catch {
        // Another finding says what is wrong with the credentials; what is public can be looked at without.
        return undefined;
      }
    },
  };
}
