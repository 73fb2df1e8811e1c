/**
 * The states of a runner. Pure: a runner and an event give the next step, or the reason why nothing follows.
 * Events are facts and always have an answer; the tests walk every (state, event) pair. The events are in the files of
 * machine/, by who tells them.
 */

import { MINUTE } from '../../time/units.ts';
import type { RunnerRow, RunnerStep } from '../ledger/ledger.ts';
import { onHeard } from './machine/call-back.ts';
import { onDeadline, onDrain, onForget, onOverlooked, onStepFailed, onStopping, onStopSent } from './machine/ending.ts';
import type { Answer, MachineContext, RunnerEvent } from './machine/event.ts';
import { onInstance, onInstanceMissing } from './machine/instance.ts';
import { onJobCompleted, onJobStarted } from './machine/job.ts';
import { awaitsLastWord } from './machine/last-word.ts';
import { onAccepted, onBackendRefused, onCalling, onLaunchFailed } from './machine/launch.ts';
import {
  onCredentialsRefused,
  onDeleteRefused,
  onDeregistered,
  onGithub,
  onGithubMissing,
} from './machine/registration.ts';
import { onClaimed, onRegistered, onWaits } from './machine/standby.ts';

/** Credentials refused for this long no longer keep a runner whose instance is gone. */
export const REFUSED_PATIENCE_MS = 15 * MINUTE;

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
  if (runner.state === 'parked' && runner.forJobKey === null && after.forJobKey !== null)
    return { ...taken, launch: 'claimed' };
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
  const started =
    (runner.state === 'starting' || awaitsLastWord(runner)) &&
    (state === 'online' || state === 'busy' || state === 'finishing');
  if (!started || runner.failure === null) return taken;
  return { ...taken, patch: { ...taken.patch, failure: null } };
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
    case 'overlooked':
      return onOverlooked(runner, context);
    case 'waits':
      return onWaits(runner, event, context);
    case 'claimed':
      return onClaimed(runner, event, context);
    case 'registered':
      return onRegistered(runner, event, context);
    case 'heard':
      return onHeard(runner, event, context);
    case 'deadline':
      return onDeadline(runner, event.unheard, context);
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
