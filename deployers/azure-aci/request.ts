/** The dispatcher's container group, as the service is asked for it. Pure. */
import { createHash } from 'node:crypto';
import { basename, dirname } from 'node:path';
import type { ContainerGroup } from '@azure/arm-containerinstance';
import type { AzureAciOptions } from '../../providers/azure-aci/options.ts';
import { registry } from '../../providers/azure-aci/request.ts';
import type { Deployment, Role } from '../deployer.ts';
import { BUNDLE_FILE, DEPLOYMENT_TAG, HASH_TAG, programOf, ROLE_TAG } from '../tags.ts';

/** Name of the only container in the container group. */
export const CONTAINER = 'dispatcher';
const VOLUME = 'configuration';

export function groupName(id: string): string {
  return `shr-${id}-dispatcher`;
}

export function dispatcherGroup(
  deployment: Deployment,
  { role, hash }: { readonly role: Role; readonly hash: string },
  options: AzureAciOptions,
): ContainerGroup {
  const { bundle, cpu, id, image, listenPort, memoryGiB } = deployment;
  const port = { port: listenPort, protocol: 'TCP' };
  const pullers = options.registries.flatMap((entry) => ('identity' in entry ? [entry.identity] : []));
  return {
    location: options.location,
    tags: { ...options.tags, [DEPLOYMENT_TAG]: id, [HASH_TAG]: hash, [ROLE_TAG]: role },
    ...(options.zone === undefined ? {} : { zones: [options.zone] }),
    ...(pullers.length === 0
      ? {}
      : {
          identity: {
            type: 'UserAssigned',
            userAssignedIdentities: Object.fromEntries(pullers.map((identity) => [identity, {}])),
          },
        }),
    osType: 'Linux',
    // One that drains ends by itself, and stays ended.
    restartPolicy: role === 'drain' ? 'OnFailure' : 'Always',
    containers: [
      {
        name: CONTAINER,
        image,
        command: [...programOf(role)],
        ports: [port],
        resources: { requests: { cpu, memoryInGB: memoryGiB } },
        volumeMounts: [{ name: VOLUME, mountPath: dirname(BUNDLE_FILE), readOnly: true }],
      },
    ],
    ...(options.registries.length === 0 ? {} : { imageRegistryCredentials: options.registries.map(registry) }),
    // In memory, and never returned by the service.
    volumes: [{ name: VOLUME, secret: { [basename(BUNDLE_FILE)]: Buffer.from(bundle).toString('base64') } }],
    ipAddress:
      options.subnetId === undefined
        ? { type: 'Public', ports: [port], dnsNameLabel: dnsLabel(id, options) }
        : { type: 'Private', ports: [port] },
    ...(options.subnetId === undefined ? {} : { subnetIds: [{ id: options.subnetId }] }),
  };
}

/** Names are shared by all customers of a region: this one is ours, and stays over updates. */
function dnsLabel(id: string, { subscriptionId, resourceGroup }: AzureAciOptions): string {
  const digest = createHash('sha256').update(`${subscriptionId}/${resourceGroup}/${id}`.toLowerCase()).digest('hex');
  return `shr-${id}-${digest.slice(0, 8)}`;
}
