import { once } from 'node:events';
import { systemClock } from '../../time/clock.ts';
import { Assignments } from './assignment.ts';
import { Authenticator } from './auth.ts';
import { type FaultInput, type FaultSettings, Faults } from './faults.ts';
import { HostedRunners } from './hosted.ts';
import { Limits } from './limits.ts';
import { type Execution, fullName, type Job, type JobStatus, scopeKey } from './model.ts';
import { githubLimits, githubTimes, type SimulatorOptions } from './options.ts';
import type { Urls } from './payloads/urls.ts';
import { Router } from './router.ts';
import { addActionsRoutes } from './routes/actions.ts';
import { addAppRoutes } from './routes/apps.ts';
import type { Context } from './routes/context.ts';
import { addControlRoutes, waitingJobs } from './routes/control.ts';
import { addHookRoutes } from './routes/hooks.ts';
import { addRunnerRoutes } from './routes/runners.ts';
import { Runs } from './runs.ts';
import { createWire } from './server.ts';
import { Sessions } from './sessions.ts';
import { Webhooks } from './webhooks.ts';
import { seededRandom, World } from './world.ts';

export type { FaultInput, FaultSettings } from './faults.ts';
export type { Execution } from './model.ts';
export type {
  AppOptions,
  EnterpriseOptions,
  InstallationOptions,
  LimitSettings,
  OwnerOptions,
  RepositoryOptions,
  RunnerGroupOptions,
  SimulatedTimes,
  SimulatorOptions,
  TokenOptions,
  WebhookOptions,
} from './options.ts';

export interface AppView {
  readonly id: number;
  readonly slug: string;
  /** PEM. */
  readonly privateKey: string;
  readonly installations: readonly { readonly id: number; readonly account: string }[];
}

export interface JobView {
  readonly id: number;
  readonly runId: number;
  readonly attempt: number;
  readonly repository: string;
  readonly key: string;
  readonly name: string;
  readonly labels: readonly string[];
  readonly status: JobStatus;
  readonly conclusion: string | null;
  readonly environment: string | undefined;
  readonly runnerId: number | null;
  readonly runnerName: string | null;
  readonly steps: readonly { readonly name: string; readonly status: string; readonly conclusion: string | null }[];
  readonly createdAtMs: number;
  readonly startedAtMs: number;
  readonly completedAtMs: number | null;
  /** The end of its steps' output. */
  readonly log: string;
}

export interface RunView {
  readonly id: number;
  readonly attempt: number;
  readonly repository: string;
  readonly name: string;
  readonly status: string;
  readonly conclusion: string | null;
  /** The jobs that exist already; those that wait for their `needs` do not. */
  readonly jobs: readonly JobView[];
}

export interface RunnerView {
  readonly id: number;
  readonly name: string;
  /** `orgs/acme`, `repos/acme/web`, `enterprises/acme-inc`. */
  readonly scope: string;
  readonly group: string;
  readonly labels: readonly string[];
  readonly online: boolean;
  /** The actual state, regardless of the stale-busy fault. */
  readonly busy: boolean;
  readonly jobId: number | null;
}

export interface DeliveryView {
  readonly id: number;
  readonly guid: string;
  readonly hookId: number;
  readonly event: string;
  readonly action: string | null;
  readonly redelivery: boolean;
  readonly deliveredAtMs: number;
  /** `pending`, `OK`, or what went wrong. */
  readonly status: string;
  readonly statusCode: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
  readonly responseBody: string | null;
}

export interface HookTarget {
  /** `acme` for an organization's hook, `acme/web` for a repository's. */
  readonly on: string;
  readonly url: string;
  readonly secret?: string;
  readonly events?: readonly string[];
}

export interface WorkflowPush {
  readonly owner: string;
  readonly repository: string;
  readonly yaml: string;
  /** Default `push`. */
  readonly event?: string;
  /** `owner/name`: where a pull request comes from, if not from the repository itself. */
  readonly fork?: string;
  readonly path?: string;
}

export interface Approval {
  readonly owner: string;
  readonly repository: string;
  /** Default: all that wait. */
  readonly environment?: string;
  readonly runId?: number;
}

export interface GithubSimulator {
  /** The address for clients; the API answers here and under `/api/v3`. */
  readonly url: string;
  readonly port: number;
  /** The address for runners. */
  readonly runnerUrl: string;
  readonly apps: readonly AppView[];
  /** Personal access tokens, in the order of `options.tokens`. */
  readonly tokens: readonly string[];
  readonly faults: { set(input: FaultInput): FaultSettings; clear(): void; readonly settings: FaultSettings };
  pushWorkflow(push: WorkflowPush): RunView;
  /** Approves jobs that wait for their environment; returns their number. */
  approve(approval: Approval): number;
  reject(approval: Approval): number;
  cancel(target: { readonly runId: number } | { readonly jobId: number }): void;
  rerun(runId: number, which?: 'all' | 'failed'): RunView;
  /** On the default branch; undefined removes it. The path has no folder. */
  putFile(file: { owner: string; repository: string; path: string; text: string | undefined }): void;
  addRepository(owner: string, name: string, visibility?: 'public' | 'private' | 'internal'): void;
  addHook(target: HookTarget): number;
  run(id: number): RunView | undefined;
  runs(): RunView[];
  jobs(): JobView[];
  /** Only those that are registered. */
  runners(): RunnerView[];
  /** One entry each time a runner started a job: a single entry per job means "ran exactly once". */
  executions(): readonly Execution[];
  /** The delivery log, oldest first; limited in size. */
  deliveries(): DeliveryView[];
  /** Deliveries that are queued, held back, late or in flight. */
  readonly pendingDeliveries: number;
  redeliver(deliveryId: number): void;
  /** Invalidates every installation token at once. */
  revokeTokens(): void;
  /** Resolves with the value of `predicate` once it is truthy; rejects after `timeoutMs` (default 10 s). */
  waitFor<T>(predicate: () => T | false | null | undefined, timeoutMs?: number): Promise<T>;
  close(): Promise<void>;
}

export async function startGithubSimulator(options: SimulatorOptions = {}): Promise<GithubSimulator> {
  const clock = options.clock ?? systemClock;
  const random = options.random ?? seededRandom(options.seed ?? 1);
  const world = new World(options, clock, random, { ...githubTimes, ...options.times });
  const faults = new Faults(random, options.faults);
  const limits = new Limits({ ...githubLimits, ...options.limits });
  const authenticator = new Authenticator(world, () => faults.settings.identicalJwt);
  const address = { url: options.publicUrl ?? '' };
  const urls = (): Urls => ({ api: address.url, html: address.url });
  const webhooks = new Webhooks(world, faults, urls);
  const runs = new Runs(world, webhooks, urls);
  const assignments = new Assignments(world, runs);
  const hosted = new HostedRunners(world, runs);
  runs.listen(assignments);
  runs.listen(hosted);
  const sessions = new Sessions(world, assignments);
  const context: Context = {
    world,
    runs,
    assignments,
    sessions,
    webhooks,
    faults,
    limits,
    authenticator,
    jit: options.jit ?? true,
    runnerRelease: options.runnerRelease ?? { version: '2.335.0' },
    urls,
    runnerUrl: () => options.runnerUrl ?? address.url,
  };
  const router = new Router();
  for (const add of [addAppRoutes, addRunnerRoutes, addActionsRoutes, addHookRoutes, addControlRoutes])
    add(router, context);

  const server = createWire(router, context);
  // Long polls last up to 50 s; the default of 5 s only applies to idle connections and may stay.
  server.requestTimeout = 0;
  server.listen(options.port ?? 0, options.host ?? '127.0.0.1');
  await once(server, 'listening');
  const bound = server.address();
  if (bound === null || typeof bound === 'string') throw new Error('the simulator listens on TCP only');
  const host = bound.family === 'IPv6' ? `[${bound.address}]` : bound.address;
  address.url ||= `http://${host === '0.0.0.0' ? '127.0.0.1' : host}:${bound.port}`;

  const views = viewsOf(context);
  const repositoryNamed = (owner: string, name: string) => {
    const repository = world.repository(owner, name);
    if (!repository) throw new Error(`the simulator has no repository ${owner}/${name}`);
    return repository;
  };
  const gated = ({ owner, repository, environment, runId }: Approval): Job[] =>
    waitingJobs(context, repositoryNamed(owner, repository), environment, runId);
  const runWith = (id: number) => {
    const run = world.runs.get(id);
    if (!run) throw new Error(`the simulator has no run ${id}`);
    return run;
  };

  return {
    url: address.url,
    port: bound.port,
    runnerUrl: options.runnerUrl ?? address.url,
    apps: [...world.apps.values()].map((app) => ({
      id: app.id,
      slug: app.slug,
      get privateKey() {
        return app.keys().privateKey;
      },
      installations: [...world.installations.values()]
        .filter((installation) => installation.app === app)
        .map(({ id, account }) => ({ id, account: account.login })),
    })),
    tokens: [...world.personalTokens.keys()],
    faults,
    pushWorkflow({ owner, repository, ...push }) {
      return views.run(runs.push({ repository: repositoryNamed(owner, repository), ...push }));
    },
    putFile({ owner, repository, path, text }) {
      const { files } = repositoryNamed(owner, repository);
      if (text === undefined) files.delete(path);
      else files.set(path, text);
    },
    approve(approval) {
      const jobs = gated(approval);
      for (const job of jobs) runs.approve(job);
      return jobs.length;
    },
    reject(approval) {
      const jobs = gated(approval);
      for (const job of jobs) runs.reject(job);
      return jobs.length;
    },
    cancel(target) {
      if ('runId' in target) return runs.cancelRun(runWith(target.runId));
      const job = world.jobs.get(target.jobId);
      if (!job) throw new Error(`the simulator has no job ${target.jobId}`);
      runs.cancelJob(job);
    },
    rerun(runId, which = 'all') {
      const run = runWith(runId);
      runs.rerun(run, which);
      return views.run(run);
    },
    addRepository(owner, name, visibility = 'private') {
      const account = world.account(owner);
      if (!account) throw new Error(`the simulator has no account ${owner}`);
      world.addRepository(account, { name, visibility });
    },
    addHook({ on, url, secret, events }) {
      const [login = '', name] = on.split('/');
      const account = world.account(login);
      if (!account) throw new Error(`the simulator has no account ${login}`);
      const id = 400_000_000 + world.id();
      const owner =
        name === undefined
          ? ({ kind: 'organization', account } as const)
          : ({ kind: 'repository', repository: repositoryNamed(login, name) } as const);
      const hook = {
        id,
        owner,
        url,
        contentType: 'json',
        secret,
        events: events ?? ['workflow_job'],
        active: true,
        createdAtMs: world.now(),
      } as const;
      world.hooks.set(id, hook);
      webhooks.ping(hook);
      return id;
    },
    run(id) {
      const run = world.runs.get(id);
      return run && views.run(run);
    },
    runs: () => [...world.runs.values()].map(views.run),
    jobs: () => [...world.jobs.values()].map(views.job),
    runners: () => [...world.runners.values()].map(views.runner),
    executions: () => world.executions,
    deliveries: views.deliveries,
    get pendingDeliveries() {
      return webhooks.pending;
    },
    redeliver(deliveryId) {
      const record = webhooks.log().find(({ id }) => id === deliveryId);
      if (!record) throw new Error(`the simulator has no delivery ${deliveryId}`);
      webhooks.redeliver(record);
    },
    revokeTokens: () => authenticator.revokeTokens(),
    waitFor(predicate, timeoutMs = 10_000) {
      return new Promise((resolve, reject) => {
        const look = (): void => {
          try {
            const value = predicate();
            if (value) end(() => resolve(value));
          } catch (error) {
            end(() => reject(error instanceof Error ? error : new Error(String(error))));
          }
        };
        const cancel = systemClock.after(timeoutMs, () =>
          end(() => reject(new Error(`no match within ${timeoutMs} ms; ${views.summary()}`))),
        );
        const unwatch = world.watch(look);
        const end = (then: () => void): void => {
          cancel();
          unwatch();
          then();
        };
        look();
      });
    },
    async close() {
      webhooks.close();
      assignments.close();
      for (const job of world.jobs.values()) for (const cancel of job.cancelTimers) cancel();
      hosted.close();
      server.close();
      server.closeAllConnections();
      await once(server, 'close');
    },
  };
}

function viewsOf({ world, runs, assignments, webhooks }: Context) {
  const job = (one: Job): JobView => ({
    id: one.id,
    runId: one.run.id,
    attempt: one.attempt,
    repository: fullName(one.run.repository),
    key: one.key,
    name: one.name,
    labels: one.labels,
    status: one.status,
    conclusion: one.conclusion,
    environment: one.environment,
    runnerId: one.runner?.id ?? null,
    runnerName: one.runner?.name ?? null,
    steps: one.steps.map(({ name, status, conclusion }) => ({ name, status, conclusion })),
    createdAtMs: one.createdAtMs,
    startedAtMs: one.startedAtMs,
    completedAtMs: one.completedAtMs,
    log: one.log,
  });
  return {
    job,
    run: (run: Job['run']): RunView => ({
      id: run.id,
      attempt: run.attempt,
      repository: fullName(run.repository),
      name: run.workflowName,
      status: run.status,
      conclusion: run.conclusion,
      jobs: runs.latestJobs(run).map(job),
    }),
    runner: (runner: NonNullable<ReturnType<typeof world.runners.get>>): RunnerView => ({
      id: runner.id,
      name: runner.name,
      scope: scopeKey(runner.scope),
      group: runner.group.name,
      labels: runner.labels.map(({ name }) => name),
      online: assignments.isOnline(runner),
      busy: assignments.isBusy(runner),
      jobId: runner.assignment?.job.id ?? null,
    }),
    deliveries: (): DeliveryView[] =>
      webhooks
        .log()
        .reverse()
        .map(({ hook, requestHeaders, ...record }) => ({
          id: record.id,
          guid: record.guid,
          hookId: hook.id,
          event: record.event,
          action: record.action,
          redelivery: record.redelivery,
          deliveredAtMs: record.deliveredAtMs,
          status: record.status,
          statusCode: record.statusCode,
          headers: requestHeaders,
          body: record.body,
          responseBody: record.responseBody,
        })),
    summary(): string {
      const jobs = [...world.jobs.values()].map((one) => `${one.name}: ${one.conclusion ?? one.status}`);
      const runners = [...world.runners.values()].map(
        (one) => `${one.name}: ${assignments.isOnline(one) ? 'online' : 'offline'}`,
      );
      return `jobs [${jobs.slice(-20).join(', ')}], runners [${runners.slice(-20).join(', ')}]`;
    },
  };
}
