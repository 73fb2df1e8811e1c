/** What a poller asks of GitHub: the repositories of a claim, their open runs, and the jobs of those. */
import { z } from 'zod';
import type { Registration } from '../config/model.ts';
import { factFromRestJob, type RestJob, restJobSchema } from '../intake/workflow-job.ts';
import type { JobFact } from '../ledger/facts.ts';
import type { RequesterFor } from './credential.ts';
import { GithubError } from './github.ts';
import { listPages } from './pages.ts';
import type { Requester } from './requester.ts';

export interface PolledRepository {
  readonly owner: string;
  readonly repository: string;
  readonly repositoryId: number | null;
  readonly visibility: JobFact['visibility'];
}

export interface RepositoryList {
  readonly repositories: readonly PolledRepository[];
  /** Names that could not be read, with the reason; the others stand. */
  readonly failures: readonly { readonly repository: string; readonly error: GithubError }[];
}

/** An `in_progress` run can hold queued jobs; one that is `waiting` for an approval may have others that run. */
export const openRunStatuses = ['queued', 'in_progress', 'waiting'] as const;
export type OpenRunStatus = (typeof openRunStatuses)[number];

export interface RunList {
  readonly runIds: readonly number[];
  /** False: GitHub shows no more than 1,000 of a status, newest first. */
  readonly complete: boolean;
}

export interface JobList {
  readonly facts: readonly JobFact[];
  readonly complete: boolean;
  /** Jobs in a shape or status that this version does not know. */
  readonly unreadable: number;
}

/** With one registration's credentials, and the sweep's share of their budget. Rejects with GithubError only. */
export interface PollSource {
  listRepositories(signal: AbortSignal): Promise<RepositoryList>;
  listRuns(repository: PolledRepository, status: OpenRunStatus, signal: AbortSignal): Promise<RunList>;
  /** Undefined when GitHub does not know the run (any more). */
  listJobs(repository: PolledRepository, runId: number, signal: AbortSignal): Promise<JobList | undefined>;
}

const repositoryAnswer = z.object({
  id: z.int().min(1).nullish().catch(null),
  name: z.string().min(1).max(256),
  owner: z.object({ login: z.string().min(1).max(256) }),
  private: z.boolean(),
  visibility: z.string().max(64).optional(),
  archived: z.boolean().optional(),
  disabled: z.boolean().optional(),
});
type RepositoryAnswer = z.infer<typeof repositoryAnswer>;
const repositoriesAnswer = z.array(repositoryAnswer);
const installationRepositoriesAnswer = z.object({ total_count: z.int().min(0), repositories: repositoriesAnswer });
const runsAnswer = z.object({
  total_count: z.int().min(0),
  workflow_runs: z.array(z.object({ id: z.int().min(1) })),
});
/** Job by job: one that we cannot read must not hide the others. */
const jobsAnswer = z.object({
  total_count: z.int().min(0),
  jobs: z.array(z.union([restJobSchema, z.unknown().transform(() => null)])),
});
type JobOrNot = RestJob | null;

/** 20,000 repositories. */
const MOST_REPOSITORY_PAGES = 200;
/** GitHub itself stops at 1,000 runs. */
const MOST_RUN_PAGES = 10;
/** A matrix has 256 jobs at most, but a run can hold several. */
const MOST_JOB_PAGES = 30;

export type PollSourceOptions = Pick<Registration, 'name' | 'host' | 'claim' | 'credentials'> & {
  readonly only: readonly string[];
  readonly requesterFor: RequesterFor;
};

export function createPollSource(options: PollSourceOptions): PollSource {
  const { requesterFor } = options;
  return {
    listRepositories: (signal) => listRepositories(options, signal),

    async listRuns({ owner, repository }, status, signal) {
      const listed = await listPages(requesterFor(owner), {
        route: '/repos/{owner}/{repo}/actions/runs',
        parameters: { owner, repo: repository, status },
        purpose: 'sweep',
        answer: runsAnswer,
        page: (data) => ({ items: data.workflow_runs, total: data.total_count }),
        mostPages: MOST_RUN_PAGES,
        beyond: 'leave',
        signal,
      });
      return { runIds: listed?.items.map((run) => run.id) ?? [], complete: listed?.complete ?? true };
    },

    async listJobs({ owner, repository, repositoryId, visibility }, runId, signal) {
      const listed = await listPages<z.infer<typeof jobsAnswer>, JobOrNot>(requesterFor(owner), {
        route: '/repos/{owner}/{repo}/actions/runs/{run_id}/jobs',
        parameters: { owner, repo: repository, run_id: runId, filter: 'latest' },
        purpose: 'sweep',
        answer: jobsAnswer,
        page: (data) => ({ items: data.jobs, total: data.total_count }),
        mostPages: MOST_JOB_PAGES,
        beyond: 'leave',
        accept: [404],
        signal,
      });
      if (listed === undefined) return undefined;
      const jobs = listed.items.filter((job) => job !== null);
      return {
        facts: jobs.map((job) =>
          factFromRestJob(job, {
            host: options.host,
            owner,
            repository,
            repositoryId,
            visibility,
            source: 'poll',
            toldBy: options.name,
            observedAtMs: listed.sentAtMs,
          }),
        ),
        complete: listed.complete,
        unreadable: listed.items.length - jobs.length,
      };
    },
  };
}

async function listRepositories(options: PollSourceOptions, signal: AbortSignal): Promise<RepositoryList> {
  const { claim, requesterFor } = options;
  switch (claim.kind) {
    case 'repositories': {
      const wanted = new Set(options.only.map((name) => name.toLowerCase()));
      const named = claim.repositories.filter(
        (one) =>
          wanted.size === 0 ||
          wanted.has(one.repository.toLowerCase()) ||
          wanted.has(`${one.owner}/${one.repository}`.toLowerCase()),
      );
      return readNamed(requesterFor, named, signal);
    }
    case 'organization':
      if (options.only.length > 0) return readNamed(requesterFor, namesIn(options.only, claim.organization), signal);
      return listOwned(
        options,
        claim.organization,
        '/orgs/{org}/repos',
        { org: claim.organization, type: 'all' },
        signal,
      );
    case 'user':
      if (options.only.length > 0) return readNamed(requesterFor, namesIn(options.only, claim.user), signal);
      // `/users/{username}/repos` shows public repositories only.
      return listOwned(options, claim.user, '/user/repos', { affiliation: 'owner,collaborator' }, signal);
    case 'enterprise': {
      if (options.only.length > 0) return readNamed(requesterFor, namesIn(options.only, undefined), signal);
      const repositories: PolledRepository[] = [];
      const failures: RepositoryList['failures'][number][] = [];
      for (const org of claim.organizations) {
        try {
          const list = await listOwned(options, org, '/orgs/{org}/repos', { org, type: 'all' }, signal);
          repositories.push(...list.repositories);
        } catch (error) {
          failures.push({ repository: `${org}/*`, error: onlyOf(error) });
        }
      }
      return { repositories, failures };
    }
  }
}

/** Everything that the credentials see of one owner. */
async function listOwned(
  options: PollSourceOptions,
  owner: string,
  route: string,
  parameters: Readonly<Record<string, string>>,
  signal: AbortSignal,
): Promise<RepositoryList> {
  const requester = options.requesterFor(owner);
  const paging = { purpose: 'sweep', mostPages: MOST_REPOSITORY_PAGES, beyond: 'fail', signal } as const;
  const listed =
    options.credentials.kind === 'app'
      ? await listPages(requester, {
          ...paging,
          route: '/installation/repositories',
          parameters: {},
          answer: installationRepositoriesAnswer,
          page: (data) => ({ items: data.repositories, total: data.total_count }),
        })
      : await listPages(requester, {
          ...paging,
          route,
          parameters,
          answer: repositoriesAnswer,
          page: (data) => ({ items: data, total: undefined }),
        });
  const own = (listed?.items ?? []).filter((one) => one.owner.login.toLowerCase() === owner.toLowerCase());
  return { repositories: own.filter(canRun).map(repositoryOf), failures: [] };
}

/** One by one: the answer tells the visibility, which admission needs, and that the name still exists. */
async function readNamed(
  requesterFor: RequesterFor,
  named: readonly { readonly owner: string; readonly repository: string }[],
  signal: AbortSignal,
): Promise<RepositoryList> {
  const repositories: PolledRepository[] = [];
  const failures: RepositoryList['failures'][number][] = [];
  for (const { owner, repository } of named) {
    try {
      const answer = await readRepository(requesterFor(owner), owner, repository, signal);
      if (canRun(answer)) repositories.push(repositoryOf(answer));
    } catch (error) {
      failures.push({ repository: `${owner}/${repository}`, error: onlyOf(error) });
    }
  }
  return { repositories, failures };
}

async function readRepository(
  requester: Requester,
  owner: string,
  repo: string,
  signal: AbortSignal,
): Promise<RepositoryAnswer> {
  const answer = await requester.call({
    method: 'GET',
    route: '/repos/{owner}/{repo}',
    parameters: { owner, repo },
    purpose: 'sweep',
    answer: repositoryAnswer,
    conditional: () => 1,
    signal,
  });
  if (answer.accepted) throw new Error('no status was to be accepted');
  return answer.data;
}

/** `web` or `acme/web`; without an owner to complete it, a bare name is nobody's. */
function namesIn(names: readonly string[], owner: string | undefined) {
  return names.flatMap((name) => {
    const slash = name.indexOf('/');
    if (slash !== -1) return [{ owner: name.slice(0, slash), repository: name.slice(slash + 1) }];
    return owner === undefined ? [] : [{ owner, repository: name }];
  });
}

/** What belongs to one repository stands beside it; the rest (credentials, limits, our own stop) ends the listing. */
function onlyOf(error: unknown): GithubError {
  if (error instanceof GithubError && (error.kind === 'not-found' || error.kind === 'forbidden')) return error;
  throw error;
}

function canRun(repository: RepositoryAnswer): boolean {
  return repository.archived !== true && repository.disabled !== true;
}

function repositoryOf(answer: RepositoryAnswer): PolledRepository {
  return {
    owner: answer.owner.login,
    repository: answer.name,
    repositoryId: answer.id ?? null,
    visibility: visibilityOf(answer),
  };
}

function visibilityOf(answer: RepositoryAnswer): PolledRepository['visibility'] {
  switch (answer.visibility) {
    case 'public':
    case 'private':
    case 'internal':
      return answer.visibility;
    default:
      return answer.private ? 'private' : 'public';
  }
}
