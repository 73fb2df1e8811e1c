/**
 * Many deliveries, one transaction, each answered after its commit. A commit waits for the disk whatever its size, so
 * deliveries that arrive together, or during another commit, share one.
 */
import type { Clock } from '../../time/clock.ts';
import { defectFailure, ledgerFailure } from '../failures/failure.ts';
import { StateLog } from '../failures/state-log.ts';
import type { Delivery, JobFact } from '../jobs/facts.ts';
import { type DeliveryResult, type Ledger, LedgerError, UnreadableRowError } from '../ledger/ledger.ts';
import type { Log } from '../log.ts';
import type { IntakeMetrics } from './answer.ts';

export type Recorded = DeliveryResult | 'overloaded' | 'ledger-unavailable' | 'failed';

export interface GroupCommitOptions {
  readonly ledger: Pick<Ledger, 'recordDeliveries'>;
  readonly clock: Clock;
  readonly log: Log;
  readonly metrics: Pick<IntakeMetrics, 'commit'>;
  /**
   * Called after each commit that recorded something, which the disk may not have yet: what follows from it need not
   * wait for that, since it is lost with it. Must not throw.
   */
  readonly onRecorded: () => void;
  /** Runs the action once everything that has arrived by now was read: `setImmediate`. */
  readonly defer: (action: () => void) => void;
  readonly maxGroup: number;
  /**
   * Waiting deliveries per endpoint; beyond it, or beyond four times as many in total, a delivery
   * is `overloaded` at once.
   */
  readonly maxWaiting: number;
}

interface Waiting {
  readonly delivery: Delivery;
  readonly fact: JobFact | null;
  readonly settle: (result: Recorded) => void;
}

const maxTurns = 3;

export class GroupCommit {
  readonly #options: GroupCommitOptions;
  readonly #states: StateLog;
  /** By endpoint, so that a busy one takes no more of a group than the others leave. */
  readonly #queues = new Map<string, Waiting[]>();
  #waiting = 0;
  #working = false;
  /** A commit that failed may be in the ledger all the same, and its repetition finds only duplicates. */
  #mayHaveRecorded = false;

  constructor(options: GroupCommitOptions) {
    this.#options = options;
    this.#states = new StateLog(options.log, options.clock);
  }

  /** Resolves after the commit, never rejects. */
  record(delivery: Delivery, fact: JobFact | null): Promise<Recorded> {
    const { maxWaiting } = this.#options;
    const queue = this.#queues.get(delivery.endpoint) ?? [];
    if (queue.length >= maxWaiting || this.#waiting >= 4 * maxWaiting) return Promise.resolve('overloaded');
    return new Promise((settle) => {
      queue.push({ delivery, fact, settle });
      this.#queues.set(delivery.endpoint, queue);
      this.#waiting += 1;
      if (this.#working) return;
      this.#working = true;
      this.#gather(0, maxTurns);
    });
  }

  /**
   * One turn of the event loop reads what the sockets held at its start. Under load the next turn finds more: as long
   * as each turn adds some, the group waits, at most `turns` times. A lone one waits for one idle turn (some 10 µs).
   * Measured with 64 connections: groups of 54 instead of 45, and fewer waits for the disk.
   */
  #gather(known: number, turns: number): void {
    this.#options.defer(() => {
      const waiting = this.#waiting;
      if (turns > 0 && waiting > known && waiting < this.#options.maxGroup) this.#gather(waiting, turns - 1);
      else void this.#work();
    });
  }

  async #work(): Promise<void> {
    while (this.#waiting > 0) await this.#commit(this.#nextGroup());
    this.#working = false;
  }

  /** An equal share for each endpoint, then the remaining room; the first of this group comes last in the next. */
  #nextGroup(): readonly Waiting[] {
    const group: Waiting[] = [];
    while (group.length < this.#options.maxGroup && this.#queues.size > 0) {
      const share = Math.max(1, Math.floor((this.#options.maxGroup - group.length) / this.#queues.size));
      for (const [endpoint, queue] of [...this.#queues]) {
        group.push(...queue.splice(0, Math.min(share, this.#options.maxGroup - group.length)));
        this.#queues.delete(endpoint);
        if (queue.length > 0) this.#queues.set(endpoint, queue);
        if (group.length >= this.#options.maxGroup) break;
      }
    }
    this.#waiting -= group.length;
    return group;
  }

  async #commit(group: readonly Waiting[]): Promise<void> {
    const failure = await this.#attempt(group);
    if (failure === undefined) return;
    const [only, ...others] = group;
    if (only !== undefined && others.length === 0) {
      only.settle(this.#verdict(failure));
      return;
    }
    if (failure instanceof LedgerError && refusesEverything(failure)) {
      const verdict = this.#verdict(failure);
      for (const waiting of group) waiting.settle(verdict);
      return;
    }
    // One of them may be what the ledger rejects: the others must not fail with it.
    for (const waiting of group) await this.#commit([waiting]);
  }

  /** Returns the failure, or undefined after the whole group was settled. */
  async #attempt(group: readonly Waiting[]): Promise<unknown> {
    const { ledger, clock, metrics, onRecorded } = this.#options;
    const startedAtMs = clock.now();
    const committed = (some: readonly DeliveryResult[]) => {
      if (some.includes('recorded')) onRecorded();
    };
    let results: readonly DeliveryResult[];
    try {
      results = await ledger.recordDeliveries(group, committed);
      if (results.length !== group.length) throw new Error(`${group.length} deliveries, ${results.length} results`);
    } catch (failure) {
      metrics.commit(group.length, clock.now() - startedAtMs, false);
      this.#mayHaveRecorded ||= failure instanceof LedgerError;
      return failure ?? new Error('the ledger rejected without a reason');
    }
    metrics.commit(group.length, clock.now() - startedAtMs, true);
    this.#states.well('intake.commit-failed', {});
    for (const [index, waiting] of group.entries()) waiting.settle(results[index] ?? 'failed');
    if (this.#mayHaveRecorded) onRecorded();
    this.#mayHaveRecorded = false;
    return undefined;
  }

  #verdict(failure: unknown): Recorded {
    const now = this.#options.clock.now();
    if (failure instanceof LedgerError) {
      this.#states.failed('intake.commit-failed', {}, ledgerFailure(failure, now));
      return 'ledger-unavailable';
    }
    this.#states.failed('intake.commit-failed', {}, defectFailure(failure, now), { error: failure });
    return 'failed';
  }
}

/** `unavailable` may concern a single row, so it is not included; a row that cannot be read concerns its own job. */
function refusesEverything(error: LedgerError): boolean {
  return error.kind !== 'unavailable' && !(error instanceof UnreadableRowError);
}
