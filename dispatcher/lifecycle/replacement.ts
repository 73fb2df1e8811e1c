/** Whether a waiting job may have a runner launched for it now. Pure. */

import { backoffMs } from '../../time/backoff.ts';
import { timeOfDay } from '../../time/time-of-day.ts';
import { MINUTE, SECOND } from '../../time/units.ts';
import type { Waiting } from '../ledger/ledger.ts';
import { ACTIONS_BEGAN_MS } from '../ledger/queue-age.ts';

/** Runners launched for one job without delay; the next ones wait longer and longer. */
const PROMPT_LAUNCHES = 3;
const PAUSE_FIRST_MS = 30 * SECOND;
const MAX_PAUSE_MS = 10 * MINUTE;
/** Even a job that waits its whole 24 hours gets no more. */
export const MAX_LAUNCHES = 150;
/** A webhook that tells of a job this long after GitHub created it does not prove that it still waits. */
const TOLD_LATE_MS = 5 * MINUTE;
/** A GET this old still says that the job waits. */
const READ_IS_FRESH_MS = 30 * SECOND;

export type Turn =
  | { readonly kind: 'launch' }
  /** Read the job by id first: another runner was launched for it already, facts conflict, or were told late. */
  | { readonly kind: 'verify' }
  | { readonly kind: 'wait'; readonly untilMs: number; readonly reason: string };

export function turnOf(job: Waiting, nowMs: number): Turn {
  const isFirst = job.planned === 0 && job.launches === 0 && !job.disputed;
  const isLate = isToldLate(job);
  if (isFirst && (!isLate || (job.verifiedAtMs ?? 0) > job.firstSeenAtMs)) return { kind: 'launch' };
  // The runners of its lane are as many as its jobs: not one for each of the others that may have ended, too.
  if (isLate && job.launches === 0) return { kind: 'verify' };
  if (job.launches >= MAX_LAUNCHES && !job.probing) {
    return {
      kind: 'wait',
      untilMs: nowMs + MAX_PAUSE_MS,
      reason: `${launchesOf(job)}: no more are launched for it${job.stolen > 0 ? '; give it a label of its own (sid-…)' : ''}`,
    };
  }
  // A held job that tries again has had its pause already, and tries when GitHub may have made room for it.
  const pauseMs = job.probing ? Math.min(PAUSE_FIRST_MS, pauseAfter(job.launches)) : pauseAfter(job.launches);
  const readyAtMs = (job.lastLaunchAtMs ?? 0) + pauseMs;
  if (readyAtMs > nowMs) {
    return {
      kind: 'wait',
      untilMs: readyAtMs,
      reason: `${launchesOf(job)}: the next follows at ${timeOfDay(readyAtMs)}`,
    };
  }
  const readSince = job.verifiedAtMs !== null && job.verifiedAtMs > (job.lastLaunchAtMs ?? 0);
  if (readSince && !job.disputed && nowMs - (job.verifiedAtMs ?? 0) <= READ_IS_FRESH_MS) return { kind: 'launch' };
  return { kind: 'verify' };
}

/**
 * It came late, or is sent again after it was missed: that the job has begun or ended since may be on its way, too. What
 * GitHub lists is as it is now.
 */
function isToldLate({ createdAtMs, firstSeenAtMs, statusSource }: Waiting): boolean {
  if (statusSource !== 'webhook' || createdAtMs === null || createdAtMs < ACTIONS_BEGAN_MS) return false;
  return firstSeenAtMs - createdAtMs > TOLD_LATE_MS;
}

/** Says only what is known to have become of them. */
function launchesOf({ launches, passedOver, stolen }: Waiting): string {
  const taken = Math.min(stolen, launches);
  const idle = Math.min(passedOver, launches - taken);
  const failed = launches - taken - idle;
  const parts = [
    ...(taken > 0 ? [`${taken} ran another job`] : []),
    ...(idle > 0 ? [`${idle} idled beside it`] : []),
    ...(failed > 0 ? [`${failed} did not come to it`] : []),
  ];
  return `${launches} runners were launched for its oldest job (${parts.join(', ')})`;
}

function pauseAfter(launches: number): number {
  if (launches < PROMPT_LAUNCHES) return 0;
  return backoffMs(PAUSE_FIRST_MS, MAX_PAUSE_MS, launches - PROMPT_LAUNCHES);
}
