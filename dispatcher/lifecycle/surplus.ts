/** Drains runners that no job needs any more, and those whose image, shape or backends are no longer their lane's. */
import type { Ledger } from '../ledger/ledger.ts';
import { MINUTE, SECOND } from '../time-units.ts';
import type { Backends } from './backends.ts';
import type { Board } from './board.ts';
import type { Floor } from './floor.ts';

/** A runner may be one too many for so long: its job may only be late. */
const PATIENCE_MS = MINUTE;
const MAX_OUTDATED = 100;
const REASON_CHANGED = 'the image, shape or backends of its lane changed';

export interface SurplusOptions {
  readonly floor: Floor;
  readonly ledger: Pick<Ledger, 'runners' | 'surplusRunners'>;
  readonly board: Board;
  readonly backends: Backends;
}

export async function drainSurplus(options: SurplusOptions): Promise<void> {
  const { board, floor, ledger } = options;
  for (const { laneKey, count } of [...board.surplusSince(floor.now() - PATIENCE_MS)]) {
    for (const runner of await ledger.surplusRunners(laneKey, count)) {
      await drain(options, runner.name, 'no job needs it any more');
    }
  }
  for (const laneKey of [...board.outdatedLanes()]) {
    const spec = board.counts(laneKey)?.lane.specHash;
    const runners = await ledger.runners({ laneKey, states: ['starting', 'online'], limit: MAX_OUTDATED });
    for (const runner of runners) {
      const outdated = runner.specHash !== spec && runner.specHash !== 'adopted';
      if (outdated && runner.jobKey === null) await drain(options, runner.name, REASON_CHANGED);
    }
  }
}

/** When a surplus that there is now has lasted long enough; undefined when there is none. */
export function nextSurplusMs({ board, floor }: Pick<SurplusOptions, 'board' | 'floor'>): number | undefined {
  const sinceMs = board.firstSurplusMs();
  return sinceMs === undefined ? undefined : Math.max(sinceMs + PATIENCE_MS, floor.now() + SECOND);
}

async function drain({ backends, floor }: SurplusOptions, runner: string, reason: string): Promise<void> {
  await floor.tell(runner, { kind: 'drain', reason });
  backends.released(runner);
}
