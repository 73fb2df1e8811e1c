import { z } from 'zod';
import { sees } from '../auth.ts';
import type { CheckRun, Job, Repository, Run } from '../model.ts';
import { fullName } from '../model.ts';
import { isoOrNull, nodeId } from '../payloads/account.ts';
import { filePayload } from '../payloads/file.ts';
import { fullRepository, liteRepository, repositoryPayload } from '../payloads/repository.ts';
import { jobPayload, runPayload } from '../payloads/run.ts';
import { type Call, json, noContent, notFound, paginate, Refusal, type Reply, type Router } from '../router.ts';
import { type Context, repositoryOf } from './context.ts';

/** A filtered search returns at most this many results. */
const searchAtMost = 1_000;

export function addActionsRoutes(router: Router, context: Context): void {
  const { world, runs } = context;
  const base = '/repos/:owner/:repo';

  router.add('GET', base, (call) =>
    json(fullRepository(repositoryOf(context, call, 'metadata', 'read'), context.urls())),
  );

  router.add('GET', `${base}/contents/:path`, (call) => {
    const repository = repositoryOf(context, call, 'contents', 'read');
    const path = call.param('path');
    const text = repository.files.get(path);
    if (text === undefined) throw notFound();
    if (/application\/vnd\.github\.(?:v3\.)?raw/.test(call.accept)) {
      return { kind: 'text', status: 200, body: text, mediaType: 'application/vnd.github.raw+json' };
    }
    return json(filePayload(repository, { path, text }, context.urls()));
  });

  router.add('GET', '/orgs/:org/repos', (call) => {
    const account = world.account(call.param('org'));
    if (account?.type !== 'Organization') throw notFound();
    return listRepositories(
      call,
      world.repositoriesOf(account).filter((repository) => sees(call.credential, repository)),
    );
  });
  router.add('GET', '/users/:username/repos', (call) => {
    const account = world.account(call.param('username'));
    if (!account) throw notFound();
    return listRepositories(
      call,
      world.repositoriesOf(account).filter((repository) => sees(call.credential, repository)),
    );
  });
  const listRepositories = (call: Call, repositories: readonly Repository[]): Reply => {
    const { page, headers } = paginate(call, repositories);
    const urls = context.urls();
    return json(
      page.map((repository) => ({
        ...liteRepository(repository, urls),
        ...repositoryPayload(repository, urls),
        license: undefined,
      })),
      200,
      headers,
    );
  };

  router.add('GET', `${base}/actions/runs`, (call) => {
    const repository = repositoryOf(context, call, 'actions', 'read');
    const status = call.query.get('status');
    const event = call.query.get('event');
    const found = [...world.runs.values()]
      .filter((run) => run.repository === repository)
      .filter((run) => status === null || run.status === status || run.conclusion === status)
      .filter((run) => event === null || run.event === event)
      .reverse();
    const filtered = status !== null || event !== null;
    const { page, headers } = paginate(call, found, filtered ? searchAtMost : undefined);
    const urls = context.urls();
    return json({ total_count: found.length, workflow_runs: page.map((run) => runPayload(run, urls)) }, 200, headers);
  });

  const runOf = (call: Call, need: 'read' | 'write'): Run => {
    const repository = repositoryOf(context, call, 'actions', need);
    const run = world.runs.get(call.id('run'));
    if (run?.repository !== repository) throw notFound();
    return run;
  };
  const jobOf = (call: Call, need: 'read' | 'write'): Job => {
    const repository = repositoryOf(context, call, 'actions', need);
    const job = world.jobs.get(call.id('job'));
    if (job?.run.repository !== repository) throw notFound();
    return job;
  };

  router.add('GET', `${base}/actions/runs/:run`, (call) => json(runPayload(runOf(call, 'read'), context.urls())));
  router.add('DELETE', `${base}/actions/runs/:run`, (call) => {
    const run = runOf(call, 'write');
    if (run.status !== 'completed') throw new Refusal(403, 'Workflow run is still in progress.');
    world.runs.delete(run.id);
    for (const { id } of run.jobs) world.jobs.delete(id);
    return noContent;
  });
  router.add('GET', `${base}/actions/runs/:run/jobs`, (call) => {
    const run = runOf(call, 'read');
    const all = call.query.get('filter') === 'all';
    const jobs = all ? run.jobs : runs.latestJobs(run);
    const { page, headers } = paginate(call, jobs);
    const urls = context.urls();
    return json({ total_count: jobs.length, jobs: page.map((job) => jobPayload(job, urls)) }, 200, headers);
  });
  router.add('GET', `${base}/actions/jobs/:job`, (call) => json(jobPayload(jobOf(call, 'read'), context.urls())));
  router.add('GET', `${base}/actions/jobs/:job/logs`, (call) => ({
    kind: 'text',
    status: 200,
    body: jobOf(call, 'read').log,
  }));

  router.add('POST', `${base}/actions/runs/:run/cancel`, (call) => {
    const run = runOf(call, 'write');
    if (run.status === 'completed') throw new Refusal(409, 'Cannot cancel a workflow run that is completed.');
    runs.cancelRun(run);
    return json({}, 202);
  });
  const rerun = (run: Run, which: 'all' | 'failed' | Job): Reply => {
    try {
      runs.rerun(run, which);
    } catch (error) {
      throw new Refusal(403, error instanceof Error ? error.message : 'This workflow run cannot be retried');
    }
    return json({}, 201);
  };
  router.add('POST', `${base}/actions/runs/:run/rerun`, (call) => rerun(runOf(call, 'write'), 'all'));
  router.add('POST', `${base}/actions/runs/:run/rerun-failed-jobs`, (call) => rerun(runOf(call, 'write'), 'failed'));
  router.add('POST', `${base}/actions/jobs/:job/rerun`, (call) => {
    const job = jobOf(call, 'write');
    return rerun(job.run, job);
  });

  addCheckRuns(router, context);
}

const outputSchema = z.object({
  title: z.string().nullish(),
  summary: z.string().nullish(),
  text: z.string().nullish(),
});
const checkSchema = z.object({
  name: z.string().min(1).optional(),
  head_sha: z.string().optional(),
  status: z.string().optional(),
  conclusion: z.string().optional(),
  details_url: z.string().optional(),
  external_id: z.string().optional(),
  output: outputSchema.optional(),
});

function addCheckRuns(router: Router, context: Context): void {
  const { world } = context;
  const base = '/repos/:owner/:repo/check-runs';
  const find = (call: Call, need: 'read' | 'write'): CheckRun => {
    const repository = repositoryOf(context, call, 'checks', need);
    const check = world.checkRuns.get(call.id('check'));
    if (check?.repository !== repository) throw notFound();
    return check;
  };
  const update = (check: CheckRun, wish: z.infer<typeof checkSchema>): void => {
    check.name = wish.name ?? check.name;
    check.status = wish.conclusion === undefined ? (wish.status ?? check.status) : 'completed';
    check.conclusion = wish.conclusion ?? check.conclusion;
    check.detailsUrl = wish.details_url ?? check.detailsUrl;
    check.externalId = wish.external_id ?? check.externalId;
    if (wish.output) {
      const { title = null, summary = null, text = null } = wish.output;
      check.output = { title, summary, text };
    }
    if (check.status === 'completed') check.completedAtMs ??= world.now();
    world.changed();
  };
  router.add(
    'POST',
    base,
    (call) => {
      const repository = repositoryOf(context, call, 'checks', 'write');
      if (call.credential.kind !== 'installation') {
        throw new Refusal(403, 'You must authenticate via a GitHub App.');
      }
      const wish = call.body(checkSchema.required({ name: true, head_sha: true }));
      const check: CheckRun = {
        id: world.bigId(),
        repository,
        headSha: wish.head_sha,
        name: wish.name,
        status: 'queued',
        conclusion: null,
        detailsUrl: null,
        externalId: '',
        startedAtMs: world.now(),
        completedAtMs: null,
        output: { title: null, summary: null, text: null },
      };
      world.checkRuns.set(check.id, check);
      update(check, wish);
      return json(checkPayload(check, context), 201);
    },
    { createsContent: true },
  );
  router.add('GET', `${base}/:check`, (call) => json(checkPayload(find(call, 'read'), context)));
  router.add(
    'PATCH',
    `${base}/:check`,
    (call) => {
      const check = find(call, 'write');
      update(check, call.body(checkSchema));
      return json(checkPayload(check, context));
    },
    { createsContent: true },
  );
}

function checkPayload(check: CheckRun, context: Context) {
  const urls = context.urls();
  const url = `${urls.api}/repos/${fullName(check.repository)}/check-runs/${check.id}`;
  const html = `${urls.html}/${fullName(check.repository)}/runs/${check.id}`;
  return {
    id: check.id,
    head_sha: check.headSha,
    node_id: nodeId('CheckRun', check.id),
    external_id: check.externalId,
    url,
    html_url: html,
    details_url: check.detailsUrl ?? html,
    status: check.status,
    conclusion: check.conclusion,
    started_at: isoOrNull(check.startedAtMs),
    completed_at: isoOrNull(check.completedAtMs),
    output: { ...check.output, annotations_count: 0, annotations_url: `${url}/annotations` },
    name: check.name,
    check_suite: { id: check.id + 1 },
    app: null,
    pull_requests: [],
  };
}
