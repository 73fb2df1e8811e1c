import { fullName, type Job, type Run } from '../model.ts';
import { iso, isoOrNull, nodeId, simpleUser } from './account.ts';
import { liteRepository } from './repository.ts';
import type { Urls } from './urls.ts';

function author(run: Run) {
  return { name: run.actor.login, email: `${run.actor.login}@users.noreply.github.com` };
}

/** A fork is known by its name alone: its id is made of that of the repository. */
const FORK_IDS = 1_000_000_000;

function headRepository(run: Run, urls: Urls) {
  const { headRepository, repository } = run;
  const own = liteRepository(repository, urls);
  if (headRepository === own.full_name) return own;
  const [login = '', name = ''] = headRepository.split('/');
  const owner = { ...own.owner, login };
  return { ...own, id: FORK_IDS + repository.id, name, full_name: headRepository, owner, fork: true };
}

/** `workflow-run`, in a webhook and in the API. */
export function runPayload(run: Run, urls: Urls) {
  const repository = `${urls.api}/repos/${fullName(run.repository)}`;
  const url = `${repository}/actions/runs/${run.id}`;
  return {
    id: run.id,
    name: run.workflowName,
    node_id: nodeId('WorkflowRun', run.id),
    head_branch: run.headBranch,
    head_sha: run.headSha,
    path: run.path,
    display_title: run.workflowName,
    run_number: run.runNumber,
    event: run.event,
    status: run.status,
    conclusion: run.conclusion,
    workflow_id: run.workflowId,
    check_suite_id: run.id + 1,
    check_suite_node_id: nodeId('CheckSuite', run.id + 1),
    url,
    html_url: `${urls.html}/${fullName(run.repository)}/actions/runs/${run.id}`,
    pull_requests: [],
    created_at: iso(run.createdAtMs),
    updated_at: iso(run.updatedAtMs),
    actor: simpleUser(run.actor, urls),
    run_attempt: run.attempt,
    referenced_workflows: [],
    run_started_at: iso(run.startedAtMs),
    triggering_actor: simpleUser(run.actor, urls),
    jobs_url: `${url}/jobs`,
    logs_url: `${url}/logs`,
    check_suite_url: `${repository}/check-suites/${run.id + 1}`,
    artifacts_url: `${url}/artifacts`,
    cancel_url: `${url}/cancel`,
    rerun_url: `${url}/rerun`,
    previous_attempt_url: run.attempt > 1 ? `${url}/attempts/${run.attempt - 1}` : null,
    workflow_url: `${repository}/actions/workflows/${run.workflowId}`,
    head_commit: {
      id: run.headSha,
      tree_id: run.headSha,
      message: `Change ${run.path}`,
      timestamp: iso(run.createdAtMs),
      author: author(run),
      committer: author(run),
    },
    repository: liteRepository(run.repository, urls),
    head_repository: headRepository(run, urls),
  };
}

/** `workflow` of a `workflow_run` webhook. */
export function workflowPayload(run: Run, urls: Urls) {
  const html = `${urls.html}/${fullName(run.repository)}`;
  return {
    id: run.workflowId,
    node_id: nodeId('Workflow', run.workflowId),
    name: run.workflowName,
    path: run.path,
    state: 'active',
    created_at: iso(run.repository.createdAtMs),
    updated_at: iso(run.repository.createdAtMs),
    url: `${urls.api}/repos/${fullName(run.repository)}/actions/workflows/${run.workflowId}`,
    html_url: `${html}/blob/main/${run.path}`,
    badge_url: `${html}/workflows/${encodeURIComponent(run.workflowName)}/badge.svg`,
  };
}

/** `job` in the API, `workflow_job` in a webhook: the same object. */
export function jobPayload(job: Job, urls: Urls) {
  const { run } = job;
  const repository = `${urls.api}/repos/${fullName(run.repository)}`;
  // A job that completes without a runner has zeros and empty strings; one that is still waiting has nulls.
  const none = job.status === 'completed' ? ({ id: 0, name: '', groupId: 0, groupName: '' } as const) : null;
  const runner = job.runner ?? none;
  return {
    id: job.id,
    run_id: run.id,
    workflow_name: run.workflowName,
    head_branch: run.headBranch,
    run_url: `${repository}/actions/runs/${run.id}`,
    run_attempt: job.attempt,
    node_id: nodeId('CheckRun', job.id),
    head_sha: run.headSha,
    url: `${repository}/actions/jobs/${job.id}`,
    html_url: `${urls.html}/${fullName(run.repository)}/actions/runs/${run.id}/job/${job.id}`,
    status: job.status,
    conclusion: job.conclusion,
    created_at: iso(job.createdAtMs),
    started_at: iso(job.startedAtMs),
    completed_at: isoOrNull(job.completedAtMs),
    name: job.name,
    steps: job.steps.map((step) => ({
      name: step.name,
      status: step.status,
      conclusion: step.conclusion,
      number: step.number,
      started_at: isoOrNull(step.startedAtMs),
      completed_at: isoOrNull(step.completedAtMs),
    })),
    check_run_url: `${repository}/check-runs/${job.id}`,
    labels: job.labels,
    runner_id: runner?.id ?? null,
    runner_name: runner?.name ?? null,
    runner_group_id: runner?.groupId ?? null,
    runner_group_name: runner?.groupName ?? null,
  };
}

/** What an environment's protection adds to the first delivery of its job. */
export function deploymentPayload(job: Job, urls: Urls) {
  const { run, environment = 'production' } = job;
  const repository = `${urls.api}/repos/${fullName(run.repository)}`;
  return {
    url: `${repository}/deployments/${job.deploymentId}`,
    id: job.deploymentId,
    node_id: nodeId('Deployment', job.deploymentId),
    task: 'deploy',
    original_environment: environment,
    environment,
    description: null,
    created_at: iso(job.createdAtMs),
    updated_at: iso(job.createdAtMs),
    statuses_url: `${repository}/deployments/${job.deploymentId}/statuses`,
    repository_url: repository,
    creator: simpleUser(run.actor, urls),
    sha: run.headSha,
    ref: run.headBranch,
    payload: {},
    transient_environment: false,
    production_environment: false,
    performed_via_github_app: null,
  };
}
