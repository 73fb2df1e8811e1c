import type { Assignment, Conclusion, Job, Runner, RunnerGroup } from './model.ts';
import type { JobListener, Runs } from './runs.ts';
import type { World } from './world.ts';

/**
 * Assigns queued jobs to runners as GitHub does: any online idle runner whose labels include the job's, in scope and
 * group. A JIT configuration reserves no job. Which of several runners gets the job is random.
 */
export class Assignments implements JobListener {
  readonly #world: World;
  readonly #runs: Runs;
  /** In the order they were queued. */
  readonly #waiting = new Set<Job>();
  readonly #idle = new Set<Runner>();
  readonly #silenceTimers = new Map<Runner, () => void>();
  readonly #abandonTimers = new Map<Runner, () => void>();
  readonly #removalTimers = new Map<Runner, () => void>();

  constructor(world: World, runs: Runs) {
    this.#world = world;
    this.#runs = runs;
  }

  queued(job: Job): void {
    if (job.hosted) return;
    this.#waiting.add(job);
    this.#place(job);
  }

  cancelled(job: Job): void {
    this.#waiting.delete(job);
    const { assignment } = job;
    if (!assignment || assignment.execution) return;
    this.#release(assignment);
    this.#offer(assignment.runner);
  }

  isOnline(runner: Runner): boolean {
    if (!runner.registered || runner.session === undefined) return false;
    if (runner.wake) return true;
    const silentMs = this.#world.now() - (runner.lastSeenAtMs ?? 0);
    return silentMs <= this.#world.times.silenceMs / this.#world.timeScale;
  }

  isBusy(runner: Runner): boolean {
    return runner.assignment?.execution !== undefined;
  }

  /** A new registration without any connection yet. */
  registered(runner: Runner): void {
    this.#armRemoval(runner);
  }

  /** Any sign of life. */
  seen(runner: Runner): void {
    runner.lastSeenAtMs = this.#world.now();
    this.#removalTimers.get(runner)?.();
    this.#removalTimers.delete(runner);
    this.#armSilence(runner);
    if (runner.assignment?.execution) this.#armAbandon(runner, runner.assignment);
  }

  /** The runner polls: it is ready for a job, or receives the one that was assigned to it. */
  ready(runner: Runner): void {
    runner.missedPickup = false;
    this.seen(runner);
    this.#offer(runner);
  }

  /** The runner accepts its assigned job. False: too late, the job went elsewhere. */
  take(runner: Runner, jobId: number): Assignment | undefined {
    const { assignment } = runner;
    if (!assignment || assignment.job.id !== jobId || assignment.job.status === 'completed') return undefined;
    if (assignment.execution) return assignment;
    assignment.cancelPickupTimer();
    this.#waiting.delete(assignment.job);
    const { id, name, group } = runner;
    assignment.execution = this.#runs.start(
      assignment.job,
      { id, name, groupId: group.id, groupName: group.name },
      false,
    );
    this.seen(runner);
    return assignment;
  }

  /** The job is over; an ephemeral runner's registration ends with it. */
  finish(assignment: Assignment, conclusion: Conclusion, how: Conclusion | 'abandoned' = conclusion): void {
    const { job, runner, execution } = assignment;
    if (execution) {
      execution.endedAtMs = this.#world.now();
      execution.conclusion = how;
    }
    this.#forgetTimers(runner);
    runner.assignment = undefined;
    job.assignment = undefined;
    if (runner.ephemeral && how !== 'abandoned' && runner.registered) this.#unregister(runner);
    this.#runs.finish(job, conclusion);
    if (runner.registered && this.isOnline(runner)) this.#offer(runner);
  }

  /** The session ends normally; the registration stays. */
  gone(runner: Runner): void {
    runner.session = undefined;
    this.#idle.delete(runner);
    this.#silenceTimers.get(runner)?.();
    this.#silenceTimers.delete(runner);
    this.#armRemoval(runner);
    this.#world.changed();
  }

  /** DELETE took effect. A running job continues to its end; one that was only assigned goes back to the queue. */
  removed(runner: Runner): void {
    const { assignment } = runner;
    this.#unregister(runner);
    if (assignment && !assignment.execution) this.#requeue(assignment);
    this.#world.changed();
  }

  close(): void {
    for (const timers of [this.#silenceTimers, this.#abandonTimers, this.#removalTimers]) {
      for (const cancel of timers.values()) cancel();
      timers.clear();
    }
    for (const { assignment } of this.#world.runners.values()) assignment?.cancelPickupTimer();
  }

  #unregister(runner: Runner): void {
    this.#world.removeRunner(runner);
    this.#idle.delete(runner);
    runner.wake?.();
    if (!runner.assignment?.execution) this.#forgetTimers(runner);
    this.#removalTimers.get(runner)?.();
    this.#removalTimers.delete(runner);
  }

  #place(job: Job): void {
    const fitting = [...this.#idle].filter((runner) => this.isOnline(runner) && fits(job, runner));
    const chosen = fitting[Math.floor(this.#world.random() * fitting.length)];
    if (chosen) this.#assign(job, chosen);
  }

  #offer(runner: Runner): void {
    if (!runner.registered || runner.assignment || runner.missedPickup || runner.session === undefined) return;
    this.#idle.add(runner);
    for (const job of this.#waiting) {
      if (!fits(job, runner)) continue;
      this.#assign(job, runner);
      return;
    }
  }

  #assign(job: Job, runner: Runner): void {
    if (job.assignment || runner.assignment) throw new Error(`job ${job.id} or runner ${runner.name} is taken already`);
    const assignment: Assignment = {
      job,
      runner,
      assignedAtMs: this.#world.now(),
      execution: undefined,
      cancelPickupTimer: this.#world.after(this.#world.times.pickupMs, () => {
        runner.missedPickup = true;
        this.#requeue(assignment);
      }),
    };
    job.assignment = assignment;
    runner.assignment = assignment;
    this.#waiting.delete(job);
    this.#idle.delete(runner);
    runner.wake?.();
    this.#world.changed();
  }

  #release(assignment: Assignment): void {
    assignment.cancelPickupTimer();
    assignment.job.assignment = undefined;
    assignment.runner.assignment = undefined;
  }

  #requeue(assignment: Assignment): void {
    const { job } = assignment;
    this.#release(assignment);
    if (job.status !== 'queued') return;
    // Back to its original position: a requeued job is older than those behind it.
    const behind = [...this.#waiting];
    this.#waiting.clear();
    for (const each of [job, ...behind]) this.#waiting.add(each);
    this.#place(job);
    this.#world.changed();
  }

  #armSilence(runner: Runner): void {
    this.#silenceTimers.get(runner)?.();
    const cancel = this.#world.after(this.#world.times.silenceMs + 1, () => {
      this.#silenceTimers.delete(runner);
      if (this.isOnline(runner)) return this.#armSilence(runner);
      this.#idle.delete(runner);
      this.#armRemoval(runner);
      this.#world.changed();
    });
    this.#silenceTimers.set(runner, cancel);
  }

  #armAbandon(runner: Runner, assignment: Assignment): void {
    this.#abandonTimers.get(runner)?.();
    const cancel = this.#world.after(this.#world.times.abandonMs, () => {
      if (runner.assignment !== assignment) return;
      runner.session = undefined;
      this.finish(assignment, 'failure', 'abandoned');
      this.#armRemoval(runner);
    });
    this.#abandonTimers.set(runner, cancel);
  }

  #armRemoval(runner: Runner): void {
    if (!runner.ephemeral || !runner.registered) return;
    this.#removalTimers.get(runner)?.();
    const cancel = this.#world.after(this.#world.times.ephemeralOfflineMs, () => {
      this.#removalTimers.delete(runner);
      if (runner.registered && !runner.assignment?.execution && !this.isOnline(runner)) this.removed(runner);
    });
    this.#removalTimers.set(runner, cancel);
  }

  #forgetTimers(runner: Runner): void {
    for (const timers of [this.#silenceTimers, this.#abandonTimers]) {
      timers.get(runner)?.();
      timers.delete(runner);
    }
  }
}

/** Whether GitHub would give this job to this runner: scope, group, labels. */
export function fits(job: Job, runner: Runner): boolean {
  return inScope(job, runner) && inGroup(job, runner) && hasLabels(job, runner);
}

function inScope(job: Job, { scope }: Runner): boolean {
  const { repository } = job.run;
  switch (scope.kind) {
    case 'enterprise':
      return scope.enterprise.organizations.has(repository.owner.login.toLowerCase());
    case 'organization':
      return scope.account === repository.owner;
    case 'repository':
      return scope.repository === repository;
  }
}

function inGroup(job: Job, { scope, group }: Runner): boolean {
  if (job.group !== undefined && job.group.toLowerCase() !== group.name.toLowerCase()) return false;
  // Groups restrict the use of shared runners; a repository's own runners are unaffected.
  return scope.kind === 'repository' || groupAllows(group, job);
}

function groupAllows(group: RunnerGroup, job: Job): boolean {
  const { repository } = job.run;
  if (repository.visibility === 'public' && !group.allowsPublicRepositories) return false;
  if (group.visibility === 'private') return repository.visibility !== 'public';
  return group.visibility === 'all' || group.repositoryIds.has(repository.id);
}

function hasLabels(job: Job, runner: Runner): boolean {
  const own = new Set(runner.labels.map(({ name }) => name.toLowerCase()));
  return job.labels.every((label) => own.has(label.toLowerCase()));
}
