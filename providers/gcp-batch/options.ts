import { z } from 'zod';
import { credentialsOption, platformOptionsOf, refuseEndpoints } from '../google/credentials.ts';
import { endpointOption } from '../google/endpoint.ts';
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
    /** Where the machines may be. Default: in any zone of the region. */
    zones: z
      .array(z.string().regex(/^[a-z]+-[a-z]+\d+-[a-z]$/, 'write a zone such as europe-west4-a'))
      .min(1)
      .max(20)
      .optional(),
    /** `application-default`, or the JSON of a service account's key or of a workload identity (`external_account`). */
    credentials: credentialsOption,

    /**
     * Who the machine is. Batch gives none to nobody: without this field it would be the project's default account,
     * which as a rule may edit the whole project. Jobs can ask the machine for this account's token.
     */
    serviceAccount: z
      .string()
      .regex(/^[^@\s]+@[^@\s]+\.gserviceaccount\.com$/, 'write the e-mail of a service account')
      .meta({ examples: ['runner@acme-ci.iam.gserviceaccount.com'] }),

    machineSeries: seriesOf('x64').default('e2-standard'),
    /** Lets jobs ask for arm64. */
    armMachineSeries: seriesOf('arm64').optional(),
    /** In place of a series: every runner gets this machine. */
    machineType: z
      .strictObject({
        name: z.string().regex(/^[a-z][a-z0-9-]*$/),
        /** Needed for what the table in sizes.ts does not have. */
        cpu: z.number().positive().optional(),
        memoryGiB: z.number().positive().optional(),
        architecture: z.enum(['x64', 'arm64']).optional(),
      })
      .optional(),
    minCpuPlatform: z.string().min(1).optional(),
    bootDiskGiB: z.int().min(20).max(65_536).default(50),
    diskType: z.enum(['pd-balanced', 'pd-ssd', 'pd-standard']).default('pd-balanced'),
    /** A Batch image (`batch-debian`, `batch-cos`), or one made from it. Default: Batch chooses. */
    bootImage: z.string().min(1).optional(),

    /** A name in this project, or `projects/P/global/networks/N` for a shared one. */
    network: z.string().regex(NETWORK, 'write a name, or projects/P/global/networks/N').default('default'),
    /** A name in this project and region, or `projects/P/regions/R/subnetworks/S`. Labels may choose another one. */
    subnetwork: z.string().regex(SUBNETWORK, 'write a name, or projects/P/regions/R/subnetworks/S').default('default'),
    /** A public address for each machine. Without it, the subnetwork needs Cloud NAT to reach GitHub. */
    externalIp: z.boolean().default(false),
    /** For firewall rules. A job's `sg-…` label comes on top. */
    networkTags: z
      .array(z.string().regex(NETWORK_TAG, 'write a network tag: 1 to 63 of a-z, 0-9 and -, a letter first'))
      .max(63)
      .default([]),

    /** What is started in the container, in place of the image's ENTRYPOINT and CMD. Never a secret. */
    command: z.array(z.string().min(1)).min(1).default(['/home/runner/run.sh']),
    /** Where the runner works, in the container; where a job's disk or bucket appears. */
    workFolder: absolutePath.regex(/^\/[^:\s]+$/, 'has a colon or a blank').default('/home/runner/_work'),
    /** Lets jobs that ask for Docker in Docker (`dind`) run privileged, which is root on a machine of their own. */
    privileged: z.boolean().default(true),
    /** A private registry. The password stays in Secret Manager: Batch shows and logs one that is written here. */
    registryAuth: z
      .strictObject({
        /** As image references name it, such as `ghcr.io` or `docker.io`: jobs with images of others do not get the login. */
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
     * A key of Cloud KMS. The JIT configuration then stands encrypted in the job, and the machine decrypts it. Without it,
     * whoever may look at jobs reads it.
     */
    encryptionKey: z
      .string()
      .regex(
        /^projects\/[^/:\s]+\/locations\/[^/:\s]+\/keyRings\/[\w-]{1,63}\/cryptoKeys\/[\w-]{1,63}$/,
        'write projects/P/locations/L/keyRings/R/cryptoKeys/K',
      )
      .optional(),
    /** Output goes to Cloud Logging, and is read from there. */
    logs: z.boolean().default(true),

    /** A machine that is not there by then is said to be out of stock. Keep it below the registration's launch timeout. */
    queueTimeoutMs: z.int().min(10_000).max(86_400_000).default(540_000),
    /** The same, once Batch has said that the zones are exhausted or a quota is reached; it goes on trying by itself. */
    stockoutGraceMs: z.int().min(0).max(86_400_000).default(60_000),
    /** How long a stop waits for the job to be gone, beyond being accepted. */
    stopWaitMs: z.int().min(0).max(60_000).default(3_000),
    /** For each call. */
    timeoutMs: z.int().min(100).max(300_000).default(20_000),
    /** Creations and deletions. Google allows 6000 for all clients in a project and region. */
    mutationsPerMinute: z.int().min(1).max(6_000).default(3_000),
    /** Google allows 15,000. */
    readsPerMinute: z.int().min(1).max(15_000).default(7_500),
    /** Google allows 60 for a whole project. */
    logReadsPerMinute: z.int().min(1).max(60_000).default(50),

    /** In place of `batch.googleapis.com`. */
    endpoint: endpointOption.optional(),
    /** In place of `logging.googleapis.com`. */
    loggingEndpoint: endpointOption.optional(),
    /** In place of `compute.googleapis.com`, which `check` alone asks: for quota and network. */
    computeEndpoint: endpointOption.optional(),
    /** In place of `cloudkms.googleapis.com`. */
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
      refuse(['diskType'], 'c3 takes pd-balanced and pd-ssd alone');
    }
    if (machineType === undefined) return;
    if (options.armMachineSeries !== undefined) {
      refuse(['armMachineSeries'], 'give a series or machineType, not both');
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
      refuse(['machineType'], `${machineType.name} is not in our table: give its cpu and memoryGiB too`);
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
