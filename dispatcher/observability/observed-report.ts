/** What a registration that only observes would have done, beside what really happened. Pure. */
import type { ShapeWish } from '../../providers/provider.ts';
import type { LaneSpec } from '../jobs/lane.ts';
import type { JobRow, ObservedJobs } from '../ledger/ledger.ts';
import { estimatedCost } from '../model/price.ts';
import type { Registration } from '../model/registration.ts';
import { type Place, placesOf } from './observed-places.ts';

export interface ObservedJob {
  readonly job: JobRow;
  /** `never-ran`: it ended without a runner, as a cancelled or skipped one does. */
  readonly state: 'waits' | 'runs' | 'ran' | 'never-ran';
  /** Undefined: its lane cannot be read. */
  readonly wish: ShapeWish | undefined;
  /** Where it would have run. Null: it would wait still, or it never ran. */
  readonly backend: string | null;
  readonly wouldWaitMs: number | null;
  readonly wouldCost: { readonly amount: number; readonly currency: string } | null;
  readonly reallyWaitedMs: number | null;
  readonly reallyRanMs: number | null;
}

/** Of those that are known. */
export interface Waits {
  readonly known: number;
  readonly medianMs: number | null;
  readonly p95Ms: number | null;
  readonly longestMs: number | null;
}

export interface ObservedTotal {
  readonly jobs: number;
  readonly states: Readonly<Record<ObservedJob['state'], number>>;
  readonly wouldWait: Waits;
  readonly reallyWaited: Waits;
  /** Would have run at the same time. */
  readonly mostAtOnce: number;
  /** By currency. */
  readonly costs: ReadonlyMap<string, number>;
  /** Jobs that ran, and whose cost is not known: the backend has no price, or the size is not known. */
  readonly costUnknown: number;
  /** By backend: how many would have run there. */
  readonly backends: ReadonlyMap<string, number>;
  /** By runner group: who took the jobs. What GitHub does not say counts as ''. */
  readonly takenBy: ReadonlyMap<string, number>;
}

export interface ObservedReport {
  /** In the order of the ledger: newest first. */
  readonly jobs: readonly ObservedJob[];
  readonly total: ObservedTotal;
}

export function observedReport(
  { jobs, lanes }: Pick<ObservedJobs, 'jobs' | 'lanes'>,
  registration: Pick<Registration, 'backends' | 'maxRunners'>,
): ObservedReport {
  const { places, mostAtOnce } = placesOf(
    jobs.flatMap((job) => {
      const lane = laneOf(job, lanes);
      if (lane === undefined || stateOf(job) === 'never-ran') return [];
      return [{ key: job.key, queuedAtMs: queuedAtMs(job), ranMs: ranMs(job), backends: lane.backends }];
    }),
    registration,
  );
  const prices = new Map(registration.backends.map(({ name, price }) => [name, price]));
  const observed = jobs.map((job): ObservedJob => {
    const place = places.get(job.key);
    const wish = laneOf(job, lanes)?.wish;
    const lasted = ranMs(job);
    const price = place === undefined ? undefined : prices.get(place.backend);
    const amount = lasted === undefined ? undefined : estimatedCost(price, wish, lasted);
    return {
      job,
      state: stateOf(job),
      wish,
      backend: place?.backend ?? null,
      wouldWaitMs: waitedFor(place, job),
      wouldCost: amount === undefined || price === undefined ? null : { amount, currency: price.currency },
      reallyWaitedMs: reallyWaitedMs(job),
      reallyRanMs: lasted ?? null,
    };
  });
  return { jobs: observed, total: totalOf(observed, mostAtOnce) };
}

function totalOf(jobs: readonly ObservedJob[], mostAtOnce: number): ObservedTotal {
  const states = { waits: 0, runs: 0, ran: 0, 'never-ran': 0 };
  const costs = new Map<string, number>();
  const backends = new Map<string, number>();
  const takenBy = new Map<string, number>();
  let costUnknown = 0;
  for (const { backend, job, state, wouldCost } of jobs) {
    states[state] += 1;
    if (backend !== null) count(backends, backend, 1);
    if (state === 'ran' || state === 'runs') count(takenBy, job.runnerGroup ?? '', 1);
    if (wouldCost !== null) count(costs, wouldCost.currency, wouldCost.amount);
    else if (state === 'ran') costUnknown += 1;
  }
  return {
    jobs: jobs.length,
    states,
    wouldWait: waitsOf(jobs.map(({ wouldWaitMs }) => wouldWaitMs)),
    reallyWaited: waitsOf(jobs.map((one) => one.reallyWaitedMs)),
    mostAtOnce,
    ...{ costs, costUnknown, backends, takenBy },
  };
}

function count(counts: Map<string, number>, key: string, more: number): void {
  counts.set(key, (counts.get(key) ?? 0) + more);
}

function waitsOf(waits: readonly (number | null)[]): Waits {
  const known = waits.filter((ms) => ms !== null).toSorted((a, b) => a - b);
  const at = (share: number): number | null => known[Math.max(0, Math.ceil(share * known.length) - 1)] ?? null;
  return { known: known.length, medianMs: at(0.5), p95Ms: at(0.95), longestMs: at(1) };
}

function laneOf({ laneKey }: JobRow, lanes: ReadonlyMap<string, LaneSpec>): LaneSpec | undefined {
  return laneKey === null ? undefined : lanes.get(laneKey);
}

function stateOf(job: JobRow): ObservedJob['state'] {
  if (job.status === 'in_progress') return 'runs';
  if (job.status !== 'completed') return 'waits';
  return job.runnerName === null ? 'never-ran' : 'ran';
}

function queuedAtMs({ createdAtMs, firstSeenAtMs }: JobRow): number {
  return createdAtMs ?? firstSeenAtMs;
}

/** By GitHub's own times. */
function ranMs(job: JobRow): number | undefined {
  const { completedAtMs, startedAtMs } = job;
  if (stateOf(job) !== 'ran' || startedAtMs === null || completedAtMs === null) return undefined;
  return Math.max(0, completedAtMs - startedAtMs);
}

function reallyWaitedMs(job: JobRow): number | null {
  const state = stateOf(job);
  if ((state !== 'ran' && state !== 'runs') || job.startedAtMs === null || job.createdAtMs === null) return null;
  return Math.max(0, job.startedAtMs - job.createdAtMs);
}

function waitedFor(place: Place | undefined, job: JobRow): number | null {
  return place === undefined ? null : Math.max(0, place.atMs - queuedAtMs(job));
}
