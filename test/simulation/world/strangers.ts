/**
 * Runners at GitHub that no dispatcher of ours may touch: those of a second dispatcher beside ours, and some that bear our
 * name without a row in our ledger. They take no jobs.
 */

import type { GithubScope } from '../../../dispatcher/jobs/scope.ts';
import type { Clock } from '../../../time/clock.ts';
import { ulid } from '../../../time/clock.ts';
import type { Dice } from '../faults.ts';
import type { GithubWorld } from './github.ts';

export interface StrangersOptions {
  readonly clock: Clock;
  readonly dice: Dice;
  readonly world: GithubWorld;
  readonly scope: GithubScope;
  readonly dispatcherId: string;
}

const HOUR = 3_600_000;
const NEWCOMER_EVERY_MS = 4 * 60_000;
/** An offline runner of this age, whoever made it, may still come online: younger than 10 minutes. */
const NEWCOMER_STAYS_MS = 9 * 60_000;

export function addStrangers({ clock, dice, dispatcherId, scope, world }: StrangersOptions): void {
  const luck = dice.stream('strangers');
  const name = (id: string, bornMs: number): string => `${id}-${ulid(bornMs, luck.next)}`;
  const old = clock.now() - 2 * HOUR;
  // Its id begins with ours; and one that is as long as ours, so that its names look the same behind the prefix.
  world.addStranger(scope, name(`${dispatcherId}-b`, old), false);
  world.addStranger(scope, name('x'.repeat(dispatcherId.length), old), false);
  world.addStranger(scope, name(dispatcherId, old), true);
  const newcomer = (): void => {
    const leave = world.addStranger(scope, name(dispatcherId, clock.now()), false);
    clock.after(NEWCOMER_STAYS_MS, leave);
    clock.after(NEWCOMER_EVERY_MS, () => {
      if (dice.active) newcomer();
    });
  };
  newcomer();
}
