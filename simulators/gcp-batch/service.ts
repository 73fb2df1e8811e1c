/** google.cloud.batch.v1.BatchService: jobs by name, in existing projects and locations. */
import type { ContainerHost } from '../containers/host.ts';
import { parseFilter } from '../google/filter.ts';
import type { Method } from '../google/grpc.ts';
import type { Foundation } from '../google/index.ts';
import { GoogleRefusal } from '../google/status.ts';
import { Job } from './job.ts';
import type { Kms } from './kms.ts';
import type { Conditions, Timings } from './options.ts';
import { readCreate, readListing, readNamed } from './requests.ts';

const REQUEST_MEMORY_MS = 3_600_000;
const MINUTE_MS = 60_000;

export interface ServiceOptions {
  readonly containers: ContainerHost;
  readonly kms: Kms;
  readonly project: string;
  readonly regions: readonly string[];
  readonly serviceAccounts: readonly string[] | undefined;
  readonly timings: Timings;
  readonly largestPage: number;
  nowMs(): number;
  conditions(): Conditions;
}

export class BatchService {
  readonly #options: ServiceOptions;
  readonly #google: Foundation;
  readonly #jobs = new Map<string, Job>();
  readonly #requests = new Map<string, { readonly name: string; readonly atMs: number }>();
  #mutations: number[] = [];
  #cores = 0;

  constructor(options: ServiceOptions, google: Foundation) {
    this.#options = options;
    this.#google = google;
  }

  get jobs(): readonly Job[] {
    return [...this.#jobs.values()];
  }

  /** By the last part of its name, in any location. */
  job(id: string): Job | undefined {
    return this.jobs.find((job) => job.name.endsWith(`/jobs/${id}`));
  }

  /** Removes all traces of the job. */
  async forget(id: string): Promise<void> {
    const job = this.job(id);
    if (job === undefined) return;
    this.#jobs.delete(job.name);
    await job.delete();
  }

  close(): void {
    for (const job of this.#jobs.values()) job.close();
  }

  /** The part of Compute Engine that capacity checks use: a region with its quota, and its subnetwork `default`. */
  compute(path: string): object | undefined {
    const [, project, region, rest] = /^\/compute\/v1\/projects\/([^/]+)\/regions\/([^/]+)(\/.*)?$/.exec(path) ?? [];
    if (project !== this.#options.project || region === undefined || !this.#options.regions.includes(region)) {
      return undefined;
    }
    const { cpuQuota, privateGoogleAccess } = this.#options.conditions();
    if (rest === undefined) {
      return {
        kind: 'compute#region',
        name: region,
        status: 'UP',
        quotas: [{ metric: 'CPUS', limit: cpuQuota ?? 72, usage: this.#cores }],
      };
    }
    if (rest !== '/subnetworks/default') return undefined;
    return { kind: 'compute#subnetwork', name: 'default', privateIpGoogleAccess: privateGoogleAccess };
  }

  readonly methods: Readonly<Record<string, Method>> = {
    CreateJob: (request) => this.#create(request),
    GetJob: (request) => this.#find(readNamed(request)).view(),
    ListJobs: (request) => this.#list(request),
    DeleteJob: (request) => this.#delete(readNamed(request)),
    ListTasks: (request) => {
      const { parent } = readListing(request);
      const [, name = ''] = /^(.+)\/taskGroups\/group0$/.exec(parent) ?? [];
      return { tasks: this.#find(name).tasks() };
    },
  };

  #create(request: object): object {
    const { parent, jobId, requestId, raw, wanted } = readCreate(request);
    this.#requireLocation(parent);
    this.#countMutation();
    const name = `${parent}/jobs/${jobId}`;
    const before = this.#requests.get(requestId);
    if (requestId !== '' && before !== undefined && this.#options.nowMs() - before.atMs < REQUEST_MEMORY_MS) {
      if (before.name !== name) {
        throw new GoogleRefusal('INVALID_ARGUMENT', `request_id ${requestId} was used for ${before.name}`);
      }
      const made = this.#jobs.get(name);
      if (made !== undefined) return made.view();
    }
    if (this.#jobs.has(name)) {
      throw new GoogleRefusal('ALREADY_EXISTS', `Resource '${name}' already exists`);
    }
    const email = wanted.allocationPolicy.serviceAccount.email;
    if (this.#options.serviceAccounts?.includes(email) === false) {
      throw new GoogleRefusal('INVALID_ARGUMENT', `The user does not have access to service account '${email}'`);
    }
    const job = new Job(name, raw, wanted, {
      containers: this.#options.containers,
      kms: this.#options.kms,
      timings: this.#options.timings,
      nowMs: () => this.#options.nowMs(),
      conditions: () => this.#options.conditions(),
      takeCores: (count) => {
        if (this.#cores + count > (this.#options.conditions().cpuQuota ?? Number.POSITIVE_INFINITY)) return false;
        this.#cores += count;
        return true;
      },
      giveCores: (count) => {
        this.#cores -= count;
      },
      addLog: (source) => this.#google.logs.add(source),
    });
    this.#jobs.set(name, job);
    if (requestId !== '') this.#requests.set(requestId, { name, atMs: this.#options.nowMs() });
    return job.view();
  }

  #list(request: object): object {
    const { parent, filter, pageSize, pageToken } = readListing(request);
    this.#requireLocation(parent);
    const condition = parseFilter(filter);
    const from = pageToken === '' ? 0 : Number(Buffer.from(pageToken, 'base64url').toString());
    if (!Number.isInteger(from) || from < 0) throw new GoogleRefusal('INVALID_ARGUMENT', 'page_token is invalid');
    const found = this.jobs
      .filter((job) => job.name.startsWith(`${parent}/jobs/`))
      .map((job) => job.view())
      .filter(condition);
    const size = Math.min(pageSize === 0 ? 100 : pageSize, this.#options.largestPage);
    const next = from + size;
    return {
      jobs: found.slice(from, next),
      ...(next < found.length ? { nextPageToken: Buffer.from(String(next)).toString('base64url') } : {}),
      unreachable: this.#options.conditions().unreachable,
    };
  }

  #delete(name: string): object {
    this.#countMutation();
    const job = this.#find(name);
    if (job.state === 'DELETION_IN_PROGRESS') {
      throw new GoogleRefusal('FAILED_PRECONDITION', `job ${name} is already being deleted`);
    }
    const createTime = now(this.#options.nowMs());
    let endTime: object | undefined;
    void job.delete().then(() => {
      endTime = now(this.#options.nowMs());
      if (this.#jobs.get(name) === job) this.#jobs.delete(name);
    });
    return this.#google.operations.begin({
      parent: name.slice(0, name.indexOf('/jobs/')),
      metadata: () => ({
        '@type': 'type.googleapis.com/google.cloud.batch.v1.OperationMetadata',
        createTime,
        ...(endTime === undefined ? {} : { endTime }),
        target: name,
        verb: 'delete',
        apiVersion: 'v1',
      }),
      result: () =>
        endTime === undefined ? undefined : { response: { '@type': 'type.googleapis.com/google.protobuf.Empty' } },
    });
  }

  #find(name: string): Job {
    const job = this.#jobs.get(name);
    if (job === undefined) throw new GoogleRefusal('NOT_FOUND', `Resource '${name}' was not found`);
    return job;
  }

  #requireLocation(parent: string): void {
    const [, project, region] = /^projects\/([^/]+)\/locations\/([^/]+)$/.exec(parent) ?? [];
    if (project === undefined || region === undefined) {
      throw new GoogleRefusal('INVALID_ARGUMENT', `${JSON.stringify(parent)} is not projects/*/locations/*`);
    }
    if (project !== this.#options.project) {
      throw new GoogleRefusal('PERMISSION_DENIED', `Permission 'batch.jobs.list' denied on '${parent}'`, {
        reason: 'IAM_PERMISSION_DENIED',
      });
    }
    if (!this.#options.regions.includes(region)) {
      throw new GoogleRefusal('NOT_FOUND', `Location ${region} is not found or access is unauthorized.`);
    }
  }

  #countMutation(): void {
    const most = this.#options.conditions().mutationsPerMinute;
    const nowMs = this.#options.nowMs();
    this.#mutations = this.#mutations.filter((atMs) => atMs > nowMs - MINUTE_MS);
    const oldest = this.#mutations[0];
    if (most !== undefined && this.#mutations.length >= most) {
      throw new GoogleRefusal(
        'RESOURCE_EXHAUSTED',
        "Quota exceeded for quota metric 'Mutation requests' and limit 'Mutation requests per minute per region' of service 'batch.googleapis.com'.",
        {
          reason: 'RATE_LIMIT_EXCEEDED',
          retryAfterSeconds: Math.max(1, Math.ceil(((oldest ?? nowMs) + MINUTE_MS - nowMs) / 1000)),
        },
      );
    }
    this.#mutations.push(nowMs);
  }
}

function now(ms: number): { seconds: number; nanos: number } {
  return { seconds: Math.floor(ms / 1000), nanos: (ms % 1000) * 1e6 };
}
