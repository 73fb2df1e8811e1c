/** GitHub's self-hosted runners, at the three scopes in which they register. */
import { z } from 'zod';
import { type GithubScope, scopePath } from '../jobs/scope.ts';
import { type CallPurpose, GithubError, type GithubRunner, type JitRequest, type JitRunner } from './github.ts';
import { listPages } from './pages.ts';
import type { Caller } from './requester.ts';
import type { RunnerGroups } from './runner-groups.ts';

const runnerAnswer = z.object({
  id: z.int().min(1),
  name: z.string().max(512),
  status: z.string().max(64),
  busy: z.boolean(),
  /** Informational, and kept with an adopted runner: never a reason to lose track of one. */
  labels: z
    .array(z.object({ name: z.string().max(512) }))
    .max(200)
    .catch([]),
});
type RunnerAnswer = z.infer<typeof runnerAnswer>;

/** The readable part of an entry that is not as documented. Must accept its own output unchanged. */
const unreadableAnswer = z
  .object({ id: z.int().min(1).optional().catch(undefined), name: z.string().max(512).optional().catch(undefined) })
  .catch({})
  .transform(({ id, name }) => ({ ...(id === undefined ? {} : { id }), ...(name === undefined ? {} : { name }) }));
type Entry = RunnerAnswer | z.infer<typeof unreadableAnswer>;
/** Entry by entry: one unreadable runner must not hide all others of its scope. */
const runnersAnswer = z.object({
  total_count: z.int().min(0),
  runners: z.array(z.union([runnerAnswer, unreadableAnswer])),
});
const jitAnswer = z.object({ runner: z.object({ id: z.int().min(1) }), encoded_jit_config: z.string().min(1) });
const nothing = z.unknown();

/** A runner group holds 10,000 runners. */
const MAX_PAGES = 200;
/** GitHub's limits, checked here to save the call. */
const MAX_LABELS = 100;
const MAX_NAME_LENGTH = 64;

export async function createJitRunner(
  requester: Caller,
  groups: RunnerGroups,
  request: JitRequest,
  signal: AbortSignal,
): Promise<JitRunner> {
  const { scope, name, labels } = request;
  const { route, parameters } = placeOf(scope);
  const operation = `POST ${route}/generate-jitconfig`;
  if (labels.length < 1 || labels.length > MAX_LABELS || name.length < 1 || name.length > MAX_NAME_LENGTH) {
    throw new GithubError(
      'invalid',
      operation,
      `a runner has 1 to ${MAX_LABELS} labels and a name of 1 to ${MAX_NAME_LENGTH} characters, not ${labels.length} and ${name.length}`,
    );
  }
  const group = await groups.idOf(requester, scope, request.runnerGroup);
  // Out of time: the runner would be created although its caller was told that it may not have been.
  signal.throwIfAborted();
  try {
    const answer = await requester.call({
      method: 'POST',
      route: `${route}/generate-jitconfig`,
      parameters: { ...parameters, name, runner_group_id: group, labels, work_folder: '_work' },
      purpose: 'launch',
      answer: jitAnswer,
      registersAt: scopePath(scope),
      signal,
    });
    if (answer.accepted) throw new Error('no status was to be accepted');
    return { runnerId: answer.data.runner.id, encodedJitConfig: answer.data.encoded_jit_config };
  } catch (error) {
    if (error instanceof GithubError && (error.kind === 'not-found' || error.kind === 'invalid')) groups.forget(scope);
    throw error;
  }
}

export async function deleteRunner(
  requester: Caller,
  scope: GithubScope,
  runnerId: number,
  signal: AbortSignal,
): Promise<'deleted' | 'absent' | 'busy'> {
  const { route, parameters } = placeOf(scope);
  const answer = await requester.call({
    method: 'DELETE',
    route: `${route}/{runner_id}`,
    parameters: { ...parameters, runner_id: runnerId },
    purpose: 'drain',
    answer: nothing,
    accept: [404, 422],
    signal,
  });
  if (!answer.accepted) return 'deleted';
  if (answer.status === 404) return 'absent';
  // 'Bad request - Runner "x" is still running a job', or 'is currently running a job and cannot be deleted'.
  if (/running a job/i.test(answer.message)) return 'busy';
  throw new GithubError('invalid', `DELETE ${route}/{runner_id}`, `GitHub answered 422: ${answer.message}`, {
    status: 422,
  });
}

export async function getRunner(
  requester: Caller,
  scope: GithubScope,
  runnerId: number,
  purpose: CallPurpose,
  signal: AbortSignal,
): Promise<GithubRunner | undefined> {
  const { route, parameters } = placeOf(scope);
  const answer = await requester.call({
    method: 'GET',
    route: `${route}/{runner_id}`,
    parameters: { ...parameters, runner_id: runnerId },
    purpose,
    answer: runnerAnswer,
    accept: [404],
    signal,
  });
  return answer.accepted ? undefined : runnerOf(answer.data);
}

/** A GHES that does not know the `name` parameter yet returns the whole list: then search it page by page. */
export async function findRunner(
  requester: Caller,
  scope: GithubScope,
  name: string,
  purpose: CallPurpose,
  signal: AbortSignal,
): Promise<GithubRunner | undefined> {
  const isIt = (entry: Entry) => entry.name?.toLowerCase() === name.toLowerCase();
  const { route, parameters } = placeOf(scope);
  const listed = await listPages<z.infer<typeof runnersAnswer>, Entry>(requester, {
    route,
    parameters: { ...parameters, name },
    purpose,
    answer: runnersAnswer,
    page: (data) => ({ items: data.runners, total: data.total_count }),
    mostPages: MAX_PAGES,
    beyond: 'fail',
    signal,
    until: isIt,
  });
  const items = listed?.items ?? [];
  const found = items.find(isIt) ?? items.find((entry) => entry.name === undefined);
  if (found === undefined || isReadable(found)) return found === undefined ? undefined : runnerOf(found);
  throw new GithubError('transient', `GET ${route}`, `GitHub's entry of the runner ${name} cannot be read`);
}

export async function listRunners(
  requester: Caller,
  scope: GithubScope,
  purpose: CallPurpose,
  signal: AbortSignal,
): Promise<readonly GithubRunner[]> {
  const listed = await listPages<z.infer<typeof runnersAnswer>, Entry>(requester, {
    ...placeOf(scope),
    purpose,
    answer: runnersAnswer,
    page: (data) => ({ items: data.runners, total: data.total_count }),
    mostPages: MAX_PAGES,
    beyond: 'fail',
    signal,
  });
  // Runners that come and go while pages are read shift the rest: one may appear on two pages.
  const byId = new Map((listed?.items ?? []).map((entry) => [entry.id ?? `unreadable ${entry.name ?? ''}`, entry]));
  return [...byId.values()].map((entry) => (isReadable(entry) ? runnerOf(entry) : unreadableRunner(entry)));
}

/** The runners of a scope in the REST API. */
export function placeOf(scope: GithubScope): {
  readonly route: string;
  readonly parameters: Readonly<Record<string, string>>;
} {
  switch (scope.kind) {
    case 'enterprise':
      return { route: '/enterprises/{enterprise}/actions/runners', parameters: { enterprise: scope.enterprise } };
    case 'organization':
      return { route: '/orgs/{org}/actions/runners', parameters: { org: scope.organization } };
    case 'repository':
      return {
        route: '/repos/{owner}/{repo}/actions/runners',
        parameters: { owner: scope.owner, repo: scope.repository },
      };
  }
}

function isReadable(entry: Entry): entry is RunnerAnswer {
  return 'status' in entry;
}

function unreadableRunner({ id = 0, name = '' }: Exclude<Entry, RunnerAnswer>): GithubRunner {
  return { id, name, status: 'offline', busy: true, labels: [], unreadable: 'its entry is not as GitHub documents it' };
}

function runnerOf(runner: RunnerAnswer): GithubRunner {
  return {
    id: runner.id,
    name: runner.name,
    status: runner.status === 'online' ? 'online' : 'offline',
    busy: runner.busy,
    labels: runner.labels.map((label) => label.name),
  };
}
