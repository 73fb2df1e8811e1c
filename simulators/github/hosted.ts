import type { Job } from './model.ts';
import type { JobListener, Runs } from './runs.ts';
import type { World } from './world.ts';

/**
 * GitHub's own runners, for `ubuntu-latest` and similar labels: every job gets one after a short delay. Steps are not
 * executed; they succeed.
 */
export class HostedRunners implements JobListener {
  readonly #world: World;
  readonly #runs: Runs;
  readonly #timers = new Map<Job, () => void>();
  #count = 0;

  constructor(world: World, runs: Runs) {
    this.#world = world;
    this.#runs = runs;
  }

  queued(job: Job): void {
    if (!job.hosted) return;
    this.#after(job, () => this.#start(job));
  }

  cancelled(job: Job): void {
    const running = job.hosted && job.status === 'in_progress';
    this.#timers.get(job)?.();
    this.#timers.delete(job);
    if (running) {
      this.#end(job, 'cancelled');
    }
  }

  close(): void {
    for (const cancel of this.#timers.values()) cancel();
    this.#timers.clear();
  }

  #start(job: Job): void {
    this.#count += 1;
    const runner = {
      id: this.#world.id(),
      name: `GitHub Actions ${this.#count}`,
      groupId: 0,
      groupName: 'GitHub Actions',
    };
    this.#runs.start(job, runner, true);
    this.#after(job, () => this.#end(job, 'success'));
  }

  #end(job: Job, conclusion: 'success' | 'cancelled'): void {
    const nowMs = this.#world.now();
    if (conclusion === 'success') {
      for (const step of job.steps) {
        Object.assign(step, { status: 'completed', conclusion: 'success', startedAtMs: nowMs, completedAtMs: nowMs });
      }
    }
    const execution = this.#world.executions.findLast(({ jobId }) => jobId === job.id);
    if (execution) Object.assign(execution, { endedAtMs: nowMs, conclusion });
    this.#runs.finish(job, conclusion);
  }

  #after(job: Job, action: () => void): void {
    const cancel = this.#world.after(this.#world.times.hostedMs, () => {
      this.#timers.delete(job);
      action();
    });
    this.#timers.set(job, cancel);
  }
}
