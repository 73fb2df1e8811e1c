/**
 * A GitHub and a provider inside the measured dispatcher's process. Each runner starts its job 100 ms after its launch,
 * works for half a second, and ends, so that bindings, drains and sweeps go on during the launches. Both give a
 * consistent view of jobs and runners.
 */

import type { Github, GithubRunner } from '../../dispatcher/github/github.ts';
import { type JobFact, jobKey } from '../../dispatcher/jobs/facts.ts';
import type { Ledger } from '../../dispatcher/ledger/ledger.ts';
import type { Instance, Provider } from '../../providers/provider.ts';
import { sleep, systemClock } from '../../time/clock.ts';
import { preciseNow } from './child.ts';

const STARTS_AFTER_MS = 100;
const WORKS_MS = 400;
/** The unique label that tells which job a runner was launched for. */
const OWN_LABEL = 'sid-';
/** Secret of the deliveries. */
const repository = { owner: 'Codertocat', repository: 'Hello-World' };

export interface Launched {
  readonly jobId: number;
  readonly atMs: number;
}

interface WorldOptions {
  readonly ledger: Ledger;
  readonly createMs: number;
  wake(): void;
}

interface WorldRunner {
  readonly id: number;
  readonly name: string;
  readonly jobId: number;
  readonly labels: readonly string[];
  job: 'queued' | 'in_progress' | 'completed';
}

export class InstantWorld {
  readonly launches: Launched[] = [];
  readonly #options: WorldOptions;
  readonly #runners = new Map<number, WorldRunner>();
  readonly #byName = new Map<string, WorldRunner>();
  readonly #byJob = new Map<number, WorldRunner>();
  readonly #instances = new Map<string, Instance>();
  #lastRunnerId = 0;

  constructor(options: WorldOptions) {
    this.#options = options;
  }

  readonly github: Github = {
    createJitRunner: async ({ name, labels }) => {
      const own = labels.find((label) => label.startsWith(OWN_LABEL));
      this.#lastRunnerId += 1;
      const jobId = Number(own?.slice(OWN_LABEL.length));
      const runner: WorldRunner = { id: this.#lastRunnerId, name, jobId, labels, job: 'queued' };
      this.#runners.set(runner.id, runner);
      this.#byName.set(name, runner);
      this.#byJob.set(jobId, runner);
      return { runnerId: runner.id, encodedJitConfig: 'none' };
    },
    deleteRunner: async (_scope, id) => {
      const runner = this.#runners.get(id);
      if (runner === undefined) return 'absent';
      if (runner.job === 'in_progress') return 'busy';
      this.#remove(runner);
      return 'deleted';
    },
    getRunner: async (_scope, id) => this.#shown(this.#runners.get(id)),
    findRunner: async (_scope, name) => this.#shown(this.#byName.get(name)),
    listRunners: async () => [...this.#runners.values()].flatMap((runner) => this.#shown(runner) ?? []),
    readJob: async (_owner, _repository, jobId) => await this.#fact(jobId, 'read'),
    readRun: async () => ({ completed: false, attempt: 1, isFork: false }),
    seesRepository: async () => true,
    readVisibility: async () => 'private',
  };

  readonly provider: Provider = {
    capabilities: {
      architectures: ['x64'],
      spot: false,
      dockerInDocker: false,
      disk: false,
      bucket: false,
      subnet: false,
      securityGroup: false,
      logs: false,
      secretEnvironment: true,
    },
    fit: (wish) => ({ fits: true, shape: { ...wish, cpu: wish.cpu ?? 1, memoryGiB: wish.memoryGiB ?? 1 } }),
    launch: async ({ name, tags }) => {
      const runner = this.#byName.get(name);
      if (runner === undefined) throw new Error(`GitHub has no runner ${name}`);
      this.launches.push({ jobId: runner.jobId, atMs: preciseNow() });
      if (this.#options.createMs > 0) await sleep(systemClock, this.#options.createMs);
      const instance: Instance = { ref: { name, id: name }, state: 'running', tags };
      this.#instances.set(name, instance);
      systemClock.after(STARTS_AFTER_MS, () => {
        void this.#happen(runner, 'in_progress');
      });
      systemClock.after(STARTS_AFTER_MS + WORKS_MS, () => {
        this.#instances.set(name, { ...instance, state: 'succeeded' });
        void this.#happen(runner, 'completed');
      });
      return instance;
    },
    inspect: async ({ name }) => this.#instances.get(name),
    list: async () => [...this.#instances.values()],
    stop: async ({ name }) => {
      this.#instances.delete(name);
    },
    logs: async () => undefined,
    check: async () => [],
    close: async () => {},
  };

  /** Not awaited: a rejection ends the process, and with it the benchmark. */
  async #happen(runner: WorldRunner, job: 'in_progress' | 'completed'): Promise<void> {
    runner.job = job;
    if (job === 'completed') this.#remove(runner);
    const fact = await this.#fact(runner.jobId, 'webhook');
    if (fact === undefined) throw new Error(`job ${runner.jobId} is not in the ledger`);
    await this.#options.ledger.recordFacts([fact]);
    this.#options.wake();
  }

  /** An ephemeral runner's registration ends with its job. */
  #remove(runner: WorldRunner): void {
    this.#runners.delete(runner.id);
    this.#byName.delete(runner.name);
  }

  #shown(runner: WorldRunner | undefined): GithubRunner | undefined {
    if (runner === undefined) return undefined;
    const { id, name, labels, job } = runner;
    return { id, name, labels, busy: job === 'in_progress', status: this.#instances.has(name) ? 'online' : 'offline' };
  }

  async #fact(jobId: number, source: 'webhook' | 'read'): Promise<JobFact | undefined> {
    const row = await this.#options.ledger.job(jobKey({ host: 'github.com', ...repository, jobId }));
    if (row === undefined) return undefined;
    const runner = this.#byJob.get(jobId);
    const status = runner?.job ?? 'queued';
    const started = runner !== undefined && status !== 'queued';
    return {
      ...row,
      visibility: row.visibility ?? undefined,
      status,
      conclusion: status === 'completed' ? 'success' : null,
      runnerId: started ? runner.id : null,
      runnerName: started ? runner.name : null,
      source,
      toldBy: null,
      observedAtMs: systemClock.now(),
    };
  }
}
