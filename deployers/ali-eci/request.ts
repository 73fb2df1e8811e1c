/** The dispatcher's container group, as CreateContainerGroup is asked for it. Pure but for the key of the bundle. */
import { basename, dirname } from 'node:path';
import type { AliEciOptions } from '../../providers/ali-eci/options.ts';
import { flatten, registryParameters } from '../../providers/ali-eci/request.ts';
import { seal } from '../../providers/kit/sealed-text.ts';
import { type Deployment, DeploymentRefused, type Role } from '../deployer.ts';
import { BUNDLE_FILE, BUNDLE_KEY, DEPLOYMENT_TAG, HASH_TAG, programOf, ROLE_TAG } from '../tags.ts';

/** Name of the only container in the group. */
export const CONTAINER = 'dispatcher';
/** Maximum size of a ConfigFile. */
const MAX_FILE_BYTES = 32 * 1024;

export function groupName(id: string): string {
  return `shr-${id}-dispatcher`;
}

export interface Creation {
  readonly role: Role;
  readonly hash: string;
  /** New for each creation: the service would answer a known one with the group that it made then. */
  readonly token: string;
}

/**
 * A ConfigFile is large enough for a configuration, but everyone who may describe the group can read it. A hidden
 * environment variable is large enough for a key, and the service never shows it.
 */
export function dispatcherParameters(
  deployment: Deployment,
  { role, hash, token }: Creation,
  options: AliEciOptions,
): { readonly parameters: Readonly<Record<string, string>>; readonly key: string } {
  const { bundle, cpu, id, image, memoryGiB, stopGraceS } = deployment;
  const { sealed, key } = seal(bundle);
  if (sealed.length > MAX_FILE_BYTES) {
    throw new DeploymentRefused(
      `the configuration has ${sealed.length} bytes when packed, and a file of this service has ${MAX_FILE_BYTES}`,
      'Deploy fewer registrations with this dispatcher, or choose another target.',
    );
  }
  const parameters = flatten({
    RegionId: options.region,
    ContainerGroupName: groupName(id),
    ClientToken: token,
    Cpu: cpu,
    Memory: memoryGiB,
    VSwitchId: options.vSwitchIds.join(','),
    SecurityGroupId: options.securityGroupId,
    ScheduleStrategy: options.vSwitchIds.length > 1 ? options.scheduleStrategy : undefined,
    ResourceGroupId: options.resourceGroupId,
    // One that drains ends by itself, and stays ended.
    RestartPolicy: role === 'drain' ? 'OnFailure' : 'Always',
    TerminationGracePeriodSeconds: stopGraceS,
    ...(options.publicAddress === undefined
      ? {}
      : { AutoCreateEip: true, EipBandwidth: options.publicAddress.bandwidthMbit, EipISP: options.publicAddress.line }),
    ...registryParameters(options),
    Tag: [
      { Key: DEPLOYMENT_TAG, Value: id },
      { Key: HASH_TAG, Value: hash },
      { Key: ROLE_TAG, Value: role },
    ],
    Volume: [
      {
        Name: 'configuration',
        Type: 'ConfigFileVolume',
        ConfigFileVolume: {
          ConfigFileToPath: [{ Path: basename(BUNDLE_FILE), Content: Buffer.from(sealed).toString('base64') }],
        },
      },
    ],
    Container: [
      {
        Name: CONTAINER,
        Image: image,
        ImagePullPolicy: 'IfNotPresent',
        Cpu: cpu,
        Memory: memoryGiB,
        Command: programOf(role),
        EnvironmentVar: [{ Key: BUNDLE_KEY, Value: key }],
        EnvironmentVarHide: true,
        VolumeMount: [{ Name: 'configuration', MountPath: dirname(BUNDLE_FILE), ReadOnly: true }],
      },
    ],
  });
  return { parameters, key };
}
