/** A real context on a ledger, with nothing around it but what a test gives. */

import { StateLog } from '../../dispatcher/failures/state-log.ts';
import { neverStrangers } from '../../dispatcher/jobs/facts.ts';
import type { Ledger } from '../../dispatcher/ledger/ledger.ts';
import type { EngineOptions } from '../../dispatcher/lifecycle/ports.ts';
import { Resting } from '../../dispatcher/lifecycle/resting.ts';
import { createRunnerContext, type RunnerContext } from '../../dispatcher/lifecycle/runner-context.ts';
import type { Log } from '../../dispatcher/log.ts';
import type { Clock } from '../../time/clock.ts';

const nothing = () => undefined;
export const silent: Log = { debug: nothing, info: nothing, warn: nothing, error: nothing };

/** What an engine is made with, and the context made of it. */
export interface RunnerContextParts extends EngineOptions {
  readonly context: RunnerContext;
  readonly resting: Resting;
}

export function openRunnerContextParts(
  ledger: Ledger,
  clock: Clock,
  options: Partial<EngineOptions> = {},
  notify: Partial<Parameters<typeof createRunnerContext>[1]> = {},
): RunnerContextParts {
  const all: EngineOptions = {
    dispatcherId: 'd1',
    incarnation: 'here',
    ledger,
    clock,
    random: () => 0.5,
    log: silent,
    metrics: {
      jobAdmitted: nothing,
      queueToStart: nothing,
      launched: nothing,
      launchFailed: nothing,
      imageStart: nothing,
      tornDown: nothing,
    },
    admit: () => ({ outcome: 'not-ours', reason: 'no registration asks for it' }),
    tenants: new Map(),
    areStrangers: neverStrangers,
    maxRunners: 1,
    maxLaunches: 1,
    ...options,
  };
  const context = createRunnerContext(all, {
    working: () => true,
    laneChanged: nothing,
    supposedBusy: nothing,
    doubted: nothing,
    wake: nothing,
    ledgerFailed: () => false,
    ...notify,
  });
  return { ...all, context, resting: new Resting(clock, context.states) };
}

export function openRunnerContext(...parts: Parameters<typeof openRunnerContextParts>): RunnerContext {
  return openRunnerContextParts(...parts).context;
}

export function openResting(now = () => 0): Resting {
  return new Resting({ now }, new StateLog(silent, { now }));
}
