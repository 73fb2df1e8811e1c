/** One registration's GitHub client. */
import { z } from 'zod';
import type { Clock, Random } from '../../time/clock.ts';
import { withDeadline } from '../../time/deadline.ts';
import type { JobFact, JobIdentity, Visibility } from '../jobs/facts.ts';
import { type GithubScope, ownerOfScope } from '../jobs/scope.ts';
import { factFromRestJob, restJobSchema } from '../jobs/workflow-job.ts';
import { lineOf, type Registration } from '../model/registration.ts';
import type { BudgetPool } from './budget-pool.ts';
import { type RequesterFor, requestersFor } from './credential.ts';
import { type CallPurpose, type Github, GithubError, type GithubRun } from './github.ts';
import type { GithubTimes } from './github-time.ts';
import { type OrganizationFiles, readOrganizationFile } from './organization-file.ts';
import { createPollSource, type PollSource, visibilityAnswer, visibilityOf } from './poll-source.ts';
import type { Caller } from './requester.ts';
import { RunnerGroups } from './runner-groups.ts';
import { createJitRunner, deleteRunner, findRunner, getRunner, listRunners } from './runners.ts';

export interface GithubOptions {
  readonly registration: Pick<Registration, 'name' | 'grant' | 'host' | 'apiUrl' | 'claim' | 'credentials' | 'poll'>;
  /** One for the whole process: registrations share credentials. */
  readonly budgets: BudgetPool;
  /** One for the whole process, too. */
  readonly times: GithubTimes;
  readonly clock: Clock;
  readonly random: Random;
  /** Called with the name of each job field that was cut or left out because it was not as GitHub documents it. */
  readonly onMended?: ((field: string) => void) | undefined;
  /** A call for the owner that began then has succeeded, so that GitHub accepts the credentials. Must not throw. */
  readonly onAuthorized?: ((owner: string, startedAtMs: number) => void) | undefined;
}

/** The time limit that the port promises for every method. */
const METHOD_MS = 30_000;

/** Constructing it makes no calls and does not fail: invalid credentials make each call fail. */
export function createGithub(options: GithubOptions): Github & PollSource & OrganizationFiles {
  const { registration, budgets, times, clock, random, onMended, onAuthorized } = options;
  const { name, host, apiUrl, claim, credentials, poll } = registration;
  let requesters: RequesterFor | undefined;
  // When the first call is made: thousands of registrations may wait for their first job.
  const requesterFor: RequesterFor = (owner) => {
    requesters ??= requestersFor({
      host,
      apiUrl,
      claim,
      credentials,
      line: lineOf(registration),
      budgets,
      times,
      clock,
      random,
    });
    const caller = requesters(owner);
    if (onAuthorized === undefined) return caller;
    // An enterprise has one token for all of its organizations, and its runners belong to the enterprise.
    const authorized = claim.kind === 'enterprise' ? claim.enterprise : owner;
    return {
      call: async (call) => {
        const startedAtMs = clock.now();
        const answer = await caller.call(call);
        onAuthorized(authorized, startedAtMs);
        return answer;
      },
    };
  };
  const at = (scope: GithubScope) => requesterFor(ownerOfScope(scope));
  const groups = new RunnerGroups(clock);

  /** A method that makes several calls has the time limit of a single call. */
  const inTime = <T>(method: string, work: (signal: AbortSignal) => Promise<T>): Promise<T> =>
    withDeadline(
      clock,
      METHOD_MS,
      () => new GithubError('transient', method, `not done within ${METHOD_MS / 1000} s`),
      undefined,
      work,
    );

  return {
    createJitRunner: (request) =>
      inTime('create a runner', (signal) => createJitRunner(at(request.scope), groups, request, signal)),
    deleteRunner: (scope, runnerId) =>
      inTime('delete a runner', (signal) => deleteRunner(at(scope), scope, runnerId, signal)),
    getRunner: (scope, runnerId, purpose) =>
      inTime('read a runner', (signal) => getRunner(at(scope), scope, runnerId, purpose, signal)),
    findRunner: (scope, name, purpose) =>
      inTime('find a runner', (signal) => findRunner(at(scope), scope, name, purpose, signal)),
    listRunners: (scope, purpose) => inTime('list runners', (signal) => listRunners(at(scope), scope, purpose, signal)),
    readJob: (owner, repository, jobId, purpose = 'verify') =>
      readJob(requesterFor(owner), { registration: name, onMended, purpose, job: { host, owner, repository, jobId } }),
    readRun: (owner, repository, runId, purpose = 'verify') =>
      readRun(requesterFor(owner), { owner, repository, runId, purpose }),
    seesRepository: (owner, repository) => seesRepository(requesterFor(owner), owner, repository),
    readOrganizationFile: (organization, mostCharacters) =>
      readOrganizationFile(requesterFor(organization), organization, mostCharacters),
    readVisibility: (owner, repository) => readVisibility(requesterFor(owner), owner, repository),
    ...createPollSource({ name, host, claim, credentials, only: poll.repositories, requesterFor, onMended }),
  };
}

interface WantedJob {
  readonly registration: string;
  readonly job: JobIdentity;
  readonly purpose: CallPurpose;
  readonly onMended: GithubOptions['onMended'];
}

async function readJob(
  requester: Caller,
  { registration, onMended, purpose, job: { host, owner, repository, jobId } }: WantedJob,
): Promise<JobFact | undefined> {
  const answer = await requester.call({
    method: 'GET',
    route: '/repos/{owner}/{repo}/actions/jobs/{job_id}',
    parameters: { owner, repo: repository, job_id: jobId },
    purpose,
    answer: restJobSchema,
    accept: [404],
  });
  if (answer.accepted) return undefined;
  return factFromRestJob(answer.data, {
    host,
    owner,
    repository,
    repositoryId: null,
    visibility: undefined,
    source: 'read',
    toldBy: registration,
    observedAtMs: answer.sentAtMs,
    onMended,
  });
}

const repositoryOfRun = z.object({ id: z.int().min(1) });
const account = z.object({ login: z.string().min(1).max(100) });
const runAnswer = z.object({
  status: z.string().max(64).nullable(),
  run_attempt: z.int().min(1).default(1),
  repository: repositoryOfRun.optional().catch(undefined),
  /** Null where it was deleted. */
  head_repository: repositoryOfRun.nullable().optional().catch(undefined),
  event: z.string().min(1).max(100).optional().catch(undefined),
  /** Null where it was deleted. */
  actor: account.nullable().optional().catch(undefined),
  triggering_actor: account.nullable().optional().catch(undefined),
});

async function readRun(
  requester: Caller,
  {
    owner,
    repository,
    runId,
    purpose,
  }: {
    readonly owner: string;
    readonly repository: string;
    readonly runId: number;
    readonly purpose: CallPurpose;
  },
): Promise<GithubRun | undefined> {
  const answer = await requester.call({
    method: 'GET',
    route: '/repos/{owner}/{repo}/actions/runs/{run_id}',
    parameters: { owner, repo: repository, run_id: runId },
    purpose,
    answer: runAnswer,
    accept: [404],
  });
  if (answer.accepted) return undefined;
  const { status, run_attempt: attempt, repository: base, head_repository: head } = answer.data;
  const origin = originOf(answer.data);
  const run = { completed: status === 'completed', attempt, ...(origin === undefined ? {} : { origin }) };
  return base === undefined || head === undefined ? run : { ...run, isFork: head?.id !== base.id };
}

/** Servers older than `triggering_actor` do not tell who ran a run again: then it has to be unknown. */
function originOf({ event, actor, triggering_actor: triggeringActor }: z.output<typeof runAnswer>) {
  if (event === undefined || !actor || !triggeringActor) return undefined;
  return { event, actor: actor.login, triggeringActor: triggeringActor.login };
}

async function seesRepository(requester: Caller, owner: string, repository: string): Promise<boolean> {
  const answer = await requester.call({
    method: 'GET',
    route: '/repos/{owner}/{repo}',
    parameters: { owner, repo: repository },
    purpose: 'verify',
    answer: z.object({ id: z.int() }),
    accept: [404],
  });
  return !answer.accepted;
}

async function readVisibility(requester: Caller, owner: string, repository: string): Promise<Visibility> {
  const answer = await requester.call({
    method: 'GET',
    route: '/repos/{owner}/{repo}',
    parameters: { owner, repo: repository },
    purpose: 'verify',
    answer: z.object(visibilityAnswer),
    conditional: () => 0,
  });
  if (answer.accepted) throw new TypeError('no status is accepted here');
  return visibilityOf(answer.data);
}
