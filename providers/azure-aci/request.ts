/** Converts the contract's request to the service's. Pure. */
import type {
  Container,
  ContainerGroup,
  EnvironmentVariable,
  ImageRegistryCredential,
} from '@azure/arm-containerinstance';
import { type LaunchRequest, ProviderError, type Shape, type ShapeWish } from '../provider.ts';
import type { AzureAciOptions } from './options.ts';
import { toTags } from './tags.ts';

/** Name of the only container in a container group. */
export const CONTAINER = 'runner';
const SHARE_VOLUME = 'bucket';
/** The service mounts a share only as a whole. It is mounted here, and its folder linked to the work folder. */
export const SHARE_FOLDER = '/mnt/shr-bucket';

/** As in the service's refusal [code InvalidContainerEnvironmentVariable]; its documentation is stricter about `_`. */
const variableName = /^[A-Za-z_][A-Za-z0-9_]{0,62}$/;

export function containerGroup(request: LaunchRequest, options: AzureAciOptions, instance: string): ContainerGroup {
  const { shape } = request;
  const identities = identitiesOf(options);
  const subnet = subnetOf(shape, options);
  return {
    location: options.location,
    tags: toTags(request.tags, instance, options.tags),
    ...(options.zone === undefined ? {} : { zones: [options.zone] }),
    ...(identities.length === 0
      ? {}
      : {
          identity: {
            type: 'UserAssigned',
            userAssignedIdentities: Object.fromEntries(identities.map((id) => [id, {}])),
          },
        }),
    osType: 'Linux',
    // The service may still restart a failed container group: see state.ts.
    restartPolicy: 'Never',
    sku: options.sku,
    ...(shape.spot ? { priority: 'Spot' } : {}),
    containers: [container(request, options)],
    ...(options.registries.length === 0 ? {} : { imageRegistryCredentials: options.registries.map(registry) }),
    ...(subnet === undefined ? {} : { subnetIds: [{ id: subnet }] }),
    ...(options.dns === undefined || subnet === undefined ? {} : { dnsConfig: dns(options.dns) }),
    ...(shape.bucket === undefined || options.files === undefined
      ? {}
      : {
          volumes: [
            {
              name: SHARE_VOLUME,
              azureFile: {
                shareName: shape.bucket,
                readOnly: false,
                storageAccountName: options.files.storageAccount,
                storageAccountKey: options.files.storageAccountKey,
              },
            },
          ],
        }),
    ...(options.logAnalytics === undefined
      ? {}
      : {
          diagnostics: {
            logAnalytics: {
              workspaceId: options.logAnalytics.workspaceId,
              workspaceKey: options.logAnalytics.workspaceKey,
              logType: options.logAnalytics.logType,
            },
          },
        }),
    ...(options.ccePolicy === undefined ? {} : { confidentialComputeProperties: { ccePolicy: options.ccePolicy } }),
  };
}

function container(request: LaunchRequest, options: AzureAciOptions): Container {
  const { shape } = request;
  const mounted = shape.bucket !== undefined && options.files !== undefined;
  return {
    name: CONTAINER,
    image: shape.image,
    command: mounted ? inFolderOfShare(options.command, shape.bucketPrefix ?? '', options.workFolder) : options.command,
    environmentVariables: variables(request),
    resources: { requests: { cpu: shape.cpu, memoryInGB: shape.memoryGiB } },
    ...(mounted ? { volumeMounts: [{ name: SHARE_VOLUME, mountPath: SHARE_FOLDER, readOnly: false }] } : {}),
    ...(shape.dockerInDocker && options.privileged ? { securityContext: { privileged: true } } : {}),
  };
}

/** The service never returns the values of secure variables. */
function variables(request: LaunchRequest): EnvironmentVariable[] {
  const secret = new Set(Object.keys(request.secretEnvironment));
  const odd = [...Object.keys(request.environment), ...secret].find((name) => !variableName.test(name));
  if (odd !== undefined) {
    throw new ProviderError(
      'invalid',
      'azure-aci launch',
      `${JSON.stringify(odd)} is not a valid environment variable name: letters, digits and _, at most 63`,
    );
  }
  return [
    ...Object.entries(request.environment)
      .filter(([name]) => !secret.has(name))
      .map(([name, value]) => ({ name, value })),
    ...Object.entries(request.secretEnvironment).map(([name, secureValue]) => ({ name, secureValue })),
  ];
}

export function registry(entry: AzureAciOptions['registries'][number]): ImageRegistryCredential {
  return 'identity' in entry
    ? { server: entry.server, identity: entry.identity }
    : { server: entry.server, username: entry.username, password: entry.password };
}

function dns(given: NonNullable<AzureAciOptions['dns']>) {
  const { nameServers, searchDomains, options } = given;
  return {
    nameServers: [...nameServers],
    ...(searchDomains === undefined ? {} : { searchDomains }),
    ...(options === undefined ? {} : { options }),
  };
}

/** All identities that jobs in the container group can use, whatever their purpose. */
export function identitiesOf(options: AzureAciOptions): readonly string[] {
  return [
    ...new Set([
      ...options.runnerIdentities,
      ...options.registries.flatMap((entry) => ('identity' in entry ? [entry.identity] : [])),
    ]),
  ];
}

/** A requested subnet is a resource id, or the name of another subnet in the backend's own virtual network. */
function subnetOf(shape: Shape, options: AzureAciOptions): string | undefined {
  const { subnetId } = options;
  if (shape.subnet === undefined || subnetId === undefined) return subnetId;
  return shape.subnet.startsWith('/') ? shape.subnet : subnetId.replace(/[^/]+$/, () => shape.subnet ?? '');
}

/** Why the requested network or share is not available; undefined if it is. */
export function refusePlaces(wish: ShapeWish): string | undefined {
  const { bucket, bucketPrefix, subnet } = wish;
  if (subnet !== undefined && !/^(\/subscriptions\/[^\s]+\/subnets\/)?[A-Za-z0-9][A-Za-z0-9._-]{0,79}$/.test(subnet)) {
    return `${JSON.stringify(subnet)} is neither the name of a subnet nor its resource id`;
  }
  if (bucket === undefined) return undefined;
  if (!/^(?!.*--)[a-z0-9][a-z0-9-]{1,61}[a-z0-9]$/.test(bucket)) {
    return `${JSON.stringify(bucket)} is not a valid file share name`;
  }
  const segments = (bucketPrefix ?? '').split('/').filter((segment) => segment !== '');
  // As GitHub names owners and repositories: names like `.github` are common. SMB drops a trailing dot.
  const odd = segments.find((segment) => !/^[A-Za-z0-9._-]+$/.test(segment) || segment.endsWith('.'));
  return odd === undefined ? undefined : `${JSON.stringify(odd)} cannot be a folder of a file share`;
}

/**
 * The folder is created on first use and linked to where the runner works. An empty folder of the image at that path is
 * removed first: `ln` would put the link inside it. A non-empty one is an error, as it would silently be used instead.
 * Values are passed as arguments, never inserted into the script.
 */
function inFolderOfShare(command: readonly string[], prefix: string, workFolder: string): string[] {
  const folder = prefix === '' ? SHARE_FOLDER : `${SHARE_FOLDER}/${prefix}`;
  return [
    '/bin/sh',
    '-c',
    'set -e; mkdir -p "$1" "$(dirname "$2")"; [ -L "$2" ] || [ ! -d "$2" ] || rmdir "$2"; ln -sfn "$1" "$2"; shift 2; exec "$@"',
    'shr',
    folder,
    workFolder,
    ...command,
  ];
}
