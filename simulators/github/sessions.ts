import type { Assignments } from './assignment.ts';
import { holds } from './expressions.ts';
import { type Conclusion, fullName, type Job, type JobStep, type Runner } from './model.ts';
import type { World } from './world.ts';

/**
 * The runner's side of the simulator: a line-based protocol, simple enough for a shell with `wget`. It is ours, not
 * GitHub's. Every answer is 200 and starts with a word; `gone` means that the registration or the job no longer exists.
 *
 * | verb | says | answers |
 * |---|---|---|
 * | `hello` | `os`, `version` | `session ID` and `heartbeat MS`; `conflict`; `gone` |
 * | `poll` | `session`, `wait` (seconds) | `job ID`; `none`; `gone` |
 * | `take` | `session`, `job` | `ok` and `name`, `repository`, `directory`; `lost`; `gone` |
 * | `next` | `after` (step), `outcome`, `completed` | `run N NAME`, and `cancelled` if it runs all the same; `complete` where it was asked for (`ask`) and comes before the end; `end CONCLUSION`; `gone` |
 * | `script` | `step` | the step's shell script |
 * | `context` | | JSON: `variables` of every step, and GitHub's `event`, as far as hooks read it |
 * | `beat` | | `ok`; `cancel`; `gone` |
 * | `log` | a blank line, then text | `ok` |
 * | `bye` | `session` | `ok` |
 */
export interface RunnerRequest {
  readonly fields: ReadonlyMap<string, string>;
  readonly text: string;
}

export type Outcome = 'success' | 'failure' | 'cancelled' | 'terminated';

const longPollAtMostMs = 50_000;
const logKept = 256 * 1024;

/** The first lines are `key value`; after a blank line comes free text. */
export function parseRunnerRequest(body: string): RunnerRequest {
  const fields = new Map<string, string>();
  const blank = body.indexOf('\n\n');
  const head = blank === -1 ? body : body.slice(0, blank);
  for (const line of head.split('\n').slice(0, 50)) {
    const space = line.indexOf(' ');
    if (space > 0) fields.set(line.slice(0, space), line.slice(space + 1).trim());
  }
  return { fields, text: blank === -1 ? '' : body.slice(blank + 2) };
}

export class Sessions {
  readonly #world: World;
  readonly #assignments: Assignments;

  constructor(world: World, assignments: Assignments) {
    this.#world = world;
    this.#assignments = assignments;
  }

  async answer(verb: string, request: RunnerRequest, signal: AbortSignal): Promise<string> {
    const runner = this.#world.runnersByToken.get(request.fields.get('token') ?? '');
    if (!runner) return 'gone';
    switch (verb) {
      case 'hello':
        return this.#hello(runner, request);
      case 'poll':
        return this.#poll(runner, request, signal);
      case 'take':
        return this.#take(runner, request);
      case 'next':
        return this.#next(runner, request);
      case 'script':
        return this.#script(runner, request);
      case 'context':
        return this.#context(runner);
      case 'beat':
        return this.#beat(runner);
      case 'log':
        return this.#log(runner, request);
      case 'bye':
        return this.#bye(runner, request);
      default:
        return 'unknown';
    }
  }

  get heartbeatMs(): number {
    const realMs = Math.min(this.#world.times.abandonMs, this.#world.times.silenceMs) / this.#world.timeScale;
    return Math.round(Math.min(5_000, Math.max(100, realMs / 4)));
  }

  #hello(runner: Runner, { fields }: RunnerRequest): string {
    if (!runner.registered) return 'gone';
    // One session per runner, as long as the existing one shows signs of life.
    if (runner.session !== undefined && this.#assignments.isOnline(runner)) return 'conflict';
    runner.session = this.#world.uuid();
    runner.os = fields.get('os') ?? 'Linux';
    runner.version = fields.get('version') ?? null;
    this.#assignments.ready(runner);
    this.#world.changed();
    return `session ${runner.session}\nheartbeat ${this.heartbeatMs}`;
  }

  async #poll(runner: Runner, { fields }: RunnerRequest, signal: AbortSignal): Promise<string> {
    if (!this.#isCurrent(runner, fields)) return 'gone';
    const waitMs = Math.min(longPollAtMostMs, Math.max(0, Number(fields.get('wait') ?? 20) * 1_000) || 0);
    // A second poll of the same session replaces the first.
    runner.wake?.();
    this.#assignments.ready(runner);
    if (!runner.assignment && waitMs > 0) await this.#wait(runner, waitMs, signal);
    if (!this.#isCurrent(runner, fields)) return 'gone';
    const { assignment } = runner;
    return assignment && !signal.aborted ? `job ${assignment.job.id}` : 'none';
  }

  #wait(runner: Runner, waitMs: number, signal: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      const end = (): void => {
        cancel();
        signal.removeEventListener('abort', end);
        if (runner.wake === end) runner.wake = undefined;
        this.#assignments.seen(runner);
        resolve();
      };
      const cancel = this.#world.clock.after(waitMs, end);
      signal.addEventListener('abort', end);
      runner.wake = end;
    });
  }

  #take(runner: Runner, { fields }: RunnerRequest): string {
    if (!this.#isCurrent(runner, fields)) return 'gone';
    const assignment = this.#assignments.take(runner, Number(fields.get('job')));
    if (!assignment) return 'lost';
    const { job } = assignment;
    const { repository } = job.run;
    const lines = [
      'ok',
      `name ${job.name}`,
      `repository ${fullName(repository)}`,
      `directory ${repository.name}/${repository.name}`,
    ];
    return lines.join('\n');
  }

  /**
   * Decides what to do after a step. The simulator evaluates all conditions, so that runners need not. A repeated
   * request gets the same answer.
   */
  #next(runner: Runner, { fields }: RunnerRequest): string {
    const { assignment } = runner;
    if (!assignment?.execution) return runner.lastConclusion === undefined ? 'gone' : `end ${runner.lastConclusion}`;
    this.#assignments.seen(runner);
    const { job } = assignment;
    const outcome = fields.get('outcome') ?? 'success';
    this.#close(job, Number(fields.get('after') ?? 0), outcome);
    // Its job-completed hook belongs to the job: it runs before the end.
    const end = (conclusion: Conclusion): string =>
      fields.get('completed') === 'ask' ? 'complete' : this.#end(runner, conclusion);
    if (outcome === 'refused') return end('failure');
    if (outcome === 'terminated') return end('cancelled');
    const step = job.steps.find(({ status }) => status === 'in_progress') ?? this.#open(job);
    if (!step) return end(outcomeOf(job));
    this.#world.changed();
    const cancelled = job.cancelRequested ? '\ncancelled' : '';
    return `run ${step.number} ${step.name.replaceAll(/\s+/g, ' ')}${cancelled}`;
  }

  #close(job: Job, number: number, outcome: string): void {
    const step = job.steps.find((each) => each.number === number);
    if (step?.status !== 'in_progress') return;
    step.status = 'completed';
    step.completedAtMs = this.#world.now();
    step.conclusion = outcome === 'success' ? 'success' : outcome === 'failure' ? 'failure' : 'cancelled';
    if (outcome === 'cancelled') job.cancelRequested = true;
  }

  /** The next step with a script to run; earlier ones are skipped or completed at once. */
  #open(job: Job): JobStep | undefined {
    for (const step of job.steps) {
      if (step.status !== 'queued' || !step.plan) continue;
      const nowMs = this.#world.now();
      const outcome = outcomeOf(job);
      const context = { names: job.names, outcome };
      step.startedAtMs = nowMs;
      if (holds(step.plan.condition, context)) {
        if (step.plan.script !== undefined) {
          step.status = 'in_progress';
          return step;
        }
        step.conclusion = 'success';
      } else step.conclusion = 'skipped';
      step.status = 'completed';
      step.completedAtMs = nowMs;
    }
    return undefined;
  }

  #end(runner: Runner, conclusion: Conclusion): string {
    const { assignment } = runner;
    if (!assignment) return 'gone';
    const nowMs = this.#world.now();
    const last = assignment.job.steps.at(-1);
    if (last)
      Object.assign(last, { status: 'completed', conclusion: 'success', startedAtMs: nowMs, completedAtMs: nowMs });
    runner.lastConclusion = conclusion;
    this.#assignments.finish(assignment, conclusion);
    return `end ${conclusion}`;
  }

  #script(runner: Runner, { fields }: RunnerRequest): string {
    const job = runner.assignment?.execution ? runner.assignment.job : undefined;
    const step = job?.steps.find(({ number }) => number === Number(fields.get('step')));
    if (!job || step?.plan?.script === undefined) return 'exit 1';
    return scriptOf(job, runner, step.plan.script, step.plan.environmentVariables, step.plan.workingDirectory);
  }

  #context(runner: Runner): string {
    const job = runner.assignment?.execution ? runner.assignment.job : undefined;
    return job ? JSON.stringify({ variables: contextOf(job, runner), event: eventOf(job) }) : 'gone';
  }

  #beat(runner: Runner): string {
    const { assignment } = runner;
    if (!assignment?.execution) return 'gone';
    this.#assignments.seen(runner);
    return assignment.job.cancelRequested ? 'cancel' : 'ok';
  }

  #log(runner: Runner, { text }: RunnerRequest): string {
    const { assignment } = runner;
    if (!assignment?.execution) return 'gone';
    this.#assignments.seen(runner);
    assignment.job.log = (assignment.job.log + text).slice(-logKept);
    this.#world.changed();
    return 'ok';
  }

  #bye(runner: Runner, { fields }: RunnerRequest): string {
    if (!this.#isCurrent(runner, fields)) return 'gone';
    this.#assignments.gone(runner);
    runner.wake?.();
    return 'ok';
  }

  #isCurrent(runner: Runner, fields: ReadonlyMap<string, string>): boolean {
    return runner.registered && runner.session !== undefined && runner.session === fields.get('session');
  }
}

function outcomeOf(job: Job): 'success' | 'failure' | 'cancelled' {
  if (job.cancelRequested) return 'cancelled';
  const failed = job.steps.some(({ conclusion, plan }) => conclusion === 'failure' && !plan?.continueOnError);
  return failed ? 'failure' : 'success';
}

/** What every step of the job has, and a hook. */
function contextOf(job: Job, runner: Runner): Readonly<Record<string, string>> {
  const { run } = job;
  return {
    CI: 'true',
    GITHUB_ACTIONS: 'true',
    GITHUB_RUN_ID: String(run.id),
    GITHUB_RUN_ATTEMPT: String(run.attempt),
    GITHUB_RUN_NUMBER: String(run.runNumber),
    GITHUB_REPOSITORY: fullName(run.repository),
    GITHUB_REPOSITORY_OWNER: run.repository.owner.login,
    GITHUB_WORKFLOW: run.workflowName,
    GITHUB_JOB: job.key,
    GITHUB_SHA: run.headSha,
    GITHUB_REF: `refs/heads/${run.headBranch}`,
    GITHUB_EVENT_NAME: run.event,
    GITHUB_ACTOR: run.actor.login,
    RUNNER_NAME: runner.name,
    RUNNER_OS: 'Linux',
  };
}

/** The part of GitHub's event that hooks read. */
function eventOf({ run }: Job): Readonly<Record<string, unknown>> {
  const repository = { full_name: fullName(run.repository) };
  const head = { repo: { full_name: run.headRepository } };
  return {
    repository,
    sender: { login: run.actor.login },
    ...(run.event.startsWith('pull_request') ? { pull_request: { head, base: { repo: repository } } } : {}),
  };
}

/** The variables, then the step: one script for `sh -e`. */
function scriptOf(
  job: Job,
  runner: Runner,
  script: string,
  variables: Readonly<Record<string, string>>,
  directory: string | undefined,
): string {
  const all = { ...contextOf(job, runner), ...job.environmentVariables, ...variables };
  const exports = Object.entries(all)
    .filter(([name]) => /^[A-Za-z_]\w*$/.test(name))
    .map(([name, value]) => `export ${name}=${quote(value)}`);
  return [...exports, ...(directory === undefined ? [] : [`cd ${quote(directory)}`]), script, ''].join('\n');
}

function quote(text: string): string {
  return `'${text.replaceAll("'", "'\\''")}'`;
}
