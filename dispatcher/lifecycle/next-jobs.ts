/**
 * Which job each launch of one pass is for. The ledger knows which of a lane's jobs has the fewest planned runners;
 * those planned in the pass itself are counted here, because their rows are written when it ends.
 */
import type { LaneSpec } from '../jobs/lane.ts';
import type { Ledger, UnreadableRow, Waiting } from '../ledger/ledger.ts';

/** Jobs looked at behind those that may not have a runner now. */
const MAX_BEHIND = 100;

type PermittedLane = Pick<LaneSpec, 'key' | 'registration'>;

export class NextJobs {
  readonly #ledger: Pick<Ledger, 'waitingJobs'>;
  /** Of a lane: workflow runs whose jobs may have no runner, so that they keep none behind them waiting. */
  readonly #besides: (lane: PermittedLane) => readonly number[];
  readonly #lanes = new Map<string, PermittedLane>();
  /** By lane: how many launches may be planned. */
  readonly #permits = new Map<string, number>();
  /** By lane, in the ledger's order. */
  readonly #waiting = new Map<string, Waiting[]>();
  /** By job: runners planned in this pass. */
  readonly #planned = new Map<string, number>();
  /** By lane: a job of those read whose row cannot be. */
  readonly #unreadable = new Map<string, UnreadableRow>();
  /** Lanes whose jobs behind those for the permits were read too. */
  readonly #readBehind = new Set<string>();

  constructor(
    ledger: Pick<Ledger, 'waitingJobs'>,
    permits: readonly { readonly lane: PermittedLane }[],
    besides: (lane: PermittedLane) => readonly number[] = () => [],
  ) {
    this.#ledger = ledger;
    this.#besides = besides;
    for (const { lane } of permits) {
      this.#lanes.set(lane.key, lane);
      this.#permits.set(lane.key, (this.#permits.get(lane.key) ?? 0) + 1);
    }
  }

  /** Fewest runners planned, then waiting for longest. Undefined: the lane has none. */
  async of(laneKey: string): Promise<Waiting | undefined> {
    return firstOf(await this.jobsOf(laneKey), () => true);
  }

  /** The first of the lane's jobs that may have a runner now: one that may not keeps none behind it waiting. */
  async firstWith(laneKey: string, may: (job: Waiting) => boolean): Promise<Waiting | undefined> {
    const waiting = await this.jobsOf(laneKey);
    const found = firstOf(waiting, may);
    const isAll = waiting.length < this.#permitsOf(laneKey) || this.#readBehind.has(laneKey);
    if (found !== undefined || isAll) return found;
    this.#readBehind.add(laneKey);
    return firstOf(await this.#read(laneKey, this.#permitsOf(laneKey) + MAX_BEHIND), may);
  }

  /** The lane's jobs as far as they were read, in the ledger's order. */
  async jobsOf(laneKey: string): Promise<readonly Waiting[]> {
    return this.#waiting.get(laneKey) ?? (await this.#read(laneKey, this.#permitsOf(laneKey)));
  }

  /** One of the lane's jobs, as far as they were read, whose row cannot be. */
  unreadable(laneKey: string): UnreadableRow | undefined {
    return this.#unreadable.get(laneKey);
  }

  /** A runner is planned for it now. */
  recordLaunch(laneKey: string, jobKey: string): void {
    this.#planned.set(jobKey, (this.#planned.get(jobKey) ?? 0) + 1);
    const waiting = this.#waiting.get(laneKey) ?? [];
    const index = waiting.findIndex(({ key }) => key === jobKey);
    const job = waiting[index];
    if (job !== undefined) waiting[index] = { ...job, planned: job.planned + 1 };
  }

  async #read(laneKey: string, limit: number): Promise<readonly Waiting[]> {
    const note = (row: UnreadableRow) => void this.#unreadable.set(laneKey, row);
    const lane = this.#lanes.get(laneKey);
    const besides = lane === undefined ? [] : this.#besides(lane);
    const readable = await this.#ledger.waitingJobs(laneKey, limit, note, besides);
    const waiting = readable.map((job) => {
      const here = this.#planned.get(job.key) ?? 0;
      return here === 0 ? job : { ...job, planned: job.planned + here };
    });
    this.#waiting.set(laneKey, waiting);
    return waiting;
  }

  #permitsOf(laneKey: string): number {
    return this.#permits.get(laneKey) ?? 1;
  }
}

function firstOf(waiting: readonly Waiting[], may: (job: Waiting) => boolean): Waiting | undefined {
  let first: Waiting | undefined;
  for (const job of waiting) if (may(job) && (first === undefined || isBefore(job, first))) first = job;
  return first;
}

function isBefore(one: Waiting, other: Waiting): boolean {
  if (one.planned !== other.planned) return one.planned < other.planned;
  return one.statusSinceMs < other.statusSinceMs;
}
