/** What the service shows of a container group. Pure. Excludes values of secure variables, keys and passwords. */
import type { Decoded } from './body.ts';
import type { Group } from './group.ts';

export interface Place {
  readonly subscriptionId: string;
  readonly resourceGroup: string;
  /** Client ids of user-assigned identities, by resource id. */
  readonly identities: Readonly<Record<string, string>>;
}

/** The answer to a GET, a PUT and a DELETE. */
export function shown(group: Group, place: Place): Record<string, unknown> {
  const { provisioningState, current, previous, confusion } = group;
  const plain = listed(group, place);
  return {
    ...plain,
    properties: {
      ...properties(group.decoded),
      provisioningState,
      containers: group.decoded.properties.containers.map((container) => ({
        name: container.name,
        properties: {
          ...containerProperties(container),
          instanceView: {
            restartCount: group.restartCount,
            currentState: confusion === undefined ? current : { ...current, state: confusion },
            ...(previous === undefined ? {} : { previousState: previous }),
            events: group.containerEvents,
          },
        },
      })),
      instanceView: { events: group.groupEvents, state: confusion ?? group.state },
    },
  };
}

/** An element of a list, which contains less: no instance view. */
export function listed(group: Group, place: Place): Record<string, unknown> {
  const { decoded, name } = group;
  const { identity } = decoded;
  return {
    id: `/subscriptions/${place.subscriptionId}/resourceGroups/${place.resourceGroup}/providers/Microsoft.ContainerInstance/containerGroups/${name}`,
    name,
    type: 'Microsoft.ContainerInstance/containerGroups',
    location: decoded.location,
    tags: decoded.tags,
    ...(decoded.zones === undefined ? {} : { zones: decoded.zones }),
    ...(identity === undefined
      ? {}
      : {
          identity: {
            type: identity.type,
            ...(identity.userAssignedIdentities === undefined
              ? {}
              : {
                  userAssignedIdentities: Object.fromEntries(
                    Object.keys(identity.userAssignedIdentities).map((id) => [
                      id,
                      { principalId: place.identities[id] ?? id, clientId: place.identities[id] ?? id },
                    ]),
                  ),
                }),
          },
        }),
    properties: {
      ...properties(decoded),
      provisioningState: group.provisioningState,
      containers: decoded.properties.containers.map((container) => ({
        name: container.name,
        properties: containerProperties(container),
      })),
    },
  };
}

function properties({ location, properties: own }: Decoded): Record<string, unknown> {
  const { volumes, imageRegistryCredentials, diagnostics } = own;
  return {
    osType: own.osType,
    restartPolicy: own.restartPolicy,
    sku: own.sku,
    ...(own.priority === undefined ? {} : { priority: own.priority }),
    ...(own.subnetIds === undefined ? {} : { subnetIds: own.subnetIds }),
    ...(own.ipAddress === undefined ? {} : { ipAddress: address(own.ipAddress, location) }),
    ...(own.dnsConfig === undefined ? {} : { dnsConfig: own.dnsConfig }),
    ...(own.confidentialComputeProperties === undefined
      ? {}
      : { confidentialComputeProperties: own.confidentialComputeProperties }),
    ...(imageRegistryCredentials === undefined
      ? {}
      : { imageRegistryCredentials: imageRegistryCredentials.map(({ password: _password, ...rest }) => rest) }),
    ...(volumes === undefined
      ? {}
      : {
          volumes: volumes.map(({ name, azureFile, emptyDir, secret }) => {
            if (secret !== undefined) return { name };
            const { storageAccountKey: _key, ...file } = azureFile ?? {};
            return azureFile === undefined ? { name, emptyDir: emptyDir ?? {} } : { name, azureFile: file };
          }),
        }),
    ...(diagnostics === undefined
      ? {}
      : {
          diagnostics: {
            logAnalytics: {
              workspaceId: diagnostics.logAnalytics.workspaceId,
              ...(diagnostics.logAnalytics.logType === undefined ? {} : { logType: diagnostics.logAnalytics.logType }),
            },
          },
        }),
  };
}

function address(given: NonNullable<Decoded['properties']['ipAddress']>, location: string): Record<string, unknown> {
  const { type, ports, dnsNameLabel } = given;
  return {
    type,
    ports,
    ip: type === 'Public' ? '203.0.113.7' : '10.0.0.7',
    ...(dnsNameLabel === undefined ? {} : { dnsNameLabel, fqdn: `${dnsNameLabel}.${location}.azurecontainer.io` }),
  };
}

function containerProperties({
  properties: own,
}: Decoded['properties']['containers'][number]): Record<string, unknown> {
  return {
    image: own.image,
    command: own.command,
    ports: own.ports,
    environmentVariables: own.environmentVariables.map(({ name, value, secureValue }) =>
      secureValue === undefined ? { name, value: value ?? '' } : { name },
    ),
    resources: own.resources,
    ...(own.volumeMounts.length === 0 ? {} : { volumeMounts: own.volumeMounts }),
    ...(own.securityContext === undefined ? {} : { securityContext: own.securityContext }),
  };
}
