/**
 * A ledger method is a step: a generator of the queries of one transaction, which yields a query and receives its result.
 * SQLite runs a step to its end without interruption; PostgreSQL runs the same steps with an `await` at each query, or at
 * several that are sent together. The steps do not know which.
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

/** One after the other, as far as the step can tell. None depends on the answer to one before it. */
export function* all(queries: readonly Query[]): Step<readonly QueryResult[]> {
  const [first, ...ahead] = queries;
  if (first === undefined) return [];
  const answers = [yield ahead.length === 0 ? first : { ...first, ahead }];
  for (const query of ahead) answers.push(yield query);
  return answers;
}

/** The first row, decoded; undefined if there is none. */
export function firstOf<Row>(answer: QueryResult, decode: (row: unknown) => Row): Row | undefined {
  return answer.rows.length === 0 ? undefined : decode(answer.rows[0]);
}
