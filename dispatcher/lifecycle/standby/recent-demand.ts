/** The size of a standby pool by what its jobs needed lately. */
import { MINUTE } from '../../../time/units.ts';
import { formatDuration } from '../../labels/duration.ts';
import type { Ledger } from '../../ledger/ledger.ts';
import type { StandbyDemand } from '../../model/registration.ts';

/** Between two reads of a pool's history. */
const INTERVAL_MS = 5 * MINUTE;

/** How many runners a pool is to have, and why. */
export interface Aim {
  readonly size: number;
  readonly why: string;
}

export interface RecentDemandOptions {
  readonly ledger: Pick<Ledger, 'jobStarts'>;
  readonly registration: string;
  /** Of the runners that serve the pool's jobs, whether they come from the pool or not. */
  readonly specHash: string;
  readonly least: number;
  readonly demand: StandbyDemand;
}

/** One read of the ledger for each interval, whoever asks. */
export function sizeByDemand(options: RecentDemandOptions): (nowMs: number) => Promise<Aim> {
  const { demand, least, ledger, registration, specHash } = options;
  let known: { readonly aim: Promise<Aim>; readonly untilMs: number } | undefined;
  const read = async (nowMs: number): Promise<Aim> => {
    const starts = await ledger.jobStarts(registration, specHash, nowMs - demand.overMs);
    return aimOf(mostWithin(starts, demand.withinMs), least, demand);
  };
  return (nowMs) => {
    if (known !== undefined && nowMs < known.untilMs) return known.aim;
    const aim = read(nowMs);
    known = { aim, untilMs: nowMs + INTERVAL_MS };
    aim.catch(() => {
      known = undefined;
    });
    return aim;
  };
}

/** The largest number of the times within any span of that length, its ends included. `sorted`: the earliest first. */
export function mostWithin(sorted: readonly number[], spanMs: number): number {
  let most = 0;
  let first = 0;
  for (const [index, atMs] of sorted.entries()) {
    while (atMs - (sorted[first] ?? atMs) > spanMs) first += 1;
    most = Math.max(most, index - first + 1);
  }
  return most;
}

function aimOf(most: number, least: number, { max, overMs, withinMs }: StandbyDemand): Aim {
  const seen = `at most ${most} ${most === 1 ? 'job' : 'jobs'} started within ${formatDuration(withinMs)} in the last ${formatDuration(overMs)}`;
  if (most < least) return { size: least, why: `its \`min\`: ${seen}` };
  if (most > max) return { size: max, why: `its \`max\`: ${seen}` };
  return { size: most, why: seen };
}
