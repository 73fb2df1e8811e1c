/**
 * Drains runners that jobs no longer need, those whose image, shape or backends are no longer their lane's, and those whose
 * registration is to run no more jobs here.
 */

import { MINUTE, SECOND } from '../../time/units.ts';
import type { Ledger } from '../ledger/ledger.ts';
import type { Backends } from './backends.ts';
import type { Board } from './board.ts';
import { ADOPTED } from './machine/step.ts';
import type { EngineOptions } from './ports.ts';
import type { RunnerContext } from './runner-context.ts';
import { unservedWords } from './unserved.ts';

/** A runner may be surplus for this long: its job may only be late. */
const PATIENCE_MS = MINUTE;
const MAX_OUTDATED = 100;
const REASON_CHANGED = 'the image, shape or backends of its lane changed';

export interface SurplusOptions extends Pick<EngineOptions, 'tenants'> {
  readonly context: RunnerContext;
  readonly ledger: Pick<Ledger, 'runners' | 'surplusRunners'>;
  readonly board: Board;
  readonly backends: Backends;
}

export async function drainSurplus(options: SurplusOptions): Promise<void> {
  const { board, context, ledger } = options;
  await drainUnserved(options);
  for (const { laneKey, count } of [...board.surplusSince(context.now() - PATIENCE_MS)]) {
    // One that cannot be read is not drained; its visits say so.
    for (const runner of await ledger.surplusRunners(laneKey, count, () => {})) {
      await drain(options, runner.name, 'no job needs it any more');
    }
  }
  for (const laneKey of [...board.outdatedLanes()]) {
    const spec = board.counts(laneKey)?.lane.specHash;
    const outdated = { laneKey, states: ['starting', 'online'], limit: MAX_OUTDATED } as const;
    const runners = await ledger.runners(outdated, () => {});
    for (const runner of runners) {
      const isOutdated = runner.specHash !== spec && runner.specHash !== ADOPTED;
      if (isOutdated && runner.jobKey === null) await drain(options, runner.name, REASON_CHANGED);
    }
  }
}

/** At once: GitHub gives them whatever job has their labels. One that has a job already is refused to us at GitHub, and stays. */
async function drainUnserved(options: SurplusOptions): Promise<void> {
  const { board, ledger } = options;
  const unserved = [...board.supply()].filter(({ lane }) => unservedWords(options, lane.registration) !== undefined);
  for (const { lane, count } of unserved) {
    for (const runner of await ledger.surplusRunners(lane.key, count, () => {})) {
      // An adopted runner's lane comes from tags that its tenant controls.
      const reason = unservedWords(options, runner.registration);
      if (reason !== undefined) await drain(options, runner.name, reason);
    }
  }
}

/** When the current surplus has lasted long enough; undefined if there is none. */
export function nextSurplusMs({ board, context }: Pick<SurplusOptions, 'board' | 'context'>): number | undefined {
  const sinceMs = board.firstSurplusMs();
  return sinceMs === undefined ? undefined : Math.max(sinceMs + PATIENCE_MS, context.now() + SECOND);
}

async function drain({ backends, context }: SurplusOptions, runner: string, reason: string): Promise<void> {
  await context.tell(runner, { kind: 'drain', reason });
  backends.release(runner);
}
