import { sql } from 'kysely';
import type { Migration } from './migration.ts';

const integer = 'bigint';

/**
 * Jobs that GitHub does not assign to any runner, or does not show, are held: they ask for no runner, and others do not
 * wait for them. A launch counts when a provider is called, so planned runners are counted separately.
 */
export const heldJobs: Migration = {
  version: 4,
  name: 'held jobs, planned runners, queue age',
  statements: (builder) => {
    const { schema } = builder;
    return [
      ...['planned', 'stolen', 'passedOver', 'heldAtRunning', 'probing', 'queuedSinceMs'].map((name) =>
        schema
          .alterTable('jobs')
          .addColumn(name, integer, (column) => column.notNull().defaultTo(0))
          .compile(),
      ),
      ...['heldSinceMs', 'heldUntilMs'].map((name) => schema.alterTable('jobs').addColumn(name, integer).compile()),
      ...['hold', 'passedOverBy'].map((name) => schema.alterTable('jobs').addColumn(name, 'text').compile()),
      builder
        .updateTable('jobs')
        .set(({ ref }) => ({ planned: ref('launches'), queuedSinceMs: ref('statusSinceMs') }))
        .compile(),
      schema.dropIndex('jobsInDemand').compile(),
      schema
        .createIndex('jobsInDemand')
        .on('jobs')
        .columns(['laneKey', 'planned', 'statusSinceMs', 'key', 'queuedSinceMs'])
        .where(sql.ref('demand'), '=', sql.lit(1))
        .compile(),
      schema.dropIndex('jobsInDemandByAge').compile(),
      schema
        .createIndex('jobsInDemandByAge')
        .on('jobs')
        .columns(['queuedSinceMs', 'key'])
        .where(sql.ref('demand'), '=', sql.lit(1))
        .compile(),
      schema
        .createIndex('jobsHeldByLane')
        .on('jobs')
        .columns(['laneKey', 'queuedSinceMs'])
        .where(sql.ref('hold'), 'is not', null)
        .compile(),
      schema
        .createIndex('jobsHeldByTime')
        .on('jobs')
        .columns(['heldUntilMs', 'key'])
        .where(sql.ref('hold'), 'is not', null)
        .compile(),
      schema
        .createIndex('jobsHeldByRun')
        .on('jobs')
        .columns(['runId', 'statusSinceMs', 'key'])
        .where(sql.ref('hold'), '=', sql.lit('unserved'))
        .compile(),
      schema
        .createIndex('jobsRunningByRun')
        .on('jobs')
        .columns(['runId'])
        .where(sql.ref('status'), '=', sql.lit('in_progress'))
        .compile(),
      schema.dropIndex('runnersLiveByBackend').compile(),
      schema
        .createIndex('runnersLiveByBackend')
        .on('runners')
        .columns(['registration', 'backend', 'instanceState', 'state'])
        .where(sql.ref('live'), '=', sql.lit(1))
        .compile(),
    ];
  },
};
