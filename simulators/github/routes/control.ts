import { z } from 'zod';
import { ExpressionError } from '../expressions.ts';
import { type FaultInput, isFaultInput } from '../faults.ts';
import type { Job, Repository } from '../model.ts';
import { jobPayload, runPayload } from '../payloads/run.ts';
import { type Call, json, notFound, Refusal, type Router } from '../router.ts';
import { WorkflowError } from '../workflow.ts';
import type { Context } from './context.ts';

const pushSchema = z.object({ yaml: z.string(), event: z.string().optional(), path: z.string().optional() });
const approvalSchema = z.object({
  environment: z.string().optional(),
  run_id: z.number().optional(),
  decision: z.enum(['approve', 'reject']).default('approve'),
});
const faultInputSchema = z.custom<FaultInput>(isFaultInput, 'not a set of faults: see simulators/github/README.md');
const repositorySchema = z.object({
  name: z.string().min(1),
  visibility: z.enum(['public', 'private', 'internal']).optional(),
  open_environments: z.array(z.string()).optional(),
});

/** The simulator's own endpoints: actions that users take in the web pages, and injected faults. */
export function addControlRoutes(router: Router, context: Context): void {
  const { world, runs, faults } = context;
  const free = { free: true };
  const repositoryOf = (call: Call): Repository => {
    const repository = world.repository(call.param('owner'), call.param('repo'));
    if (!repository) throw notFound();
    return repository;
  };

  router.add(
    'POST',
    '/_simulator/repos/:owner/:repo/workflows',
    (call) => {
      const repository = repositoryOf(call);
      // Either the plain file or JSON that contains it.
      const wish = call.rawBody.trimStart().startsWith('{') ? call.body(pushSchema) : { yaml: call.rawBody };
      const run = planned(() => runs.push({ repository, ...wish }));
      const urls = context.urls();
      return json({ run: runPayload(run, urls), jobs: run.jobs.map((job) => jobPayload(job, urls)) }, 201);
    },
    free,
  );
  router.add(
    'POST',
    '/_simulator/repos/:owner/:repo/approvals',
    (call) => {
      const repository = repositoryOf(call);
      const wish = call.body(approvalSchema);
      const waiting = waitingJobs(context, repository, wish.environment, wish.run_id);
      for (const job of waiting)
        if (wish.decision === 'approve') runs.approve(job);
        else runs.reject(job);
      return json({ jobs: waiting.map(({ id }) => id) });
    },
    free,
  );
  router.add(
    'POST',
    '/_simulator/owners/:login/repos',
    (call) => {
      const account = world.account(call.param('login'));
      if (!account) throw notFound();
      const wish = call.body(repositorySchema);
      if (world.repository(account.login, wish.name)) throw new Refusal(422, 'name already exists on this account');
      const repository = world.addRepository(account, {
        name: wish.name,
        ...(wish.visibility ? { visibility: wish.visibility } : {}),
        ...(wish.open_environments ? { openEnvironments: wish.open_environments } : {}),
      });
      return json({ id: repository.id }, 201);
    },
    free,
  );
  router.add(
    'POST',
    '/_simulator/jobs/:job/cancel',
    (call) => {
      const job = world.jobs.get(call.id('job'));
      if (!job) throw notFound();
      runs.cancelJob(job);
      return json({}, 202);
    },
    free,
  );
  router.add('GET', '/_simulator/faults', () => json(faults.settings), free);
  router.add('POST', '/_simulator/faults', (call) => json(faults.set(call.body(faultInputSchema))), free);
  router.add(
    'DELETE',
    '/_simulator/faults',
    () => {
      faults.clear();
      return json(faults.settings);
    },
    free,
  );
  router.add(
    'GET',
    '/_simulator/state',
    () => {
      const urls = context.urls();
      return json({
        jobs: [...world.jobs.values()].map((job) => ({
          ...jobPayload(job, urls),
          repository: `${job.run.repository.owner.login}/${job.run.repository.name}`,
        })),
        runners: [...world.runners.values()].map((runner) => ({
          id: runner.id,
          name: runner.name,
          labels: runner.labels.map(({ name }) => name),
          online: context.assignments.isOnline(runner),
          busy: context.assignments.isBusy(runner),
        })),
        executions: world.executions,
        deliveries: { pending: context.webhooks.pending, logged: context.webhooks.log().length },
      });
    },
    free,
  );
}

export function waitingJobs(context: Context, repository: Repository, environment?: string, runId?: number): Job[] {
  return [...context.world.jobs.values()].filter(
    (job) =>
      job.status === 'waiting' &&
      job.run.repository === repository &&
      (environment === undefined || job.environment === environment) &&
      (runId === undefined || job.run.id === runId),
  );
}

function planned<T>(push: () => T): T {
  try {
    return push();
  } catch (error) {
    if (error instanceof WorkflowError || error instanceof ExpressionError) throw new Refusal(422, error.message);
    throw error;
  }
}
