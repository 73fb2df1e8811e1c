/** One visit to a draining runner: carries out drain-plan.ts, at GitHub and at the provider. */
import { ProviderError } from '../../providers/provider.ts';
import { backendSource, failureFields, githubFailure, providerFailure } from '../failures/failure.ts';
import { GithubError } from '../github/github.ts';
import { parseScopePath } from '../jobs/scope.ts';
import type { Ledger, RunnerRow } from '../ledger/ledger.ts';
import { githubStep, instanceStep, nextVisitMs, restsOnSilence } from './drain-plan.ts';
import type { GithubView } from './github-view.ts';
import { instanceIsOver } from './machine/step.ts';
import { postpone } from './machine.ts';
import { type InstanceLookOptions, lookAtInstance, stepFailed } from './observe.ts';
import type { EngineOptions, Tenant } from './ports.ts';
import type { RunnerContext } from './runner-context.ts';
import type { Verifier } from './verify.ts';

/** Steps within one visit, as long as each makes progress. */
const STEPS_A_VISIT = 6;

/** GitHub takes a moment to remove an ephemeral runner after its job. */
const REMOVED_BY_GITHUB_MS = 5_000;

export interface DrainOptions extends InstanceLookOptions, Pick<EngineOptions, 'log'> {
  readonly ledger: Pick<Ledger, 'keepOutput' | 'output' | 'runner' | 'stepRunner'>;
  readonly view: GithubView;
  readonly verifier: Verifier;
}

export async function drainRunner(options: DrainOptions, runner: RunnerRow): Promise<void> {
  const { context, ledger } = options;
  let current = runner;
  for (let round = 0; round < STEPS_A_VISIT && current.state === 'draining'; round += 1) {
    const before = current;
    const afterGithub = await githubSide(options, current);
    if (afterGithub === undefined || afterGithub.state !== 'draining') return;
    const after = await instanceSide(options, afterGithub);
    if (after === undefined || after.state !== 'draining') return;
    current = after;
    const progressed =
      before.deregisteredAtMs !== after.deregisteredAtMs ||
      before.stopSentAtMs !== after.stopSentAtMs ||
      before.instanceState !== after.instanceState;
    if (!progressed) break;
  }
  await ledger.stepRunner(runner.name, (row) =>
    row.state === 'draining' && row.nextCheckAtMs !== null && row.nextCheckAtMs <= context.now()
      ? postpone(row, context.now(), nextVisitMs(row, context.now()))
      : undefined,
  );
}

async function githubSide({ context, tenants, view }: DrainOptions, runner: RunnerRow): Promise<RunnerRow | undefined> {
  const tenant = tenants.get(runner.registration);
  if (tenant === undefined || githubStep(runner, context.now()) === 'none') return runner;
  try {
    if (mayBeRemovedAlready(runner)) {
      const endedAtMs = Math.max(runner.stateSinceMs, runner.finishedAtMs ?? 0);
      // A listing that many of them share, and then no DELETE, which costs five times as much.
      const listed = await view.since(tenant, runner.scope, endedAtMs, 'drain');
      if (listed === undefined) return runner;
      if (!listed.has(runner.name)) return await context.tell(runner.name, { kind: 'github-missing' });
      if (context.now() - endedAtMs < REMOVED_BY_GITHUB_MS) return runner;
    }
    // While its container may be alive, GitHub is asked before anything is deleted: it may have come online since.
    const mustRead = !instanceIsOver(runner) || runner.githubRunnerId === null;
    const read = mustRead ? await readRunner(context, tenant, runner) : runner;
    if (read === undefined || read.state !== 'draining' || githubStep(read, context.now()) !== 'deregister')
      return read;
    if (read.githubRunnerId === null) return read;
    const outcome = await tenant.github.deleteRunner(parseScopePath(read.scope), read.githubRunnerId);
    return await context.tell(read.name, outcome === 'busy' ? { kind: 'delete-refused' } : { kind: 'deregistered' });
  } catch (error) {
    if (!(error instanceof GithubError)) throw error;
    const refused = error.kind === 'unauthorized' || error.kind === 'forbidden';
    return await context.tell(
      runner.name,
      refused
        ? { kind: 'credentials-refused', failure: githubFailure(error, context.now()) }
        : stepFailed(githubFailure(error, context.now()), error.retryAfterMs),
    );
  }
}

/**
 * Its job is over and its container has ended: GitHub has most likely removed it, and an outdated list does no harm.
 * If the list was wrong, the sweep finds the registration by its name.
 */
function mayBeRemovedAlready(runner: RunnerRow): boolean {
  return runner.finishedAtMs !== null && instanceIsOver(runner) && !runner.forced;
}

async function readRunner(context: RunnerContext, tenant: Tenant, runner: RunnerRow): Promise<RunnerRow | undefined> {
  const scope = parseScopePath(runner.scope);
  const found =
    runner.githubRunnerId === null
      ? await tenant.github.findRunner(scope, runner.name, 'drain')
      : await tenant.github.getRunner(scope, runner.githubRunnerId, 'drain');
  if (found === undefined) return await context.tell(runner.name, { kind: 'github-missing' });
  const { id, status, busy } = found;
  return await context.tell(runner.name, { kind: 'github', runnerId: id, online: status === 'online', busy });
}

async function instanceSide(options: DrainOptions, runner: RunnerRow): Promise<RunnerRow | undefined> {
  const planned = instanceStep(runner, options.context.now());
  switch (planned) {
    case 'none':
      return runner;
    case 'inspect':
      return await lookAtInstance(options, runner);
    case 'stop':
      return await stopInstance(options, runner);
  }
}

async function stopInstance(options: DrainOptions, runner: RunnerRow): Promise<RunnerRow | undefined> {
  const { context, ledger, tenants, verifier } = options;
  const tenant = tenants.get(runner.registration);
  if (tenant === undefined || runner.backend === null) return runner;
  try {
    const provider = await tenant.provider(runner.backend, runner.createdAtMs);
    if (restsOnSilence(runner, context.now())) {
      const silent = await verifier.confirmSilence(runner);
      const current = await ledger.runner(runner.name);
      if (!silent || current === undefined || current.state !== 'draining') return current;
      if (instanceStep(current, context.now()) !== 'stop') return current;
    }
    const ref = { name: runner.name, ...(runner.instanceId === null ? {} : { id: runner.instanceId }) };
    const output = await lastOutput(options, runner, () => provider.logs(ref));
    if (output !== undefined) await ledger.keepOutput(runner.name, output, context.now());
    // What has ended is only removed.
    if (!instanceIsOver(runner)) await context.tell(runner.name, { kind: 'stopping' });
    // A job may have been bound to it while its output was read, or the mark was written to the disk.
    const current = await ledger.runner(runner.name);
    if (current?.state !== 'draining' || instanceStep(current, context.now()) !== 'stop') return current;
    await provider.stop(ref);
    return await context.tell(runner.name, { kind: 'stop-sent' });
  } catch (error) {
    if (!(error instanceof ProviderError)) throw error;
    const source = backendSource(runner.registration, runner.backend);
    return await context.tell(
      runner.name,
      stepFailed(providerFailure(error, source, context.now()), error.retryAfterMs),
    );
  }
}

/** Unreadable output delays the stop a few times, then no longer: a leak is worse than a lost log. */
async function lastOutput(
  { context, ledger, log }: DrainOptions,
  runner: RunnerRow,
  read: () => Promise<string | undefined>,
): Promise<string | undefined> {
  const kept = await ledger.output(runner.name);
  if (kept !== undefined && instanceIsOver(runner) && runner.stopSentAtMs !== null) return undefined;
  try {
    return await read();
  } catch (error) {
    if (!(error instanceof ProviderError) || runner.attempts < 3) throw error;
    const source = backendSource(runner.registration, runner.backend ?? 'none');
    const told = failureFields(providerFailure(error, source, context.now()));
    log.warn('output-lost', { runner: runner.name, ...told });
    return undefined;
  }
}
