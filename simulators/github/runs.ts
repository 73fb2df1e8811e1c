import { type ExpressionContext, holds, type Value } from './expressions.ts';
import {
  type Account,
  type Conclusion,
  type Execution,
  fullName,
  type Job,
  type JobRunner,
  type Repository,
  type Run,
} from './model.ts';
import { deploymentPayload, jobPayload, runPayload, workflowPayload } from './payloads/run.ts';
import type { Urls } from './payloads/urls.ts';
import type { Webhooks } from './webhooks.ts';
import { type PlannedJob, parseWorkflow, planJobs, type WorkflowJob } from './workflow.ts';
import type { World } from './world.ts';

export interface PushOptions {
  readonly repository: Repository;
  readonly yaml: string;
  readonly event?: string | undefined;
  /** The repository that a pull request comes from, `owner/name`. */
  readonly fork?: string | undefined;
  readonly path?: string | undefined;
  readonly actor?: Account | undefined;
}

/** Called when a job's state changes. */
export interface JobListener {
  queued(job: Job): void;
  /** The job ended, or its end was requested: the runner must stop it. */
  cancelled(job: Job): void;
}

/** GitHub ends every job after five days. */
const longestJobMinutes = 5 * 24 * 60;

const conclusionRank = ['success', 'skipped', 'cancelled', 'failure'] as const;

/** Runs and their jobs: from a push to the last `completed`, with all webhooks in between. */
export class Runs {
  readonly #world: World;
  readonly #webhooks: Webhooks;
  readonly #urls: () => Urls;
  readonly #listeners: JobListener[] = [];

  constructor(world: World, webhooks: Webhooks, urls: () => Urls) {
    this.#world = world;
    this.#webhooks = webhooks;
    this.#urls = urls;
  }

  listen(listener: JobListener): void {
    this.#listeners.push(listener);
  }

  push(options: PushOptions): Run {
    const workflow = parseWorkflow(options.yaml);
    const { repository } = options;
    repository.runCount += 1;
    const nowMs = this.#world.now();
    const path = options.path ?? '.github/workflows/workflow.yaml';
    const run: Run = {
      id: this.#world.bigId(),
      repository,
      workflowId: 90_000_000 + this.#world.id(),
      workflowName: workflow.name ?? path,
      path,
      runNumber: repository.runCount,
      event: options.event ?? 'push',
      headSha: this.#world.hex(40),
      headBranch: 'main',
      headRepository: options.fork ?? fullName(repository),
      actor: options.actor ?? repository.owner,
      createdAtMs: nowMs,
      workflowJobs: workflow.jobs,
      environmentVariables: workflow.environmentVariables,
      attempt: 1,
      startedAtMs: nowMs,
      updatedAtMs: nowMs,
      status: 'queued',
      conclusion: null,
      cancelRequested: false,
      created: new Set(),
      jobs: [],
    };
    // An invalid workflow is refused before any part of it exists.
    for (const job of run.workflowJobs) planJobs(job, this.#context(run, job));
    this.#world.runs.set(run.id, run);
    this.#emitRun(run, 'requested');
    this.#advance(run);
    return run;
  }

  /** The jobs of the newest attempt; after a partial re-run, including those kept from earlier attempts. */
  latestJobs(run: Run): Job[] {
    const latest = new Map<string, Job>();
    for (const job of run.jobs) latest.set(`${job.key}\n${job.name}`, job);
    return [...latest.values()];
  }

  /** Approves a job's environment: GitHub sends `queued` again. */
  approve(job: Job): void {
    if (job.status !== 'waiting') return;
    job.status = 'queued';
    this.#emitJob(job, 'queued');
    this.#enqueue(job);
    this.#settle(job.run);
  }

  reject(job: Job): void {
    if (job.status === 'waiting') this.finish(job, 'failure');
  }

  cancelRun(run: Run): void {
    run.cancelRequested = true;
    for (const job of this.latestJobs(run)) this.cancelJob(job);
    this.#advance(run);
  }

  /** A job without a runner ends immediately; a running one when its runner has received the request. */
  cancelJob(job: Job): void {
    if (job.status === 'completed') return;
    job.cancelRequested = true;
    if (job.status === 'in_progress') for (const listener of this.#listeners) listener.cancelled(job);
    else this.finish(job, 'cancelled');
  }

  /** New ids for every job that runs again, as on GitHub. Throws when the run has not completed. */
  rerun(run: Run, which: 'all' | 'failed' | Job): void {
    if (run.status !== 'completed') throw new Error('This workflow is already running');
    const again = new Set(this.#toRepeat(run, which));
    if (again.size === 0) throw new Error('This workflow run has no failed jobs');
    run.attempt += 1;
    run.cancelRequested = false;
    run.conclusion = null;
    run.status = 'queued';
    run.startedAtMs = this.#world.now();
    for (const key of again) run.created.delete(key);
    if (which === 'all') run.created.clear();
    this.#emitRun(run, 'requested');
    this.#advance(run);
  }

  /** A runner starts the job: this counts as one execution. */
  start(job: Job, runner: JobRunner, hosted: boolean): Execution {
    if (job.status !== 'queued') throw new Error(`job ${job.id} is ${job.status}: it cannot start`);
    const nowMs = this.#world.now();
    this.#clearTimers(job);
    job.status = 'in_progress';
    job.startedAtMs = nowMs;
    job.runner = runner;
    const [setUp] = job.steps;
    if (setUp)
      Object.assign(setUp, { status: 'completed', conclusion: 'success', startedAtMs: nowMs, completedAtMs: nowMs });
    const execution: Execution = {
      jobId: job.id,
      jobName: job.name,
      repository: fullName(job.run.repository),
      runnerId: runner.id,
      runnerName: runner.name,
      hosted,
      startedAtMs: nowMs,
      endedAtMs: null,
      conclusion: null,
    };
    this.#world.executions.push(execution);
    job.cancelTimers.push(
      this.#world.after(Math.min(job.timeoutMinutes, longestJobMinutes) * 60_000, () => this.cancelJob(job)),
    );
    this.#emitJob(job, 'in_progress');
    this.#settle(job.run);
    return execution;
  }

  finish(job: Job, conclusion: Conclusion): void {
    if (job.status === 'completed') return;
    const nowMs = this.#world.now();
    const started = job.status === 'in_progress';
    this.#clearTimers(job);
    job.status = 'completed';
    job.conclusion = conclusion;
    job.completedAtMs = nowMs;
    if (!started) job.steps = [];
    for (const step of job.steps) {
      if (step.status === 'completed') continue;
      const interrupted = step.status === 'in_progress';
      step.conclusion =
        step === job.steps.at(-1)
          ? 'success'
          : interrupted
            ? conclusion === 'failure'
              ? 'failure'
              : 'cancelled'
            : 'skipped';
      step.status = 'completed';
      step.startedAtMs ??= nowMs;
      step.completedAtMs = nowMs;
    }
    this.#emitJob(job, 'completed');
    if (!started) for (const listener of this.#listeners) listener.cancelled(job);
    if (conclusion === 'failure' && job.failFast) this.#cancelSiblings(job);
    this.#advance(job.run);
  }

  #cancelSiblings(failed: Job): void {
    for (const job of this.latestJobs(failed.run)) if (job.key === failed.key && job !== failed) this.cancelJob(job);
  }

  #toRepeat(run: Run, which: 'all' | 'failed' | Job): string[] {
    if (which === 'all') return run.workflowJobs.map(({ key }) => key);
    const latest = this.latestJobs(run);
    const wanted =
      which === 'failed'
        ? latest.filter(({ conclusion }) => conclusion === 'failure' || conclusion === 'cancelled')
        : [which];
    const keys = new Set(wanted.map(({ key }) => key));
    // Jobs that need a repeated job are repeated too.
    for (let before = -1; before !== keys.size; ) {
      before = keys.size;
      for (const job of run.workflowJobs) if (job.needs.some((need) => keys.has(need))) keys.add(job.key);
    }
    return wanted.length === 0 ? [] : [...keys];
  }

  /** Creates jobs whose `needs` are now satisfied, until no more can be created. */
  #advance(run: Run): void {
    for (let progress = true; progress; ) {
      progress = false;
      for (const workflowJob of run.workflowJobs) {
        if (run.created.has(workflowJob.key) || !this.#needsAreMet(run, workflowJob)) continue;
        run.created.add(workflowJob.key);
        this.#create(run, workflowJob);
        progress = true;
      }
    }
    this.#settle(run);
  }

  #needsAreMet(run: Run, job: WorkflowJob): boolean {
    const latest = this.latestJobs(run);
    return job.needs.every(
      (need) => run.created.has(need) && latest.every((other) => other.key !== need || other.status === 'completed'),
    );
  }

  #create(run: Run, workflowJob: WorkflowJob): void {
    const context = this.#context(run, workflowJob);
    const wanted = holds(workflowJob.condition ?? 'success()', context);
    const planned = planJobs(workflowJob, context);
    const [first] = planned;
    if (wanted) for (const plan of planned) this.#createJob(run, workflowJob, plan);
    // A skipped matrix shows as one job, under its key.
    else if (first)
      this.#createJob(run, workflowJob, planned.length > 1 ? { ...first, name: workflowJob.key } : first, 'skipped');
  }

  #createJob(run: Run, { key }: WorkflowJob, plan: PlannedJob, ending?: 'skipped'): void {
    const nowMs = this.#world.now();
    const gated = plan.environment !== undefined && !run.repository.openEnvironments.has(plan.environment);
    const titles = ['Set up job', ...plan.steps.map(({ name }) => name), 'Complete job'];
    const job: Job = {
      id: this.#world.bigId(),
      run,
      attempt: run.attempt,
      key,
      name: plan.name,
      labels: plan.labels,
      group: plan.group,
      hosted: isHosted(plan),
      environment: plan.environment,
      environmentVariables: { ...run.environmentVariables, ...plan.environmentVariables },
      names: plan.names,
      failFast: plan.failFast,
      timeoutMinutes: plan.timeoutMinutes,
      deploymentId: 800_000_000 + this.#world.id(),
      createdAtMs: nowMs,
      status: gated ? 'waiting' : 'queued',
      conclusion: null,
      startedAtMs: nowMs,
      completedAtMs: null,
      steps: titles.map((name, index) => ({
        number: index + 1,
        name,
        plan: plan.steps[index - 1],
        status: 'queued',
        conclusion: null,
        startedAtMs: null,
        completedAtMs: null,
      })),
      runner: null,
      assignment: undefined,
      cancelRequested: false,
      log: '',
      cancelTimers: [],
    };
    run.jobs.push(job);
    this.#world.jobs.set(job.id, job);
    if (ending) {
      this.finish(job, ending);
    } else if (run.cancelRequested) {
      this.finish(job, 'cancelled');
    } else if (gated) {
      // The first delivery for a protected environment has action `queued` and status `waiting`, and contains the
      // deployment.
      this.#emitJob(job, 'queued', { deployment: deploymentPayload(job, this.#urls()) });
      this.#emitJob(job, 'waiting');
    } else {
      this.#emitJob(job, 'queued');
      this.#enqueue(job);
    }
  }

  #enqueue(job: Job): void {
    job.cancelTimers.push(this.#world.after(this.#world.times.queueMs, () => this.finish(job, 'cancelled')));
    for (const listener of this.#listeners) listener.queued(job);
  }

  #context(run: Run, job: WorkflowJob): ExpressionContext {
    const latest = this.latestJobs(run);
    const needs: Record<string, Value> = {};
    for (const need of job.needs) {
      needs[need] = { result: worst(latest.filter(({ key }) => key === need)) ?? 'success', outputs: {} };
    }
    const results = this.#ancestors(run, job).flatMap((key) => latest.filter((other) => other.key === key));
    const worstResult = worst(results);
    const outcome = run.cancelRequested ? 'cancelled' : worstResult === 'failure' ? 'failure' : 'success';
    const fine = worstResult === undefined || worstResult === 'success';
    return {
      names: {
        github: {
          run_id: String(run.id),
          run_attempt: String(run.attempt),
          run_number: String(run.runNumber),
          repository: fullName(run.repository),
          repository_owner: run.repository.owner.login,
          event_name: run.event,
          sha: run.headSha,
          ref: `refs/heads/${run.headBranch}`,
          ref_name: run.headBranch,
          workflow: run.workflowName,
          job: job.key,
          actor: run.actor.login,
        },
        needs,
        env: run.environmentVariables,
        runner: { os: 'Linux' },
        matrix: null,
      },
      // A needed job that was skipped or cancelled has not succeeded either, so this job is skipped too.
      outcome: outcome === 'success' && !fine ? 'cancelled' : outcome,
    };
  }

  #ancestors(run: Run, job: WorkflowJob): string[] {
    const found = new Set<string>(job.needs);
    for (const key of found)
      for (const need of run.workflowJobs.find((other) => other.key === key)?.needs ?? []) found.add(need);
    return [...found];
  }

  /** The run's status is derived from its jobs. */
  #settle(run: Run): void {
    const before = run.status;
    const jobs = this.latestJobs(run);
    const open = jobs.filter(({ status }) => status !== 'completed');
    const complete = open.length === 0 && run.workflowJobs.every(({ key }) => run.created.has(key));
    const begun = jobs.some(
      (job) => job.attempt === run.attempt && (job.status === 'in_progress' || job.runner !== null),
    );
    if (complete) run.status = 'completed';
    else if (open.some(({ status }) => status === 'in_progress')) run.status = 'in_progress';
    else if (open.length > 0 && open.every(({ status }) => status === 'waiting')) run.status = 'waiting';
    else run.status = begun ? 'in_progress' : 'queued';
    if (complete) run.conclusion = run.cancelRequested ? 'cancelled' : (worst(jobs) ?? 'skipped');
    if (run.status !== before) {
      if (run.status === 'in_progress') this.#emitRun(run, 'in_progress');
      if (run.status === 'completed') this.#emitRun(run, 'completed');
    }
    run.updatedAtMs = this.#world.now();
    this.#world.changed();
  }

  #clearTimers(job: Job): void {
    for (const cancel of job.cancelTimers) cancel();
    job.cancelTimers = [];
  }

  #emitJob(
    job: Job,
    action: 'queued' | 'waiting' | 'in_progress' | 'completed',
    more: Readonly<Record<string, unknown>> = {},
  ): void {
    this.#webhooks.emit('workflow_job', action, job.run.repository, {
      workflow_job: jobPayload(job, this.#urls()),
      ...more,
    });
  }

  #emitRun(run: Run, action: 'requested' | 'in_progress' | 'completed'): void {
    const urls = this.#urls();
    const body = { workflow_run: runPayload(run, urls), workflow: workflowPayload(run, urls) };
    this.#webhooks.emit('workflow_run', action, run.repository, body);
  }
}

function worst(jobs: readonly Job[]): Conclusion | undefined {
  let rank = -1;
  for (const { conclusion } of jobs) if (conclusion) rank = Math.max(rank, conclusionRank.indexOf(conclusion));
  const some = conclusionRank[rank];
  // Skipped jobs do not affect the run if others succeeded.
  return some === 'skipped' && jobs.some(({ conclusion }) => conclusion === 'success') ? 'success' : some;
}

function isHosted(plan: PlannedJob): boolean {
  return (
    plan.group === undefined &&
    plan.labels.length > 0 &&
    plan.labels.every((label) => /^(ubuntu|windows|macos)-/i.test(label))
  );
}
