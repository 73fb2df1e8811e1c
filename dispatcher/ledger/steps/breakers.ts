/** The closed backends. */
import type { Breaker, OnUnreadable } from '../ledger.ts';
import * as breakerQueries from '../queries/breakers.ts';
import * as rows from '../rows.ts';
import type { Context, Step } from './step.ts';

export function* breakers(context: Context, unreadable: OnUnreadable): Step<readonly Breaker[]> {
  return rows.readable((yield breakerQueries.allBreakers(context.builder)).rows, rows.breaker, unreadable);
}

export function* putBreaker(context: Context, breaker: Breaker): Step<void> {
  yield breakerQueries.putBreaker(context.builder, rows.breakerColumns(breaker));
}

export function* deleteBreaker(context: Context, key: string): Step<void> {
  yield breakerQueries.deleteBreaker(context.builder, key);
}
