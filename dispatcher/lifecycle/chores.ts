/** Runs once a minute: retries failed reads, expires jobs, and deletes what is no longer needed. */
import type { Clock } from '../../time/clock.ts';
import { DAY, MINUTE } from '../../time/units.ts';
import type { Ledger } from '../ledger/ledger.ts';
import { QUEUE_LIMIT_MS } from '../ledger/queue-age.ts';
import type { Backends } from './backends.ts';
import type { Board } from './board.ts';
import type { Doubts } from './doubts.ts';
import type { Holds } from './holds.ts';
import type { RunOrigins } from './run-origins.ts';
import type { SweepSchedule } from './sweep-schedule.ts';
import type { Verifier } from './verify.ts';
import type { Visibilities } from './visibility.ts';

const INTERVAL_MS = MINUTE;
/** A waiting job is read by id this often, so that a lost cancellation does not cost a runner for long. */
const RECHECK_MS = 10 * MINUTE;
const MAX_DISPUTES = 50;
/** Maximum reads per registration. */
const MAX_UNCONFIRMED = 100;
/** The GETs must leave most of GitHub's budget to the launches. */
const MAX_RECHECKS = 100;
const MAX_EXPIRED = 1000;
/** Of those that other runners take: nothing waits for the answer. */
const MAX_OBSERVED = 50;
/** GitHub ends a job of a self-hosted runner after five days. */
const OBSERVED_MS = 6 * DAY;

/** Of a row that cannot be read the settling of jobs tells. */
const leaveOut = (): void => {};

export interface ChoresOptions {
  readonly clock: Clock;
  readonly ledger: Pick<
    Ledger,
    | ('deleteEmptyLanes' | 'disputedJobs' | 'expireJobs' | 'registrationsWithRunners')
    | ('staleJobs' | 'staleObservedJobs' | 'unconfirmedJobs' | 'verifyStorage')
  >;
  readonly board: Board;
  readonly backends: Backends;
  readonly doubts: Doubts;
  readonly holds: Holds;
  readonly sweeps: SweepSchedule;
  readonly verifier: Verifier;
  readonly visibilities: Visibilities;
  readonly runOrigins: RunOrigins;
}

export class Chores {
  readonly #options: ChoresOptions;
  #dueAtMs = 0;

  constructor(options: ChoresOptions) {
    this.#options = options;
  }

  get nextMs(): number {
    return this.#dueAtMs;
  }

  async run(): Promise<void> {
    const { backends, board, clock, doubts, holds, ledger, runOrigins, sweeps, verifier, visibilities } = this.#options;
    const now = clock.now();
    if (now < this.#dueAtMs) return;
    this.#dueAtMs = now + INTERVAL_MS;
    await ledger.verifyStorage();
    await backends.keepMemory();
    // Most are read when the doubt arises; these are the ones whose reads failed.
    for (const job of await ledger.disputedJobs(MAX_DISPUTES, leaveOut)) verifier.ask(job.key, job.registration);
    for (const job of await ledger.unconfirmedJobs(MAX_UNCONFIRMED, leaveOut)) doubts.confirm(job);
    for (const laneKey of await ledger.expireJobs(now - QUEUE_LIMIT_MS, MAX_EXPIRED)) board.mark(laneKey);
    for (const { key, registration } of await ledger.staleJobs(now - RECHECK_MS, MAX_RECHECKS)) {
      verifier.ask(key, registration);
    }
    const observed = await ledger.staleObservedJobs(now - OBSERVED_MS, now - RECHECK_MS, MAX_OBSERVED);
    for (const { key, registration } of observed) verifier.ask(key, registration);
    visibilities.resume();
    runOrigins.resume();
    await ledger.deleteEmptyLanes();
    const inUse = new Set([...board.registrationsInUse(), ...(await ledger.registrationsWithRunners())]);
    for (const name of inUse) sweeps.markActive(name);
    holds.tidy();
  }
}
