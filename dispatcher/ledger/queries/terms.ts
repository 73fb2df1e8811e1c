/**
 * The terms that the queries share. A query is a function that returns text and parameters, in the SQL common to SQLite and
 * PostgreSQL; the store runs it (see steps/).
 *
 * Values that a partial index depends on are literals in the text: with a parameter in their place SQLite
 * cannot know that the index covers the query, and scans the table.
 */
import { type AliasedRawBuilder, type RawBuilder, sql } from 'kysely';
import type { Bit } from '../tables.ts';

export const yes: RawBuilder<Bit> = sql.lit(1);
export const no: RawBuilder<Bit> = sql.lit(0);
export const completed: RawBuilder<'completed'> = sql.lit('completed');
export const inLane: RawBuilder<'lane'> = sql.lit('lane');
export const observed: RawBuilder<'observed'> = sql.lit('observed');
/** The states of runners that may have no job yet; what costs least to end goes first. */
export const UNBOUND = ['creating', 'starting', 'online'] as const;
export type Unbound = (typeof UNBOUND)[number];
export const unbound = UNBOUND.map((state) => sql.lit(state));

/**
 * SQLite reads the value of a bound LIMIT while planning, so each execution compiles the statement anew: 16 µs
 * instead of 0.5 µs. There are few different limits, so they are literals.
 */
export function atMost(limit: number): RawBuilder<number> {
  if (!Number.isSafeInteger(limit) || limit < 0) throw new TypeError(`a limit is a whole number, not ${limit}`);
  return sql.lit(limit);
}

/** Hides the column from the planner: an index on it would be the wrong one. Both databases interpret it alike. */
export function withoutIndex(column: string): RawBuilder<string> {
  return sql`coalesce(${sql.ref(column)}, '')`;
}

export function withoutOrderIndex(column: string): RawBuilder<number> {
  return sql`${sql.ref(column)} + 0`;
}

/**
 * Numbers each row within its registration, in `order`. With it one of each registration is taken in turn: rows
 * of one that GitHub does not answer for stay, and must not hide the others'.
 */
export function turn(order: RawBuilder<unknown>): AliasedRawBuilder<number, 'turn'> {
  return sql<number>`row_number() over (partition by coalesce(registration, '') order by ${order})`.as('turn');
}
