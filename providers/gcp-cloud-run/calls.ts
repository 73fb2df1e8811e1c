/** The calls to Cloud Run: each with a time limit, within the quotas, with all pages and typed errors. */
import { v2 } from '@google-cloud/run';
import { z } from 'zod';
import { callOptions, connect } from '../google/connection.ts';
import { type Endpoint, endpointOf } from '../google/endpoint.ts';
import { hasCode } from '../google/errors.ts';
import { quoted, readLog } from '../google/log.ts';
import { minuteRate } from '../google/rate.ts';
import type { CallRate } from '../kit/call-rate.ts';
import { Deadlines } from '../kit/deadlines.ts';
import { ProviderError, type ProviderHost } from '../provider.ts';
import { type CallName, classify } from './errors.ts';
import type { CloudRunOptions } from './options.ts';
import type { jobFor, overridesFor } from './request.ts';
import { type ExecutionAnswer, executionSchema, type TaskAnswer, taskSchema } from './state.ts';

/** More than any project can have (1000 executions are kept per Job, 1000 Jobs): a list beyond that is a fault. */
const MAX_PAGES = 10_000;
const PAGE = 100;

const timestamp = executionSchema.shape.createTime;
const jobSchema = z.object({
  name: z.string(),
  etag: z.string().default(''),
  labels: z.record(z.string(), z.string()).nullish(),
  createTime: timestamp,
  terminalCondition: z
    .object({
      state: z.union([z.string(), z.number()]).nullish(),
      message: z.string().nullish(),
      reason: z.union([z.string(), z.number()]).nullish(),
    })
    .nullish(),
  latestCreatedExecution: z.object({ createTime: timestamp, completionTime: timestamp }).nullish(),
});
export type JobAnswer = z.infer<typeof jobSchema>;

type Options = Awaited<ReturnType<typeof callOptions>>;

interface Clients {
  readonly jobs: InstanceType<typeof v2.JobsClient>;
  readonly executions: InstanceType<typeof v2.ExecutionsClient>;
  readonly tasks: InstanceType<typeof v2.TasksClient>;
}

export class CloudRun {
  readonly #options: CloudRunOptions;
  readonly #deadlines: Deadlines;
  readonly #endpoint: Endpoint | undefined;
  #open: Clients | undefined;
  readonly #runs: CallRate;
  readonly #writes: CallRate;
  readonly #logReads: CallRate;
  readonly #place: string;

  constructor(options: CloudRunOptions, host: ProviderHost) {
    this.#options = options;
    this.#deadlines = new Deadlines(host);
    this.#endpoint = options.endpoint === undefined ? undefined : endpointOf(options.endpoint);
    this.#runs = minuteRate(host, 'job runs', options.jobRunsPerMinute, options.timeoutMs);
    this.#writes = minuteRate(host, 'writes', options.writesPerMinute, options.timeoutMs);
    this.#logReads = minuteRate(host, 'reads of the log', options.logReadsPerMinute, options.timeoutMs);
    this.#place = `projects/${options.project}/locations/${options.region}`;
  }

  /** Undefined if there is none. */
  getJob(id: string): Promise<JobAnswer | undefined> {
    return this.#absent(
      this.#call('GetJob', async (options) => {
        const [job] = await this.#clients.jobs.getJob({ name: this.#jobName(id) }, options);
        return parsed('GetJob', jobSchema, job);
      }),
    );
  }

  /** Accepted, not yet ready. With `validateOnly` nothing is created. */
  async createJob({ id, job }: ReturnType<typeof jobFor>, validateOnly = false): Promise<void> {
    await this.#writes.permit('gcp-cloud-run CreateJob');
    await this.#call('CreateJob', async (options) => {
      const request = { parent: this.#place, jobId: id, job, ...(validateOnly ? { validateOnly } : {}) };
      const [operation] = await this.#clients.jobs.createJob(request, options);
      refuseFailed(operation);
    });
  }

  async deleteJob(id: string, etag: string): Promise<void> {
    await this.#writes.permit('gcp-cloud-run DeleteJob');
    await this.#absent(
      this.#call('DeleteJob', (options) =>
        this.#clients.jobs.deleteJob({ name: this.#jobName(id), ...(etag === '' ? {} : { etag }) }, options),
      ),
    );
  }

  listJobs(): Promise<JobAnswer[]> {
    return this.#pages('ListJobs', jobSchema, async (pageToken, options) => {
      const [, , answer] = await this.#clients.jobs.listJobs(
        { parent: this.#place, pageSize: PAGE, pageToken },
        options,
      );
      return { items: answer?.jobs ?? [], next: answer?.nextPageToken };
    });
  }

  /** Returns the execution that was created. It ends much later than this call. */
  async runJob(id: string, overrides: ReturnType<typeof overridesFor>): Promise<ExecutionAnswer> {
    await this.#runs.permit('gcp-cloud-run RunJob');
    return this.#call('RunJob', async (options) => {
      const [operation] = await this.#clients.jobs.runJob({ name: this.#jobName(id), overrides }, options);
      const execution = executionSchema.safeParse(operation.metadata);
      if (!execution.success) refuseFailed(operation);
      return parsed('RunJob', executionSchema, operation.metadata);
    });
  }

  getExecution(id: string): Promise<ExecutionAnswer | undefined> {
    return this.#absent(
      this.#call('GetExecution', async (options) => {
        const [execution] = await this.#clients.executions.getExecution({ name: this.#executionName(id) }, options);
        return parsed('GetExecution', executionSchema, execution);
      }),
    );
  }

  /**
   * Lists the executions of all Jobs, newest first, an order that the service guarantees. Stops when `enough` accepts a
   * page, or at the end. Foreign executions that cannot be read are skipped.
   */
  listExecutions(pageSize = PAGE, enough?: (page: readonly ExecutionAnswer[]) => boolean): Promise<ExecutionAnswer[]> {
    return this.#pages(
      'ListExecutions',
      executionSchema,
      async (pageToken, options) => {
        const parent = `${this.#place}/jobs/-`;
        const [, , answer] = await this.#clients.executions.listExecutions({ parent, pageSize, pageToken }, options);
        return { items: answer?.executions ?? [], next: answer?.nextPageToken };
      },
      enough,
    );
  }

  /** An answer that it has already ended counts as success. */
  async cancelExecution(id: string): Promise<void> {
    await this.#writes.permit('gcp-cloud-run CancelExecution');
    try {
      await this.#absent(
        this.#call('CancelExecution', (options) =>
          this.#clients.executions.cancelExecution({ name: this.#executionName(id) }, options),
        ),
      );
    } catch (error) {
      if (!hasCode(error, 'FAILED_PRECONDITION')) throw error;
    }
  }

  async deleteExecution(id: string): Promise<void> {
    await this.#writes.permit('gcp-cloud-run DeleteExecution');
    await this.#absent(
      this.#call('DeleteExecution', (options) =>
        this.#clients.executions.deleteExecution({ name: this.#executionName(id) }, options),
      ),
    );
  }

  /** The only task of an execution. */
  taskOf(id: string): Promise<TaskAnswer | undefined> {
    return this.#absent(
      this.#call('ListTasks', async (options) => {
        const [, , answer] = await this.#clients.tasks.listTasks(
          { parent: this.#executionName(id), pageSize: 1 },
          { ...options, autoPaginate: false },
        );
        const task = answer?.tasks?.[0];
        return task === undefined ? undefined : parsed('ListTasks', taskSchema, task);
      }),
    );
  }

  /** Empty if nothing was printed, or it has not arrived yet. */
  async logs(id: string): Promise<string> {
    const [job = '', execution = ''] = id.split('/');
    try {
      return await readLog({
        auth: this.#clients.jobs.auth,
        endpoint: this.#options.loggingEndpoint.replace(/\/$/, ''),
        project: this.#options.project,
        filter: [
          'resource.type="cloud_run_job"',
          `resource.labels.job_name=${quoted(job)}`,
          `resource.labels.location=${quoted(this.#options.region)}`,
          `labels."run.googleapis.com/execution_name"=${quoted(execution)}`,
          '(log_id("run.googleapis.com/stdout") OR log_id("run.googleapis.com/stderr"))',
        ].join(' AND '),
        call: async (request) => {
          await this.#logReads.permit('gcp-cloud-run logs');
          return await this.#deadlines.run('gcp-cloud-run logs', this.#options.timeoutMs, request);
        },
      });
    } catch (error) {
      throw this.#sorted('logs', error);
    }
  }

  /** As request headers. */
  async token(): Promise<Headers> {
    try {
      return await this.#deadlines.run('gcp-cloud-run token', this.#options.timeoutMs, () =>
        this.#clients.jobs.auth.getRequestHeaders(),
      );
    } catch (error) {
      throw classify('token', error);
    }
  }

  /** A later call reopens them. */
  async close(): Promise<void> {
    const clients = this.#open;
    this.#open = undefined;
    if (clients === undefined) return;
    await Promise.all([clients.jobs.close(), clients.executions.close(), clients.tasks.close()]);
  }

  get #clients(): Clients {
    if (this.#open !== undefined) return this.#open;
    const { client: jobs, shared } = connect(v2.JobsClient, this.#options);
    decodeByCompiled(jobs.descriptors.longrunning['runJob']);
    this.#open = { jobs, executions: new v2.ExecutionsClient(shared), tasks: new v2.TasksClient(shared) };
    return this.#open;
  }

  #jobName(id: string): string {
    return `${this.#place}/jobs/${id}`;
  }

  #executionName(id: string): string {
    const [job = '', execution = ''] = id.split('/');
    return `${this.#place}/jobs/${job}/executions/${execution}`;
  }

  async #call<T>(call: CallName, action: (options: Options) => Promise<T>): Promise<T> {
    const { timeoutMs } = this.#options;
    try {
      return await this.#deadlines.run(`gcp-cloud-run ${call}`, timeoutMs, async () =>
        action(await callOptions(this.#clients.jobs.auth, this.#endpoint, timeoutMs)),
      );
    } catch (error) {
      throw this.#sorted(call, error);
    }
  }

  #sorted(call: CallName, error: unknown): ProviderError {
    const said = classify(call, error);
    // Other clients use the project too, and their calls are missing from our budgets.
    if (said.kind === 'throttled' && said.code !== 'own-budget') this.#budgetOf(call)?.close(said.retryAfterMs ?? 5000);
    return said;
  }

  /** Reads have a quota of thousands a minute, so they need no budget here. */
  #budgetOf(call: CallName): CallRate | undefined {
    if (call === 'RunJob') return this.#runs;
    if (call === 'logs') return this.#logReads;
    return /^(Create|Delete|Cancel)/.test(call) ? this.#writes : undefined;
  }

  async #absent<T>(call: Promise<T>): Promise<T | undefined> {
    try {
      return await call;
    } catch (error) {
      if (hasCode(error, 'NOT_FOUND')) return undefined;
      throw error;
    }
  }

  async #pages<T extends z.ZodType>(
    call: CallName,
    schema: T,
    read: (
      pageToken: string,
      options: Options & { autoPaginate: false },
    ) => Promise<{ items: readonly unknown[]; next: string | null | undefined }>,
    enough?: (page: readonly z.infer<T>[]) => boolean,
  ): Promise<z.infer<T>[]> {
    const all: z.infer<T>[] = [];
    let pageToken = '';
    for (let count = 0; count < MAX_PAGES; count += 1) {
      const { items, next } = await this.#call(call, (options) => read(pageToken, { ...options, autoPaginate: false }));
      const page = items.flatMap((item) => {
        const answer = schema.safeParse(item);
        return answer.success ? [answer.data] : [];
      });
      all.push(...page);
      // A short or empty page is not the last one as long as there is a page token.
      if (next === undefined || next === null || next === '' || enough?.(page) === true) return all;
      pageToken = next;
    }
    throw new ProviderError('transient', `gcp-cloud-run ${call}`, `a list of more than ${MAX_PAGES} pages`);
  }
}

/**
 * gax keeps a reference to the decoder from before its compilation, and so recompiles it for every answer: a quarter of
 * the cost of a launch [google-gax 6.17, longRunningCalls]. The decoded type has the compiled one.
 */
function decodeByCompiled(
  descriptor: InstanceType<typeof v2.JobsClient>['descriptors']['longrunning'][string] | undefined,
): void {
  if (descriptor === undefined) return;
  const { $type } = descriptor.metadataDecoder(new Uint8Array());
  descriptor.metadataDecoder = (bytes) => $type.decode(bytes);
}

/** An operation may report its failure in an otherwise successful answer. */
function refuseFailed({ latestResponse: { error } }: { readonly latestResponse: { readonly error?: unknown } }): void {
  if (error !== undefined && error !== null) throw error;
}

function parsed<T extends z.ZodType>(call: CallName, schema: T, answer: unknown): z.infer<T> {
  const result = schema.safeParse(answer);
  if (result.success) return result.data;
  throw new ProviderError('transient', `gcp-cloud-run ${call}`, 'an answer that cannot be read', {
    cause: result.error,
  });
}
