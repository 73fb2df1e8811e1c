/** Each instance is a job of Google Batch: one task, on a machine that is created for it and deleted after it. */
import { BatchServiceClient } from '@google-cloud/batch';
import { callOptions, connect } from '../google/connection.ts';
import { type Endpoint, endpointOf } from '../google/endpoint.ts';
import { quoted, readLog } from '../google/log.ts';
import { minuteRate } from '../google/rate.ts';
import type { CallRate } from '../kit/call-rate.ts';
import { Deadlines } from '../kit/deadlines.ts';
import { withoutSecrets } from '../kit/redact.ts';
import {
  type Architecture,
  type Capabilities,
  type CheckedUse,
  type Finding,
  type Fit,
  type ImageLabels,
  type Instance,
  type InstanceRef,
  type LaunchRequest,
  type Provider,
  ProviderError,
  type ProviderHost,
  type ShapeWish,
} from '../provider.ts';
import { checkImages } from '../registry/check-images.ts';
import { readImageLabels } from '../registry/image-labels.ts';
import type { Puller } from '../registry/puller.ts';
import { check } from './check.ts';
import { encrypt } from './encryption.ts';
import { type CallName, classify, isAbsent } from './errors.ts';
import { type GcpBatchOptions, machinesOf } from './options.ts';
import { pullerOf } from './puller.ts';
import { createJobRequest, jobIdOf, parentOf } from './request.ts';
import { fitWish, type Machines } from './sizes.ts';
import {
  type Events,
  exitCodeIn,
  failed,
  isBeingDeleted,
  type Job,
  readJob,
  readTaskEvents,
  readUid,
  taskGroupOf,
  toInstance,
} from './state.ts';
import { DISPATCHER_LABEL } from './tags.ts';

/** "Run time before automatic failure": https://cloud.google.com/batch/quotas */
const MAX_LIFE_MS = 14 * 24 * 3_600_000;
const PAGE = 100;
const MAX_PAGES = 1000;

/**
 * The SDK's defaults repeat reads for ten minutes. The dispatcher has its own retry schedule, and needs to see
 * failures.
 */
const NO_RETRIES = { retryCodes: [] };

interface CallOptions {
  readonly timeout: number;
  readonly retry: { retryCodes: number[] };
}

export class GcpBatchProvider implements Provider {
  readonly capabilities: Capabilities;
  readonly #options: GcpBatchOptions;
  readonly #host: ProviderHost;
  readonly #machines: Machines;
  readonly #endpoint: Endpoint | undefined;
  #open: BatchServiceClient | undefined;
  readonly #deadlines: Deadlines;
  readonly #mutations: CallRate;
  readonly #reads: CallRate;
  readonly #logReads: CallRate;
  readonly #encryptions: CallRate;

  constructor(options: GcpBatchOptions, host: ProviderHost) {
    this.#options = options;
    this.#host = host;
    this.#machines = machinesOf(options);
    this.#endpoint = options.endpoint === undefined ? undefined : endpointOf(options.endpoint);
    this.#deadlines = new Deadlines(host);
    this.#mutations = minuteRate(host, 'creations and deletions', options.mutationsPerMinute, options.timeoutMs);
    this.#reads = minuteRate(host, 'reads', options.readsPerMinute, options.timeoutMs);
    this.#logReads = minuteRate(host, 'reads of logs', options.logReadsPerMinute, options.timeoutMs);
    // One request per creation, to a separate service.
    this.#encryptions = minuteRate(host, 'encryptions', options.mutationsPerMinute, options.timeoutMs);
    this.capabilities = {
      architectures: [
        ...(this.#machines.x64 === undefined ? [] : (['x64'] as const)),
        ...(this.#machines.arm64 === undefined ? [] : (['arm64'] as const)),
      ],
      spot: true,
      dockerInDocker: options.privileged,
      disk: true,
      bucket: true,
      subnet: true,
      // A network tag, matched by firewall rules.
      securityGroup: true,
      logs: options.logs,
      // Otherwise anyone allowed to get or list jobs can read it. See README.md, "Limits".
      secretEnvironment: options.encryptionKey !== undefined,
      longestLifeMs: MAX_LIFE_MS,
    };
  }

  fit(wish: ShapeWish): Fit {
    return fitWish(wish, this.capabilities, this.#machines);
  }

  async launch(request: LaunchRequest): Promise<Instance> {
    if (jobIdOf(request.name) === undefined) {
      const message = `${JSON.stringify(request.name)} is not a valid name: a-z, 0-9 and -, at most 63, no - at either end`;
      throw new ProviderError('invalid', 'gcp-batch launch', message);
    }
    const fit = this.fit(request.shape);
    if (!fit.fits) throw new ProviderError('invalid', 'gcp-batch launch', fit.reason);
    const body = createJobRequest(request, this.#options, await this.#sealed(request.secretEnvironment));
    let job: Job;
    try {
      const [answer] = await this.#call('CreateJob', this.#mutations, (options) =>
        this.#client.createJob(body, options),
      );
      // A job created under a new name matches the request.
      if (request.nameIsNew === true) {
        return { ref: { name: request.name, id: readUid(answer) }, state: 'pending', tags: request.tags };
      }
      job = readJob('gcp-batch CreateJob', answer);
    } catch (error) {
      const said = classify('CreateJob', error);
      if (said.kind !== 'conflict') throw withoutSecrets(said, request);
      job = await this.#existing(request.name, said);
    }
    const instance = this.#instance(job);
    if (instance?.ref.name !== request.name || instance.tags?.dispatcher !== request.tags.dispatcher) {
      throw new ProviderError('conflict', 'gcp-batch CreateJob', `the job ${job.name} is not ours`);
    }
    if (isBeingDeleted(job)) {
      throw new ProviderError('transient', 'gcp-batch CreateJob', `${job.name} is still being deleted`);
    }
    return instance;
  }

  async inspect(ref: InstanceRef): Promise<Instance | undefined> {
    const job = await this.#ours(ref);
    if (job === undefined) return undefined;
    const unexplained = failed(job) && exitCodeIn(job.status.statusEvents) === undefined;
    return this.#instance(job, unexplained ? await this.#taskEvents(job) : []);
  }

  async list(owner: { readonly dispatcher: string }): Promise<readonly Instance[]> {
    const found: Instance[] = [];
    let pageToken = '';
    for (let page = 0; page < MAX_PAGES; page += 1) {
      const request = {
        parent: parentOf(this.#options),
        filter: `labels.${DISPATCHER_LABEL}=${quoted(owner.dispatcher)}`,
        pageSize: PAGE,
        pageToken,
      };
      const [jobs, , reply] = await this.#call('ListJobs', this.#reads, (options) =>
        this.#client.listJobs(request, { ...options, autoPaginate: false }),
      );
      const unreachable = reply?.unreachable ?? [];
      if (unreachable.length > 0) {
        throw new ProviderError('transient', 'gcp-batch ListJobs', `could not reach ${unreachable.join(', ')}`);
      }
      for (const answer of jobs) {
        const instance = this.#instance(readJob('gcp-batch ListJobs', answer));
        if (instance?.tags?.dispatcher === owner.dispatcher) found.push(instance);
      }
      const next = reply?.nextPageToken ?? '';
      if (next === '') return found;
      if (next === pageToken) break;
      pageToken = next;
    }
    throw new ProviderError('transient', 'gcp-batch ListJobs', 'the pages do not end');
  }

  async stop(ref: InstanceRef): Promise<void> {
    // By name the service would delete any job, so check the labels first.
    const job = await this.#ours(ref);
    if (job === undefined) return;
    if (!isBeingDeleted(job)) {
      try {
        await this.#call('DeleteJob', this.#mutations, (options) =>
          this.#client.deleteJob({ name: job.name, reason: 'the runner is no longer needed' }, options),
        );
      } catch (error) {
        const said = classify('DeleteJob', error);
        if (isAbsent(said)) return;
        // Another caller was faster.
        const now = await this.#job(ref);
        if (now !== undefined && !isBeingDeleted(now)) throw said;
      }
    }
    await this.#untilGone(ref);
  }

  async logs(ref: InstanceRef): Promise<string | undefined> {
    if (!this.#options.logs) return undefined;
    const job = await this.#ours(ref);
    if (job === undefined) return undefined;
    const text = await this.#readLog(job.uid);
    return text === '' ? undefined : text;
  }

  async check(use?: CheckedUse): Promise<readonly Finding[]> {
    const puller = this.#puller();
    const [findings, ofImages] = await Promise.all([
      this.#checkService(),
      checkImages(use?.images ?? [], puller, this.#deadlines, this.#options.timeoutMs),
    ]);
    return [...findings, ...ofImages];
  }

  imageLabels(reference: string, architecture: Architecture): Promise<ImageLabels> {
    const within = { deadlines: this.#deadlines, timeoutMs: this.#options.timeoutMs };
    return readImageLabels(reference, architecture, this.#puller(), within);
  }

  #puller(): Puller {
    return pullerOf(this.#options, () => this.#client.auth.getRequestHeaders());
  }

  #checkService(): Promise<readonly Finding[]> {
    return check(
      {
        listJobs: async () => {
          const request = { parent: parentOf(this.#options), pageSize: 1 };
          await this.#call('ListJobs', this.#reads, (options) =>
            this.#client.listJobs(request, { ...options, autoPaginate: false }),
          );
        },
        readLog: async () => {
          await this.#readLog('shr-doctor');
        },
        encrypt: async () => {
          await this.#sealed({ SHR: 'doctor' });
        },
        compute: async (path) => {
          const endpoint = (this.#options.computeEndpoint ?? 'https://compute.googleapis.com').replace(/\/$/, '');
          const { data } = await this.#bounded('compute', this.#reads, (signal) =>
            this.#client.auth.request({ url: `${endpoint}/compute/v1/${path}`, method: 'GET', signal, retry: false }),
          );
          return data;
        },
      },
      this.#options,
    );
  }

  async close(): Promise<void> {
    const client = this.#open;
    this.#open = undefined;
    await client?.close();
  }

  /** Created on first use: it reads credentials and keeps a connection. */
  get #client(): BatchServiceClient {
    this.#open ??= connect(BatchServiceClient, this.#options).client;
    return this.#open;
  }

  /** The job that holds the name; it may have just gone. */
  async #existing(name: string, conflict: ProviderError): Promise<Job> {
    const job = await this.#job({ name });
    if (job !== undefined) return job;
    throw new ProviderError('transient', conflict.operation, conflict.message, { cause: conflict });
  }

  /** Also undefined if the job that holds the name is not ours, or has another name with the same id. */
  async #ours(ref: InstanceRef): Promise<Job | undefined> {
    const job = await this.#job(ref);
    return job !== undefined && this.#instance(job)?.ref.name === ref.name ? job : undefined;
  }

  async #job(ref: InstanceRef): Promise<Job | undefined> {
    const id = jobIdOf(ref.name);
    // Not a valid job name, so there is no such job.
    if (id === undefined) return undefined;
    try {
      const [answer] = await this.#call('GetJob', this.#reads, (options) =>
        this.#client.getJob({ name: `${parentOf(this.#options)}/jobs/${id}` }, options),
      );
      const job = readJob('gcp-batch GetJob', answer);
      return ref.id === undefined || ref.id === job.uid ? job : undefined;
    } catch (error) {
      const said = classify('GetJob', error);
      if (isAbsent(said)) return undefined;
      throw said;
    }
  }

  async #taskEvents(job: Job): Promise<Events> {
    const request = { parent: taskGroupOf(job), pageSize: 10 };
    try {
      const [tasks] = await this.#call('ListTasks', this.#reads, (options) =>
        this.#client.listTasks(request, { ...options, autoPaginate: false }),
      );
      return readTaskEvents(tasks);
    } catch (error) {
      const said = classify('ListTasks', error);
      // A job that never got a machine has no tasks; one that has since been deleted has none left.
      if (isAbsent(said)) return [];
      throw said;
    }
  }

  /** Deleting a machine takes time. The job is accounted for until then, so the caller need not wait for it. */
  async #untilGone(ref: InstanceRef): Promise<void> {
    const giveUpAtMs = this.#host.now() + this.#options.stopWaitMs;
    // If closed in the meantime, it must not open a new connection.
    for (
      let waitMs = 50;
      this.#open !== undefined && this.#host.now() < giveUpAtMs;
      waitMs = Math.min(2 * waitMs, 1000)
    ) {
      try {
        if ((await this.#job(ref)) === undefined) return;
      } catch {
        // The deletion was accepted, which is all that a stop promises.
        return;
      }
      await this.#host.sleep(Math.min(waitMs, Math.max(1, giveUpAtMs - this.#host.now())));
    }
  }

  #instance(job: Job, taskEvents: Events = []): Instance | undefined {
    const { queueTimeoutMs, stockoutGraceMs } = this.#options;
    return toInstance(job, { nowMs: this.#host.now(), queueTimeoutMs, stockoutGraceMs, taskEvents });
  }

  async #sealed(variables: Readonly<Record<string, string>>): Promise<string | undefined> {
    const { encryptionKey, kmsEndpoint } = this.#options;
    if (encryptionKey === undefined || Object.keys(variables).length === 0) return undefined;
    return await encrypt(variables, {
      auth: this.#client.auth,
      endpoint: (kmsEndpoint ?? 'https://cloudkms.googleapis.com').replace(/\/$/, ''),
      key: encryptionKey,
      call: (request) => this.#bounded('encrypt', this.#encryptions, request),
    });
  }

  async #readLog(uid: string): Promise<string> {
    const { project, loggingEndpoint } = this.#options;
    return await readLog({
      auth: this.#client.auth,
      endpoint: (loggingEndpoint ?? 'https://logging.googleapis.com').replace(/\/$/, ''),
      project,
      filter: `logName=${quoted(`projects/${project}/logs/batch_task_logs`)} AND labels.job_uid=${quoted(uid)}`,
      call: (request) => this.#bounded('logs', this.#logReads, request),
    });
  }

  async #call<T>(call: CallName, budget: CallRate, action: (options: CallOptions) => Promise<T>): Promise<T> {
    return await this.#bounded(call, budget, async () => {
      const options = await callOptions(this.#client.auth, this.#endpoint, this.#options.timeoutMs);
      return await action({ ...options, retry: NO_RETRIES });
    });
  }

  async #bounded<T>(call: CallName, budget: CallRate, action: (signal: AbortSignal) => Promise<T>): Promise<T> {
    const operation = `gcp-batch ${call}`;
    await budget.permit(operation);
    try {
      return await this.#deadlines.run(operation, this.#options.timeoutMs, action);
    } catch (error) {
      const said = classify(call, error);
      if (said.kind === 'throttled' && said.retryAfterMs !== undefined) budget.close(said.retryAfterMs);
      throw said;
    }
  }
}
