/**
 * The states of a runner. Pure: a runner and an event give the next step, or the reason why nothing follows.
 * Events are facts and always have an answer; the tests walk every (state, event) pair.
 */

import { backoffMs } from '../../time/backoff.ts';
import { MINUTE, SECOND } from '../../time/units.ts';
import { backendSource, type Failure, type FailureSource, ownFailure, withContext } from '../failures/failure.ts';
import type { RunnerPatch, RunnerRow, RunnerState, RunnerStep, TimelineEntry } from '../ledger/ledger.ts';

export type RunnerEvent =
  /** The JIT configuration exists, and the provider is about to be called: from here on an instance may exist. */
  | {
      readonly kind: 'calling';
      readonly backend: string;
      readonly runnerId: number;
      readonly instanceDeadlineAtMs: number;
    }
  /** A backend refused definitely; another one may follow. */
  | { readonly kind: 'backend-refused'; readonly backend: string; readonly failure: Failure }
  /** The provider accepted the launch. */
  | { readonly kind: 'accepted'; readonly backend: string; readonly instanceId: string }
  /** Every backend refused definitely: nothing was created. */
  | { readonly kind: 'launch-refused'; readonly failure: Failure }
  /** The launch was given up, but an instance may exist. */
  | { readonly kind: 'launch-abandoned'; readonly failure: Failure }
  | {
      readonly kind: 'instance';
      readonly state: 'pending' | 'running' | 'ended' | 'unknown';
      readonly backend: string;
      readonly instanceId: string;
      /** Of one that has ended: why. */
      readonly ended?: Failure;
      /** Of one that has not ended: why it does not start, or what happened to it. */
      readonly failure?: Failure;
    }
  /** The provider said that the instance does not exist. One such answer does not prove it. */
  | { readonly kind: 'instance-missing' }
  | { readonly kind: 'github'; readonly runnerId: number; readonly online: boolean; readonly busy: boolean }
  | { readonly kind: 'github-missing' }
  | ({ readonly kind: 'job-started' } & JobWord)
  | ({ readonly kind: 'job-completed' } & JobWord)
  | { readonly kind: 'deadline' }
  | { readonly kind: 'drain'; readonly reason: string }
  /** An operator gives the runner up. Twice: even if part of it cannot be verified. */
  | { readonly kind: 'forget' }
  /** DELETE was refused with 422: proof that it runs a job. */
  | { readonly kind: 'delete-refused' }
  | { readonly kind: 'deregistered' }
  /** Its container is about to be stopped: from here on, its end may be our doing. */
  | { readonly kind: 'stopping' }
  /** The service accepted the stop. */
  | { readonly kind: 'stop-sent' }
  /** GitHub refuses our credentials for this runner. */
  | { readonly kind: 'credentials-refused'; readonly failure: Failure }
  | { readonly kind: 'step-failed'; readonly failure: Failure; readonly retryAfterMs?: number };

/** What a source says of a job and the runner that GitHub gave it to. */
export interface JobWord {
  readonly jobKey: string;
  /**
   * `read`: GitHub's answer when asked for this job. `stranger`: the webhook of another tenant's
   * registration, whose secret that tenant knows. `told`: everything else.
   */
  readonly word: 'told' | 'stranger' | 'read';
  /** The job that the runner was bound to at the time, if GitHub now says that it is not on this runner. */
  readonly refuted: string | null;
}

export type RunnerEventKind = RunnerEvent['kind'];

export interface MachineContext {
  readonly nowMs: number;
  readonly launchTimeoutMs: number;
  /** How long it may wait for its backend's stock before another backend gets the job. */
  readonly stockPatienceMs: number;
  readonly idleTimeoutMs: number;
}

/** `read`: the jobs to read at GitHub before what was said can be believed, or because something proves it wrong. */
export type Answer = { readonly read?: readonly string[] } & (
  | { readonly kind: 'step'; readonly step: RunnerStep }
  | { readonly kind: 'ignored'; readonly because: string }
);

/** How long `creating` may take, from the row to the provider's answer. */
export const CREATING_MS = 5 * MINUTE;
/** How long a container may take to exit after its job. */
export const FINISHING_MS = MINUTE;
/** Misses, and the time they must span, before an instance that we did not stop counts as absent. */
export const PROOF_MISSES = 3;
export const PROOF_SPAN_MS = 3 * MINUTE;
/** A busy runner whose job has not been named for this long runs a foreign job, which is not reported to us. */
export const NAMELESS_MS = 10 * MINUTE;
/** How long an instance that a crash left pending may take to come online. */
export const RECOVERED_PENDING_MS = 2 * MINUTE;
/** Misses before a launch that a crash interrupted is given up. */
export const RECOVERY_MISSES = 2;
/** Credentials refused for this long no longer keep a runner whose instance is gone. */
export const REFUSED_PATIENCE_MS = 15 * MINUTE;
/** A runner registered less than this ago may be missing from GitHub's answers without being gone. */
export const REGISTRATION_SETTLES_MS = MINUTE;

const LOOK_AGAIN_MS: Readonly<Record<Exclude<RunnerState, 'gone'>, number>> = {
  creating: CREATING_MS,
  starting: 5 * SECOND,
  online: 30 * SECOND,
  busy: MINUTE,
  finishing: 2 * SECOND,
  draining: 0,
};
const BACKOFF_FIRST_MS = 2 * SECOND;
const MAX_BACKOFF_MS = 5 * MINUTE;

/** Looks again later, when a visit brought nothing new. */
export function postpone(runner: RunnerRow, nowMs: number, delayMs: number): RunnerStep | undefined {
  if (runner.state === 'gone') return undefined;
  return { patch: { nextCheckAtMs: nowMs + delayMs }, entries: [] };
}

export function step(runner: RunnerRow, event: RunnerEvent, context: MachineContext): Answer {
  const answer = answerTo(runner, event, context);
  return answer.kind === 'step'
    ? { ...answer, step: launchCounted(runner, concluded(runner, relieved(runner, answer.step), context)) }
    : answer;
}

/** A launch begins when a provider is called: a registration that GitHub refused does not count. */
function launchCounted(runner: RunnerRow, taken: RunnerStep): RunnerStep {
  const after = { ...runner, ...taken.patch };
  const uncalled = runner.githubRunnerId === null && runner.instanceState === 'none';
  if (runner.state === 'creating' && uncalled) {
    if (after.instanceState === 'maybe' && after.githubRunnerId !== null) return { ...taken, launch: 'called' };
    if (after.state !== 'creating' && after.instanceState === 'none') return { ...taken, launch: 'given-back' };
  }
  // Where every backend refused, none has anything of it. Their breakers pace what follows; a taken name has none.
  const refused = runner.state === 'creating' && after.state !== 'creating' && after.instanceState === 'none';
  if (refused && after.failure !== null && after.failure.kind !== 'conflict') return { ...taken, launch: 'refused' };
  const bound = runner.jobKey === null && after.jobKey !== null;
  return bound && after.jobKey !== runner.forJobKey ? { ...taken, launch: 'stolen' } : taken;
}

/** A start that succeeded after all is not a failure. */
function relieved(runner: RunnerRow, taken: RunnerStep): RunnerStep {
  const { state } = taken.patch;
  const started = runner.state === 'starting' && (state === 'online' || state === 'busy' || state === 'finishing');
  if (!started || runner.failure === null) return taken;
  return { ...taken, patch: { ...taken.patch, failure: null } };
}

/** Its container cannot be running: none was created, or it ended. */
export function instanceIsOver(runner: Pick<RunnerRow, 'instanceState'>): boolean {
  return runner.instanceState === 'none' || runner.instanceState === 'ended' || runner.instanceState === 'absent';
}

/** GitHub never showed it online, and no job ever named it. */
export function neverCameOnline(runner: RunnerRow): boolean {
  return runner.onlineAtMs === null && runner.busyAtMs === null && runner.jobKey === null;
}

function answerTo(runner: RunnerRow, event: RunnerEvent, context: MachineContext): Answer {
  switch (event.kind) {
    case 'calling':
      return onCalling(runner, event, context);
    case 'backend-refused':
      return onBackendRefused(runner, event, context);
    case 'accepted':
      return onAccepted(runner, event, context);
    case 'launch-refused':
    case 'launch-abandoned':
      return onLaunchFailed(runner, event, context);
    case 'instance':
      return onInstance(runner, event, context);
    case 'instance-missing':
      return onInstanceMissing(runner, context);
    case 'github':
      return onGithub(runner, event, context);
    case 'github-missing':
      return onGithubMissing(runner, context);
    case 'job-started':
      return onJobStarted(runner, event, context);
    case 'job-completed':
      return onJobCompleted(runner, event, context);
    case 'deadline':
      return onDeadline(runner, context);
    case 'drain':
      return onDrain(runner, event.reason, context);
    case 'forget':
      return onForget(runner, context);
    case 'delete-refused':
      return onDeleteRefused(runner, context);
    case 'deregistered':
      return onDeregistered(runner, context);
    case 'stopping':
      return onStopping(runner, context);
    case 'stop-sent':
      return onStopSent(runner, context);
    case 'credentials-refused':
      return onCredentialsRefused(runner, event.failure, context);
    case 'step-failed':
      return onStepFailed(runner, event, context);
  }
}

function onCalling(
  runner: RunnerRow,
  event: { readonly backend: string; readonly runnerId: number; readonly instanceDeadlineAtMs: number },
  context: MachineContext,
): Answer {
  switch (runner.state) {
    case 'creating':
      return quiet(runner, context, {
        backend: event.backend,
        githubRunnerId: event.runnerId,
        instanceDeadlineAtMs: event.instanceDeadlineAtMs,
        instanceState: 'maybe',
      });
    case 'starting':
    case 'online':
    case 'busy':
    case 'finishing':
    case 'draining':
    case 'gone':
      return ignored('it is not being launched any more');
  }
}

function onBackendRefused(
  runner: RunnerRow,
  event: { readonly backend: string; readonly failure: Failure },
  context: MachineContext,
): Answer {
  const reason = `${event.backend} refused the launch`;
  switch (runner.state) {
    case 'creating':
      return note(runner, reason, context, { instanceState: 'none' }, event.failure);
    case 'starting':
    case 'online':
    case 'busy':
    case 'finishing':
    case 'draining':
    case 'gone':
      return ignored('it is not being launched any more');
  }
}

function onAccepted(
  runner: RunnerRow,
  event: { readonly backend: string; readonly instanceId: string },
  context: MachineContext,
): Answer {
  const patch = {
    backend: event.backend,
    instanceId: event.instanceId,
    instanceState: 'pending',
    misses: 0,
    firstMissAtMs: null,
  } as const;
  switch (runner.state) {
    case 'creating':
      return saying(event.instanceId, move(runner, 'starting', `${event.backend} accepted the launch`, context, patch));
    case 'starting':
    case 'online':
    case 'busy':
    case 'finishing':
    case 'draining':
      if (runner.instanceId === event.instanceId) return ignored('the instance is known already');
      if (instanceIsOver(runner) && runner.instanceState !== 'none')
        return note(runner, 'the launch was accepted after its instance ended', context, {
          backend: event.backend,
          instanceId: event.instanceId,
        });
      return note(runner, `${event.backend} accepted the launch`, context, { ...patch, nextCheckAtMs: context.nowMs });
    case 'gone':
      return revive(runner, 'its launch was accepted after it had been given up', context, patch);
  }
}

function onLaunchFailed(
  runner: RunnerRow,
  event: { readonly kind: 'launch-refused' | 'launch-abandoned'; readonly failure: Failure },
  context: MachineContext,
): Answer {
  const instanceState = event.kind === 'launch-refused' ? 'none' : calledState(runner);
  switch (runner.state) {
    case 'creating':
      return drainNow(runner, 'the launch failed', context, { instanceState, failure: event.failure });
    case 'draining':
      if (runner.instanceState === 'maybe' && instanceState === 'none') {
        return note(
          runner,
          'the launch failed',
          context,
          { instanceState, nextCheckAtMs: context.nowMs },
          event.failure,
        );
      }
      return ignored('it is being taken down already');
    case 'starting':
    case 'online':
    case 'busy':
    case 'finishing':
      return ignored('an instance of it is known, whatever the launch says');
    case 'gone':
      return ignored('it is gone');
  }
}

function onInstance(
  runner: RunnerRow,
  event: {
    readonly state: 'pending' | 'running' | 'ended' | 'unknown';
    readonly backend: string;
    readonly instanceId: string;
    readonly ended?: Failure;
    readonly failure?: Failure;
  },
  context: MachineContext,
): Answer {
  const found = { backend: event.backend, instanceId: event.instanceId, misses: 0, firstMissAtMs: null } as const;
  if (event.state === 'unknown') {
    return runner.misses === 0
      ? ignored('an answer that cannot be read proves nothing')
      : quiet(runner, context, found);
  }
  if (event.state === 'ended') {
    const patch: RunnerPatch = { ...found, instanceState: 'ended' };
    const failure = event.ended ?? null;
    const cause = failure !== null && endedWell(failure) ? null : failure;
    switch (runner.state) {
      case 'creating':
      case 'starting':
        return drainNow(runner, 'its container ended before it came online', context, { ...patch, failure });
      case 'online':
        return drainNow(runner, 'its container ended without a job that we know of', context, patch, cause);
      case 'busy':
        return drainNow(runner, 'its container ended while its job ran', context, { ...patch, failure: cause });
      case 'finishing':
        return drainNow(runner, 'its container ended after the job', context, patch);
      case 'draining':
        if (runner.instanceState === 'ended' || runner.instanceState === 'absent') return quiet(runner, context, found);
        return note(
          runner,
          'its container ended',
          context,
          { ...patch, attempts: 0, nextCheckAtMs: context.nowMs },
          cause,
        );
      case 'gone':
        return revive(runner, 'the service still lists what is left of it', context, patch);
    }
  }
  const patch: RunnerPatch = { ...found, instanceState: event.state };
  switch (runner.state) {
    case 'creating':
      return recovered(runner, event, patch, context);
    case 'starting':
      if (event.failure === undefined && event.state === 'running' && runner.failure?.kind === 'no-stock') {
        return quiet(runner, context, { ...patch, ...stockCame(runner, context) });
      }
      return event.failure === undefined || event.failure.kind === runner.failure?.kind
        ? quiet(runner, context, patch)
        : failing(runner, event.failure, patch, context);
    case 'online':
    case 'busy':
      // Once per kind: the message may change at each check.
      return event.failure === undefined || event.failure.kind === runner.failure?.kind
        ? quiet(runner, context, patch)
        : failing(runner, event.failure, patch, context);
    case 'finishing':
    case 'draining':
      return quiet(runner, context, runner.instanceState === 'ended' ? found : patch);
    case 'gone':
      return revive(runner, 'it was found running after it had been given up', context, patch);
  }
}

/** An exit that says nothing bad of a runner which has been online. Before that, every end is a failure. */
function endedWell(failure: Failure): boolean {
  return failure.kind === 'exited' && failure.code === '0';
}

/** The service's message about an instance that continues: it may recover, or explain a later failure. */
function failing(runner: RunnerRow, failure: Failure, patch: RunnerPatch, context: MachineContext): Answer {
  const nextCheckAtMs = lookAgainAt(runner, context);
  const known: RunnerPatch = { ...patch, attempts: 0, nextCheckAtMs, failure };
  if (failure.kind === 'no-stock' && runner.state === 'starting') {
    const patienceEndsAtMs = context.nowMs + context.stockPatienceMs;
    const deadlineAtMs = Math.min(runner.deadlineAtMs ?? patienceEndsAtMs, patienceEndsAtMs);
    const words = `no stock: other backends get the job ${context.stockPatienceMs / SECOND} s from now`;
    return note(runner, words, context, { ...known, deadlineAtMs }, failure);
  }
  return note(runner, 'its container reports a failure', context, known, failure);
}

/** The service found capacity after all: from now on it has the normal start timeout. */
function stockCame(runner: RunnerRow, context: MachineContext): RunnerPatch {
  return { failure: null, deadlineAtMs: deadlineOf(runner, 'starting', context) };
}

/**
 * Found after a crash during launch. A pending instance may have lost the second half of its launch with the process
 * that had its secret, and would stay pending indefinitely: it gets less time than a launch that this process owns.
 */
function recovered(
  runner: RunnerRow,
  event: { readonly state: string; readonly backend: string; readonly instanceId: string },
  patch: RunnerPatch,
  context: MachineContext,
): Answer {
  const answer = saying(event.instanceId, move(runner, 'starting', `found on ${event.backend}`, context, patch));
  if (answer.kind === 'ignored' || event.state !== 'pending') return answer;
  const deadlineAtMs = context.nowMs + Math.min(RECOVERED_PENDING_MS, context.launchTimeoutMs);
  return { kind: 'step', step: { ...answer.step, patch: { ...answer.step.patch, deadlineAtMs } } };
}

function onInstanceMissing(runner: RunnerRow, context: MachineContext): Answer {
  const misses = runner.misses + 1;
  const firstMissAtMs = runner.firstMissAtMs ?? context.nowMs;
  const patch = { misses, firstMissAtMs } as const;
  const stopped = runner.stopSentAtMs !== null && (runner.instanceId !== null || runner.instanceState === 'ended');
  const proven = stopped || (misses >= PROOF_MISSES && context.nowMs - firstMissAtMs >= PROOF_SPAN_MS);
  switch (runner.state) {
    case 'creating':
      return misses >= RECOVERY_MISSES
        ? drainNow(runner, 'its launch was interrupted, and no instance was found', context, {
            ...patch,
            instanceState: 'maybe',
            failure: ownFailure('interrupted', 'the dispatcher stopped in the middle of the launch', context.nowMs),
          })
        : quiet(runner, context, patch);
    case 'starting':
    case 'online':
    case 'busy':
    case 'finishing':
      return proven
        ? drainNow(runner, 'its container vanished', context, { ...patch, instanceState: 'absent' })
        : quiet(runner, context, patch);
    case 'draining':
      if (runner.instanceState === 'absent' || runner.instanceState === 'none') return ignored('that is known');
      return proven
        ? note(runner, 'nothing of its container is left', context, {
            ...patch,
            instanceState: 'absent',
            attempts: 0,
            nextCheckAtMs: context.nowMs,
          })
        : quiet(runner, context, patch);
    case 'gone':
      return ignored('it is gone');
  }
}

function onGithub(
  runner: RunnerRow,
  event: { readonly runnerId: number; readonly online: boolean; readonly busy: boolean },
  context: MachineContext,
): Answer {
  const known: RunnerPatch = runner.githubRunnerId === event.runnerId ? {} : { githubRunnerId: event.runnerId };
  const seen: RunnerPatch = event.online ? { ...known, onlineAtMs: runner.onlineAtMs ?? context.nowMs } : known;
  const idle: RunnerPatch =
    event.online && !event.busy
      ? { ...seen, firstIdleAtMs: runner.firstIdleAtMs ?? context.nowMs, lastIdleAtMs: context.nowMs }
      : { ...seen, firstIdleAtMs: null, lastIdleAtMs: null };
  switch (runner.state) {
    case 'creating':
      return quiet(runner, context, idle);
    case 'starting':
      if (event.busy)
        return move(runner, 'busy', 'GitHub says that it runs a job', context, { ...idle, busyAtMs: context.nowMs });
      if (event.online) return move(runner, 'online', 'GitHub says that it listens', context, idle);
      return quiet(runner, context, idle);
    case 'online':
      if (event.busy)
        return move(runner, 'busy', 'GitHub says that it runs a job', context, { ...idle, busyAtMs: context.nowMs });
      return quiet(runner, context, idle);
    case 'busy':
      return event.online && !event.busy
        ? ignored('"idle" does not prove that it is idle: it can be false for minutes while a job runs')
        : quiet(runner, context, seen);
    case 'finishing':
      return quiet(runner, context, known);
    case 'draining':
      if (event.busy && !runner.forced && !instanceIsOver(runner) && runner.finishedAtMs === null) {
        return backToBusy(runner, 'GitHub says that it runs a job', context, idle);
      }
      return quiet(runner, context, { ...idle, deregisteredAtMs: null });
    case 'gone':
      return ignored('it is gone; the sweep deletes what is left at GitHub');
  }
}

function onGithubMissing(runner: RunnerRow, context: MachineContext): Answer {
  const young = context.nowMs - runner.createdAtMs < REGISTRATION_SETTLES_MS;
  const mayStillAppear = runner.githubRunnerId === null || !instanceIsOver(runner);
  if (young && mayStillAppear && runner.finishedAtMs === null) {
    return ignored('it is so new that GitHub may not show it yet');
  }
  const gone = { deregisteredAtMs: runner.deregisteredAtMs ?? context.nowMs } as const;
  switch (runner.state) {
    case 'creating':
    case 'starting':
    case 'online':
      return drainNow(runner, 'GitHub does not know the runner any more', context, gone);
    case 'busy':
      if (runner.jobKey === null && context.nowMs - runner.stateSinceMs >= NAMELESS_MS) {
        const over = instanceIsOver(runner) ? gone : {};
        return drainNow(runner, 'GitHub does not know the runner any more, and no job names it', context, over);
      }
      return ignored('an ephemeral runner is removed when its job ends; the job itself will tell');
    case 'finishing':
    case 'draining':
      if (runner.deregisteredAtMs !== null) return ignored('that is known');
      return note(runner, 'GitHub does not know the runner any more', context, {
        ...gone,
        refusedSinceMs: null,
        attempts: 0,
        nextCheckAtMs: context.nowMs,
      });
    case 'gone':
      return ignored('it is gone');
  }
}

/**
 * What is said of another job than the known one, or by a stranger, moves nothing: GitHub is asked, with the credential of
 * the runner's own registration. Undefined: it can be believed.
 */
function doubted(runner: RunnerRow, { jobKey, word, refuted }: JobWord): Answer | undefined {
  const bound = runner.jobKey;
  const contradicts = bound !== null && bound !== jobKey && bound !== refuted;
  if (word !== 'stranger' && !contradicts) return undefined;
  // The named one last: when its answer is looked at, that of the bound one is known.
  const read = bound === null || bound === jobKey ? [jobKey] : [bound, jobKey];
  const because = contradicts
    ? 'it is bound to another job: GitHub is asked about both'
    : 'the webhook of another registration says so: GitHub is asked';
  return { ...ignored(because), read };
}

function onJobStarted(runner: RunnerRow, event: JobWord, context: MachineContext): Answer {
  const { jobKey } = event;
  if (runner.state === 'gone') return ignored('it is gone');
  if (runner.jobKey === jobKey && runner.finishedAtMs === null && runner.state === 'busy')
    return ignored('that is known');
  const doubt = doubted(runner, event);
  if (doubt !== undefined) return doubt;
  const bound = { jobKey, busyAtMs: runner.busyAtMs ?? context.nowMs } as const;
  switch (runner.state) {
    case 'creating':
    case 'starting':
    case 'online':
      return saying(jobKey, move(runner, 'busy', 'its job started', context, bound));
    case 'busy':
      return note(runner, 'its job is known now', context, bound, jobKey);
    case 'finishing':
      return event.word === 'read' ? notDone(runner, context, bound) : ignored('its job is done');
    case 'draining':
      if (runner.forced || instanceIsOver(runner) || runner.stopSentAtMs !== null) {
        return runner.jobKey === jobKey || runner.finishedAtMs !== null
          ? ignored('that is known')
          : note(runner, 'its job is known now', context, bound, jobKey);
      }
      if (runner.finishedAtMs === null) return backToBusy(runner, 'a job started on it', context, bound);
      return event.word === 'read' ? notDone(runner, context, bound) : ignored('its job is done');
  }
}

/** The report that the job is done was wrong: GitHub, asked for it, says that it runs. */
function notDone(runner: RunnerRow, context: MachineContext, patch: RunnerPatch): Answer {
  return backToBusy(runner, 'GitHub says that its job still runs', context, { ...patch, ...UNFINISHED });
}

const UNFINISHED = { finishedAtMs: null, endReadAtMs: null } as const;

function onJobCompleted(runner: RunnerRow, event: JobWord, context: MachineContext): Answer {
  const { jobKey, word } = event;
  if (runner.state === 'gone') return ignored('it is gone');
  const known = runner.jobKey === jobKey && runner.finishedAtMs !== null;
  if (known && (word !== 'read' || runner.endReadAtMs !== null)) return ignored('that is known');
  const doubt = doubted(runner, event);
  if (doubt !== undefined) return doubt;
  const endReadAtMs = word === 'read' ? context.nowMs : null;
  if (known) return quiet(runner, context, { endReadAtMs });
  const busyAtMs = runner.busyAtMs ?? context.nowMs;
  const done = { jobKey, busyAtMs, finishedAtMs: context.nowMs, endReadAtMs } as const;
  switch (runner.state) {
    case 'creating':
    case 'starting':
    case 'online':
    case 'busy':
      return saying(jobKey, move(runner, 'finishing', 'its job is done', context, done));
    case 'finishing':
    case 'draining':
      return note(runner, 'its job is done', context, { ...done, nextCheckAtMs: context.nowMs }, jobKey);
  }
}

function onDeadline(runner: RunnerRow, context: MachineContext): Answer {
  switch (runner.state) {
    case 'creating':
      return drainNow(runner, 'the launch took too long', context, {
        instanceState: calledState(runner),
        failure: ownFailure(
          'launch-timeout',
          `no answer within ${CREATING_MS / SECOND} s`,
          context.nowMs,
          placeOf(runner),
        ),
      });
    case 'starting':
      if (runner.failure?.kind === 'no-stock') {
        const words = `no stock for ${Math.round(context.stockPatienceMs / SECOND)} s`;
        const failure = withContext(runner.failure, words, context.nowMs);
        return drainNow(runner, 'its backend had no stock for too long', context, { failure });
      }
      return drainNow(runner, 'it did not come online in time', context, {
        failure: notOnlineInTime(runner, context),
      });
    case 'online':
      return drainNow(runner, 'no job came in time', context, {});
    case 'busy':
      return drainNow(runner, 'its time limit is reached', context, {
        forced: true,
        failure: ownFailure('time-limit', 'stopped at its time limit', context.nowMs),
      });
    case 'finishing':
      return drainNow(runner, 'its container did not exit after the job', context, {});
    case 'draining':
      return ignored('it is being taken down already');
    case 'gone':
      return ignored('it is gone');
  }
}

function onDrain(runner: RunnerRow, reason: string, context: MachineContext): Answer {
  switch (runner.state) {
    case 'creating':
      return drainNow(runner, reason, context, { instanceState: calledState(runner) });
    case 'starting':
    case 'online':
      return drainNow(runner, reason, context, {});
    case 'busy':
      return ignored('it runs a job');
    case 'finishing':
    case 'draining':
      return ignored('it is ending already');
    case 'gone':
      return ignored('it is gone');
  }
}

function onForget(runner: RunnerRow, context: MachineContext): Answer {
  switch (runner.state) {
    case 'gone':
      return ignored('it is gone');
    case 'draining':
      if (!runner.forced)
        return note(runner, 'an operator gave it up: stopped without further waiting', context, {
          forced: true,
          attempts: 0,
          nextCheckAtMs: context.nowMs,
        });
      return move(
        runner,
        'gone',
        'an operator gave it up: what is left outside is not ours to watch any more',
        context,
        {},
      );
    case 'creating':
    case 'starting':
    case 'online':
    case 'busy':
    case 'finishing':
      return drainNow(runner, 'an operator gave it up', context, {
        forced: true,
        ...(runner.state === 'creating' ? { instanceState: calledState(runner) } : {}),
      });
  }
}

/** The only proof that a job runs on it. Outweighs any report of the job's end, until GitHub itself confirms it. */
function onDeleteRefused(runner: RunnerRow, context: MachineContext): Answer {
  const proof = 'GitHub refused to delete it: it runs a job';
  switch (runner.state) {
    case 'creating':
    case 'starting':
    case 'online':
      return move(runner, 'busy', proof, context, {
        busyAtMs: context.nowMs,
        onlineAtMs: runner.onlineAtMs ?? context.nowMs,
      });
    case 'busy':
      return ignored('that is known');
    case 'finishing':
    case 'draining': {
      const over = runner.forced || instanceIsOver(runner) || runner.stopSentAtMs !== null;
      if (over || (runner.finishedAtMs !== null && runner.endReadAtMs !== null)) {
        if (runner.state === 'finishing') return ignored('GitHub has said that its job ended, and is not done with it');
        return retryLater(
          runner,
          'GitHub refused to delete it: it still counts its job as running',
          context,
          undefined,
        );
      }
      const answer = backToBusy(runner, proof, context, UNFINISHED);
      return runner.jobKey === null ? answer : { ...answer, read: [runner.jobKey] };
    }
    case 'gone':
      return ignored('it is gone');
  }
}

function onDeregistered(runner: RunnerRow, context: MachineContext): Answer {
  switch (runner.state) {
    case 'creating':
    case 'starting':
    case 'online':
    case 'busy':
      return note(runner, 'its registration is gone', context, {
        deregisteredAtMs: context.nowMs,
        refusedSinceMs: null,
      });
    case 'finishing':
    case 'draining':
      if (runner.deregisteredAtMs !== null) return ignored('that is known');
      return note(runner, 'its registration is gone', context, {
        deregisteredAtMs: context.nowMs,
        refusedSinceMs: null,
        attempts: 0,
        nextCheckAtMs: context.nowMs,
      });
    case 'gone':
      return ignored('it is gone');
  }
}

/** The first mark stays, whatever the service answers: a stop that timed out may still take effect. */
function onStopping(runner: RunnerRow, context: MachineContext): Answer {
  switch (runner.state) {
    case 'draining':
      if (runner.stopAskedAtMs !== null) return ignored('that is known');
      return quiet(runner, context, { stopAskedAtMs: context.nowMs });
    case 'creating':
    case 'starting':
    case 'online':
    case 'busy':
    case 'finishing':
    case 'gone':
      return ignored('only a draining runner is stopped');
  }
}

function onStopSent(runner: RunnerRow, context: MachineContext): Answer {
  switch (runner.state) {
    case 'draining':
      return note(runner, 'stop was accepted', context, {
        stopSentAtMs: context.nowMs,
        attempts: 0,
        nextCheckAtMs: context.nowMs,
      });
    case 'creating':
    case 'starting':
    case 'online':
    case 'busy':
    case 'finishing':
      return ignored('only a draining runner is stopped');
    case 'gone':
      return ignored('it is gone');
  }
}

function onCredentialsRefused(runner: RunnerRow, failure: Failure, context: MachineContext): Answer {
  if (runner.state === 'gone') return ignored('it is gone');
  if (runner.refusedSinceMs !== null) return retryLater(runner, null, context, undefined);
  return retryLater(
    { ...runner, refusedSinceMs: context.nowMs },
    'GitHub refuses our credentials',
    context,
    undefined,
    failure,
  );
}

function onStepFailed(
  runner: RunnerRow,
  event: { readonly failure: Failure; readonly retryAfterMs?: number },
  context: MachineContext,
): Answer {
  if (runner.state === 'gone') return ignored('it is gone');
  const reason = runner.attempts === 0 ? 'a step failed, and is tried again' : null;
  return retryLater(runner, reason, context, event.retryAfterMs, event.failure);
}

function notOnlineInTime(runner: RunnerRow, context: MachineContext): Failure {
  const words = `not online within ${Math.round(context.launchTimeoutMs / SECOND)} s`;
  return runner.failure === null
    ? ownFailure('launch-timeout', words, context.nowMs, placeOf(runner))
    : withContext(runner.failure, words, context.nowMs);
}

function placeOf(runner: RunnerRow): FailureSource {
  return runner.backend === null ? 'dispatcher' : backendSource(runner.registration, runner.backend);
}

/** Of a runner in `creating`: an instance may exist once a provider was called, which is written down before. */
function calledState(runner: RunnerRow): 'none' | 'maybe' {
  return runner.instanceState === 'none' ? 'none' : 'maybe';
}

// ── the few ways in which a step is put together ──────────────────────────────────────────────────────────────────

function ignored(because: string): Answer {
  return { kind: 'ignored', because };
}

function move(
  runner: RunnerRow,
  state: RunnerState,
  reason: string,
  context: MachineContext,
  patch: RunnerPatch,
): Answer {
  return {
    kind: 'step',
    step: {
      patch: {
        attempts: 0,
        ...patch,
        state,
        stateSinceMs: context.nowMs,
        deadlineAtMs: deadlineOf(runner, state, context),
        nextCheckAtMs: state === 'gone' ? null : context.nowMs + LOOK_AGAIN_MS[state],
      },
      entries: [{ atMs: context.nowMs, state, reason, ...toldIn(null) }],
    },
  };
}

/** The same with details, or with the failure that caused it, on its line of the timeline. */
function saying(told: string | Failure | null, answer: Answer): Answer {
  if (answer.kind === 'ignored') return answer;
  const entries = answer.step.entries.map((entry) => ({ ...entry, ...toldIn(told) }));
  return { ...answer, step: { ...answer.step, entries } };
}

function deadlineOf(runner: RunnerRow, state: RunnerState, context: MachineContext): number | null {
  switch (state) {
    case 'creating':
      return context.nowMs + CREATING_MS;
    case 'starting':
      return context.nowMs + context.launchTimeoutMs;
    case 'online':
      return context.nowMs + context.idleTimeoutMs;
    case 'busy':
      return runner.instanceDeadlineAtMs;
    case 'finishing':
      return context.nowMs + FINISHING_MS;
    case 'draining':
    case 'gone':
      return null;
  }
}

function drainNow(
  runner: RunnerRow,
  reason: string,
  context: MachineContext,
  patch: RunnerPatch,
  failure: Failure | null = patch.failure ?? null,
): Answer {
  return saying(failure, move(runner, 'draining', reason, context, { ...patch, drainReason: reason }));
}

function backToBusy(runner: RunnerRow, reason: string, context: MachineContext, patch: RunnerPatch): Answer {
  return move(runner, 'busy', reason, context, {
    ...patch,
    drainReason: null,
    busyAtMs: runner.busyAtMs ?? context.nowMs,
    onlineAtMs: runner.onlineAtMs ?? context.nowMs,
  });
}

/** A proof of absence can be wrong (a lost permission looks like "gone"): if it reappears, the usual rules apply. */
function revive(runner: RunnerRow, reason: string, context: MachineContext, patch: RunnerPatch): Answer {
  return move(runner, 'draining', reason, context, { ...patch, drainReason: reason, stopSentAtMs: null });
}

function note(
  runner: RunnerRow,
  reason: string,
  context: MachineContext,
  patch: RunnerPatch,
  told: string | Failure | null = null,
): Answer {
  const entry = { atMs: context.nowMs, state: runner.state, reason, ...toldIn(told) };
  return { kind: 'step', step: { patch, entries: [entry] } };
}

function toldIn(told: string | Failure | null): Pick<TimelineEntry, 'details' | 'failure'> {
  return typeof told === 'string' ? { details: told, failure: null } : { details: null, failure: told };
}

/** Changes the known facts without an entry in the timeline. */
function quiet(runner: RunnerRow, context: MachineContext, patch: RunnerPatch): Answer {
  const lookAgain =
    runner.state === 'gone' || runner.state === 'draining'
      ? {}
      : { attempts: 0, nextCheckAtMs: lookAgainAt(runner, context) };
  return { kind: 'step', step: { patch: { ...lookAgain, ...patch }, entries: [] } };
}

function lookAgainAt(runner: RunnerRow, context: MachineContext): number {
  const usual = context.nowMs + (runner.state === 'gone' ? 0 : LOOK_AGAIN_MS[runner.state]);
  return runner.deadlineAtMs === null ? usual : Math.min(usual, Math.max(runner.deadlineAtMs, context.nowMs));
}

function retryLater(
  runner: RunnerRow,
  reason: string | null,
  context: MachineContext,
  retryAfterMs: number | undefined,
  failure: Failure | null = null,
): Answer {
  const backoff = backoffMs(BACKOFF_FIRST_MS, MAX_BACKOFF_MS, runner.attempts);
  return {
    kind: 'step',
    step: {
      patch: {
        attempts: runner.attempts + 1,
        refusedSinceMs: runner.refusedSinceMs,
        nextCheckAtMs: context.nowMs + Math.max(backoff, retryAfterMs ?? 0),
      },
      entries: reason === null ? [] : [{ atMs: context.nowMs, state: runner.state, reason, details: null, failure }],
    },
  };
}

/** A runner that ends is gone as soon as nothing of it is left outside, whichever side was verified last. */
function concluded(runner: RunnerRow, taken: RunnerStep, context: MachineContext): RunnerStep {
  const after = { ...runner, ...taken.patch };
  if (after.state !== 'finishing' && after.state !== 'draining') return taken;
  if (after.instanceState !== 'none' && after.instanceState !== 'absent') return taken;
  const refusedFor = after.refusedSinceMs === null ? 0 : context.nowMs - after.refusedSinceMs;
  const unverified = after.deregisteredAtMs === null;
  if (unverified && refusedFor < REFUSED_PATIENCE_MS) return taken;
  return {
    patch: { ...taken.patch, state: 'gone', stateSinceMs: context.nowMs, deadlineAtMs: null, nextCheckAtMs: null },
    entries: [
      ...taken.entries,
      {
        atMs: context.nowMs,
        state: 'gone',
        reason: unverified
          ? 'its container is gone; GitHub refuses our credentials, and removes the registration itself after a day'
          : 'nothing of it is left',
        details: null,
        failure: null,
      },
    ],
  };
}
