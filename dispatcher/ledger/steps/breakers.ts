/** The closed backends. */
import type { Breaker } from '../ledger.ts';
import * as breakerQueries from '../queries/breakers.ts';
import * as rows from '../rows.ts';
import type { Context, Step } from './step.ts';

export function* breakers(context: Context): Step<readonly Breaker[]> {
  return (yield breakerQueries.allBreakers(context.builder)).rows.map(rows.breaker);
}

export function* putBreaker(context: Context, breaker: Breaker): Step<void> {
  yield breakerQueries.putBreaker(context.builder, rows.breakerColumns(breaker));
}

export function* deleteBreaker(context: Context, key: string): Step<void> {
  yield breakerQueries.deleteBreaker(context.builder, key);
}
