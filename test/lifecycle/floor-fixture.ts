/** A real floor on a ledger in memory, with nothing around it but what a test gives. */
import type { Clock } from '../../dispatcher/clock.ts';
import type { Ledger } from '../../dispatcher/ledger/ledger.ts';
import { createFloor, type Floor } from '../../dispatcher/lifecycle/floor.ts';
import type { EngineOptions, Log } from '../../dispatcher/lifecycle/ports.ts';

const nothing = () => undefined;
export const silent: Log = { debug: nothing, info: nothing, warn: nothing, error: nothing };

export function openFloor(
  ledger: Ledger,
  clock: Clock,
  options: Partial<EngineOptions> = {},
  bell: Partial<Parameters<typeof createFloor>[1]> = {},
): Floor {
  return createFloor(
    {
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
        tornDown: nothing,
      },
      admit: () => ({ outcome: 'not-ours', reason: 'no registration asks for it' }),
      tenants: new Map(),
      maxRunners: 1,
      maxLaunches: 1,
      ...options,
    },
    {
      working: () => true,
      laneChanged: nothing,
      unnamed: nothing,
      doubted: nothing,
      wake: nothing,
      ledgerFailed: () => false,
      ...bell,
    },
  );
}
