/** Refusals before anything is created, in the service's own words as far as they are known. */
import { GoogleRefusal } from '../google/status.ts';
import type { JobMessage, TaskTemplate } from './model.ts';
import type { CloudRunSimulatorOptions } from './options.ts';

/** Minimum and maximum memory by cpu, in MiB: https://cloud.google.com/run/docs/configuring/jobs/cpu */
const memory: Readonly<Record<string, readonly [number, number]>> = {
  '1': [512, 4096],
  '2': [512, 8192],
  '4': [2048, 16_384],
  '6': [4096, 24_576],
  '8': [4096, 32_768],
};

const MAX_S = 168 * 3600;
const MAX_ENV_BYTES = 32_768;

export function validateJob(id: string, job: JobMessage, options: CloudRunSimulatorOptions): void {
  if (!/^[a-z]([a-z0-9-]{0,61}[a-z0-9])?$/.test(id)) throw invalid(`Invalid resource id: ${id}`);
  for (const labels of [job.labels, job.template.labels]) validateLabels(labels);
  validateTask(job.template.template, options);
}

export function validateTask(task: TaskTemplate, options: CloudRunSimulatorOptions): void {
  const [container, second] = task.containers;
  if (container === undefined || second !== undefined) {
    throw invalid('Violation in CreateJobRequest.job.template.template.containers: exactly one container is expected.');
  }
  const { image } = container;
  const host = image.includes('/') ? image.slice(0, image.indexOf('/')) : '';
  const isHost = host.includes('.') || host.includes(':');
  if (image === '' || (isHost && !/^(docker\.io|([a-z-]+\.)?gcr\.io|[a-z0-9-]+-docker\.pkg\.dev)$/.test(host))) {
    throw invalid(
      `spec.template.spec.template.spec.containers[0].image: Expected an image path like [host/]repo-path[:tag and/or @digest], where host is one of [region.]gcr.io, [region-]docker.pkg.dev or docker.io but obtained ${image}.`,
    );
  }
  const { cpu = '1', memory: asked = '512Mi' } = container.resources.limits;
  const range = memory[cpu];
  if (range === undefined) throw invalid(`Invalid value specified for cpu: ${cpu}`);
  const mib = mibOf(asked);
  if (mib === undefined || mib < range[0] || mib > range[1]) {
    throw invalid(
      `Invalid value specified for memory. For ${cpu} CPU, memory must be between ${range[0]}Mi and ${range[1]}Mi inclusive.`,
    );
  }
  for (const { name, value } of container.env) {
    if (Buffer.byteLength(value) > MAX_ENV_BYTES)
      throw invalid(`env ${name}: value is longer than ${MAX_ENV_BYTES} bytes`);
  }
  if (task.timeout.seconds < 1 || task.timeout.seconds > MAX_S) {
    throw invalid(`timeout must be between 1s and ${MAX_S}s`);
  }
  for (const mount of container.volumeMounts) {
    if (!task.volumes.some((volume) => volume.name === mount.name))
      throw invalid(`volume ${mount.name} is not defined`);
  }
  validateNetwork(task, options);
  const account = task.serviceAccount;
  if (account !== '' && options.serviceAccounts !== undefined && !options.serviceAccounts.includes(account)) {
    throw new GoogleRefusal(
      'PERMISSION_DENIED',
      `Permission 'iam.serviceaccounts.actAs' denied on service account ${account} (or it may not exist).`,
      { reason: 'IAM_PERMISSION_DENIED' },
    );
  }
}

function validateNetwork(task: TaskTemplate, options: CloudRunSimulatorOptions): void {
  const access = task.vpcAccess;
  if (access === undefined || options.networks === undefined) return;
  const named = [access.connector, ...access.networkInterfaces.flatMap((one) => [one.network, one.subnetwork])].filter(
    (name) => name !== '',
  );
  if (named.length === 0) throw invalid('At least one of network or subnetwork must be specified.');
  for (const name of named) {
    if (!options.networks.includes(name)) throw invalid(`VPC network, subnetwork or connector ${name} was not found.`);
  }
}

function validateLabels(labels: Readonly<Record<string, string>>): void {
  const entries = Object.entries(labels);
  if (entries.length > 64) throw invalid('There can be at most 64 labels.');
  for (const [key, value] of entries) {
    if (!/^[\p{Ll}\p{Lo}][\p{Ll}\p{Lo}\p{N}_-]{0,62}$/u.test(key)) throw invalid(`label key ${key} is invalid`);
    if (!/^[\p{Ll}\p{Lo}\p{N}_-]{0,63}$/u.test(value)) throw invalid(`label value of ${key} is invalid`);
  }
}

function mibOf(text: string): number | undefined {
  const match = /^(\d+)(Mi|Gi)$/.exec(text);
  if (match === null) return undefined;
  return Number(match[1]) * (match[2] === 'Gi' ? 1024 : 1);
}

function invalid(message: string): GoogleRefusal {
  return new GoogleRefusal('INVALID_ARGUMENT', message);
}
