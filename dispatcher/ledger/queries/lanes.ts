/** Lanes, their demand and their supply. */
import { sql } from 'kysely';
import type { Tables } from '../tables.ts';
import { type Builder, fixed, fixedUpTo, type Query, wholeRow } from './fixed.ts';
import { atMost, completed, inLane, observed, type Unbound, unbound, yes } from './terms.ts';

export const putLane = wholeRow<Tables['lanes']>(
  ['key', 'registration', 'specHash', 'spec', 'changedAtMs'],
  (builder, values) =>
    builder
      .insertInto('lanes')
      .columns(['key', 'registration', 'specHash', 'spec', 'changedAtMs'])
      .expression(values)
      .onConflict((conflict) =>
        conflict
          .column('key')
          .doUpdateSet(({ ref }) => ({
            registration: ref('excluded.registration'),
            specHash: ref('excluded.specHash'),
            spec: ref('excluded.spec'),
            changedAtMs: ref('excluded.changedAtMs'),
          }))
          // Most jobs arrive in a lane that has not changed: then nothing is written.
          .whereRef('lanes.spec', '<>', 'excluded.spec'),
      ),
);

export const laneByKey = fixed((builder, key: string) =>
  builder.selectFrom('lanes').select(['key', 'registration', 'spec']).where('key', '=', key),
);

export const laneDemand = fixed((builder, key: string) =>
  builder
    .selectFrom('jobs')
    .select(({ fn }) => [
      fn.countAll<number>().as('demand'),
      fn.min<number | null>('queuedSinceMs').as('oldestQueuedSinceMs'),
    ])
    .where('demand', '=', yes)
    .where('laneKey', '=', key),
);

/** Of one state: counted in the order of the index. A table to group several in would cost many times as much. */
export const laneSupply = fixed((builder, key: string, state: Unbound) =>
  builder
    .selectFrom('runners')
    .select(['specHash', ({ fn }) => fn.countAll<number>().as('count')])
    .where('live', '=', yes)
    .where('laneKey', '=', key)
    .where('state', '=', state)
    .where('jobKey', 'is', null)
    .groupBy('specHash'),
);

export function lanesInUse(builder: Builder): Query {
  return builder
    .selectFrom('jobs')
    .select(sql<string>`${sql.ref('laneKey')}`.as('laneKey'))
    .where('demand', '=', yes)
    .union(
      builder
        .selectFrom('jobs')
        .select(sql<string>`${sql.ref('laneKey')}`.as('laneKey'))
        .where('hold', 'is not', null)
        .where('laneKey', 'is not', null),
    )
    .union(builder.selectFrom('runners').select('laneKey').where('live', '=', yes))
    .orderBy('laneKey')
    .compile();
}

export const waitingJobs = fixedUpTo((limit, builder, laneKey: string) => waitingOf(builder, laneKey, limit));

/** `runs`: ids of workflow runs whose jobs are left out. */
export function waitingJobsBesides(builder: Builder, limit: number, laneKey: string, runs: readonly number[]): Query {
  return waitingOf(builder, laneKey, limit).where('runId', 'not in', runs).compile();
}

export const laneDemandByRun = fixed((builder, laneKey: string) =>
  builder
    .selectFrom('jobs')
    .select(['runId', ({ fn }) => fn.countAll<number>().as('count')])
    .where('demand', '=', yes)
    .where('laneKey', '=', laneKey)
    .groupBy('runId'),
);

/** Runners without a job, by the run that each was launched for. */
export const laneSupplyByRun = fixed((builder, laneKey: string, specHash: string) =>
  builder
    .selectFrom('runners')
    .innerJoin('jobs', 'jobs.key', 'runners.forJobKey')
    .select(['jobs.runId', ({ fn }) => fn.countAll<number>().as('count')])
    .where('runners.live', '=', yes)
    .where('runners.laneKey', '=', laneKey)
    .where('runners.specHash', '=', specHash)
    .where('runners.state', 'in', unbound)
    .where('runners.jobKey', 'is', null)
    .groupBy('jobs.runId'),
);

function waitingOf(builder: Builder, laneKey: string, limit: number) {
  return builder
    .selectFrom('jobs')
    .select([
      'key',
      'host',
      'owner',
      'repository',
      'jobId',
      'runId',
      'planned',
      'launches',
      'lastLaunchAtMs',
      'stolen',
      'passedOver',
      'probing',
      'verifiedAtMs',
      'statusSinceMs',
      'disputed',
      'createdAtMs',
      'firstSeenAtMs',
      'statusSource',
    ])
    .where('demand', '=', yes)
    .where('laneKey', '=', laneKey)
    .orderBy('planned')
    .orderBy('statusSinceMs')
    .orderBy('key')
    .limit(atMost(limit));
}

/** A lane with an open job stays, queued or not: the job may return to its queue. That of an observed one stays for its report. */
export function deleteEmptyLanes(builder: Builder): Query {
  return builder
    .deleteFrom('lanes')
    .where(({ not, exists, selectFrom }) =>
      not(
        exists(
          selectFrom('jobs')
            .select(yes.as('one'))
            .where('jobs.status', '<>', completed)
            .where('jobs.admission', '=', inLane)
            .whereRef('jobs.laneKey', '=', 'lanes.key'),
        ),
      ),
    )
    .where(({ not, exists, selectFrom }) =>
      not(
        exists(
          selectFrom('runners')
            .select(yes.as('one'))
            .where('runners.live', '=', yes)
            .whereRef('runners.laneKey', '=', 'lanes.key'),
        ),
      ),
    )
    .where(({ not, exists, selectFrom }) =>
      not(
        exists(
          selectFrom('jobs')
            .select(yes.as('one'))
            .where('jobs.admission', '=', observed)
            .whereRef('jobs.laneKey', '=', 'lanes.key'),
        ),
      ),
    )
    .compile();
}
