/** Checks each runner when it is due: observes it, or takes the next step of its drain. */

import { SECOND } from '../../time/units.ts';
import { defectFailure } from '../failures/failure.ts';
import type { Ledger, RunnerRow, UnreadableRow } from '../ledger/ledger.ts';
import { type DrainOptions, drainRunner } from './drain.ts';
import { type ObserveOptions, observeRunner } from './observe.ts';
import type { EngineOptions } from './ports.ts';
import type { Resting } from './resting.ts';
import { VisitPlaces } from './visit-places.ts';

/** Runners looked at side by side. */
const VISITS_AT_ONCE = 512;
/** Of them started in a pass. */
const VISITS_A_PASS = 64;

export interface VisitLoopOptions extends ObserveOptions, DrainOptions, Pick<EngineOptions, 'clock'> {
  readonly ledger: ObserveOptions['ledger'] &
    DrainOptions['ledger'] &
    Pick<Ledger, 'nextCheckAt' | 'putOff' | 'runnersDue'>;
  /** Runners whose visit failed, and whose failure could not be recorded either. */
  readonly resting: Resting;
}

export class VisitLoop {
  readonly #options: VisitLoopOptions;
  /** By runner. */
  readonly #visits = new Map<string, Promise<void>>();
  readonly #places: VisitPlaces;

  constructor(options: VisitLoopOptions) {
    this.#options = options;
    this.#places = new VisitPlaces(options.tenants);
  }

  get visiting(): number {
    return this.#visits.size;
  }

  /** They never reject. */
  get underWay(): Iterable<Promise<void>> {
    return this.#visits.values();
  }

  /** Starts the visits that are due and have a place. Resolves without waiting for them. */
  async run(): Promise<void> {
    const { clock, context, ledger, resting } = this.#options;
    if (this.visiting >= VISITS_AT_ONCE) return;
    // Those that are being looked at stay due. In whole steps, because each limit is another text for the ledger.
    const limit = VISITS_A_PASS * (1 + Math.ceil(this.visiting / VISITS_A_PASS));
    const unreadable: UnreadableRow[] = [];
    const note = (row: UnreadableRow) => void unreadable.push(row);
    const due = await ledger.runnersDue(clock.now(), limit, note, this.#places.full());
    for (const row of unreadable) await ledger.putOff(row.key, resting.restUnreadable('runner', row));
    // Where those of one tenant or backend filled its places, the others are further back.
    const started = this.#start(due);
    const gotOn = started + unreadable.length > 0;
    if (started === VISITS_A_PASS || (gotOn && due.length + unreadable.length === limit)) context.wake();
  }

  /** When to run again; null: when a visit ends. Runners under visit are overdue by nature. */
  async nextMs(): Promise<number | null> {
    const { clock, ledger } = this.#options;
    if (this.visiting >= VISITS_AT_ONCE) return null;
    const next = await ledger.nextCheckAt();
    return next !== null && next <= clock.now() && this.visiting > 0 ? clock.now() + SECOND : next;
  }

  /** Returns how many were started. */
  #start(due: readonly RunnerRow[]): number {
    let started = 0;
    for (const runner of due) {
      if (started === VISITS_A_PASS || this.visiting >= VISITS_AT_ONCE || !this.#options.context.working()) break;
      if (this.#visits.has(runner.name) || !this.#places.hasRoom(runner)) continue;
      this.#places.take(runner);
      this.#visits.set(runner.name, this.#visit(runner));
      started += 1;
    }
    return started;
  }

  /** Never rejects. */
  async #visit(runner: RunnerRow): Promise<void> {
    const { clock, context, resting } = this.#options;
    try {
      if (runner.state === 'draining') await drainRunner(this.#options, runner);
      else await observeRunner(this.#options, runner);
      resting.resume({ kind: 'runner', key: runner.name });
    } catch (error) {
      if (!context.ledgerFailed(error)) {
        const failure = defectFailure(error, clock.now());
        context.states.failed('visit-failed', { runner: runner.name }, failure, { state: runner.state, error });
        await this.#postpone(runner, error);
      }
    } finally {
      this.#visits.delete(runner.name);
      this.#places.release(runner);
      context.wake();
    }
  }

  async #postpone({ name, registration }: RunnerRow, cause: unknown): Promise<void> {
    const { clock, context, ledger, log, resting } = this.#options;
    try {
      await context.tell(name, { kind: 'step-failed', failure: defectFailure(cause, clock.now()) });
    } catch (error) {
      if (context.ledgerFailed(error)) return;
      log.error('visit-not-recorded', { runner: name, error });
      // Not even its state can be moved: without a pause it would be due again at once.
      const untilMs = resting.rest({ kind: 'runner', key: name, registration }, error);
      await ledger.putOff(name, untilMs).catch((broken: unknown) => {
        if (!context.ledgerFailed(broken)) log.error('visit-not-recorded', { runner: name, error: broken });
      });
    }
  }
}
