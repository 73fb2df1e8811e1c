/** Held jobs whose time has come: one of each run asks for a runner again, or GitHub is asked for them again. */
import type { Clock } from '../../time/clock.ts';
import { SECOND } from '../../time/units.ts';
import type { Ledger, UnreadableRow } from '../ledger/ledger.ts';
import type { Board } from './board.ts';
import type { Resting } from './resting.ts';
import type { Verifier } from './verify.ts';

/** Looked at in a pass. */
const MAX_HELD = 200;

export interface HeldJobsOptions {
  readonly clock: Clock;
  readonly ledger: Pick<Ledger, 'nextProbeAt' | 'probeHeld' | 'unseenJobs'>;
  readonly board: Board;
  readonly resting: Pick<Resting, 'restUnreadable'>;
  readonly verifier: Verifier;
}

export class HeldJobsLoop {
  readonly #options: HeldJobsOptions;
  #dueAtMs: number | null = null;

  constructor(options: HeldJobsOptions) {
    this.#options = options;
  }

  async run(): Promise<void> {
    const { board, clock, ledger, resting, verifier } = this.#options;
    this.#dueAtMs = await ledger.nextProbeAt();
    const now = clock.now();
    if (this.#dueAtMs === null || this.#dueAtMs > now) return;
    const unreadable = new Map<string, UnreadableRow>();
    const lanes = await ledger.probeHeld(now, MAX_HELD, (row) => void unreadable.set(row.key, row));
    for (const row of unreadable.values()) resting.restUnreadable('job', row);
    for (const laneKey of lanes) board.mark(laneKey);
    for (const { key, registration } of await ledger.unseenJobs(now, MAX_HELD)) verifier.ask(key, registration);
    this.#dueAtMs = await ledger.nextProbeAt();
  }

  /** When the next held job may try, or is looked for again; undefined: none is held. */
  get nextMs(): number | undefined {
    return this.#dueAtMs === null ? undefined : Math.max(this.#dueAtMs, this.#options.clock.now() + SECOND);
  }
}
