/**
 * Which job each launch of one pass is for. The ledger knows which of a lane's jobs has the fewest planned runners;
 * those planned in the pass itself are counted here, because their rows are written when it ends.
 */
import type { Ledger, Waiting } from '../ledger/ledger.ts';

export class NextJobs {
  readonly #ledger: Pick<Ledger, 'waitingJobs'>;
  /** By lane: how many launches may be planned. */
  readonly #permits = new Map<string, number>();
  /** By lane, in the ledger's order. */
  readonly #waiting = new Map<string, Waiting[]>();

  constructor(ledger: Pick<Ledger, 'waitingJobs'>, permits: readonly { readonly lane: { readonly key: string } }[]) {
    this.#ledger = ledger;
    for (const { lane } of permits) this.#permits.set(lane.key, (this.#permits.get(lane.key) ?? 0) + 1);
  }

  /** Fewest runners planned, then waiting for longest. Undefined: the lane has none. */
  async of(laneKey: string): Promise<Waiting | undefined> {
    let waiting = this.#waiting.get(laneKey);
    if (waiting === undefined) {
      waiting = [...(await this.#ledger.waitingJobs(laneKey, this.#permits.get(laneKey) ?? 1))];
      this.#waiting.set(laneKey, waiting);
    }
    let next: Waiting | undefined;
    for (const job of waiting) if (next === undefined || isBefore(job, next)) next = job;
    return next;
  }

  /** A runner is planned for it now. */
  planned(laneKey: string, jobKey: string): void {
    const waiting = this.#waiting.get(laneKey) ?? [];
    const index = waiting.findIndex(({ key }) => key === jobKey);
    const job = waiting[index];
    if (job !== undefined) waiting[index] = { ...job, planned: job.planned + 1 };
  }
}

function isBefore(one: Waiting, other: Waiting): boolean {
  if (one.planned !== other.planned) return one.planned < other.planned;
  return one.statusSinceMs < other.statusSinceMs;
}
