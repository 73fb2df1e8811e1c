/** The closed backends. */
import type { Tables } from '../tables.ts';
import type { Builder, Query } from './fixed.ts';

export function allBreakers(builder: Builder): Query {
  return builder.selectFrom('breakers').selectAll().orderBy('key').compile();
}

export function putBreaker(builder: Builder, breaker: Tables['breakers']): Query {
  const { key, ...state } = breaker;
  return builder
    .insertInto('breakers')
    .values({ key, ...state })
    .onConflict((conflict) => conflict.column('key').doUpdateSet(state))
    .compile();
}

export function deleteBreaker(builder: Builder, key: string): Query {
  return builder.deleteFrom('breakers').where('key', '=', key).compile();
}
