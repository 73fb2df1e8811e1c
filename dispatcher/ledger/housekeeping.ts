/** Prunes the ledger's history in small steps, so that no step delays the jobs. */
import { type Clock, jitter, type Random, sleep } from '../../time/clock.ts';
import { defectFailure, ledgerFailure } from '../failures/failure.ts';
import { StateLog } from '../failures/state-log.ts';
import type { Log } from '../log.ts';
import { type Ledger, LedgerError, type Retention } from './ledger.ts';

const EVERY_MS = 600_000;
const ROWS_A_STEP = 500;
const REST_MS = 50;
/** Steps per round. If more is left, the next round begins at once: it may come faster than it can be deleted. */
const STEPS_A_ROUND = 2_000;

export interface Housekeeping {
  start(): void;
  stop(): Promise<void>;
}

export function createHousekeeping(options: {
  readonly ledger: Pick<Ledger, 'prune'>;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  readonly retention: Retention;
}): Housekeeping {
  const { ledger, clock, random, log, retention } = options;
  const states = new StateLog(log, clock);
  let stopped = false;
  let cancel = () => {};
  let round: Promise<void> = Promise.resolve();

  async function prune(): Promise<void> {
    let steps = 0;
    try {
      let rows = 0;
      for (; steps < STEPS_A_ROUND && !stopped; steps += 1) {
        const pruned = await ledger.prune(clock.now(), retention, ROWS_A_STEP);
        if (pruned === 0) break;
        rows += pruned;
        await sleep(clock, REST_MS);
      }
      if (rows > 0) log.info('pruned', { rows });
      states.well('prune-failed', {});
    } catch (error) {
      const now = clock.now();
      if (error instanceof LedgerError) states.failed('prune-failed', {}, ledgerFailure(error, now));
      else states.failed('prune-failed', {}, defectFailure(error, now), { error });
    }
    schedule(steps === STEPS_A_ROUND ? REST_MS : jitter(EVERY_MS, random));
  }

  function schedule(inMs: number): void {
    if (stopped) return;
    cancel = clock.after(inMs, () => {
      round = prune();
    });
  }

  return {
    start: () => schedule(jitter(EVERY_MS, random)),
    async stop() {
      stopped = true;
      cancel();
      await round;
    },
  };
}
