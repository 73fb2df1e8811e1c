/** The few ways in which a step is put together. Pure. */
import { backoffMs } from '../../../time/backoff.ts';
import { MINUTE, SECOND } from '../../../time/units.ts';
import type { Failure } from '../../failures/failure.ts';
import type { RunnerPatch, RunnerRow, RunnerState, TimelineEntry } from '../../ledger/ledger.ts';
import type { Answer, MachineContext } from './event.ts';

/** How long `creating` may take, from the row to the provider's answer. */
export const CREATING_MS = 5 * MINUTE;
/** How long a container may take to exit after its job. */
const FINISHING_MS = MINUTE;

const LOOK_AGAIN_MS: Readonly<Record<Exclude<RunnerState, 'gone'>, number>> = {
  creating: CREATING_MS,
  parked: 15 * SECOND,
  starting: 5 * SECOND,
  online: 30 * SECOND,
  busy: MINUTE,
  finishing: 2 * SECOND,
  draining: 0,
};
/** What has ended is looked at again soon, whatever its state. */
export const ENDED_LOOK_MS = 2 * SECOND;
const BACKOFF_FIRST_MS = 2 * SECOND;
const MAX_BACKOFF_MS = 5 * MINUTE;

export function ignored(because: string): Answer {
  return { kind: 'ignored', because };
}

export function move(
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
        nextCheckAtMs: state === 'gone' ? null : context.nowMs + lookAfterMs({ ...runner, ...patch }, state),
      },
      entries: [{ atMs: context.nowMs, state, reason, ...toldIn(null) }],
    },
  };
}

function lookAfterMs({ instanceState }: RunnerRow, state: Exclude<RunnerState, 'gone'>): number {
  const usual = LOOK_AGAIN_MS[state];
  return instanceState === 'ended' ? Math.min(ENDED_LOOK_MS, usual) : usual;
}

export function withPatch(answer: Answer, patch: RunnerPatch): Answer {
  if (answer.kind === 'ignored') return answer;
  return { ...answer, step: { ...answer.step, patch: { ...answer.step.patch, ...patch } } };
}

/** The same with details, or with the failure that caused it, on its line of the timeline. */
export function saying(told: string | Failure | null, answer: Answer): Answer {
  if (answer.kind === 'ignored') return answer;
  const entries = answer.step.entries.map((entry) => ({ ...entry, ...toldIn(told) }));
  return { ...answer, step: { ...answer.step, entries } };
}

export function deadlineOf(runner: RunnerRow, state: RunnerState, context: MachineContext): number | null {
  switch (state) {
    case 'creating':
      return context.nowMs + CREATING_MS;
    // Until its container asks for a job.
    case 'parked':
    case 'starting':
      return context.nowMs + context.launchTimeoutMs;
    case 'online':
      return context.nowMs + (runner.idleLimitMs ?? context.idleTimeoutMs);
    case 'busy': {
      const { busyAtMs, instanceDeadlineAtMs, jobLimitMs } = runner;
      if (jobLimitMs === null) return instanceDeadlineAtMs;
      return Math.min(instanceDeadlineAtMs, (busyAtMs ?? context.nowMs) + jobLimitMs);
    }
    case 'finishing':
      return context.nowMs + FINISHING_MS;
    case 'draining':
    case 'gone':
      return null;
  }
}

export function drainNow(
  runner: RunnerRow,
  reason: string,
  context: MachineContext,
  patch: RunnerPatch,
  failure: Failure | null = patch.failure ?? null,
): Answer {
  const isAhead = (runner.state === 'creating' || runner.state === 'parked') && neverRegistered(runner);
  // GitHub is asked where an older ledger may have forgotten that it was given a job.
  const unknown = isAhead && context.isInherited !== true;
  const known = unknown ? { deregisteredAtMs: context.nowMs } : {};
  return saying(failure, move(runner, 'draining', reason, context, { ...known, ...patch, drainReason: reason }));
}

/** Of a job that was said to be done. */
export const UNFINISHED = { finishedAtMs: null, endReadAtMs: null } as const;

export function backToBusy(runner: RunnerRow, reason: string, context: MachineContext, patch: RunnerPatch): Answer {
  return move(runner, 'busy', reason, context, {
    ...patch,
    drainReason: null,
    busyAtMs: runner.busyAtMs ?? context.nowMs,
    onlineAtMs: runner.onlineAtMs ?? context.nowMs,
  });
}

/** A proof of absence can be wrong (a lost permission looks like "gone"): if it reappears, the usual rules apply. */
export function revive(runner: RunnerRow, reason: string, context: MachineContext, patch: RunnerPatch): Answer {
  return move(runner, 'draining', reason, context, { ...patch, drainReason: reason, stopSentAtMs: null });
}

export function note(
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
export function quiet(runner: RunnerRow, context: MachineContext, patch: RunnerPatch): Answer {
  const lookAgain =
    runner.state === 'gone' || runner.state === 'draining'
      ? {}
      : { attempts: 0, nextCheckAtMs: lookAgainAt(runner, context) };
  return { kind: 'step', step: { patch: { ...lookAgain, ...patch }, entries: [] } };
}

export function lookAgainAt(runner: RunnerRow, context: MachineContext): number {
  const usual = context.nowMs + (runner.state === 'gone' ? 0 : LOOK_AGAIN_MS[runner.state]);
  return runner.deadlineAtMs === null ? usual : Math.min(usual, Math.max(runner.deadlineAtMs, context.nowMs));
}

export function retryLater(
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

/** Stands for the image and shape of an adopted runner, which are not known: its tags do not have them. */
export const ADOPTED = 'adopted';

/** Its container cannot be running: none was created, or it ended. */
export function instanceIsOver(runner: Pick<RunnerRow, 'instanceState'>): boolean {
  return runner.instanceState === 'none' || runner.instanceState === 'ended' || runner.instanceState === 'absent';
}

/** Launched ahead of a job, and given none: GitHub was never asked to register it. */
export function neverRegistered(runner: Pick<RunnerRow, 'standby' | 'forJobKey'>): boolean {
  return runner.standby !== null && runner.forJobKey === null;
}

/** Launched ahead of a job, parked or registered, and given none that we know of. */
export function isAhead(runner: RunnerRow): boolean {
  const { busyAtMs, forJobKey, idleLimitMs, jobKey, standby } = runner;
  return forJobKey === null && jobKey === null && busyAtMs === null && (standby !== null || idleLimitMs !== null);
}

/** What comes after `creating`. */
export function acceptedState(runner: RunnerRow): 'parked' | 'starting' {
  return neverRegistered(runner) ? 'parked' : 'starting';
}

/** Of a runner in `creating`: an instance may exist once a provider was called, which is written down before. */
export function calledState(runner: RunnerRow): 'none' | 'maybe' {
  return runner.instanceState === 'none' ? 'none' : 'maybe';
}
