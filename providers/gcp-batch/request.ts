/** Converts the contract's request to a Batch job. Pure. */
import { createHash } from 'node:crypto';
import type { protos } from '@google-cloud/batch';
import { type LaunchRequest, ProviderError, type Shape } from '../provider.ts';
import { loginFor, parseReference } from '../registry/image-reference.ts';
import { sizeInWords } from '../shape-words.ts';
import { type GcpBatchOptions, machinesOf } from './options.ts';
import { diskOf, machineOf } from './sizes.ts';
import { billingLabels, toLabels } from './tags.ts';

type Batch = typeof protos.google.cloud.batch.v1;
export type CreateJobRequest = ConstructorParameters<Batch['CreateJobRequest']>[0] & object;
type TaskSpec = ConstructorParameters<Batch['TaskSpec']>[0] & object;
type Disk = ConstructorParameters<Batch['AllocationPolicy']['AttachedDisk']>[0] & object;

const DEVICE = 'work';
/** Path on the machine. Container-Optimized OS is writable only under /mnt/disks. */
const MOUNT = `/mnt/disks/${DEVICE}`;

export function parentOf({ project, region }: GcpBatchOptions): string {
  return `projects/${project}/locations/${region}`;
}

/**
 * A job's id begins with a letter, a runner's name may begin with a digit. Undefined for an invalid name. If two names
 * map to one id (`1-a` and `r-1-a`), the label tells which one the job has.
 */
export function jobIdOf(name: string): string | undefined {
  const id = /^[a-z]/.test(name) ? name : `r-${name}`;
  return /^[a-z0-9]/.test(name) && /^[a-z](?:[a-z0-9-]{0,61}[a-z0-9])?$/.test(id) ? id : undefined;
}

/** `cipherText` is the encrypted secret environment if the options have a key for it; see encryption.ts. */
export function createJobRequest(
  request: LaunchRequest,
  options: GcpBatchOptions,
  cipherText?: string,
): CreateJobRequest {
  const { shape, tags } = request;
  const machine = machineOf(shape, machinesOf(options));
  if (machine === undefined) {
    const wished = `${sizeInWords(shape).join(' and ')} (${shape.architecture})`;
    throw new ProviderError('invalid', 'gcp-batch launch', `no machine of this backend has ${wished}`);
  }
  const labels = toLabels(tags);
  const storage = storageOf(shape, options);
  return {
    parent: parentOf(options),
    jobId: jobIdOf(request.name) ?? '',
    requestId: requestIdOf(tags.dispatcher, request.name, cipherText),
    job: {
      labels,
      taskGroups: [
        {
          taskCount: 1,
          parallelism: 1,
          taskSpec: {
            runnables: [...storage.preparations, { container: container(shape, options, storage.binds) }],
            // On the task, not on the runnable: the agent logs the runnable that it starts, unredacted.
            // A registry's password has been seen in such a log (broadinstitute/cromwell#7515).
            environment:
              cipherText === undefined || options.encryptionKey === undefined
                ? { variables: { ...request.environment, ...request.secretEnvironment } }
                : {
                    variables: { ...request.environment },
                    encryptedVariables: { keyName: options.encryptionKey, cipherText },
                  },
            computeResource: {
              cpuMilli: Math.round(machine.cpu * 1000),
              memoryMib: Math.floor(machine.memoryGiB * 1024),
            },
            // A retry would start a runner that GitHub has already forgotten.
            maxRetryCount: 0,
            ...(shape.timeLimitMs === undefined
              ? {}
              : { maxRunDuration: { seconds: Math.ceil(shape.timeLimitMs / 1000) } }),
            volumes: storage.volumes,
          },
        },
      ],
      allocationPolicy: {
        location: {
          allowedLocations: options.zones?.map((zone) => `zones/${zone}`) ?? [`regions/${options.region}`],
        },
        instances: [
          {
            policy: {
              machineType: machine.type,
              ...(options.minCpuPlatform === undefined ? {} : { minCpuPlatform: options.minCpuPlatform }),
              provisioningModel: shape.spot ? 'SPOT' : 'STANDARD',
              bootDisk: {
                type: options.diskType,
                sizeGb: options.bootDiskGiB,
                ...(options.bootImage === undefined ? {} : { image: options.bootImage }),
              },
              disks: storage.disks,
            },
            blockProjectSshKeys: true,
          },
        ],
        serviceAccount: { email: options.serviceAccount },
        labels: billingLabels(tags, Object.keys(labels).length),
        network: {
          networkInterfaces: [
            {
              network: networkOf(options.network),
              subnetwork: subnetworkOf(shape.subnet ?? options.subnetwork, options.region),
              noExternalIpAddress: !options.externalIp,
            },
          ],
        },
        tags: [...options.networkTags, ...(shape.securityGroup === undefined ? [] : [shape.securityGroup])],
      },
      logsPolicy: { destination: options.logs ? 'CLOUD_LOGGING' : 'DESTINATION_UNSPECIFIED' },
    },
  };
}

/**
 * The same for the same name: a repeated create is recognized for an hour by this id, and permanently by the job's id.
 * Encrypting again gives a different text, hence a different request, recognized only by the job's id.
 */
export function requestIdOf(dispatcher: string, name: string, cipherText?: string): string {
  const parts = [dispatcher, name, ...(cipherText === undefined ? [] : [cipherText])];
  const hash = createHash('sha256').update(parts.join('\n')).digest('hex');
  // Formatted as a version 4 UUID, the strictest form that the service requires of any request id.
  return [
    hash.slice(0, 8),
    hash.slice(8, 12),
    `4${hash.slice(13, 16)}`,
    `${'89ab'.charAt(Number.parseInt(hash.charAt(16), 16) & 3)}${hash.slice(17, 20)}`,
    hash.slice(20, 32),
  ].join('-');
}

function container(shape: Shape, options: GcpBatchOptions, binds: string[]) {
  const [entrypoint = '', ...commands] = options.command;
  const { registryAuth } = options;
  const login =
    registryAuth === undefined ? undefined : loginFor(parseReference(shape.image)?.registry ?? '', [registryAuth]);
  return {
    imageUri: shape.image,
    entrypoint,
    commands,
    ...(binds.length === 0 ? {} : { volumes: binds }),
    ...(shape.dockerInDocker && options.privileged ? { options: '--privileged' } : {}),
    ...(login === undefined ? {} : { username: login.username, password: login.passwordSecret }),
  };
}

interface Storage {
  /** Script that runs on the machine before the container. */
  readonly preparations: { script: { text: string } }[];
  readonly binds: string[];
  readonly volumes: NonNullable<TaskSpec['volumes']>;
  readonly disks: Disk[];
}

function storageOf(shape: Shape, options: GcpBatchOptions): Storage {
  const binds = [`${MOUNT}:${options.workFolder}:rw`];
  if (shape.diskGiB !== undefined) {
    return {
      // A new disk belongs to root; the runner in its container is a different user.
      preparations: [{ script: { text: `chmod 0777 ${MOUNT}` } }],
      binds,
      volumes: [{ deviceName: DEVICE, mountPath: MOUNT, mountOptions: ['rw', 'async'] }],
      disks: [
        {
          deviceName: DEVICE,
          newDisk: { type: options.diskType, sizeGb: diskOf(shape.diskGiB) },
        },
      ],
    };
  }
  if (shape.bucket !== undefined) {
    const folders = (shape.bucketPrefix ?? '').split('/').filter((folder) => folder !== '');
    const remotePath = [shape.bucket, ...folders, ...(folders.length === 0 ? [] : [''])].join('/');
    return {
      preparations: [],
      binds,
      volumes: [
        {
          gcs: { remotePath },
          mountPath: MOUNT,
          // Includes implicit folders, and makes everything writable for any user in the container.
          mountOptions: ['-o rw,allow_other', '--implicit-dirs', '--dir-mode=777', '--file-mode=777'],
        },
      ],
      disks: [],
    };
  }
  return { preparations: [], binds: [], volumes: [], disks: [] };
}

function networkOf(network: string): string {
  return network.includes('/') ? network : `global/networks/${network}`;
}

export function subnetworkOf(subnetwork: string, region: string): string {
  return subnetwork.includes('/') ? subnetwork : `regions/${region}/subnetworks/${subnetwork}`;
}
