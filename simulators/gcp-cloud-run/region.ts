/** One project in one region: its Jobs, their executions, and how they change over time. */
import { randomBytes, randomUUID } from 'node:crypto';
import { type Container, ContainerHost, NoSuchImage } from '../containers/host.ts';
import type { Logs } from '../google/logging.ts';
import { GoogleRefusal } from '../google/status.ts';
import { type End, type Execution, type Job, type JobMessage, millisOf, type Overrides, type Time } from './model.ts';
import { type CloudRunSimulatorOptions, defaultLimits, type Limits } from './options.ts';
import { validateTask } from './validation.ts';

/** The outcome of the next executions, instead of the normal one. */
export type Fate =
  /** Accepted, but no machine becomes available. */
  | 'no-capacity'
  /** The same, because of the project's quota. */
  | 'quota'
  /** The image was deleted after the Job was created. */
  | 'image-gone'
  /** Killed for its memory, some time after the start. */
  | 'out-of-memory'
  /** Never starts, without giving a reason. */
  | 'stuck'
  | 'internal-error';

export const fates: readonly Fate[] = [
  'no-capacity',
  'quota',
  'image-gone',
  'out-of-memory',
  'stuck',
  'internal-error',
];

export class Region {
  readonly name: string;
  readonly jobs = new Map<string, Job>();
  readonly executions = new Map<string, Execution>();
  readonly #options: CloudRunSimulatorOptions;
  readonly #limits: Limits;
  readonly #project: string;
  readonly #location: string;
  readonly #host: ContainerHost;
  readonly #logs: Logs;
  readonly #timers = new Set<NodeJS.Timeout>();
  readonly #calls = { runs: [] as number[], writes: [] as number[] };
  readonly #fates: Fate[] = [];
  #lastNanos = 0n;

  constructor(options: CloudRunSimulatorOptions, project: string, location: string, logs: Logs) {
    this.#options = options;
    this.#limits = { ...defaultLimits, ...options.limits };
    this.#project = project;
    this.#location = location;
    this.name = `projects/${project}/locations/${location}`;
    this.#host = new ContainerHost(options);
    this.#logs = logs;
  }

  /** Applied to the next executions, in the given order. */
  doom(...next: Fate[]): void {
    this.#fates.push(...next);
  }

  createJob(id: string, message: JobMessage): Job {
    const name = `${this.name}/jobs/${id}`;
    if (this.jobs.has(name)) {
      throw new GoogleRefusal('ALREADY_EXISTS', `Resource '${id}' already exists.`);
    }
    if (this.jobs.size >= this.#limits.jobs) {
      throw new GoogleRefusal(
        'RESOURCE_EXHAUSTED',
        `The maximum number of jobs (${this.#limits.jobs}) in the region is reached.`,
      );
    }
    const job: Job = {
      name,
      uid: randomUUID(),
      message,
      createTime: this.now(),
      outcome: undefined,
      executionCount: 0,
      latest: undefined,
    };
    this.jobs.set(name, job);
    const image = message.template.template.containers[0]?.image ?? '';
    this.#later(this.#options.readyMs ?? 20, () => {
      job.outcome = this.#host.has(image)
        ? 'ready'
        : { reason: 'CONTAINER_MISSING', message: `Image '${image}' not found.` };
    });
    return job;
  }

  runJob(job: Job, overrides: Overrides): Execution {
    if (job.outcome !== 'ready') {
      const why = typeof job.outcome === 'object' ? ` ${job.outcome.message}` : '';
      throw new GoogleRefusal('FAILED_PRECONDITION', `Job ${job.name} is not ready to be run.${why}`);
    }
    const running = [...this.executions.values()].filter((execution) => execution.end === undefined);
    if (running.length >= this.#limits.runningExecutions) {
      throw new GoogleRefusal(
        'RESOURCE_EXHAUSTED',
        'The maximum number of running executions in the region is reached.',
      );
    }
    const template = applied(job.message.template.template, overrides);
    const milli = [template, ...running.map((execution) => execution.template)]
      .map((one) => Number(one.containers[0]?.resources.limits['cpu'] ?? 1) * 1000)
      .reduce((sum, one) => sum + one, 0);
    if (milli > this.#limits.milliCpu) {
      throw new GoogleRefusal(
        'INVALID_ARGUMENT',
        `Quota violated:\nCpuAllocPerProjectRegion requested: ${milli} allowed: ${this.#limits.milliCpu}\n`,
      );
    }
    validateTask(template, this.#options);
    const short = job.name.slice(job.name.lastIndexOf('/') + 1);
    const suffix = [...randomBytes(5)].map((byte) => (byte % 36).toString(36)).join('');
    const execution: Execution = {
      name: `${job.name}/executions/${short}-${suffix}`,
      uid: randomUUID(),
      job: job.name,
      labels: { ...job.message.labels, ...job.message.template.labels },
      createTime: this.now(),
      template,
      container: undefined,
      startTime: undefined,
      end: undefined,
      cancelled: false,
      deleteTime: undefined,
      odd: false,
    };
    this.executions.set(execution.name, execution);
    job.executionCount += 1;
    job.latest = execution;
    const fate = this.#fates.shift();
    this.#later(this.#options.startMs ?? 20, () => {
      this.#start(execution, fate).catch((error: unknown) => {
        this.#end(execution, { kind: 'failed', message: String(error) });
      });
    });
    return execution;
  }

  /** Resolves when the cancellation was accepted; the end comes later. */
  cancel(execution: Execution): void {
    if (execution.end !== undefined) {
      throw new GoogleRefusal('FAILED_PRECONDITION', `Execution ${execution.name} is already completed.`);
    }
    execution.cancelled = true;
    const { container } = execution;
    if (container === undefined) {
      this.#end(execution, { kind: 'cancelled', message: 'Cancelled by user.' });
      return;
    }
    void container.stop(this.#options.graceMs ?? 300);
  }

  delete(execution: Execution): void {
    if (execution.end === undefined) {
      throw new GoogleRefusal('FAILED_PRECONDITION', `Execution ${execution.name} is running. Cancel it first.`);
    }
    execution.deleteTime = this.now();
    this.executions.delete(execution.name);
  }

  deleteJob(job: Job): void {
    const own = [...this.executions.values()].filter((execution) => execution.job === job.name);
    if (own.some((execution) => execution.end === undefined)) {
      throw new GoogleRefusal('FAILED_PRECONDITION', `Job ${job.name} has running executions.`);
    }
    for (const execution of own) this.executions.delete(execution.name);
    this.jobs.delete(job.name);
  }

  /** Counts a call against its quota. */
  count(kind: 'runs' | 'writes'): void {
    const nowMs = Date.now();
    const calls = this.#calls[kind];
    while (calls[0] !== undefined && calls[0] <= nowMs - 60_000) calls.shift();
    const limit = kind === 'runs' ? this.#limits.jobRunsPerMinute : this.#limits.writesPerMinute;
    if (calls.length >= limit) {
      const what = kind === 'runs' ? 'Job run requests' : 'Write requests';
      throw new GoogleRefusal(
        'RESOURCE_EXHAUSTED',
        `Quota exceeded for quota metric '${what}' and limit '${what} per minute per region' of service 'run.googleapis.com' for consumer 'project_number:123456789012'.`,
        { reason: 'RATE_LIMIT_EXCEEDED' },
      );
    }
    calls.push(nowMs);
  }

  /** Always unique. */
  now(): Time {
    const nanos = BigInt(Date.now()) * 1_000_000n;
    this.#lastNanos = nanos > this.#lastNanos ? nanos : this.#lastNanos + 1000n;
    return { seconds: Number(this.#lastNanos / 1_000_000_000n), nanos: Number(this.#lastNanos % 1_000_000_000n) };
  }

  async close(): Promise<void> {
    for (const timer of this.#timers) clearTimeout(timer);
    await this.#host.close();
  }

  async #start(execution: Execution, fate: Fate | undefined): Promise<void> {
    if (execution.end !== undefined || fate === 'stuck') return;
    const failure = fate === undefined ? undefined : failures[fate];
    if (failure !== undefined) {
      this.#end(execution, { kind: 'failed', ...failure });
      return;
    }
    const spec = execution.template.containers[0];
    if (spec === undefined) return;
    const short = execution.name.slice(execution.name.lastIndexOf('/') + 1);
    let container: Container;
    try {
      container = await this.#host.start({
        image: spec.image,
        ...(spec.command.length === 0 ? {} : { command: spec.command }),
        ...(spec.args.length === 0 ? {} : { args: spec.args }),
        environment: {
          ...Object.fromEntries(spec.env.map(({ name, value }) => [name, value])),
          CLOUD_RUN_JOB: execution.job.slice(execution.job.lastIndexOf('/') + 1),
          CLOUD_RUN_EXECUTION: short,
          CLOUD_RUN_TASK_INDEX: '0',
          CLOUD_RUN_TASK_ATTEMPT: '0',
          CLOUD_RUN_TASK_COUNT: '1',
        },
      });
    } catch (error) {
      if (!(error instanceof NoSuchImage)) throw error;
      this.#end(execution, {
        kind: 'failed',
        reason: 'CONTAINER_MISSING',
        message: `Image '${spec.image}' not found.`,
      });
      return;
    }
    execution.container = container;
    execution.startTime = this.now();
    this.#logs.add({
      logName: `projects/${this.#project}/logs/run.googleapis.com%2Fstdout`,
      resource: {
        type: 'cloud_run_job',
        labels: {
          project_id: this.#project,
          location: this.#location,
          job_name: execution.job.slice(execution.job.lastIndexOf('/') + 1),
        },
      },
      labels: { 'run.googleapis.com/execution_name': short, 'run.googleapis.com/task_index': '0' },
      startedAtMs: millisOf(execution.startTime),
      output: () => container.output(),
    });
    if (fate === 'out-of-memory') void container.stop(0);
    // It was cancelled while the container was starting.
    if (execution.cancelled) void container.stop(this.#options.graceMs ?? 300);
    let timedOut = false;
    const timer = this.#later((execution.template.timeout.seconds * 1000) / (this.#options.timeScale ?? 1), () => {
      timedOut = true;
      void container.stop(this.#options.graceMs ?? 300);
    });
    const end = await container.ended;
    clearTimeout(timer);
    this.#timers.delete(timer);
    this.#end(execution, endOf(end, execution.cancelled, timedOut));
  }

  #end(execution: Execution, end: Omit<End, 'time'>): void {
    execution.end ??= { ...end, time: this.now() };
  }

  #later(ms: number, action: () => void): NodeJS.Timeout {
    // A timer beyond 24.8 days would fire at once.
    const timer = setTimeout(
      () => {
        this.#timers.delete(timer);
        action();
      },
      Math.min(ms, 2 ** 31 - 1),
    );
    this.#timers.add(timer);
    return timer;
  }
}

/** The message, as seen in users' reports. */
const failures: Readonly<Partial<Record<Fate, { readonly message: string; readonly reason?: string }>>> = {
  'no-capacity': {
    message: 'The request failed because there is no available capacity in the region. Please try again later.',
  },
  quota: { message: 'Quota violated: CpuAllocPerProjectRegion requested: 21000 allowed: 20000' },
  'image-gone': { message: 'Image was not found: failed to pull image.', reason: 'CONTAINER_MISSING' },
  'internal-error': { message: 'Internal system error, system will retry', reason: 'INTERNAL' },
};

function applied(
  template: JobMessage['template']['template'],
  overrides: Overrides,
): JobMessage['template']['template'] {
  return {
    ...template,
    timeout: overrides.timeout ?? template.timeout,
    containers: template.containers.map((container) => {
      const override = overrides.containerOverrides.find((one) => one.name === '' || one.name === container.name);
      if (override === undefined) return container;
      const replaced = new Set(override.env.map(({ name }) => name));
      return {
        ...container,
        args: override.clearArgs ? [] : override.args.length > 0 ? override.args : container.args,
        env: [...container.env.filter(({ name }) => !replaced.has(name)), ...override.env],
      };
    }),
  };
}

function endOf(end: Awaited<Container['ended']>, cancelled: boolean, timedOut: boolean): Omit<End, 'time'> {
  if (cancelled) return { kind: 'cancelled', message: 'Cancelled by user.' };
  if (timedOut) return { kind: 'failed', message: 'The configured timeout was reached.', exitCode: 0 };
  if ('signal' in end) {
    const signals: Readonly<Record<string, number>> = { SIGKILL: 9, SIGTERM: 15, SIGSEGV: 11, SIGABRT: 6, SIGINT: 2 };
    return { kind: 'failed', message: 'The container exited with an error.', termSignal: signals[end.signal] ?? 9 };
  }
  if (end.exitCode === 0) return { kind: 'succeeded', message: '', exitCode: 0 };
  return { kind: 'failed', message: 'The container exited with an error.', exitCode: end.exitCode };
}
