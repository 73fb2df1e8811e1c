import { z } from 'zod';
import { credentialsOption, platformOptionsOf, refuseEndpoints } from '../google/credentials.ts';
import { endpointOption } from '../google/endpoint.ts';
import { RUNNER_COMMAND } from '../kit/runner-command.ts';
import type { PlatformOption } from '../provider.ts';

const absolutePath = z.string().startsWith('/', 'must be an absolute path');
const perMinute = z.int().min(1).max(10_000);

/** The `options` of a backend of kind `gcp-cloud-run`. */
export const cloudRunOptions = z
  .strictObject({
    /** Id (or number) of the project in which the runners run. */
    project: z
      .string()
      .regex(/^([a-z][a-z0-9-]{4,28}[a-z0-9]|\d{6,20})$/, 'write the id of a project')
      .meta({ examples: ['acme-ci'] }),
    /** Such as `europe-west1`. */
    region: z
      .string()
      .regex(/^[a-z]+(-[a-z]+)+\d+$/, 'write a region such as europe-west1')
      .meta({ examples: ['europe-west1'] }),
    credentials: credentialsOption,
    /**
     * The identity of the runner's container. Cloud Run has no "none": without one it would take the project's default
     * account, which may be an editor of the whole project.
     */
    serviceAccount: z
      .string({
        error: 'is missing: give the runner an account without roles (Cloud Run would take the default account)',
      })
      .regex(/^[^@\s]+@[^@\s]+\.[^@\s]+$/, 'write the e-mail address of a service account')
      .meta({ examples: ['runner@acme-ci.iam.gserviceaccount.com'] }),

    /** Command of the container. Default: see `RUNNER_COMMAND`. Never a secret. */
    command: z
      .array(z.string().min(1))
      .min(1)
      .default([...RUNNER_COMMAND]),
    args: z.array(z.string()).default([]),
    /** The runner's work folder in the container; a job's bucket is mounted there. */
    workFolder: absolutePath.refine((path) => !path.includes(':'), 'has a colon').default('/home/runner/_work'),
    /** Flags of gcsfuse, without the leading dashes. The default fits the official image, whose user is 1001. */
    bucketMountOptions: z
      .array(z.string().regex(/^[a-z]/, 'write the flag without its dashes'))
      .default(['implicit-dirs', 'uid=1001', 'gid=1001']),

    /** Direct VPC egress. The job's `subnet-…` label overrides `subnetwork`, `sg-…` adds a network tag. */
    network: z.string().min(1).optional(),
    subnetwork: z.string().min(1).optional(),
    networkTags: z.array(z.string().regex(/^[a-z][a-z0-9-]{0,62}$/, 'is not a valid network tag')).default([]),
    /** A Serverless VPC Access connector instead. */
    connector: z.string().min(1).optional(),
    /** With a network: route `all` traffic through it, or only traffic to private addresses. */
    egress: z.enum(['all', 'private']).default('all'),

    /** 24 if the project may not use longer timeouts. */
    longestLifeHours: z.int().min(1).max(168).default(168),
    /** The project's quotas in this region, or this backend's share of them. */
    jobRunsPerMinute: perMinute.default(60),
    writesPerMinute: perMinute.default(30),
    /** Cloud Logging gives a project 60 reads a minute (https://cloud.google.com/logging/quotas). */
    logReadsPerMinute: perMinute.default(50),
    /** Deletes the definition of a shape that no runner has used for this long. */
    unusedJobHours: z.int().min(1).max(8760).default(24),

    /** Time limit for each call. */
    timeoutMs: z.int().min(100).max(300_000).default(20_000),
    /** Time limit for a new shape's definition to become ready, and for a container to end after it was told to. */
    readyTimeoutMs: z.int().min(1000).max(600_000).default(60_000),
    /** Interval between polls of an operation in progress. */
    pollMs: z.int().min(10).max(10_000).default(1000),

    /** Another endpoint of the API, such as a private one; `http://` only on this machine. */
    endpoint: endpointOption.optional(),
    loggingEndpoint: endpointOption.default('https://logging.googleapis.com'),
    /** For `shr deploy` alone: of Secret Manager. */
    secretsEndpoint: endpointOption.default('https://secretmanager.googleapis.com'),
  })
  .superRefine((options, context) => {
    const refuse = (path: string, message: string): void => context.addIssue({ code: 'custom', path: [path], message });
    const leak = refuseEndpoints(options.credentials, [
      options.endpoint,
      options.loggingEndpoint,
      options.secretsEndpoint,
    ]);
    if (leak !== undefined) refuse('credentials', leak);
    const direct = options.network !== undefined || options.subnetwork !== undefined;
    if (direct && options.connector !== undefined)
      refuse('connector', 'cannot be combined with network: give one of them, not both');
    if (options.networkTags.length > 0 && !direct) refuse('networkTags', 'requires a network: give network too');
  });

export type CloudRunOptions = z.infer<typeof cloudRunOptions>;

export function platformOptions(options: CloudRunOptions): readonly PlatformOption[] {
  const { endpoint, loggingEndpoint, secretsEndpoint } = options;
  return platformOptionsOf(options.credentials, { endpoint, loggingEndpoint, secretsEndpoint });
}
