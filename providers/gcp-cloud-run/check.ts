/** What `shr doctor` prints about a backend: one finding per subject, with its cure. */
import type { Finding, ProviderError } from '../provider.ts';
import type { CloudRun } from './calls.ts';
import { classify } from './errors.ts';
import type { CloudRunOptions } from './options.ts';
import { jobFor } from './request.ts';
import { hasEnded } from './state.ts';

/** https://cloud.google.com/run/quotas, per project and region. */
const MAX_JOBS = 1000;
const MAX_RUNNING = 1000;

/** Google's own sample for jobs, which every project may pull. The request is only validated. */
const SAMPLE_IMAGE = 'us-docker.pkg.dev/cloudrun/container/job:latest';

export async function check(service: CloudRun, options: CloudRunOptions): Promise<readonly Finding[]> {
  const findings: Finding[] = [identity(options)];
  try {
    await service.token();
    findings.push({ subject: 'credentials', ok: true, message: 'the credentials give a token' });
  } catch (error) {
    const said = classify('token', error);
    findings.push({
      subject: 'credentials',
      ok: false,
      message: said.message,
      cure:
        said.kind === 'transient'
          ? 'let this machine reach oauth2.googleapis.com, sts.googleapis.com or its metadata server'
          : 'set the option credentials to the JSON of a valid key or external account, or log in with gcloud auth application-default login',
    });
    return findings;
  }
  try {
    const [jobs, executions] = [await service.listJobs(), await service.listExecutions()];
    const running = executions.filter((execution) => !hasEnded(execution)).length;
    const place = `project ${options.project}, region ${options.region}`;
    findings.push({ subject: 'region', ok: true, message: `${place}: jobs and executions can be listed` });
    findings.push(room(jobs.length, running, options));
  } catch (error) {
    findings.push(unreachable(classify('ListJobs', error), options));
    return findings;
  }
  findings.push(await launchable(service, options));
  return findings;
}

function identity(options: CloudRunOptions): Finding {
  const { serviceAccount } = options;
  if (!/-compute@developer\.gserviceaccount\.com$|@appspot\.gserviceaccount\.com$/.test(serviceAccount)) {
    return { subject: 'permissions', ok: true, message: `the runner's identity is ${serviceAccount}` };
  }
  return {
    subject: 'permissions',
    ok: false,
    message: `the runner's identity is a default account, ${serviceAccount}: every job could act with its roles`,
    cure: 'gcloud iam service-accounts create runner, give it no roles, and set the option serviceAccount to it',
  };
}

function room(jobs: number, running: number, options: CloudRunOptions): Finding {
  const message = `${jobs} of ${MAX_JOBS} jobs defined, ${running} of ${MAX_RUNNING} executions running; this backend may start ${options.jobRunsPerMinute} and write ${options.writesPerMinute} times a minute`;
  if (jobs < MAX_JOBS * 0.95 && running < MAX_RUNNING * 0.95) return { subject: 'quota', ok: true, message };
  return {
    subject: 'quota',
    ok: false,
    message,
    cure: 'delete unused jobs, ask Google for more (https://cloud.google.com/run/quotas), or add a backend in another region',
  };
}

function unreachable(error: ProviderError, options: CloudRunOptions): Finding {
  const { message } = error;
  if (error.kind === 'unauthorized') {
    return {
      subject: 'permissions',
      ok: false,
      message,
      cure: `gcloud services enable run.googleapis.com --project ${options.project}, and give our account the role in the provider's README on it`,
    };
  }
  if (error.kind === 'invalid') {
    return {
      subject: 'region',
      ok: false,
      message,
      cure: 'check the options project and region: gcloud run regions list',
    };
  }
  return {
    subject: 'network',
    ok: false,
    message,
    cure: `let this machine reach ${options.endpoint ?? 'https://run.googleapis.com'}, then try again`,
  };
}

/** Asks the service to validate a definition as a launch would create it: permissions, service account, network. */
async function launchable(service: CloudRun, options: CloudRunOptions): Promise<Finding> {
  const shape = {
    cpu: 1,
    memoryGiB: 0.5,
    architecture: 'x64',
    image: SAMPLE_IMAGE,
    spot: false,
    dockerInDocker: false,
  } as const;
  const definition = jobFor(shape, { dispatcher: 'check', registration: '', charge: {} }, options);
  try {
    await service.createJob(definition, true);
    const through = options.connector ?? options.subnetwork ?? options.network;
    return {
      subject: 'network',
      ok: true,
      message: `a runner can be defined${through === undefined ? '' : `, with egress through ${through}`}`,
    };
  } catch (error) {
    const said = classify('CreateJob', error);
    if (said.kind === 'unauthorized') {
      return {
        subject: 'permissions',
        ok: false,
        message: said.message,
        cure: `give our account roles/iam.serviceAccountUser on ${options.serviceAccount}, and the role in the provider's README on the project`,
      };
    }
    if (said.kind === 'throttled') {
      return { subject: 'quota', ok: false, message: said.message, cure: 'wait a minute, and try again' };
    }
    if (said.kind === 'transient') return unreachable(said, options);
    return {
      subject: said.kind === 'quota' ? 'quota' : 'network',
      ok: false,
      message: said.message,
      cure: 'check the options network, subnetwork, connector and serviceAccount against what the message names',
    };
  }
}
