/** Whether a runner of the past was a start that failed, as `countStart` and the launch counted it at the time. Pure. */
import { backendSource } from '../failures/failure.ts';
import type { RunnerRow, TimelineEntry } from '../ledger/ledger.ts';
import { ENDED_SOON, VANISHED } from './machine/last-word.ts';
import { LAUNCH_FAILED } from './machine/launch.ts';
import { ADOPTED, isAhead } from './machine/step.ts';
import { neverCameOnline } from './machine.ts';

/** What its end says of a start; undefined: it is no failed one. What it only reported, and no end followed from, is none. */
export function failedStart(runner: RunnerRow, timeline: readonly TimelineEntry[]): TimelineEntry | undefined {
  if (!mayHaveFailed(runner)) return undefined;
  const { backend, failure, instanceId, registration } = runner;
  const end = timeline.find(({ state }) => state === 'draining' || state === 'gone');
  if (failure === null || end?.failure?.kind !== failure.kind || end.failure.source !== failure.source)
    return undefined;
  // Each backend that refused it counts, whichever had a place for it. Where all were full, nothing was tried.
  if (instanceId === null) return end.reason === LAUNCH_FAILED && failure.kind !== 'no-place' ? end : undefined;
  if (backend === null || failure.source !== backendSource(registration, backend)) return undefined;
  return neverCameOnline(runner) || end.reason === ENDED_SOON || end.reason === VANISHED ? end : undefined;
}

/** As far as its row alone tells: its timeline is worth reading. */
export function mayHaveFailed(runner: RunnerRow): boolean {
  const { failure, specHash, state } = runner;
  if (failure === null || (state !== 'draining' && state !== 'gone')) return false;
  if (specHash === ADOPTED || !failure.source.includes('/')) return false;
  return neverCameOnline(runner) || isAhead(runner);
}
