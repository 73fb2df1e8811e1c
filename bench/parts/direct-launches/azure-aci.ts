/** Azure Container Instances with its own client. */
import { ContainerInstanceManagementClient } from '@azure/arm-containerinstance';
import { ClientSecretCredential } from '@azure/identity';
import { z } from 'zod';
import { encodeTags } from '../../../providers/kit/tags.ts';
import type { DirectLaunch } from './direct-launch.ts';

const schema = z.object({
  subscriptionId: z.string(),
  resourceGroup: z.string(),
  location: z.string(),
  endpoint: z.string(),
  authorityHost: z.string(),
  ca: z.string(),
  credentials: z.object({ tenantId: z.string(), clientId: z.string(), clientSecret: z.string() }),
});

export function directLaunch(raw: unknown): DirectLaunch {
  const { subscriptionId, resourceGroup, location, endpoint, authorityHost, ca, credentials } = schema.parse(raw);
  const tlsOptions = { ca };
  const credential = new ClientSecretCredential(credentials.tenantId, credentials.clientId, credentials.clientSecret, {
    authorityHost,
    disableInstanceDiscovery: true,
    tlsOptions,
  });
  const client = new ContainerInstanceManagementClient(credential, subscriptionId, {
    endpoint,
    credentialScopes: 'https://management.azure.com/.default',
    tlsOptions,
  });
  // Not awaited: a runner's container is accepted long before it exists.
  return (request) =>
    client.containerGroups.beginCreateOrUpdate(resourceGroup, request.name, {
      location,
      tags: encodeTags(request.tags),
      osType: 'Linux',
      restartPolicy: 'Never',
      containers: [
        {
          name: 'runner',
          image: request.shape.image,
          command: ['/home/runner/run.sh'],
          environmentVariables: Object.entries(request.secretEnvironment).map(([name, secureValue]) => ({
            name,
            secureValue,
          })),
          resources: { requests: { cpu: request.shape.cpu, memoryInGB: request.shape.memoryGiB } },
        },
      ],
    });
}
