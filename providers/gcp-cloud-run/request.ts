/** Requests to Cloud Run: one Job per shape, one execution with overrides per runner. Pure. */
import { createHash } from 'node:crypto';
import type { protos } from '@google-cloud/run';
import { encodeTags } from '../kit/tags.ts';
import { type InstanceTags, type LaunchRequest, ProviderError, type Shape, type ShapeWish } from '../provider.ts';
import type { CloudRunOptions } from './options.ts';

type IJob = protos.google.cloud.run.v2.IJob;
type ITaskTemplate = protos.google.cloud.run.v2.ITaskTemplate;
type IOverrides = protos.google.cloud.run.v2.RunJobRequest.IOverrides;

/** The label of Jobs and executions that `list` filters by first. */
export const DISPATCHER_LABEL = 'shr-dispatcher';
/**
 * We cannot choose an execution's name, and its labels are its Job's. Its own data goes into environment variables,
 * which the service returns with the execution.
 */
export const NAME_VARIABLE = 'SHR_INSTANCE';
export const TAGS_VARIABLE = 'SHR_INSTANCE_TAGS';

const CONTAINER = 'runner';
const WORK_VOLUME = 'work';
/** https://cloud.google.com/run/quotas: 32 KB per variable. */
const MAX_VARIABLE_BYTES = 32_768;

/** Why the wish cannot run at any size; undefined if it can. */
export function refuseForCloudRun(wish: ShapeWish, options: CloudRunOptions): string | undefined {
  if (wish.dockerInDocker) {
    return 'Cloud Run has no privileged containers, so no Docker in Docker; a backend of kind gcp-batch has';
  }
  const registry = registryOf(wish.image);
  if (registry !== undefined && !/^(docker\.io|([a-z-]+\.)?gcr\.io|[a-z0-9-]+-docker\.pkg\.dev)$/.test(registry)) {
    return `Cloud Run does not pull from ${registry}; put the image into Artifact Registry (a remote repository there mirrors ${registry})`;
  }
  if (wish.bucket !== undefined && !/^[a-z0-9][a-z0-9._-]{1,220}[a-z0-9]$/.test(wish.bucket)) {
    return `${JSON.stringify(wish.bucket)} is not a valid bucket name`;
  }
  // It is inserted into a flag of gcsfuse, and must not escape the bucket's root.
  const prefix = wish.bucketPrefix;
  if (prefix !== undefined && !/^[\w.-]+(\/[\w.-]+)*$/.test(prefix))
    return `${JSON.stringify(prefix)} is not a valid folder`;
  if (prefix?.split('/').some((part) => part === '.' || part === '..') === true) return `${prefix} leaves the bucket`;
  if (wish.securityGroup !== undefined && !/^[a-z][a-z0-9-]{0,62}$/.test(wish.securityGroup)) {
    return `${JSON.stringify(wish.securityGroup)} is not a valid network tag, which firewall rules use here`;
  }
  if (wish.securityGroup !== undefined && !hasNetwork(wish, options)) {
    return 'a network tag needs a network: set the option network, or wish for a subnet too';
  }
  return undefined;
}

/** The definition of a shape, and the name derived from it: the same shape always has the same name. */
export function jobFor(
  shape: Shape,
  tags: Pick<InstanceTags, 'dispatcher' | 'registration' | 'charge'>,
  options: CloudRunOptions,
): { readonly id: string; readonly job: IJob } {
  const labels = labelsOf(tags);
  const job: IJob = {
    labels,
    template: { labels, taskCount: 1, parallelism: 1, template: taskTemplate(shape, options) },
  };
  // Label values appear on the bill, so each combination gets its own Job.
  const hash = createHash('sha256').update(canonical(job)).digest('hex').slice(0, 16);
  return { id: `shr-${tags.dispatcher}-${hash}`, job };
}

/** Throws `invalid` if the service would not accept it. */
export function overridesFor(request: LaunchRequest, options: CloudRunOptions): IOverrides {
  const variables = {
    ...request.environment,
    ...request.secretEnvironment,
    [NAME_VARIABLE]: request.name,
    [TAGS_VARIABLE]: JSON.stringify(encodeTags(request.tags)),
  };
  for (const [name, value] of Object.entries(variables)) {
    if (Buffer.byteLength(value) <= MAX_VARIABLE_BYTES) continue;
    const cure = name === TAGS_VARIABLE ? 'shorten the charge labels' : 'make it shorter';
    throw new ProviderError(
      'invalid',
      'gcp-cloud-run launch',
      `the variable ${name} has more than ${MAX_VARIABLE_BYTES} bytes, the limit of Cloud Run: ${cure}`,
    );
  }
  const longestS = options.longestLifeHours * 3600;
  const lifeMs = request.shape.timeLimitMs;
  return {
    containerOverrides: [{ name: CONTAINER, env: Object.entries(variables).map(([name, value]) => ({ name, value })) }],
    taskCount: 1,
    // Without a timeout the service ends a task after ten minutes.
    timeout: { seconds: lifeMs === undefined ? longestS : Math.min(longestS, Math.max(1, Math.ceil(lifeMs / 1000))) },
  };
}

function taskTemplate(shape: Shape, options: CloudRunOptions): ITaskTemplate {
  const access = vpcAccess(shape, options);
  return {
    containers: [
      {
        name: CONTAINER,
        image: shape.image,
        command: [...options.command],
        args: [...options.args],
        resources: { limits: { cpu: String(shape.cpu), memory: `${Math.round(shape.memoryGiB * 1024)}Mi` } },
        ...(shape.bucket === undefined ? {} : { volumeMounts: [{ name: WORK_VOLUME, mountPath: options.workFolder }] }),
      },
    ],
    ...(shape.bucket === undefined
      ? {}
      : {
          volumes: [
            {
              name: WORK_VOLUME,
              gcs: {
                bucket: shape.bucket,
                readOnly: false,
                mountOptions: [
                  ...options.bucketMountOptions,
                  ...(shape.bucketPrefix === undefined ? [] : [`only-dir=${shape.bucketPrefix}`]),
                ],
              },
            },
          ],
        }),
    // A runner serves once: a second attempt would find its JIT configuration already used.
    maxRetries: 0,
    serviceAccount: options.serviceAccount,
    // Full Linux, and the only environment that supports Cloud Storage volumes.
    executionEnvironment: 'EXECUTION_ENVIRONMENT_GEN2',
    ...(access === undefined ? {} : { vpcAccess: access }),
  };
}

function vpcAccess(shape: Shape, options: CloudRunOptions): ITaskTemplate['vpcAccess'] {
  const egress = options.egress === 'all' ? 'ALL_TRAFFIC' : 'PRIVATE_RANGES_ONLY';
  if (options.connector !== undefined) return { connector: options.connector, egress };
  if (!hasNetwork(shape, options)) return undefined;
  const subnetwork = shape.subnet ?? options.subnetwork;
  const tags = [...options.networkTags, ...(shape.securityGroup === undefined ? [] : [shape.securityGroup])];
  return {
    networkInterfaces: [
      {
        ...(options.network === undefined ? {} : { network: options.network }),
        ...(subnetwork === undefined ? {} : { subnetwork }),
        ...(tags.length === 0 ? {} : { tags: [...new Set(tags)] }),
      },
    ],
    egress,
  };
}

function hasNetwork(wish: Pick<ShapeWish, 'subnet'>, options: CloudRunOptions): boolean {
  return options.network !== undefined || options.subnetwork !== undefined || wish.subnet !== undefined;
}

/** Labels appear on the bill. Those that the service's alphabet cannot represent are only in the instance's tags. */
function labelsOf(tags: Pick<InstanceTags, 'dispatcher' | 'registration' | 'charge'>): Record<string, string> {
  const value = /^[a-z0-9_-]{0,63}$/;
  const charge = Object.entries(tags.charge).filter(
    ([key, text]) => /^[a-z][a-z0-9_-]{0,62}$/.test(key) && !key.startsWith('shr-') && value.test(text),
  );
  return {
    ...Object.fromEntries(charge.slice(0, 50)),
    ...(value.test(tags.registration) ? { 'shr-registration': tags.registration } : {}),
    [DISPATCHER_LABEL]: tags.dispatcher,
  };
}

/** The registry's host, if the reference names one: distinguished from a folder as Docker does. */
function registryOf(image: string): string | undefined {
  const [first, ...rest] = image.split('/');
  if (first === undefined || rest.length === 0) return undefined;
  return first.includes('.') || first.includes(':') || first === 'localhost' ? first : undefined;
}

/** JSON with sorted keys. */
function canonical(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(canonical).join(',')}]`;
  if (typeof value === 'object' && value !== null) {
    const entries = Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1));
    return `{${entries.map(([key, inner]) => `${JSON.stringify(key)}:${canonical(inner)}`).join(',')}}`;
  }
  return JSON.stringify(value) ?? 'null';
}
