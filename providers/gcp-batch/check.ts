/** What `shr doctor` prints about a backend: one finding per subject, with its cure. */
import { z } from 'zod';
import type { Finding, ProviderError } from '../provider.ts';
import { classify } from './errors.ts';
import { type GcpBatchOptions, machinesOf } from './options.ts';
import { parentOf, subnetworkOf } from './request.ts';
import type { Machine } from './sizes.ts';

/** The calls that a check makes. Each rejects with ProviderError. */
export interface Asked {
  listJobs(): Promise<void>;
  readLog(): Promise<void>;
  /** Something, under the key of the options. */
  encrypt(): Promise<void>;
  /** `GET` of Compute Engine's REST API; the path after `/compute/v1/`. */
  compute(path: string): Promise<unknown>;
}

/** Google's default accounts; anything running as one of these can usually edit the project. */
const DEFAULT_ACCOUNT = /^(\d+-compute@developer|[^@]+@appspot)\.gserviceaccount\.com$/;

export async function check(asked: Asked, options: GcpBatchOptions): Promise<readonly Finding[]> {
  try {
    await asked.listJobs();
  } catch (error) {
    return [refused(classify('ListJobs', error), options, 'roles/batch.jobsEditor')];
  }
  return [
    { subject: 'permissions', ok: true, message: `jobs can be listed in ${parentOf(options)}` },
    identity(options),
    await secrecy(asked, options),
    ...(options.logs ? [await logs(asked, options)] : []),
    await network(asked, options),
    ...(await quota(asked, options)),
  ];
}

function identity({ serviceAccount, project }: GcpBatchOptions): Finding {
  if (!DEFAULT_ACCOUNT.test(serviceAccount)) {
    return { subject: 'permissions', ok: true, message: `runners are ${serviceAccount}, an account of their own` };
  }
  return {
    subject: 'permissions',
    ok: false,
    message: `runners are ${serviceAccount}, a default account, which can usually edit the whole project`,
    cure: `gcloud iam service-accounts create shr-runner --project ${project}, give it roles/batch.agentReporter and roles/logging.logWriter alone, and write it as serviceAccount`,
  };
}

async function secrecy(asked: Asked, { encryptionKey: key, project }: GcpBatchOptions): Promise<Finding> {
  if (key === undefined) {
    const message = `accounts that may get or list jobs in ${project} can read the JIT configuration; the option encryptionKey hides it`;
    return { subject: 'permissions', ok: true, note: true, message };
  }
  try {
    await asked.encrypt();
    return { subject: 'permissions', ok: true, message: `the JIT configuration is encrypted under ${key}` };
  } catch (error) {
    const { message } = classify('encrypt', error);
    const cure = `gcloud services enable cloudkms.googleapis.com, check that the key exists and is enabled, and give the dispatcher's account roles/cloudkms.cryptoKeyEncrypter on it`;
    return { subject: 'permissions', ok: false, message, cure };
  }
}

async function logs(asked: Asked, options: GcpBatchOptions): Promise<Finding> {
  try {
    await asked.readLog();
    return { subject: 'permissions', ok: true, message: `logs can be read in ${options.project}` };
  } catch (error) {
    return refused(classify('logs', error), options, 'roles/logging.viewer');
  }
}

const subnetworkAnswer = z.object({ privateIpGoogleAccess: z.boolean().default(false) });

async function network(asked: Asked, options: GcpBatchOptions): Promise<Finding> {
  const { project, region, externalIp } = options;
  const name = subnetworkOf(options.subnetwork, region);
  try {
    const path = name.startsWith('projects/') ? name : `projects/${project}/${name}`;
    const { privateIpGoogleAccess } = subnetworkAnswer.parse(await asked.compute(path));
    if (externalIp) return { subject: 'network', ok: true, message: `machines get a public address in ${name}` };
    if (privateIpGoogleAccess) {
      return {
        subject: 'network',
        ok: true,
        note: true,
        message: `machines get no public address in ${name}, and reach Google from there; GitHub needs Cloud NAT, which was not checked`,
      };
    }
    const short = name.slice(name.lastIndexOf('/') + 1);
    return {
      subject: 'network',
      ok: false,
      message: `machines get no public address in ${name}, and cannot reach Batch from there: its jobs would never run`,
      cure: `gcloud compute networks subnets update ${short} --region ${region} --enable-private-ip-google-access, or set externalIp`,
    };
  } catch (error) {
    const said = classify('compute', error);
    if (said.code !== 'NOT_FOUND') return unseen('network', said, 'compute.subnetworks.get');
    const cure = `write the name of one in ${region} (gcloud compute networks subnets list --project ${project} --regions ${region})`;
    return { subject: 'network', ok: false, message: said.message, cure };
  }
}

const regionAnswer = z.object({
  quotas: z.array(z.object({ metric: z.string(), limit: z.number(), usage: z.number() })).default([]),
});

/** Compute Engine has a CPU quota per family; E2 and families without their own quota count as CPUS. */
const OWN_METRIC = /^(n2d|n2|c3|c3d|t2d|t2a|c2|c2d|n4|c4)-/;

async function quota(asked: Asked, options: GcpBatchOptions): Promise<Finding[]> {
  const { project, region } = options;
  try {
    const { quotas } = regionAnswer.parse(await asked.compute(`projects/${project}/regions/${region}`));
    // The smallest machine of each architecture.
    return Object.values(machinesOf(options)).flatMap(([smallest]) =>
      smallest === undefined ? [] : [roomFor(smallest, quotas, options)],
    );
  } catch (error) {
    return [unseen('quota', classify('compute', error), 'compute.regions.get')];
  }
}

function roomFor(
  { type, cpu }: Machine,
  quotas: z.infer<typeof regionAnswer>['quotas'],
  { project, region }: GcpBatchOptions,
): Finding {
  const family = OWN_METRIC.exec(type)?.[1]?.toUpperCase();
  const metric = family === undefined ? 'CPUS' : `${family}_CPUS`;
  const found = quotas.find((one) => one.metric === metric);
  if (found === undefined) return { subject: 'quota', ok: true, message: `${region} counts no ${metric}` };
  const message = `${found.usage} of ${found.limit} ${metric} are in use in ${region}`;
  if (found.limit - found.usage >= cpu) return { subject: 'quota', ok: true, message };
  return {
    subject: 'quota',
    ok: false,
    message: `${message}: not enough quota for a runner`,
    cure: `ask Google for more ${metric} in ${region} (https://console.cloud.google.com/iam-admin/quotas?project=${project}), or add a backend`,
  };
}

/** Reading from Compute Engine takes permissions that nothing else here needs, so a lack of them is not a failure. */
function unseen(subject: 'network' | 'quota', error: ProviderError, permission: string): Finding {
  return {
    subject,
    ok: true,
    note: true,
    message: `was not checked, which requires ${permission} (${error.message})`,
  };
}

function refused(error: ProviderError, options: GcpBatchOptions, role: string): Finding {
  const { project, region, endpoint } = options;
  const { message } = error;
  if (error.kind !== 'unauthorized') {
    const cure = `check that ${endpoint ?? 'batch.googleapis.com and logging.googleapis.com'} can be reached from here`;
    return { subject: 'region', ok: false, message, cure };
  }
  if (error.code === 'NOT_FOUND') {
    const cure = `write a region that has Batch, in place of ${region} (gcloud batch locations list)`;
    return { subject: 'region', ok: false, message, cure };
  }
  if (error.code === 'PERMISSION_DENIED') {
    const cure = `enable the API (gcloud services enable batch.googleapis.com logging.googleapis.com --project ${project}), and give the dispatcher's account ${role}`;
    return { subject: 'permissions', ok: false, message, cure };
  }
  const cure = 'fix the option credentials; for application-default: gcloud auth application-default login';
  return { subject: 'credentials', ok: false, message, cure };
}
