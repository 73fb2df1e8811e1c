import { z } from 'zod';
import { credentialsOption, platformOptionsOf, refuseEndpoints } from '../google/credentials.ts';
import { endpointOption } from '../google/endpoint.ts';
import { RUNNER_COMMAND } from '../kit/runner-command.ts';
import type { PlatformOption } from '../provider.ts';
import { type Machines, machineNamed, NETWORK, NETWORK_TAG, type SeriesName, SUBNETWORK, series } from './sizes.ts';

const absolutePath = z.string().startsWith('/', 'must be an absolute path');
const seriesOf = (architecture: 'x64' | 'arm64') => {
  const names: SeriesName[] = [];
  for (const name of Object.keys(series))
    if (isSeries(name) && series[name].architecture === architecture) names.push(name);
  return z.enum(names);
};

function isSeries(name: string): name is SeriesName {
  return Object.hasOwn(series, name);
}

/** The `options` of a backend of kind `gcp-batch`. */
export const gcpBatchOptions = z
  .strictObject({
    project: z
      .string()
      .regex(/^[a-z][a-z0-9-]{4,28}[a-z0-9]$/, 'write the id of the project, not its name or number')
      .meta({ examples: ['acme-ci'] }),
    /** Where the jobs are, such as `europe-west4`. */
    region: z
      .string()
      .regex(/^[a-z]+-[a-z]+\d+$/, 'write a region such as europe-west4, without a zone')
      .meta({ examples: ['europe-west4'] }),
    /** Zones in which machines may run. Default: any zone of the region. */
    zones: z
      .array(z.string().regex(/^[a-z]+-[a-z]+\d+-[a-z]$/, 'write a zone such as europe-west4-a'))
      .min(1)
      .max(20)
      .optional(),
    /** `application-default`, or the JSON of a service account key or of a workload identity (`external_account`). */
    credentials: credentialsOption,

    /**
     * Identity of the machine. Batch has no "none": without this field it would be the project's default account, which
     * can usually edit the whole project. Jobs can ask the machine for this account's token.
     */
    serviceAccount: z
      .string()
      .regex(/^[^@\s]+@[^@\s]+\.gserviceaccount\.com$/, 'write the e-mail of a service account')
      .meta({ examples: ['runner@acme-ci.iam.gserviceaccount.com'] }),

    machineSeries: seriesOf('x64').default('e2-standard'),
    /** Lets jobs ask for arm64. */
    armMachineSeries: seriesOf('arm64').optional(),
    /** Instead of a series: every runner gets this machine. */
    machineType: z
      .strictObject({
        name: z.string().regex(/^[a-z][a-z0-9-]*$/),
        /** Required for types that the table in sizes.ts does not have. */
        cpu: z.number().positive().optional(),
        memoryGiB: z.number().positive().optional(),
        architecture: z.enum(['x64', 'arm64']).optional(),
      })
      .optional(),
    minCpuPlatform: z.string().min(1).optional(),
    bootDiskGiB: z.int().min(20).max(65_536).default(50),
    diskType: z.enum(['pd-balanced', 'pd-ssd', 'pd-standard']).default('pd-balanced'),
    /** A Batch image (`batch-debian`, `batch-cos`), or one derived from it. Default: Batch chooses. */
    bootImage: z.string().min(1).optional(),

    /** A name in this project, or `projects/P/global/networks/N` for a shared one. */
    network: z.string().regex(NETWORK, 'write a name, or projects/P/global/networks/N').default('default'),
    /** A name in this project and region, or `projects/P/regions/R/subnetworks/S`. Labels may choose another one. */
    subnetwork: z.string().regex(SUBNETWORK, 'write a name, or projects/P/regions/R/subnetworks/S').default('default'),
    /** A public address for each machine. Without it, the subnetwork needs Cloud NAT to reach GitHub. */
    externalIp: z.boolean().default(false),
    /** For firewall rules. A job's `sg-…` label is added. */
    networkTags: z
      .array(z.string().regex(NETWORK_TAG, 'write a network tag: 1 to 63 of a-z, 0-9 and -, a letter first'))
      .max(63)
      .default([]),

    /** Command of the container, replacing the image's ENTRYPOINT and CMD. Never a secret. */
    command: z
      .array(z.string().min(1))
      .min(1)
      .default([...RUNNER_COMMAND]),
    /** The runner's work folder in the container; a job's disk or bucket is mounted here. */
    workFolder: absolutePath.regex(/^\/[^:\s]+$/, 'has a colon or a blank').default('/home/runner/_work'),
    /** Lets jobs that ask for Docker in Docker (`dind`) run privileged, which is root on their own machine. */
    privileged: z.boolean().default(true),
    /** A private registry. The password stays in Secret Manager: Batch would show and log one that is written here. */
    registryAuth: z
      .strictObject({
        /**
         * As in image references, such as `ghcr.io` or `docker.io`: jobs with images from elsewhere do not get the
         * login.
         */
        server: z.string().min(1),
        username: z.string().min(1),
        passwordSecret: z
          .string()
          .regex(
            /^projects\/[^/]+\/secrets\/[^/]+\/versions\/[^/]+$/,
            'write projects/P/secrets/S/versions/V: a password in clear would show in the job and its logs',
          ),
      })
      .optional(),
    /**
     * A Cloud KMS key. The JIT configuration is then stored encrypted in the job, and the machine decrypts it. Without
     * it, anyone allowed to view jobs can read the JIT configuration.
     */
    encryptionKey: z
      .string()
      .regex(
        /^projects\/[^/:\s]+\/locations\/[^/:\s]+\/keyRings\/[\w-]{1,63}\/cryptoKeys\/[\w-]{1,63}$/,
        'write projects/P/locations/L/keyRings/R/cryptoKeys/K',
      )
      .optional(),
    /** Sends the output to Cloud Logging, from where it is read. */
    logs: z.boolean().default(true),

    /**
     * A machine that has not arrived by then counts as out of stock. Keep it below the registration's launch timeout.
     */
    queueTimeoutMs: z.int().min(10_000).max(86_400_000).default(540_000),
    /** The same, once Batch has reported exhausted zones or a reached quota; Batch keeps trying by itself. */
    stockoutGraceMs: z.int().min(0).max(86_400_000).default(60_000),
    /** How long a stop waits for the job to disappear after the deletion was accepted. */
    stopWaitMs: z.int().min(0).max(60_000).default(3_000),
    /** Time limit for each call. */
    timeoutMs: z.int().min(100).max(300_000).default(20_000),
    /** Creations and deletions. Google allows 6000 for all clients in a project and region. */
    mutationsPerMinute: z.int().min(1).max(6_000).default(3_000),
    /** Google allows 15,000. */
    readsPerMinute: z.int().min(1).max(15_000).default(7_500),
    /** Google allows 60 for a whole project. */
    logReadsPerMinute: z.int().min(1).max(60_000).default(50),

    /** Replaces `batch.googleapis.com`. */
    endpoint: endpointOption.optional(),
    /** Replaces `logging.googleapis.com`. */
    loggingEndpoint: endpointOption.optional(),
    /** Replaces `compute.googleapis.com`, used only by `check`: for quota and network. */
    computeEndpoint: endpointOption.optional(),
    /** Replaces `cloudkms.googleapis.com`. */
    kmsEndpoint: endpointOption.optional(),
  })
  .superRefine((options, context) => {
    const refuse = (path: readonly string[], message: string): void =>
      context.addIssue({ code: 'custom', path: [...path], message });
    for (const [index, zone] of (options.zones ?? []).entries()) {
      if (!zone.startsWith(`${options.region}-`)) refuse(['zones', String(index)], `is not in ${options.region}`);
    }
    const { credentials, endpoint, loggingEndpoint, computeEndpoint, kmsEndpoint, machineType } = options;
    const leak = refuseEndpoints(credentials, [endpoint, loggingEndpoint, computeEndpoint, kmsEndpoint]);
    if (leak !== undefined) refuse(['credentials'], leak);
    // https://cloud.google.com/compute/docs/general-purpose-machines#c3_disks
    if (options.diskType === 'pd-standard' && (machineType?.name ?? options.machineSeries).startsWith('c3-')) {
      refuse(['diskType'], 'c3 supports pd-balanced and pd-ssd only: write one of them');
    }
    if (machineType === undefined) return;
    if (options.armMachineSeries !== undefined) {
      refuse(['armMachineSeries'], 'cannot be combined with machineType: give one of them, not both');
    }
    const known = machineNamed(machineType.name);
    if (known !== undefined) {
      if ((machineType.cpu ?? known.cpu) !== known.cpu)
        refuse(['machineType', 'cpu'], `${known.type} has ${known.cpu}`);
      if ((machineType.memoryGiB ?? known.memoryGiB) !== known.memoryGiB) {
        refuse(['machineType', 'memoryGiB'], `${known.type} has ${known.memoryGiB}`);
      }
      if ((machineType.architecture ?? known.architecture) !== known.architecture) {
        refuse(['machineType', 'architecture'], `${known.type} is ${known.architecture}`);
      }
    } else if (machineType.cpu === undefined || machineType.memoryGiB === undefined) {
      refuse(['machineType'], `${machineType.name} is not a known machine type: give its cpu and memoryGiB too`);
    }
  });

export type GcpBatchOptions = z.infer<typeof gcpBatchOptions>;

export function machinesOf(options: GcpBatchOptions): Machines {
  const { machineType, machineSeries, armMachineSeries } = options;
  if (machineType === undefined) {
    return {
      x64: series[machineSeries].machines,
      ...(armMachineSeries === undefined ? {} : { arm64: series[armMachineSeries].machines }),
    };
  }
  const known = machineNamed(machineType.name);
  const machine = {
    type: machineType.name,
    cpu: known?.cpu ?? machineType.cpu ?? 0,
    memoryGiB: known?.memoryGiB ?? machineType.memoryGiB ?? 0,
  };
  return (known?.architecture ?? machineType.architecture) === 'arm64' ? { arm64: [machine] } : { x64: [machine] };
}

export function platformOptions(options: GcpBatchOptions): readonly PlatformOption[] {
  const { endpoint, loggingEndpoint, computeEndpoint, kmsEndpoint } = options;
  return platformOptionsOf(options.credentials, { endpoint, loggingEndpoint, computeEndpoint, kmsEndpoint });
}
