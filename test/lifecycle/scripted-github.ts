/** A GitHub whose runners come online at once, and of which a test decides what it answers and who gets which job. */

import { type Github, GithubError, type GithubRunner, type JitRequest } from '../../dispatcher/github/github.ts';
import type { JobFact } from '../../dispatcher/jobs/facts.ts';
import type { Registration } from '../../dispatcher/model/registration.ts';
import type { Instance, Provider } from '../../providers/provider.ts';
import { type Clock, sleep } from '../../time/clock.ts';
import { fact } from '../http/admin-fixture.ts';
import { honestProvider, openSmallFixture, type SmallFixture } from './small-fixture.ts';

interface ScriptedRunner extends JitRequest {
  readonly id: number;
  readonly atMs: number;
  busy: boolean;
}

/** What a test may change while the engine runs. */
export interface Script {
  /** Answered instead of a registration. */
  refuses: (request: JitRequest) => GithubError | undefined;
  /** A registration is answered after 15 s. */
  isSlow: boolean;
  /** The runner's program never connects. */
  hangs: boolean;
  /** Jobs that GitHub answers 404 for. */
  readonly unseenJobs: Set<number>;
  seesRepository: boolean;
  readonly completedRuns: Set<number>;
}

export interface DemandFixture extends SmallFixture {
  readonly script: Script;
  /** When each registration was asked for. */
  readonly registrations: { readonly atMs: number; readonly labels: readonly string[] }[];
  /** When each job was read. */
  readonly reads: { readonly atMs: number; readonly jobId: number }[];
  readonly launches: { readonly atMs: number; readonly name: string }[];
  /** Live registrations. */
  readonly runners: ReadonlyMap<string, ScriptedRunner>;
  /** A waiting job of acme/web. */
  queue(jobId: number, some?: Partial<JobFact>): Promise<void>;
  /** GitHub gives the job to an idle runner with its labels; answers its name, or undefined where there is none. */
  start(jobId: number): Promise<string | undefined>;
  complete(jobId: number): Promise<void>;
  reason(jobId: number): Promise<string | undefined>;
  /** The instance as it was made, running for ever. */
  running(name: string): Promise<Instance | undefined>;
}

export function refusal(kind: GithubError['kind'], status: number): GithubError {
  return new GithubError(kind, 'POST generate-jitconfig', `GitHub answered ${status}: no`, { status });
}

export async function openDemandFixture(
  changes: Partial<Registration> = {},
  providerChanges: Partial<Provider> = {},
): Promise<DemandFixture> {
  const script: Script = {
    refuses: () => undefined,
    isSlow: false,
    hangs: false,
    unseenJobs: new Set(),
    seesRepository: true,
    completedRuns: new Set(),
  };
  const registrations: DemandFixture['registrations'] = [];
  const reads: DemandFixture['reads'] = [];
  const launches: DemandFixture['launches'] = [];
  const jobs = new Map<number, JobFact>();
  const runners = new Map<string, ScriptedRunner>();
  const deleted = new Set<string>();
  let ids = 0;

  const shown = ({ id, name, busy, labels }: ScriptedRunner): GithubRunner => ({
    id,
    name,
    status: script.hangs ? 'offline' : 'online',
    busy,
    labels,
  });
  const byId = (id: number) => [...runners.values()].find((runner) => runner.id === id);
  const githubOn = (clock: Clock): Github => ({
    async createJitRunner(request) {
      registrations.push({ atMs: clock.now(), labels: request.labels });
      if (script.isSlow) await sleep(clock, 15_000);
      const error = script.refuses(request);
      if (error !== undefined) throw error;
      ids += 1;
      runners.set(request.name, { ...request, id: ids, atMs: clock.now(), busy: false });
      return { runnerId: ids, encodedJitConfig: 'eyIuZmFrZSI6IjAifQ==' };
    },
    async deleteRunner(_scope, id) {
      const runner = byId(id);
      if (runner?.busy) return 'busy';
      if (runner === undefined) return 'absent';
      runners.delete(runner.name);
      deleted.add(runner.name);
      return 'deleted';
    },
    async getRunner(_scope, id) {
      const runner = byId(id);
      return runner && shown(runner);
    },
    async findRunner(_scope, name) {
      const runner = runners.get(name);
      return runner && shown(runner);
    },
    listRunners: async () => [...runners.values()].map(shown),
    async readJob(_owner, _repository, jobId) {
      reads.push({ atMs: clock.now(), jobId });
      const job = script.unseenJobs.has(jobId) ? undefined : jobs.get(jobId);
      return job && { ...job, source: 'read', observedAtMs: clock.now() };
    },
    readRun: async (_owner, _repository, runId) => ({
      completed: script.completedRuns.has(runId),
      attempt: 1,
      isFork: false,
    }),
    seesRepository: async () => script.seesRepository,
    readVisibility: async () => 'private',
  });

  const provider = honestProvider();
  const fixture: SmallFixture = await openSmallFixture(
    {
      docker: {
        ...provider,
        launch: async (request) => {
          launches.push({ atMs: fixture.clock.now(), name: request.name });
          return await provider.launch(request);
        },
        // A runner whose registration is gone ends by itself.
        inspect: async (ref) => {
          const instance = await provider.inspect(ref);
          return instance && deleted.has(ref.name) ? { ...instance, state: 'succeeded' } : instance;
        },
        ...providerChanges,
      },
    },
    { github: githubOn, registration: changes },
  );
  const { clock } = fixture;
  await fixture.engine.start();

  async function moved(jobId: number, change: Partial<JobFact>): Promise<void> {
    const before = jobs.get(jobId);
    if (before === undefined) throw new Error(`no job ${jobId}`);
    const after = { ...before, ...change, observedAtMs: clock.now() };
    jobs.set(jobId, after);
    await fixture.tell(after);
  }

  return {
    ...fixture,
    script,
    registrations,
    reads,
    launches,
    runners,
    async queue(jobId, some = {}) {
      const observedAtMs = clock.now();
      const job = fact(jobId, 'acme', { observedAtMs, createdAtMs: observedAtMs, ...some });
      jobs.set(jobId, job);
      await fixture.queueJob(jobId, job);
    },
    async start(jobId) {
      const labels = new Set(jobs.get(jobId)?.labels);
      const runner = [...runners.values()].find(
        (candidate) => !candidate.busy && labels.isSubsetOf(new Set(candidate.labels)),
      );
      if (runner === undefined) return undefined;
      runner.busy = true;
      await moved(jobId, {
        status: 'in_progress',
        runnerId: runner.id,
        runnerName: runner.name,
        startedAtMs: clock.now(),
      });
      return runner.name;
    },
    async complete(jobId) {
      const name = jobs.get(jobId)?.runnerName;
      if (typeof name === 'string') {
        runners.delete(name);
        deleted.add(name);
      }
      await moved(jobId, { status: 'completed', conclusion: 'success', completedAtMs: clock.now() });
    },
    running: (name) => provider.inspect({ name }),
    async reason(jobId) {
      const job = await fixture.ledger.job(`github.com/acme/web/${jobId}`);
      return job && (await fixture.engine.jobReason(job));
    },
  };
}
