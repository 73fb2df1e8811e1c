/**
 * A ledger method is a step: a generator of the queries of one transaction, which yields a query and receives its result.
 * SQLite runs a step to its end without interruption; PostgreSQL will run the same steps with an `await` at each query.
 * The steps do not know which.
 */
import type { AreStrangers } from '../../jobs/facts.ts';
import type { Builder, Query } from '../queries/fixed.ts';

export interface QueryResult {
  readonly rows: readonly unknown[];
  /** How many rows a write affected. */
  readonly changed: number;
}

export type Step<Result> = Generator<Query, Result, QueryResult>;

export interface Context {
  readonly builder: Builder;
  readonly nowMs: number;
  readonly areStrangers: AreStrangers;
  readonly mostOpenJobs: number;
}

/** The first row, decoded; undefined if there is none. */
export function firstOf<Row>(answer: QueryResult, decode: (row: unknown) => Row): Row | undefined {
  return answer.rows.length === 0 ? undefined : decode(answer.rows[0]);
}
