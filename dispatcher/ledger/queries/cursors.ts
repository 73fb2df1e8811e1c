/** Named values that outlive the process. */
import type { Tables } from '../tables.ts';
import type { Builder, Query } from './fixed.ts';

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
