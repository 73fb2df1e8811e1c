/** The steps of a runner, and the end of its output. */
import { failureColumnNames } from '../rows.ts';
import type { Tables } from '../tables.ts';
import { type Builder, type Query, wholeRow } from './fixed.ts';

const timelineColumnNames = [
  'runner',
  'version',
  'position',
  'atMs',
  'state',
  'reason',
  'details',
  ...failureColumnNames,
] as const;

export const insertTimeline = wholeRow<Tables['runnerTimeline']>(timelineColumnNames, (builder, values) =>
  builder
    .insertInto('runnerTimeline')
    .columns([...timelineColumnNames])
    .expression(values),
);

export function timelineOf(builder: Builder, runner: string): Query {
  return builder
    .selectFrom('runnerTimeline')
    .select(['atMs', 'state', 'reason', 'details', ...failureColumnNames])
    .where('runner', '=', runner)
    .orderBy('version')
    .orderBy('position')
    .compile();
}

export function thinTimeline(builder: Builder, runner: string, afterVersion: number, beforeVersion: number): Query {
  return builder
    .deleteFrom('runnerTimeline')
    .where('runner', '=', runner)
    .where('version', '>', afterVersion)
    .where('version', '<', beforeVersion)
    .compile();
}

export function putOutput(builder: Builder, runner: string, output: string, keptAtMs: number): Query {
  return builder
    .insertInto('runnerOutputs')
    .values({ runner, output, keptAtMs })
    .onConflict((conflict) => conflict.column('runner').doUpdateSet({ output, keptAtMs }))
    .compile();
}

export function outputOf(builder: Builder, runner: string): Query {
  return builder.selectFrom('runnerOutputs').select('output').where('runner', '=', runner).compile();
}
