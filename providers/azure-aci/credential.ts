/** Signs in to Entra ID with @azure/identity. */
import type { HttpClient } from '@azure/core-rest-pipeline';
import {
  ClientCertificateCredential,
  ClientSecretCredential,
  ManagedIdentityCredential,
  type TokenCredential,
  WorkloadIdentityCredential,
} from '@azure/identity';
import { clouds } from './clouds.ts';
import type { AzureAciOptions } from './options.ts';

export function credentialOf(
  options: Pick<AzureAciOptions, 'cloud' | 'credentials'> & { readonly authorityHost?: string | undefined },
  httpClient: HttpClient,
): TokenCredential {
  const { credentials: given } = options;
  const shared = {
    authorityHost: options.authorityHost ?? clouds[options.cloud].authorityHost,
    // Discovery asks the public cloud about the authority; with a configured address it is unnecessary.
    disableInstanceDiscovery: options.authorityHost !== undefined,
    // The dispatcher retries on its own schedule.
    retryOptions: { maxRetries: 0 },
    httpClient,
  };
  switch (given.kind) {
    case 'secret':
      return new ClientSecretCredential(given.tenantId, given.clientId, given.clientSecret, shared);
    case 'certificate':
      return new ClientCertificateCredential(
        given.tenantId,
        given.clientId,
        { certificate: given.certificate },
        { ...shared, sendCertificateChain: true },
      );
    case 'managed-identity':
      return new ManagedIdentityCredential({
        ...(given.clientId === undefined ? {} : { clientId: given.clientId }),
        // The machine's own metadata endpoint is known to need a second try; it uses plain http on the local link.
        retryOptions: { maxRetries: 2 },
        httpClient,
      });
    case 'workload-identity':
      return new WorkloadIdentityCredential({ tenantId: given.tenantId, clientId: given.clientId, ...shared });
  }
}
