/** How a version of the runner stands against what GitHub says of its releases. Pure. */
import { DAY } from '../../time/units.ts';
import { compareVersions } from './releases.ts';

/**
 * - `newest`: there is no newer release.
 * - `behind`: there is one, and GitHub gives this version jobs for a while.
 * - `near`: it stops within two weeks, or does not say when; that is 30 days after a newer release.
 * - `below`: it gives this version no jobs, or registers none.
 * - `unknown`: the version or the newest release is not known.
 */
export type Standing = 'newest' | 'behind' | 'near' | 'below' | 'unknown';

const NEAR_MS = 14 * DAY;

/** GitHub registers no older runner: https://github.com/orgs/community/discussions/194762 */
export const OLDEST_REGISTERED = '2.329.0';

export function standingOf(
  version: string | undefined,
  { newest, endsAtMs }: { readonly newest: string | undefined; readonly endsAtMs: number | undefined },
  nowMs: number,
): Standing {
  if (version === undefined || newest === undefined) return 'unknown';
  // A GitHub Enterprise Server of before that rule offers nothing newer.
  const hasFloor = compareVersions(newest, OLDEST_REGISTERED) >= 0;
  if (hasFloor && compareVersions(version, OLDEST_REGISTERED) < 0) return 'below';
  if (compareVersions(version, newest) >= 0) return 'newest';
  if (endsAtMs === undefined) return 'near';
  if (endsAtMs <= nowMs) return 'below';
  return endsAtMs - nowMs < NEAR_MS ? 'near' : 'behind';
}
