/** What a poller reads from GitHub: the repositories of a claim, their open runs, and the jobs of those. */
import { z } from 'zod';
import type { JobFact, Visibility } from '../jobs/facts.ts';
import { factFromRestJob, OWNER_NAME, REPOSITORY_NAME, type RestJob, restJobSchema } from '../jobs/workflow-job.ts';
import type { Registration } from '../model/registration.ts';
import type { RequesterFor } from './credential.ts';
import { aboutOwner, GithubError } from './github.ts';
import { listPages, PARTIAL } from './pages.ts';
import type { Caller } from './requester.ts';

export interface PolledRepository {
  readonly owner: string;
  readonly repository: string;
  readonly repositoryId: number | null;
  readonly visibility: JobFact['visibility'];
}

export interface RepositoryList {
  readonly repositories: readonly PolledRepository[];
  /** What could not be read, with the reason; everything else is valid. */
  readonly failures: readonly PollFailure[];
}

/** A problem with one repository, or one owner, and only that one. */
export interface PollFailure {
  /** `acme/web`, or `acme` if the owner is not accessible. */
  readonly about: string;
  readonly error: GithubError;
}

/** An `in_progress` run can have queued jobs; one that is `waiting` for an approval may have others that run. */
export const openRunStatuses = ['queued', 'in_progress', 'waiting'] as const;
export type OpenRunStatus = (typeof openRunStatuses)[number];

export interface RunList {
  readonly runIds: readonly number[];
  /** Entries without an id. */
  readonly unreadable: number;
  /** False: GitHub returns at most 1,000 of a status, newest first. */
  readonly complete: boolean;
}

export interface JobList {
  readonly facts: readonly JobFact[];
  readonly complete: boolean;
  /** Jobs with a shape or status that this version does not know. */
  readonly unreadable: number;
}

/** Runs the work, possibly more than once. */
export type Patience = <T>(work: () => Promise<T>) => Promise<T>;

/** Uses one registration's credentials, and the sweep's share of their budget. Rejects with GithubError only. */
export interface PollSource {
  /** Each owner has a credential with its own limits: a limit on one does not hold up another. */
  readonly ownersApart: boolean;
  /** `patience`: how each call is made, such as waiting out a limit; without it a limit is a failure. */
  listRepositories(signal: AbortSignal, patience?: Patience): Promise<RepositoryList>;
  listRuns(repository: PolledRepository, status: OpenRunStatus, signal: AbortSignal): Promise<RunList>;
  /** Undefined when GitHub does not know the run (any more). */
  listJobs(repository: PolledRepository, runId: number, signal: AbortSignal): Promise<JobList | undefined>;
}

/** Servers before GitHub Enterprise Server 3 do not send `visibility`. */
export const visibilityAnswer = { private: z.boolean(), visibility: z.string().max(64).optional() };

/** Names as in deliveries: they are part of keys, of paths, and of folders in buckets, and a tenant's own host may say anything. */
const repositoryAnswer = z.object({
  id: z.int().min(1).nullish().catch(null),
  name: z.string().regex(REPOSITORY_NAME),
  owner: z.object({ login: z.string().regex(OWNER_NAME) }),
  ...visibilityAnswer,
  archived: z.boolean().optional(),
  disabled: z.boolean().optional(),
});
type RepositoryAnswer = z.infer<typeof repositoryAnswer>;
/** Entry by entry, here and below: an unreadable one must not hide the others. */
const repositoriesAnswer = z.array(z.union([repositoryAnswer, z.unknown().transform(() => null)]));
type RepositoryOrNot = RepositoryAnswer | null;
const installationRepositoriesAnswer = z.object({ total_count: z.int().min(0), repositories: repositoriesAnswer });
const runsAnswer = z.object({
  total_count: z.int().min(0),
  workflow_runs: z.array(z.union([z.object({ id: z.int().min(1) }), z.unknown().transform(() => null)])),
});
const jobsAnswer = z.object({
  total_count: z.int().min(0),
  jobs: z.array(z.union([restJobSchema, z.unknown().transform(() => null)])),
});
type JobOrNot = RestJob | null;

const SHOWN_OWNERS = 3;
/** After this many unanswered calls GitHub itself is down, and each further name would only wait for its timeouts. */
const SILENCES_IN_A_ROW = 3;
/** 20,000 repositories. */
const MAX_REPOSITORY_PAGES = 200;
/** GitHub itself stops at 1,000 runs. */
const MAX_RUN_PAGES = 10;
/** A matrix has at most 256 jobs, but a run can have several. */
const MAX_JOB_PAGES = 30;

export type PollSourceOptions = Pick<Registration, 'name' | 'host' | 'claim' | 'credentials'> & {
  readonly only: readonly string[];
  readonly requesterFor: RequesterFor;
  readonly onMended?: ((field: string) => void) | undefined;
};

export function createPollSource(options: PollSourceOptions): PollSource {
  const { requesterFor } = options;
  return {
    ownersApart: options.credentials.kind === 'app' && options.claim.kind === 'repositories',
    listRepositories: (signal, patience = (work) => work()) => listRepositories(options, { signal, patience }),

    async listRuns({ owner, repository }, status, signal) {
      const listed = await listPages<z.infer<typeof runsAnswer>, { readonly id: number } | null>(requesterFor(owner), {
        route: '/repos/{owner}/{repo}/actions/runs',
        parameters: { owner, repo: repository, status },
        purpose: 'sweep',
        answer: runsAnswer,
        page: (data) => ({ items: data.workflow_runs, total: data.total_count }),
        mostPages: MAX_RUN_PAGES,
        beyond: 'leave',
        signal,
      });
      const runs = listed?.items ?? [];
      const runIds = runs.flatMap((run) => (run === null ? [] : [run.id]));
      return { runIds, unreadable: runs.length - runIds.length, complete: listed?.complete ?? true };
    },

    async listJobs({ owner, repository, repositoryId, visibility }, runId, signal) {
      const listed = await listPages<z.infer<typeof jobsAnswer>, JobOrNot>(requesterFor(owner), {
        route: '/repos/{owner}/{repo}/actions/runs/{run_id}/jobs',
        parameters: { owner, repo: repository, run_id: runId, filter: 'latest' },
        purpose: 'sweep',
        answer: jobsAnswer,
        page: (data) => ({ items: data.jobs, total: data.total_count }),
        mostPages: MAX_JOB_PAGES,
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
            onMended: options.onMended,
          }),
        ),
        complete: listed.complete,
        unreadable: listed.items.length - jobs.length,
      };
    },
  };
}

interface Way {
  readonly signal: AbortSignal;
  readonly patience: Patience;
}

async function listRepositories(options: PollSourceOptions, way: Way): Promise<RepositoryList> {
  const { claim } = options;
  switch (claim.kind) {
    case 'repositories': {
      const wanted = new Set(options.only.map((name) => name.toLowerCase()));
      const named = claim.repositories.filter(
        (one) =>
          wanted.size === 0 ||
          wanted.has(one.repository.toLowerCase()) ||
          wanted.has(`${one.owner}/${one.repository}`.toLowerCase()),
      );
      return readNamed(options, named, way);
    }
    case 'organization':
      if (options.only.length > 0) return readNamed(options, namesIn(options.only, claim.organization), way);
      return listOwned(options, claim.organization, '/orgs/{org}/repos', { org: claim.organization, type: 'all' }, way);
    case 'user':
      if (options.only.length > 0) return readNamed(options, namesIn(options.only, claim.user), way);
      // `/users/{username}/repos` shows public repositories only.
      return listOwned(options, claim.user, '/user/repos', { affiliation: 'owner,collaborator' }, way);
    case 'enterprise': {
      if (options.only.length > 0) return readNamed(options, namesIn(options.only, undefined), way);
      const repositories: PolledRepository[] = [];
      const failures: PollFailure[] = [];
      for (const org of claim.organizations) {
        try {
          const list = await listOwned(options, org, '/orgs/{org}/repos', { org, type: 'all' }, way);
          repositories.push(...list.repositories);
          failures.push(...list.failures);
        } catch (error) {
          failures.push({ about: org, error: onlyOf(error) });
        }
      }
      return { repositories, failures };
    }
  }
}

/** Everything of one owner that the credentials can see. */
async function listOwned(
  options: PollSourceOptions,
  owner: string,
  route: string,
  parameters: Readonly<Record<string, string>>,
  way: Way,
): Promise<RepositoryList> {
  const requester = options.requesterFor(owner);
  const paging = {
    purpose: 'sweep',
    mostPages: MAX_REPOSITORY_PAGES,
    beyond: 'fail',
    partial: 'told',
    ...way,
  } as const;
  const byApp = options.credentials.kind === 'app';
  const asked = byApp ? '/installation/repositories' : route;
  const listed = byApp
    ? await listPages<z.infer<typeof installationRepositoriesAnswer>, RepositoryOrNot>(requester, {
        ...paging,
        route: asked,
        parameters: {},
        answer: installationRepositoriesAnswer,
        page: (data) => ({ items: data.repositories, total: data.total_count }),
      })
    : await listPages<z.infer<typeof repositoriesAnswer>, RepositoryOrNot>(requester, {
        ...paging,
        route: asked,
        parameters,
        answer: repositoriesAnswer,
        page: (data) => ({ items: data, total: undefined }),
      });
  const items = listed?.items ?? [];
  const readable = items.filter((one) => one !== null);
  const own = readable.filter((one) => sameName(one.owner.login, owner));
  const failures: PollFailure[] = [];
  const tell = (kind: 'not-found' | 'invalid' | 'forbidden', words: string) =>
    failures.push({ about: owner, error: new GithubError(kind, `GET ${asked}`, words) });
  const unreadable = items.length - readable.length;
  if (unreadable > 0) tell('invalid', `${counted(unreadable, 'entry', 'entries')} of its repositories cannot be read`);
  if (listed?.isPartial === true) tell('forbidden', PARTIAL);
  else if (own.length === 0) tell('not-found', nothingOf(options, owner, readable));
  return { repositories: own.filter(canRun).map(repositoryOf), failures };
}

/** A renamed owner keeps its installation; one that revoked the App's access to its repositories lists none. */
function nothingOf(
  { claim, credentials }: PollSourceOptions,
  owner: string,
  others: readonly RepositoryAnswer[],
): string {
  const list = credentials.kind === 'app' ? `the App's installation for ${owner}` : 'the token';
  if (others.length === 0) {
    return `${list} lists no repositories: give ${credentials.kind === 'app' ? 'the App' : 'it'} access to those whose jobs are to run here`;
  }
  const owners = [...new Set(others.map((one) => one.owner.login))];
  const names = `${owners.slice(0, SHOWN_OWNERS).join(', ')}${owners.length > SHOWN_OWNERS ? ', …' : ''}`;
  const field = claim.kind === 'enterprise' ? 'organizations' : claim.kind;
  return `${list} lists ${counted(others.length, 'repository', 'repositories')}, none of owner ${owner} (${names}): was it renamed? Change \`${field}\``;
}

/** One by one: the answer has the visibility, which admission needs, and confirms that the name still exists. */
async function readNamed(options: PollSourceOptions, named: readonly Name[], way: Way): Promise<RepositoryList> {
  const repositories: PolledRepository[] = [];
  const failures: PollFailure[] = [];
  const shut = new Set<string>();
  let first: GithubError | undefined;
  let answers = 0;
  let silences = 0;
  for (const name of named) {
    const owner = name.owner.toLowerCase();
    if (shut.has(owner)) continue;
    try {
      const answer = await way.patience(() => readRepository(options.requesterFor(owner), name, way.signal));
      answers += 1;
      silences = 0;
      const finding = unpollable(options.claim, name, answer);
      if (finding !== undefined) failures.push(finding.failure);
      if (finding?.ours !== false) repositories.push(repositoryOf(answer));
    } catch (caught) {
      const error = ownFailure(caught, name, options);
      first ??= error;
      silences = error.kind === 'transient' ? silences + 1 : 0;
      if (silences === SILENCES_IN_A_ROW) throw error;
      if (error.owner !== undefined) shut.add(owner);
      else if (error.kind !== 'transient') answers += 1;
      failures.push({ about: error.owner ?? nameOf(name), error });
    }
  }
  // There was no answer at all: not a problem of one owner or repository.
  if (first !== undefined && answers === 0) throw first;
  return { repositories, failures };
}

/** Problems of one repository or owner are returned beside it; others (token, limits, our stop) end the listing. */
function ownFailure(caught: unknown, name: Name, { credentials }: PollSourceOptions): GithubError {
  if (!(caught instanceof GithubError)) throw caught;
  if (caught.owner !== undefined) return caught;
  switch (caught.kind) {
    case 'unauthorized':
    case 'rate-limited':
      // An App has one installation per owner, each with its own limits.
      if (credentials.kind === 'app') return aboutOwner(caught, name.owner);
      throw caught;
    default:
      return caught;
  }
}

interface Name {
  readonly owner: string;
  readonly repository: string;
}

/** Why a repository must not be polled, from its answer; GitHub answers a former name with the current one. */
function unpollable(
  claim: PollSourceOptions['claim'],
  name: Name,
  answer: RepositoryAnswer,
): { readonly ours: boolean; readonly failure: PollFailure } | undefined {
  const about = nameOf(name);
  const found = (ours: boolean, words: string) => ({
    ours,
    failure: { about, error: new GithubError('not-found', 'GET /repos/{owner}/{repo}', words) },
  });
  const byName = claim.kind === 'repositories';
  const cure = byName ? 'change the claim' : 'change `poll.repositories`';
  const now = `${answer.owner.login}/${answer.name}`;
  if (!sameName(answer.owner.login, name.owner)) return found(false, `moved to ${now}: ${cure}`);
  if (!canRun(answer)) {
    const why = answer.archived === true ? 'is archived' : 'was disabled by GitHub';
    return found(false, `it ${why}, so that nothing runs there: ${byName ? 'take it out of the claim' : cure}`);
  }
  // In a claim by name, another name is another repository: its jobs are not this registration's.
  if (!sameName(answer.name, name.repository)) return found(!byName, `${about} is now called ${now}: ${cure}`);
  return undefined;
}

async function readRepository(
  requester: Caller,
  { owner, repository }: Name,
  signal: AbortSignal,
): Promise<RepositoryAnswer> {
  const answer = await requester.call({
    method: 'GET',
    route: '/repos/{owner}/{repo}',
    parameters: { owner, repo: repository },
    purpose: 'sweep',
    answer: repositoryAnswer,
    conditional: () => 1,
    signal,
  });
  if (answer.accepted) throw new Error('no status was to be accepted');
  return answer.data;
}

/** `web` or `acme/web`; a bare name without an owner to complete it has none. */
function namesIn(names: readonly string[], owner: string | undefined): readonly Name[] {
  return names.flatMap((name) => {
    const slash = name.indexOf('/');
    if (slash !== -1) return [{ owner: name.slice(0, slash), repository: name.slice(slash + 1) }];
    return owner === undefined ? [] : [{ owner, repository: name }];
  });
}

/** Problems of one organization of an enterprise are returned beside it; others end the listing. */
function onlyOf(error: unknown): GithubError {
  if (error instanceof GithubError && error.kind !== 'unauthorized' && error.kind !== 'rate-limited') return error;
  throw error;
}

function nameOf({ owner, repository }: Name): string {
  return `${owner}/${repository}`;
}

function sameName(one: string, other: string): boolean {
  return one.toLowerCase() === other.toLowerCase();
}

function counted(count: number, one: string, many: string): string {
  return `${count} ${count === 1 ? one : many}`;
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

export function visibilityOf(answer: Pick<RepositoryAnswer, 'private' | 'visibility'>): Visibility {
  switch (answer.visibility) {
    case 'public':
    case 'private':
    case 'internal':
      return answer.visibility;
    default:
      return answer.private ? 'private' : 'public';
  }
}
