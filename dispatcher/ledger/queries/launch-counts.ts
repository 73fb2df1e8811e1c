/** How many runners were planned, launched and lost for a job. */
import { sql } from 'kysely';
import { type Builder, fixed, type Query } from './fixed.ts';

export const countPlanned = fixed((builder, runners: number, key: string) =>
  builder
    .updateTable('jobs')
    .set(({ eb }) => ({ planned: eb('planned', '+', runners) }))
    .where('key', '=', key),
);

export const countLaunch = fixed((builder, atMs: number, key: string) =>
  builder
    .updateTable('jobs')
    .set(({ eb }) => ({ launches: eb('launches', '+', sql.lit(1)), lastLaunchAtMs: atMs }))
    .where('key', '=', key),
);

export function uncountLaunch(builder: Builder, key: string): Query {
  return builder
    .updateTable('jobs')
    .set(({ eb }) => ({ planned: eb('planned', '-', 1), launches: eb('launches', '-', 1) }))
    .where('key', '=', key)
    .where('launches', '>', 0)
    .compile();
}

export function forgiveLaunch(builder: Builder, key: string): Query {
  return builder
    .updateTable('jobs')
    .set(({ eb }) => ({ launches: eb('launches', '-', 1) }))
    .where('key', '=', key)
    .where('launches', '>', 0)
    .compile();
}

export function countStolen(builder: Builder, key: string): Query {
  return builder
    .updateTable('jobs')
    .set(({ eb }) => ({ stolen: eb('stolen', '+', 1) }))
    .where('key', '=', key)
    .compile();
}
