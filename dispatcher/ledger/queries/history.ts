/** What is over: counted, and pruned in small steps. */
import type { ExpressionBuilder, ExpressionWrapper, SqlBool } from 'kysely';
import type { Tables } from '../tables.ts';
import type { Builder, Query } from './fixed.ts';
import { atMost, completed, no, withoutIndex } from './terms.ts';

export function pruneDeliveries(builder: Builder, beforeMs: number, limit: number): Query {
  return builder
    .deleteFrom('deliveries')
    .where(({ eb, refTuple, selectFrom }) =>
      eb(
        refTuple('endpoint', 'guid'),
        'in',
        selectFrom('deliveries')
          .select(['endpoint', 'guid'])
          .where('receivedAtMs', '<', beforeMs)
          .orderBy('receivedAtMs')
          .orderBy('endpoint')
          .orderBy('guid')
          .limit(atMost(limit))
          .$asTuple('endpoint', 'guid'),
      ),
    )
    .compile();
}

/** Without a condition SQLite counts by pages: milliseconds for a million. */
export function countDeliveries(builder: Builder): Query {
  return builder
    .selectFrom('deliveries')
    .select(({ fn }) => fn.countAll<number>().as('count'))
    .compile();
}

/** Completed and settled: history. */
export function countEndedJobs(builder: Builder): Query {
  return builder
    .selectFrom('jobs')
    .select(({ fn }) => fn.countAll<number>().as('count'))
    .where('status', '=', completed)
    .where('unsettledAtMs', 'is', null)
    .compile();
}

export function pruneEndedJobs(builder: Builder, beforeMs: number, limit: number): Query {
  return builder
    .deleteFrom('jobs')
    .where('key', 'in', (query) =>
      query
        .selectFrom('jobs')
        .select('key')
        .where('status', '=', completed)
        .where('unsettledAtMs', 'is', null)
        .where('statusSinceMs', '<', beforeMs)
        .orderBy('statusSinceMs')
        .orderBy('key')
        .limit(atMost(limit)),
    )
    .returning('share')
    .compile();
}

/** Jobs that were never ours to run, and whose end was not reported to us. */
export function pruneForsakenJobs(builder: Builder, beforeMs: number, limit: number): Query {
  return builder
    .deleteFrom('jobs')
    .where('key', 'in', (query) =>
      query
        .selectFrom('jobs')
        .select('key')
        .where('status', '<>', completed)
        .where(withoutIndex('admission'), 'in', ['observed', 'refused', 'not-ours', 'expired'])
        .where('unsettledAtMs', 'is', null)
        .where('statusSinceMs', '<', beforeMs)
        .limit(atMost(limit)),
    )
    .returning('share')
    .compile();
}

export function countGoneRunners(builder: Builder): Query {
  return builder
    .selectFrom('runners')
    .select(({ fn }) => fn.countAll<number>().as('count'))
    .where('live', '=', no)
    .compile();
}

/** Those with the longest history first. */
export function goneRunnersByRegistration(builder: Builder): Query {
  return builder
    .selectFrom('runners')
    .select(['registration', ({ fn }) => fn.countAll<number>().as('count')])
    .where('live', '=', no)
    .groupBy('registration')
    .orderBy('count', 'desc')
    .orderBy('registration')
    .compile();
}

/** The oldest of one registration's history. */
export function pruneGoneRunnersOf(builder: Builder, registration: string, limit: number): Query {
  return pruneGone(builder, limit, (of) => of('registration', '=', registration));
}

export function pruneGoneRunners(builder: Builder, beforeMs: number, limit: number): Query {
  return pruneGone(builder, limit, (of) => of('stateSinceMs', '<', beforeMs));
}

type Condition = (of: ExpressionBuilder<Tables, 'runners'>) => ExpressionWrapper<Tables, 'runners', SqlBool>;

function pruneGone(builder: Builder, limit: number, chosen: Condition): Query {
  return builder
    .deleteFrom('runners')
    .where('name', 'in', (query) =>
      query
        .selectFrom('runners')
        .select('name')
        .where('live', '=', no)
        .where(chosen)
        .orderBy('stateSinceMs')
        .orderBy('name')
        .limit(atMost(limit)),
    )
    .compile();
}
