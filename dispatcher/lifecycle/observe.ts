/** One check of a runner that is not draining: its instance, GitHub, the clock. Turns the results into events. */

import { type Instance, type InstanceReason, ProviderError } from '../../providers/provider.ts';
import { SECOND } from '../../time/units.ts';
import { absenceWords } from '../config/absent.ts';
import {
  backendSource,
  type Failure,
  githubFailure,
  instanceFailure,
  ownFailure,
  providerFailure,
} from '../failures/failure.ts';
import { GithubError } from '../github/github.ts';
import { parseScopePath } from '../jobs/scope.ts';
import type { Ledger, RunnerRow } from '../ledger/ledger.ts';
import type { Backends } from './backends.ts';
import { isOfImage } from './canary-rules.ts';
import type { Ghosts } from './ghosts.ts';
import type { GithubView } from './github-view.ts';
import type { RunnerEvent } from './machine/event.ts';
import { awaitsLastWord } from './machine/last-word.ts';
import { ADOPTED, instanceIsOver, isAhead } from './machine/step.ts';
import { neverCameOnline, postpone } from './machine.ts';
import type { EngineOptions, LifecycleMetrics } from './ports.ts';
import { absenceOf, type RunnerContext } from './runner-context.ts';
import { sayTimeLimit } from './time-limit.ts';
import type { Verifier } from './verify.ts';

const STARTING_LISTING_MS = 5 * SECOND;
const LISTING_MS = 30 * SECOND;
const RECOVERY_LOOK_MS = 10 * SECOND;
/** Between two looks at an idle runner, and a little more. */
const IDLE_SLACK_MS = 60 * SECOND;

/** What it takes to ask a provider for an instance. */
export interface InstanceLookOptions extends Pick<EngineOptions, 'setAside' | 'tenants'> {
  readonly context: RunnerContext;
}

export interface ObserveOptions extends InstanceLookOptions, Pick<EngineOptions, 'incarnation' | 'log'> {
  readonly ledger: Pick<Ledger, 'explainJob' | 'passOver' | 'stepRunner'>;
  readonly metrics: Pick<LifecycleMetrics, 'launchFailed'>;
  readonly view: GithubView;
  readonly verifier: Verifier;
  readonly backends: Backends;
  readonly ghosts: Ghosts;
}

/** What one look at a runner found. */
interface Look {
  readonly runner: RunnerRow | undefined;
  /** Why GitHub, asked about the runner, did not answer. */
  readonly unheard?: Failure;
}

export async function observeRunner(options: ObserveOptions, runner: RunnerRow): Promise<void> {
  const { context, ledger } = options;
  const { runner: seen, unheard } =
    runner.state === 'creating' ? { runner: await lookAtLaunch(options, runner) } : await lookAround(options, runner);
  const late = seen !== undefined && seen.state === runner.state && seen.deadlineAtMs !== null;
  const overdue = late && context.now() >= (seen.deadlineAtMs ?? 0);
  const event = { kind: 'deadline', ...(unheard === undefined ? {} : { unheard }) } as const;
  const after = overdue ? await context.tell(runner.name, event) : seen;
  if (after === undefined) return;
  if (overdue && after.state === 'draining') await learnFromEnd(options, seen, after);
  await countStart(options, runner, after);
  if (after.state === 'draining' || after.nextCheckAtMs === null || after.nextCheckAtMs > context.now()) return;
  await ledger.stepRunner(runner.name, (row) => postpone(row, context.now(), 5 * SECOND));
}

/** What the end of a runner's time says about jobs. */
async function learnFromEnd(
  { context, ghosts, ledger, log, verifier }: ObserveOptions,
  before: RunnerRow,
  after: RunnerRow,
): Promise<void> {
  if (after.failure?.kind === 'time-limit' && after.jobKey !== null) await sayTimeLimit(ledger, after.jobKey, after);
  // One whose container has ended was not there to be given a job.
  if (before.state !== 'online' || before.onlineAtMs === null || awaitsLastWord(before)) return;
  if (!idledThroughout(before)) return;
  // A job that cannot be read is not held; it asks for no runner either.
  const { held, passed } = await ledger.passOver(before, before.onlineAtMs, context.now(), () => {});
  context.replanLane(before.laneKey);
  if (passed > 0) await ghosts.recordIdle(before, context.now());
  for (const key of held) {
    log.info('job-held', { job: key, runner: before.name, registration: before.registration });
    verifier.ask(key, before.registration);
  }
}

/** GitHub called it online and idle from its first moment to its last. */
function idledThroughout({ deadlineAtMs, firstIdleAtMs, lastIdleAtMs, onlineAtMs }: RunnerRow): boolean {
  if (deadlineAtMs === null || onlineAtMs === null || firstIdleAtMs === null || lastIdleAtMs === null) return false;
  return firstIdleAtMs - onlineAtMs <= IDLE_SLACK_MS && deadlineAtMs - lastIdleAtMs <= IDLE_SLACK_MS;
}

/**
 * A container that never came online counts against its backend, image and shape; one that did clears the count. What is
 * not known counts for nothing: the ledger was lost since the start, or what failed is GitHub or the registration.
 */
async function countStart(
  { backends, context, ledger, metrics, tenants }: ObserveOptions,
  before: RunnerRow,
  after: RunnerRow,
): Promise<void> {
  const wasOnline = before.state === 'online' && isAhead(before);
  if (before.state !== 'creating' && before.state !== 'starting' && before.state !== 'parked' && !wasOnline) return;
  const { candidate, name, registration, backend, specHash } = after;
  if (backend === null || specHash === ADOPTED) return;
  const launched = { registration, backend, specHash, runner: name, candidate };
  const cameOnline = !neverCameOnline(after);
  const launchMs = tenants.get(registration)?.registration.timeouts.launchMs ?? 0;
  const isNew = cameOnline && isAhead(after);
  if (isNew) {
    // Whether it lasts is known only later: until then the next launch tests what is closed.
    if (after.state === 'online') backends.releaseTest(name);
    if (hasLasted(before, after, launchMs)) await backends.recordOnline(launched);
  } else if (after.state === 'online' || after.state === 'busy' || (after.state === 'draining' && cameOnline)) {
    await backends.recordOnline(launched);
  }
  if (before.standby === 'ready' && waitedWell(after, context.now() - after.createdAtMs >= launchMs)) {
    await backends.recordWaiting(launched);
    if (after.state === 'draining') backends.release(name);
    return;
  }
  // As of one that is registered ahead.
  if (after.state === 'parked' && after.standby === 'ready') backends.releaseTest(name);
  // Without a registration, one whose container is absent is gone at once.
  if (after.state !== 'draining' && after.state !== 'gone') return;
  const ofBackend = after.failure?.source === backendSource(registration, backend);
  const failed = isNew ? endedSoon(before, after, context.now(), launchMs) : !cameOnline;
  if (after.failure !== null && ofBackend && after.instanceId !== null && failed) {
    metrics.launchFailed(registration, backend, after.failure.kind);
    context.startFailed(launched, after.failure, candidate ?? undefined);
    if (candidate === null || !isOfImage(after.failure)) await backends.recordFailure(launched, after.failure);
    else {
      await backends.canaries.recordFailure({ registration, image: candidate, runner: name }, after.failure);
      // The job is not to wait longer for its next launch because of it.
      await ledger.stepRunner(name, () => ({ patch: {}, entries: [], launch: 'forgiven' }));
    }
  }
  backends.release(name);
}

/** One that is registered ahead of its job, comes online and ends soon after is a start that failed, too. */
function endedSoon(before: RunnerRow, after: RunnerRow, nowMs: number, launchMs: number): boolean {
  if (!instanceIsOver(after)) return false;
  // GitHub has been asked since, which takes its time.
  if (awaitsLastWord(before)) return true;
  // The service may have remarked on it long before: only its end tells.
  const endedAtMs = after.firstMissAtMs ?? nowMs;
  return endedAtMs - (after.onlineAtMs ?? endedAtMs) < launchMs;
}

/**
 * One that has been online for as long as a start may take, or as it is to wait, has started. That is said at the look that
 * sees it pass: later it would speak for those that are launched much later.
 */
function hasLasted(before: RunnerRow, after: RunnerRow, launchMs: number): boolean {
  const { idleLimitMs, lastIdleAtMs, misses, onlineAtMs } = after;
  // GitHub shows it for a while after its end.
  if (instanceIsOver(after) || misses > 0 || onlineAtMs === null) return false;
  // Without the earlier one, GitHub called it offline meanwhile: whether it has been said is not known.
  if (lastIdleAtMs === null || before.lastIdleAtMs === null) return false;
  const lastedAtMs = onlineAtMs + Math.min(launchMs, idleLimitMs ?? launchMs);
  return before.lastIdleAtMs < lastedAtMs && lastIdleAtMs >= lastedAtMs;
}

/**
 * A container that asks for a job and ends soon after is a start that failed, or it would be replaced without any pause. One
 * that has waited as long as a start may take has started, and so has one that is not needed any more.
 */
function waitedWell({ failure, instanceState, state }: RunnerRow, isOld: boolean): boolean {
  if (state === 'parked') return isOld;
  return state === 'draining' && (isOld || (failure === null && instanceState === 'running'));
}

/** This process owns its launches until their deadline; those of an earlier incarnation are looked for. */
async function lookAtLaunch(options: ObserveOptions, runner: RunnerRow): Promise<RunnerRow | undefined> {
  const { context, incarnation, ledger } = options;
  if (runner.incarnation === incarnation) return runner;
  if (runner.instanceState === 'none') {
    return await context.tell(runner.name, {
      kind: 'launch-refused',
      failure: ownFailure('interrupted', 'the dispatcher stopped before it called a provider', context.now()),
    });
  }
  const after = await lookAtInstance(options, runner);
  if (after?.state === 'creating') {
    await ledger.stepRunner(runner.name, (row) => postpone(row, context.now(), RECOVERY_LOOK_MS));
  }
  return after;
}

async function lookAround(options: ObserveOptions, runner: RunnerRow): Promise<Look> {
  const { verifier } = options;
  const afterInstance = awaitsLastWord(runner) ? runner : await lookAtInstance(options, runner);
  if (afterInstance === undefined || afterInstance.state === 'draining') {
    if (runner.state === 'busy' && runner.jobKey !== null) verifier.ask(runner.jobKey, runner.registration);
    return { runner: afterInstance };
  }
  if (awaitsLastWord(afterInstance)) {
    // The job that it was launched for is the likeliest to have run in it. Its word comes first: it binds the runner.
    if (runner.forJobKey !== null) verifier.ask(runner.forJobKey, runner.registration);
    if (!awaitsLastWord(runner)) return { runner: afterInstance };
  }
  return await lookAtGithub(options, afterInstance);
}

/** Asks the provider for the instance, by name and (once known) by id. */
export async function lookAtInstance(options: InstanceLookOptions, runner: RunnerRow): Promise<RunnerRow | undefined> {
  const { context, tenants } = options;
  const tenant = tenants.get(runner.registration);
  if (runner.backend === null || runner.instanceState === 'none' || runner.instanceState === 'absent') return runner;
  if (tenant === undefined) {
    const { reason, cure } = absenceWords(absenceOf(options, runner.registration) ?? 'removed');
    const words = `${reason}. ${cure}`;
    return await context.tell(runner.name, stepFailed(ownFailure('no-registration', words, context.now()), undefined));
  }
  try {
    const provider = await tenant.provider(runner.backend, runner.createdAtMs);
    const instance = await provider.inspect({
      name: runner.name,
      ...(runner.instanceId === null ? {} : { id: runner.instanceId }),
    });
    const event =
      instance === undefined
        ? ({ kind: 'instance-missing' } as const)
        : instanceEvent(runner.registration, runner.backend, instance, context.now());
    return await context.tell(runner.name, event);
  } catch (error) {
    if (!(error instanceof ProviderError)) throw error;
    const source = backendSource(runner.registration, runner.backend);
    return await context.tell(
      runner.name,
      stepFailed(providerFailure(error, source, context.now()), error.retryAfterMs),
    );
  }
}

/** A step towards a runner's next state was refused or not answered: it is tried again later. */
export function stepFailed(failure: Failure, retryAfterMs: number | undefined): RunnerEvent {
  return { kind: 'step-failed', failure, ...(retryAfterMs === undefined ? {} : { retryAfterMs }) };
}

export function instanceEvent(registration: string, backend: string, instance: Instance, nowMs: number): RunnerEvent {
  const { state, ref, reason } = instance;
  const common = { kind: 'instance', backend, instanceId: ref.id } as const;
  const source = backendSource(registration, backend);
  switch (state) {
    case 'pending':
    case 'running':
      return reason === undefined
        ? { ...common, state }
        : { ...common, state, failure: instanceFailure(reason, source, nowMs) };
    case 'unknown':
      return { ...common, state };
    case 'succeeded':
    case 'failed': {
      const unexplained: InstanceReason =
        state === 'failed'
          ? { kind: 'unknown', message: 'it failed, and the service gives no reason' }
          : { kind: 'exited', message: 'it ended', exitCode: 0 };
      return { ...common, state: 'ended', ended: instanceFailure(reason ?? unexplained, source, nowMs) };
    }
  }
}

async function lookAtGithub({ context, tenants, verifier, view }: ObserveOptions, runner: RunnerRow): Promise<Look> {
  const tenant = tenants.get(runner.registration);
  if (runner.state === 'finishing' || runner.state === 'parked') return { runner };
  if (tenant === undefined) {
    const words = 'without its registration there are no credentials to ask GitHub with';
    return { runner, unheard: ownFailure('no-registration', words, context.now()) };
  }
  try {
    const atItsDeadline = runner.deadlineAtMs !== null && context.now() >= runner.deadlineAtMs;
    const maxAgeMs = atItsDeadline ? 0 : runner.state === 'starting' ? STARTING_LISTING_MS : LISTING_MS;
    const listed = await view.runner(tenant, runner, maxAgeMs);
    if (listed !== undefined) {
      const { id, status, busy } = listed;
      return await heard(context, runner, { kind: 'github', runnerId: id, online: status === 'online', busy });
    }
    if (runner.state === 'busy' && runner.jobKey !== null) {
      // An ephemeral runner leaves the list when its job ends, and when it was deleted in mid-job.
      verifier.ask(runner.jobKey, runner.registration);
      return { runner };
    }
    // A list without it may be incomplete. A GET by id decides.
    if (runner.githubRunnerId === null) return { runner };
    const found = await tenant.github.getRunner(parseScopePath(runner.scope), runner.githubRunnerId, 'verify');
    if (found === undefined) return await heard(context, runner, { kind: 'github-missing' });
    const { id, status, busy } = found;
    return await heard(context, runner, { kind: 'github', runnerId: id, online: status === 'online', busy });
  } catch (error) {
    if (!(error instanceof GithubError)) throw error;
    const unheard = githubFailure(error, context.now());
    return { ...(await heard(context, runner, stepFailed(unheard, error.retryAfterMs))), unheard };
  }
}

async function heard(context: RunnerContext, { name }: RunnerRow, event: RunnerEvent): Promise<Look> {
  return { runner: await context.tell(name, event) };
}
