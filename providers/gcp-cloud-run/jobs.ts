/** The definitions (Jobs) that executions are started from: one per shape, made on first use, deleted when unused. */
import { hasCode } from '../google/errors.ts';
import { ProviderError, type ProviderHost } from '../provider.ts';
import type { CloudRun, JobAnswer } from './calls.ts';
import { jobFailure } from './errors.ts';
import type { CloudRunOptions } from './options.ts';
import { DISPATCHER_LABEL, type jobFor } from './request.ts';
import type { ExecutionAnswer } from './state.ts';

const HOUR_MS = 3_600_000;
/**
 * Runners take precedence over cleanup in the write quota. This rate still exceeds the service's 1000 definitions per
 * day.
 */
const MAX_DELETIONS = 5;
const TIDY_EVERY_MS = HOUR_MS / 10;

type Definition = ReturnType<typeof jobFor>;

export class Jobs {
  readonly #service: CloudRun;
  readonly #options: CloudRunOptions;
  readonly #host: ProviderHost;
  /** Known to be ready, each with the number of launches that are about to use it. */
  readonly #ready = new Map<string, Promise<void>>();
  readonly #users = new Map<string, number>();
  readonly #retiring = new Map<string, Promise<void>>();
  #tidiedAtMs = Number.NEGATIVE_INFINITY;

  constructor(service: CloudRun, options: CloudRunOptions, host: ProviderHost) {
    this.#service = service;
    this.#options = options;
    this.#host = host;
  }

  /** Runs `action` while the definition exists and is ready; this process does not delete it meanwhile. */
  async use<T>(definition: Definition, action: () => Promise<T>): Promise<T> {
    const { id } = definition;
    this.#users.set(id, (this.#users.get(id) ?? 0) + 1);
    try {
      await this.#ensure(definition);
      try {
        return await action();
      } catch (error) {
        // Deleted by hand, or by another process that considered it unused: nothing has started.
        if (!hasCode(error, 'NOT_FOUND')) throw error;
        this.#ready.delete(id);
        await this.#ensure(definition);
        return await this.#again(action);
      }
    } finally {
      const left = (this.#users.get(id) ?? 1) - 1;
      if (left === 0) this.#users.delete(id);
      else this.#users.set(id, left);
    }
  }

  /** A definition that one call sees and the other does not is not the fault of the image or the shape. */
  async #again<T>(action: () => Promise<T>): Promise<T> {
    try {
      return await action();
    } catch (error) {
      if (!hasCode(error, 'NOT_FOUND')) throw error;
      throw new ProviderError('transient', error.operation, 'the definition exists but cannot be found', {
        code: 'NOT_FOUND',
        cause: error,
      });
    }
  }

  /**
   * Given a fresh list, deletes some definitions of this dispatcher that have no executions left and were not used for
   * `unusedJobHours`. Those that cannot be deleted now are retried later.
   */
  async tidy(dispatcher: string, executions: readonly ExecutionAnswer[]): Promise<void> {
    if (this.#host.now() < this.#tidiedAtMs + TIDY_EVERY_MS) return;
    this.#tidiedAtMs = this.#host.now();
    const inUse = new Set(executions.map((execution) => /\/jobs\/([^/]+)\//.exec(execution.name)?.[1]));
    const oldestMs = this.#host.now() - this.#options.unusedJobHours * HOUR_MS;
    let deletions = 0;
    for (const job of await this.#service.listJobs()) {
      if (deletions >= MAX_DELETIONS) return;
      const id = job.name.slice(job.name.lastIndexOf('/') + 1);
      const ours = job.labels?.[DISPATCHER_LABEL] === dispatcher && id.startsWith(`shr-${dispatcher}-`);
      if (!ours || inUse.has(id) || this.#users.has(id) || lastUsedMs(job) > oldestMs) continue;
      deletions += 1;
      this.#ready.delete(id);
      const retirement = this.#service.deleteJob(id, job.etag).finally(() => this.#retiring.delete(id));
      this.#retiring.set(id, retirement);
      await retirement;
    }
  }

  async #ensure(definition: Definition): Promise<void> {
    const { id } = definition;
    // If that deletion fails, the definition simply still exists.
    await this.#retiring.get(id)?.catch(() => undefined);
    const known = this.#ready.get(id);
    if (known !== undefined) return known;
    const made = this.#make(definition).catch((error: unknown) => {
      this.#ready.delete(id);
      throw error;
    });
    this.#ready.set(id, made);
    return made;
  }

  async #make(definition: Definition): Promise<void> {
    const { id, job } = definition;
    const isOurs = (answer: JobAnswer): boolean => answer.labels?.[DISPATCHER_LABEL] === job.labels?.[DISPATCHER_LABEL];
    let there = await this.#service.getJob(id);
    if (there !== undefined && isOurs(there) && there.terminalCondition?.state === 'CONDITION_FAILED') {
      // Left by a failed cleanup. A failed definition stays failed, even after its cause is fixed.
      await this.#service.deleteJob(id, there.etag);
      there = undefined;
    }
    if (there === undefined) {
      try {
        await this.#service.createJob(definition);
      } catch (error) {
        // Another process was faster: its definition is the same, since the name is derived from the content.
        if (!hasCode(error, 'ALREADY_EXISTS')) throw error;
      }
    }
    const giveUpAtMs = this.#host.now() + this.#options.readyTimeoutMs;
    for (;;) {
      const answer = await this.#service.getJob(id);
      const condition = answer?.terminalCondition;
      if (answer !== undefined && !isOurs(answer)) {
        throw new ProviderError(
          'invalid',
          'gcp-cloud-run CreateJob',
          `the job ${id} exists and is not ours: delete it`,
        );
      }
      if (condition?.state === 'CONDITION_SUCCEEDED') return;
      if (answer !== undefined && condition?.state === 'CONDITION_FAILED') {
        const failure = jobFailure(named(condition.reason), condition.message ?? '');
        // A failed definition stays failed, and would break later launches after the cause is fixed.
        await this.#service.deleteJob(id, answer.etag);
        throw failure;
      }
      if (this.#host.now() >= giveUpAtMs) {
        throw new ProviderError(
          'transient',
          'gcp-cloud-run CreateJob',
          `the job ${id} was not ready within ${this.#options.readyTimeoutMs} ms`,
          { code: 'timeout' },
        );
      }
      await this.#host.sleep(this.#options.pollMs);
    }
  }
}

function lastUsedMs(job: JobAnswer): number {
  const { createTime, latestCreatedExecution: latest } = job;
  const times = [createTime, latest?.createTime, latest?.completionTime];
  return Math.max(...times.map((time) => (time?.seconds ?? 0) * 1000));
}

function named(reason: string | number | null | undefined): string | undefined {
  return typeof reason === 'string' && reason !== 'COMMON_REASON_UNDEFINED' ? reason : undefined;
}
