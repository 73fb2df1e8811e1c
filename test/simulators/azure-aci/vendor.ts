/** The vendor's own client for the service, as anybody would use it, pointed at a simulator. */
import { type ContainerGroup, ContainerInstanceManagementClient } from '@azure/arm-containerinstance';
import { ClientSecretCredential } from '@azure/identity';
import { type AzureAciSimulator, demo } from '../../../simulators/azure-aci/index.ts';

export function vendorClient(
  simulator: Pick<AzureAciSimulator, 'url' | 'ca'>,
  secret: string = demo.clientSecret,
): ContainerInstanceManagementClient {
  const tlsOptions = { ca: simulator.ca };
  const credential = new ClientSecretCredential(demo.tenantId, demo.clientId, secret, {
    authorityHost: simulator.url,
    disableInstanceDiscovery: true,
    tlsOptions,
    retryOptions: { maxRetries: 0 },
  });
  return new ContainerInstanceManagementClient(credential, demo.subscriptionId, {
    endpoint: simulator.url,
    credentialScopes: `${demo.audience}/.default`,
    tlsOptions,
    retryOptions: { maxRetries: 0 },
  });
}

/** Somebody else's, in the same resource group. */
export function foreignGroup(
  simulator: Pick<AzureAciSimulator, 'location'>,
  image: string,
  changes: Partial<ContainerGroup> = {},
): ContainerGroup {
  return {
    location: simulator.location,
    tags: { owner: 'somebody else' },
    osType: 'Linux',
    restartPolicy: 'Never',
    containers: [{ name: 'web', image, resources: { requests: { cpu: 1, memoryInGB: 1 } } }],
    ...changes,
  };
}
