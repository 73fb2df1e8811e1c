/**
 * A GitHub host in memory: its queue, its runners, and how it brings them together. Truthful in what it does; what it
 * answers, and when, is the port's business (github-port.ts).
 */

import {
  GithubError,
  type GithubRun,
  type GithubRunner,
  type JitRequest,
  type JitRunner,
} from '../../../dispatcher/github/github.ts';
import { type GithubScope, scopePath } from '../../../dispatcher/jobs/scope.ts';
import type { Clock } from '../../../time/clock.ts';
import type { Dice } from '../faults.ts';
import type { Stream } from '../random.ts';
import type { History } from '../trace.ts';
import { factOf, type JobPlan, newJob, type ToldFact, type WorldJob } from './jobs.ts';

/** Stands for the secret in a JIT configuration: wherever this text shows up, a secret has leaked. */
export const JIT_MARKER = 'jit-secret-';

/** The runner program inside an instance, as GitHub meets it. */
export interface RunnerProcess {
  readonly name: string;
  jobStarted(job: WorldJob): void;
  jobFinished(): void;
  /** The session is refused: its runner is no longer registered. */
  registrationGone(): void;
}

interface WorldRunner {
  readonly id: number;
  readonly name: string;
  readonly scope: GithubScope;
  readonly labels: readonly string[];
  readonly ours: boolean;
  process: RunnerProcess | undefined;
  /** Offline before its first connection and after its process has gone. */
  online: boolean;
  job: WorldJob | undefined;
  running: boolean;
  /** Until then GitHub says idle of it, though it is not. */
  staleUntilMs: number;
  registered: boolean;
}

/** What the invariants want to hear of. */
export interface GithubWitness {
  runnerRegistered(name: string, labels: readonly string[]): void;
  foreignRunnerDeleted(name: string): void;
  jobStarted(job: WorldJob, runner: { readonly name: string; readonly labels: readonly string[] }): void;
  jobCompleted(job: WorldJob): void;
}

export interface GithubWorldOptions {
  readonly host: string;
  readonly clock: Clock;
  readonly dice: Dice;
  readonly history: History;
  readonly witness: GithubWitness;
  /** Which owners an enterprise has. */
  readonly enterprises: ReadonlyMap<string, readonly string[]>;
  /** Called with each change of a job's status, as a webhook's content. */
  readonly announce: (fact: ToldFact) => void;
}

/** GitHub refuses to register a runner with such a label. */
export const REFUSED_LABEL = 'sid-refused-';
const REQUEUE_UNPICKED_MS = 60_000;

function covers(runner: readonly string[], job: readonly string[]): boolean {
  const have = new Set(runner.map((label) => label.toLowerCase()));
  return job.every((label) => have.has(label.toLowerCase()));
}

export class GithubWorld {
  readonly host: string;
  readonly jobs = new Map<number, WorldJob>();
  readonly #runners = new Map<number, WorldRunner>();
  /** Deleted in mid-job: such a runner still reports its job's end. */
  readonly #inMidJob = new Set<WorldRunner>();
  readonly #plans: JobPlan[] = [];
  readonly #started = new Set<string>();
  readonly #options: GithubWorldOptions;
  readonly #clock: Clock;
  readonly #dice: Dice;
  readonly #luck: Stream;
  #nextRunnerId: number;
  /** Counted down, so that strangers change none of our ids. */
  #nextStrangerId = 1_000_000_000;

  constructor(options: GithubWorldOptions) {
    this.host = options.host;
    this.#options = options;
    this.#clock = options.clock;
    this.#dice = options.dice;
    this.#luck = options.dice.stream(`github ${options.host}`);
    this.#nextRunnerId = this.#luck.whole(1, 1000);
  }

  /** The jobs of all runs that will ever be pushed here. */
  schedule(plans: readonly JobPlan[]): void {
    this.#plans.push(...plans);
    for (const plan of plans) if (plan.needs === undefined) this.#clock.after(plan.afterMs, () => this.#create(plan));
  }

  /** A machine of the tenant's own, with the same labels as ours, that takes a job now and then. */
  addForeignRunner(scope: GithubScope, labels: readonly string[]): void {
    const id = this.#newRunnerId();
    this.#addForeign(id, `tenant-machine-${id}`, scope, labels, false);
  }

  /** A runner of somebody else's that takes no job. The returned function removes it. */
  addStranger(scope: GithubScope, name: string, online: boolean): () => void {
    this.#nextStrangerId -= 1;
    const id = this.#nextStrangerId;
    this.#addForeign(id, name, scope, ['stranger'], online);
    return () => this.#runners.delete(id);
  }

  #addForeign(id: number, name: string, scope: GithubScope, labels: readonly string[], online: boolean): void {
    this.#runners.set(id, {
      id,
      name,
      scope,
      labels,
      ours: false,
      process: undefined,
      online,
      job: undefined,
      running: false,
      staleUntilMs: 0,
      registered: true,
    });
  }

  /** Its users give up on every job that still waits and that nobody will serve. */
  cancelWhere(isHopeless: (job: WorldJob) => boolean): void {
    for (const job of this.jobs.values()) if (isHopeless(job)) this.#cancel(job);
  }

  /** Every job that was ever planned has been created and has completed. */
  get allCompleted(): boolean {
    return this.#plans.every((plan) => this.jobs.get(plan.id)?.status === 'completed');
  }

  fact(jobId: number): ToldFact | undefined {
    const job = this.jobs.get(jobId);
    return job === undefined ? undefined : factOf(job, this.host);
  }

  run(runId: number): GithubRun | undefined {
    const plans = this.#plans.filter((plan) => plan.runId === runId);
    if (plans.length === 0) return undefined;
    const completed = plans.every(
      ({ expectation, id }) => expectation === 'ended' || this.jobs.get(id)?.status === 'completed',
    );
    return { completed, attempt: 1, isFork: plans.some(({ isFork }) => isFork === true) };
  }

  /** What a poll of these owners' repositories shows: the jobs, completed ones too, of runs that have not completed. */
  jobsOfOpenRuns(covered: (owner: string, repository: string) => boolean): ToldFact[] {
    const open = new Set<number>();
    for (const plan of this.#plans) {
      if (covered(plan.owner, plan.repository) && this.jobs.has(plan.id)) {
        const run = this.#plans.filter((other) => other.runId === plan.runId);
        const isOpen = (other: JobPlan) =>
          other.expectation !== 'ended' && this.jobs.get(other.id)?.status !== 'completed';
        if (run.some(isOpen)) open.add(plan.runId);
      }
    }
    return [...this.jobs.values()].filter((job) => open.has(job.plan.runId)).map((job) => factOf(job, this.host));
  }

  runnersIn(scope: GithubScope): readonly GithubRunner[] {
    const path = scopePath(scope);
    return [...this.#runners.values()].filter((runner) => scopePath(runner.scope) === path).map((r) => this.#seen(r));
  }

  runnerById(scope: GithubScope, id: number): GithubRunner | undefined {
    return this.runnersIn(scope).find((runner) => runner.id === id);
  }

  /** Names of our runners that are still registered. */
  get ourRunners(): readonly string[] {
    return [...this.#runners.values()].filter((runner) => runner.ours).map((runner) => runner.name);
  }

  get ourRunnerIds(): readonly { readonly id: number; readonly name: string }[] {
    return [...this.#runners.values()].filter((runner) => runner.ours).map(({ id, name }) => ({ id, name }));
  }

  /** Whether the job was ever given to, and started on, the runner of that name. */
  hasRunOn(jobId: number, runner: string): boolean {
    return this.#started.has(`${jobId} ${runner}`);
  }

  registerJit(request: JitRequest, operation: string): JitRunner {
    const path = scopePath(request.scope);
    if (request.labels.length < 1 || request.labels.length > 100) {
      throw new GithubError('invalid', operation, 'labels: 1 to 100', { status: 422 });
    }
    if (request.labels.some((label) => label.startsWith(REFUSED_LABEL))) {
      throw new GithubError('invalid', operation, 'Validation Failed: labels', { status: 422 });
    }
    for (const runner of this.#runners.values()) {
      if (runner.name === request.name && scopePath(runner.scope) === path) {
        throw new GithubError('conflict', operation, 'Already exists - A runner with the name already exists', {
          status: 409,
        });
      }
    }
    const id = this.#newRunnerId();
    this.#runners.set(id, {
      id,
      name: request.name,
      scope: request.scope,
      labels: request.labels,
      ours: true,
      process: undefined,
      online: false,
      job: undefined,
      running: false,
      staleUntilMs: 0,
      registered: true,
    });
    this.#options.witness.runnerRegistered(request.name, request.labels);
    this.#record([request.name], `registered as runner ${id} at ${path} for ${request.labels.join(',')}`);
    return { runnerId: id, encodedJitConfig: `${JIT_MARKER}${this.host}/${id}` };
  }

  delete(scope: GithubScope, id: number): 'deleted' | 'absent' | 'busy' {
    const runner = this.#runners.get(id);
    if (runner === undefined || scopePath(runner.scope) !== scopePath(scope)) return 'absent';
    if (!runner.ours) this.#options.witness.foreignRunnerDeleted(runner.name);
    const stale = runner.staleUntilMs > this.#clock.now();
    if (runner.running && !stale) {
      this.#record([runner.name], 'DELETE refused: busy');
      return 'busy';
    }
    this.#record([runner.name], runner.running ? 'DELETE granted IN THE MIDDLE OF ITS JOB' : 'DELETE granted');
    this.#deregister(runner);
    if (!runner.running) {
      this.#giveBackLater(runner);
      runner.process?.registrationGone();
    }
    return 'deleted';
  }

  /** A process starts listening with its JIT configuration. False when GitHub does not know the runner (any more). */
  /** The runner that the JIT configuration is of, if it is still registered. */
  registeredFor(jit: string): { readonly name: string; readonly labels: readonly string[] } | undefined {
    return this.#runners.get(Number(jit.slice(`${JIT_MARKER}${this.host}/`.length)));
  }

  connect(jit: string, process: RunnerProcess): boolean {
    const runner = this.#runners.get(Number(jit.slice(`${JIT_MARKER}${this.host}/`.length)));
    if (runner === undefined || runner.process !== undefined) {
      this.#record([process.name], 'connection refused: not registered, or in use');
      return false;
    }
    runner.process = process;
    runner.online = true;
    this.#record([runner.name], 'online');
    this.#assignSoon();
    return true;
  }

  /** The process has ended, whatever it was doing. */
  disconnect(process: RunnerProcess): void {
    for (const runner of this.#bound(process)) {
      runner.online = false;
      runner.process = undefined;
      const job = runner.job;
      if (job === undefined) continue;
      if (!runner.running) {
        this.#giveBackLater(runner);
        continue;
      }
      this.#record([runner.name, job.name], 'lost in the middle of the job');
      const noticeMs = this.#luck.between(60_000, 600_000);
      const requeued = this.#dice.hits('requeues');
      this.#clock.after(noticeMs, () => this.#resolveLost(runner, job, requeued));
    }
  }

  /** The process has run the job to its end. */
  finish(process: RunnerProcess): void {
    for (const runner of this.#bound(process)) {
      const job = runner.job;
      if (job === undefined || !runner.running) continue;
      this.#complete(job, 'success');
      runner.job = undefined;
      runner.running = false;
      this.#deregister(runner);
      process.jobFinished();
    }
  }

  #bound(process: RunnerProcess): readonly WorldRunner[] {
    return [...new Set([...this.#runners.values(), ...this.#inMidJob])].filter((runner) => runner.process === process);
  }

  #newRunnerId(): number {
    this.#nextRunnerId += this.#luck.whole(1, 20);
    return this.#nextRunnerId;
  }

  #record(subjects: readonly string[], text: string): void {
    this.#options.history.record('github', subjects, text);
  }

  #seen(runner: WorldRunner): GithubRunner {
    return {
      id: runner.id,
      name: runner.name,
      status: runner.online ? 'online' : 'offline',
      busy: runner.running && runner.staleUntilMs <= this.#clock.now(),
      labels: runner.labels,
    };
  }

  #deregister(runner: WorldRunner): void {
    runner.registered = false;
    this.#runners.delete(runner.id);
    if (runner.running) this.#inMidJob.add(runner);
    else this.#inMidJob.delete(runner);
  }

  #create(plan: JobPlan): void {
    const job = newJob(plan, this.#clock.now());
    this.jobs.set(plan.id, job);
    this.#record(
      [job.name],
      `pushed: ${plan.labels.join(',')} in ${plan.owner}/${plan.repository} (${plan.expectation})`,
    );
    this.#announce(job);
    if (plan.hosted) {
      this.#clock.after(5_000, () => this.#runElsewhere(job, `GitHub Actions ${plan.id}`));
      return;
    }
    if (plan.gateMs !== undefined) {
      this.#clock.after(200, () => this.#move(job, 'queued', 'waiting'));
      this.#clock.after(plan.gateMs, () => {
        job.gated = false;
        this.#move(job, 'waiting', 'queued');
      });
    }
    if (plan.patienceMs !== undefined) this.#clock.after(plan.patienceMs, () => this.#cancel(job));
    this.#assignSoon();
  }

  #move(job: WorldJob, from: WorldJob['status'], to: WorldJob['status']): void {
    if (job.status !== from) return;
    job.status = to;
    job.queuedAtMs = this.#clock.now();
    this.#record([job.name], `${from} → ${to}`);
    this.#announce(job);
    if (to === 'queued') this.#assignSoon();
  }

  #cancel(job: WorldJob): void {
    if (job.status !== 'queued' && job.status !== 'waiting') return;
    const runner = job.assignedTo === null ? undefined : this.#runners.get(job.assignedTo);
    if (runner !== undefined) {
      runner.job = undefined;
      this.#assignSoon();
    }
    job.assignedTo = null;
    this.#complete(job, 'cancelled');
  }

  #complete(job: WorldJob, conclusion: string): void {
    job.status = 'completed';
    job.conclusion = conclusion;
    job.completedAtMs = this.#clock.now();
    this.#record(job.runnerName === null ? [job.name] : [job.name, job.runnerName], `completed: ${conclusion}`);
    this.#options.witness.jobCompleted(job);
    this.#announce(job);
    if (job.plan.parallel !== undefined) this.#assignSoon();
    for (const plan of this.#plans) {
      if (plan.needs === job.plan.id) this.#clock.after(plan.afterMs, () => this.#create(plan));
    }
  }

  #announce(job: WorldJob): void {
    this.#options.announce(factOf(job, this.host));
  }

  #assignSoon(): void {
    this.#clock.after(this.#luck.between(50, 1_500), () => this.#assign());
  }

  #reaches(runner: WorldRunner, job: WorldJob): boolean {
    const { scope } = runner;
    const { owner, repository } = job.plan;
    switch (scope.kind) {
      case 'enterprise':
        return (this.#options.enterprises.get(scope.enterprise) ?? []).includes(owner);
      case 'organization':
        return scope.organization === owner;
      case 'repository':
        return scope.owner === owner && scope.repository === repository;
    }
  }

  /** Jobs that GitHub would give to the next runner that fits. */
  get givable(): readonly WorldJob[] {
    return [...this.jobs.values()].filter(
      (job) => job.status === 'queued' && job.assignedTo === null && !job.gated && !job.plan.hosted && this.#gives(job),
    );
  }

  #gives({ plan }: WorldJob): boolean {
    if (plan.expectation === 'unserved' || plan.expectation === 'zombie' || plan.expectation === 'ended') return false;
    if (plan.parallel === undefined) return true;
    const taken = [...this.jobs.values()].filter(
      (other) =>
        other.plan.runId === plan.runId &&
        (other.status === 'in_progress' || (other.status === 'queued' && other.assignedTo !== null)),
    );
    return taken.length < plan.parallel;
  }

  #assign(): void {
    const waiting = [...this.givable].sort(
      (left, right) => left.queuedAtMs - right.queuedAtMs || left.plan.id - right.plan.id,
    );
    for (const job of waiting) {
      if (!this.#gives(job)) continue;
      const fitting = [...this.#runners.values()].filter(
        (runner) => runner.job === undefined && this.#reaches(runner, job) && covers(runner.labels, job.plan.labels),
      );
      const machine = fitting.find((runner) => !runner.ours);
      if (machine !== undefined && this.#dice.hits('foreignTakes')) {
        this.#runElsewhere(job, machine.name);
        continue;
      }
      const idle = fitting.filter((runner) => runner.ours && runner.online);
      if (idle.length > 0) this.#give(job, this.#luck.pick(idle));
    }
  }

  /** GitHub's offer: the runner takes it within seconds, or never. */
  #give(job: WorldJob, runner: WorldRunner): void {
    job.assignedTo = runner.id;
    runner.job = job;
    this.#record([job.name, runner.name], 'assigned');
    if (this.#dice.hits('pickUpFails')) {
      const forgotten = this.#luck.chance(0.5);
      this.#clock.after(REQUEUE_UNPICKED_MS, () => {
        if (job.assignedTo !== runner.id || runner.running || job.status !== 'queued') return;
        this.#record(
          [job.name, runner.name],
          `not picked up: back to the queue${forgotten ? ', runner forgotten' : ''}`,
        );
        job.assignedTo = null;
        runner.job = undefined;
        if (forgotten) {
          this.#deregister(runner);
          runner.process?.registrationGone();
        }
        this.#assignSoon();
      });
      return;
    }
    this.#clock.after(this.#luck.between(200, 3_000), () => this.#start(job, runner));
  }

  #start(job: WorldJob, runner: WorldRunner): void {
    const process = runner.process;
    if (job.assignedTo !== runner.id || job.status !== 'queued' || !runner.registered || process === undefined) return;
    runner.running = true;
    if (this.#dice.hits('staleBusy')) {
      runner.staleUntilMs = this.#clock.now() + this.#luck.between(60_000, 900_000);
      this.#record(
        [runner.name],
        `will be called idle for ${Math.round((runner.staleUntilMs - this.#clock.now()) / 1000)} s`,
      );
    }
    this.#begin(job, runner.id, runner.name);
    this.#started.add(`${job.plan.id} ${runner.name}`);
    this.#options.witness.jobStarted(job, runner);
    process.jobStarted(job);
  }

  #begin(job: WorldJob, runnerId: number, runnerName: string): void {
    job.status = 'in_progress';
    job.startedAtMs = this.#clock.now();
    job.runnerId = runnerId;
    job.runnerName = runnerName;
    job.starts += 1;
    this.#record([job.name, runnerName], 'started');
    this.#announce(job);
  }

  #runElsewhere(job: WorldJob, name: string): void {
    if (job.status !== 'queued') return;
    this.#begin(job, 0, name);
    this.#clock.after(job.plan.durationMs, () => this.#complete(job, 'success'));
  }

  /** The job that was offered to a runner that has gone waits until GitHub notices. */
  #giveBackLater(runner: WorldRunner): void {
    const job = runner.job;
    if (job === undefined || runner.running) return;
    this.#clock.after(REQUEUE_UNPICKED_MS, () => {
      if (job.assignedTo !== runner.id || job.status !== 'queued') return;
      job.assignedTo = null;
      runner.job = undefined;
      this.#record([job.name, runner.name], 'back to the queue: its runner has gone');
      this.#assignSoon();
    });
  }

  #resolveLost(runner: WorldRunner, job: WorldJob, requeued: boolean): void {
    runner.job = undefined;
    runner.running = false;
    this.#deregister(runner);
    if (!requeued) {
      this.#complete(job, 'failure');
      return;
    }
    job.status = 'queued';
    job.queuedAtMs = this.#clock.now();
    job.assignedTo = null;
    job.runnerId = null;
    job.runnerName = null;
    job.startedAtMs = null;
    job.requeues += 1;
    this.#record([job.name], 'requeued by GitHub: its runner has gone');
    if (this.#luck.chance(0.5)) this.#announce(job);
    this.#assignSoon();
  }
}
