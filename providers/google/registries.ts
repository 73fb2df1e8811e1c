/** Artifact Registry and the remains of Container Registry: Google's services pull there as accounts of the project. */
import type { Puller } from '../registry/puller.ts';

/** Google's own hosts on the default port: our token is sent nowhere else. */
const HOST = /^(([a-z]+\.)?gcr\.io|[a-z0-9-]+-docker\.pkg\.dev)$/;

/** `headers` authenticate our own requests; `identity` describes who pulls. */
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
        // Another finding reports invalid credentials; public images can be checked without.
        return undefined;
      }
    },
  };
}
