/** Named values that outlive the process. */
import type { Tables } from '../tables.ts';
import type { Builder, Query } from './fixed.ts';
import { atMost } from './terms.ts';

export function cursorByName(builder: Builder, name: string): Query {
  return builder.selectFrom('cursors').select('value').where('name', '=', name).compile();
}

export function putCursor(builder: Builder, cursor: Tables['cursors']): Query {
  const { name, value, changedAtMs } = cursor;
  return builder
    .insertInto('cursors')
    .values({ name, value, changedAtMs })
    .onConflict((conflict) => conflict.column('name').doUpdateSet({ value, changedAtMs }))
    .compile();
}

/** Those that begin so and were not put since: the longest ago first. */
export function pruneCursors(builder: Builder, prefix: string, beforeMs: number, limit: number): Query {
  return builder
    .deleteFrom('cursors')
    .where('name', 'in', (query) =>
      query
        .selectFrom('cursors')
        .select('name')
        .where('changedAtMs', '<', beforeMs)
        .where('name', 'like', `${prefix}%`)
        .orderBy('changedAtMs')
        .orderBy('name')
        .limit(atMost(limit)),
    )
    .compile();
}
