/** Deliveries that GitHub's logs have and that were never recorded. */
import { sql } from 'kysely';
import type { Tables } from '../tables.ts';
import type { Builder, Query } from './fixed.ts';
import { atMost } from './terms.ts';

export function recordedGuids(builder: Builder, endpoint: string, guids: readonly string[]): Query {
  return builder
    .selectFrom('deliveries')
    .select('guid')
    .where('endpoint', '=', endpoint)
    .where('guid', 'in', guids)
    .compile();
}

/** Of a log: what is known of these. */
export function missedByGuid(builder: Builder, log: string, guids: readonly string[]): Query {
  return builder
    .selectFrom('missedDeliveries')
    .select(['guid', 'ended'])
    .where('log', '=', log)
    .where('guid', 'in', guids)
    .compile();
}

export function insertMissed(builder: Builder, row: Tables['missedDeliveries']): Query {
  return builder
    .insertInto('missedDeliveries')
    .values(row)
    .onConflict((conflict) => conflict.columns(['log', 'guid']).doNothing())
    .compile();
}

export function countMissed(builder: Builder, line: string, kind: 'open' | 'ended'): Query {
  return builder
    .selectFrom('missedDeliveries')
    .select(({ fn }) => fn.countAll<number>().as('count'))
    .where('line', '=', line)
    .where('ended', kind === 'open' ? 'is' : 'is not', null)
    .compile();
}

/** Of a line: how many are open of these. */
export function openOfThese(
  builder: Builder,
  line: string,
  column: 'installation' | 'share',
  names: readonly string[],
): Query {
  return builder
    .selectFrom('missedDeliveries')
    .select(({ fn }) => [`${column} as of`, fn.countAll<number>().as('count')])
    .where('line', '=', line)
    .where('ended', 'is', null)
    .where(column, 'in', names)
    .groupBy(column)
    .compile();
}

/** Of a line: the installations with the most open ones. */
export function openByInstallation(builder: Builder, line: string, limit: number): Query {
  return builder
    .selectFrom('missedDeliveries')
    .select(({ fn }) => ['installation as of', fn.countAll<number>().as('count')])
    .where('line', '=', line)
    .where('ended', 'is', null)
    .groupBy('installation')
    .orderBy('count', 'desc')
    .orderBy('installation')
    .limit(atMost(limit))
    .compile();
}

/** Of an installation: the shares with the most open ones. */
export function openByShare(builder: Builder, line: string, installation: string, limit: number): Query {
  return builder
    .selectFrom('missedDeliveries')
    .select(({ fn }) => ['share as of', fn.countAll<number>().as('count')])
    .where('line', '=', line)
    .where('ended', 'is', null)
    .where('installation', '=', installation)
    .groupBy('share')
    .orderBy('count', 'desc')
    .orderBy('share')
    .limit(atMost(limit))
    .compile();
}

/** The open one that was delivered last: what has waited longest stays. */
export function dropOpen(
  builder: Builder,
  { line, installation, share }: Pick<Tables['missedDeliveries'], 'line' | 'installation' | 'share'>,
): Query {
  return builder
    .deleteFrom('missedDeliveries')
    .where(({ eb, refTuple, selectFrom }) =>
      eb(
        refTuple('log', 'guid'),
        'in',
        selectFrom('missedDeliveries')
          .select(['log', 'guid'])
          .where('line', '=', line)
          .where('ended', 'is', null)
          .where('installation', '=', installation)
          .where('share', '=', share)
          .orderBy('deliveredAtMs', 'desc')
          .orderBy('log', 'desc')
          .orderBy('guid', 'desc')
          .limit(atMost(1))
          .$asTuple('log', 'guid'),
      ),
    )
    .compile();
}

/** The one that has been over longest. */
export function dropEnded(builder: Builder, line: string): Query {
  return builder
    .deleteFrom('missedDeliveries')
    .where(({ eb, refTuple, selectFrom }) =>
      eb(
        refTuple('log', 'guid'),
        'in',
        selectFrom('missedDeliveries')
          .select(['log', 'guid'])
          .where('line', '=', line)
          .where('ended', 'is not', null)
          .orderBy('changedAtMs')
          .orderBy('log')
          .orderBy('guid')
          .limit(atMost(1))
          .$asTuple('log', 'guid'),
      ),
    )
    .compile();
}

/** Open ones that have been recorded since are over. */
export function endArrived(builder: Builder, log: string, endpoint: string, nowMs: number): Query {
  return builder
    .updateTable('missedDeliveries')
    .set({ ended: 'arrived', changedAtMs: nowMs })
    .where('log', '=', log)
    .where('ended', 'is', null)
    .where('guid', 'in', (query) =>
      query
        .selectFrom('deliveries')
        .select('deliveries.guid')
        .whereRef('deliveries.guid', '=', 'missedDeliveries.guid')
        .where('endpoint', '=', endpoint),
    )
    .compile();
}

export function endAnswered(builder: Builder, log: string, guids: readonly string[], nowMs: number): Query {
  return builder
    .updateTable('missedDeliveries')
    .set({ ended: 'answered', changedAtMs: nowMs })
    .where('log', '=', log)
    .where('guid', 'in', guids)
    .where('ended', 'is', null)
    .compile();
}

/** Open ones that were asked for as often as they may be, and whose last time is over. */
export function endHopeless(builder: Builder, log: string, mostAttempts: number, nowMs: number): Query {
  return builder
    .updateTable('missedDeliveries')
    .set({ ended: 'given-up', changedAtMs: nowMs })
    .where('log', '=', log)
    .where('ended', 'is', null)
    .where('attempts', '>=', mostAttempts)
    .where('dueAtMs', '<=', nowMs)
    .compile();
}

/**
 * Owner by owner in turn, of each repository by repository, of which those that start jobs go first, the oldest first.
 * Those come first that have waited longest since GitHub was asked for one of theirs: without it the oldest of a few would
 * be before all of the others.
 */
export function dueMissed(builder: Builder, log: string, nowMs: number, limit: number): Query {
  const rank = sql.ref('rank');
  const deliveredAtMs = sql.ref('deliveredAtMs');
  const shareAskedAtMs = sql<number>`coalesce(${sql.ref('ofShare.askedAtMs')}, 0)`;
  const ownerAskedAtMs = sql<number>`coalesce(${sql.ref('ofOwner.askedAtMs')}, 0)`;
  return builder
    .selectFrom((query) =>
      query
        .selectFrom((inner) =>
          inner
            .selectFrom('missedDeliveries')
            .select(['guid', 'deliveryId', 'rank', 'attempts', 'deliveredAtMs', 'installation', 'share'])
            .select(
              sql<number>`row_number() over (partition by installation, share order by ${rank}, ${deliveredAtMs}, guid)`.as(
                'turn',
              ),
            )
            .where('log', '=', log)
            .where('ended', 'is', null)
            .where('dueAtMs', '<=', nowMs)
            .as('one'),
        )
        .leftJoin(
          (inner) =>
            inner
              .selectFrom('missedDeliveries')
              .select(['installation', 'share'])
              .select(({ fn }) => fn.max('changedAtMs').as('askedAtMs'))
              .where('log', '=', log)
              .where('attempts', '>', 0)
              .groupBy(['installation', 'share'])
              .as('ofShare'),
          (join) =>
            join.onRef('ofShare.installation', '=', 'one.installation').onRef('ofShare.share', '=', 'one.share'),
        )
        .select(['one.guid', 'one.deliveryId', 'one.rank', 'one.attempts', 'one.deliveredAtMs', 'one.installation'])
        .select(
          sql<number>`row_number() over (partition by one.installation order by one.turn, ${shareAskedAtMs}, ${sql.ref('one.rank')}, ${sql.ref('one.deliveredAtMs')}, one.guid)`.as(
            'turn',
          ),
        )
        .as('due'),
    )
    .leftJoin(
      (inner) =>
        inner
          .selectFrom('missedDeliveries')
          .select('installation')
          .select(({ fn }) => fn.max('changedAtMs').as('askedAtMs'))
          .where('log', '=', log)
          .where('attempts', '>', 0)
          .groupBy('installation')
          .as('ofOwner'),
      (join) => join.onRef('ofOwner.installation', '=', 'due.installation'),
    )
    .select(['due.guid', 'due.deliveryId', 'due.attempts'])
    .orderBy('due.turn')
    .orderBy(ownerAskedAtMs)
    .orderBy('due.rank')
    .orderBy('due.deliveredAtMs')
    .orderBy('due.guid')
    .limit(atMost(limit))
    .compile();
}

export function changeMissed(
  builder: Builder,
  {
    log,
    guid,
    ...change
  }: Pick<Tables['missedDeliveries'], 'log' | 'guid' | 'changedAtMs'> & Partial<Tables['missedDeliveries']>,
): Query {
  return builder
    .updateTable('missedDeliveries')
    .set(change)
    .where('log', '=', log)
    .where('guid', '=', guid)
    .where('ended', 'is', null)
    .compile();
}

export function openMissed(builder: Builder): Query {
  return builder
    .selectFrom('missedDeliveries')
    .select(({ fn }) => ['log', fn.countAll<number>().as('count')])
    .where('ended', 'is', null)
    .groupBy('log')
    .orderBy('log')
    .compile();
}

export function pruneMissed(builder: Builder, beforeMs: number, limit: number): Query {
  return builder
    .deleteFrom('missedDeliveries')
    .where(({ eb, refTuple, selectFrom }) =>
      eb(
        refTuple('log', 'guid'),
        'in',
        selectFrom('missedDeliveries')
          .select(['log', 'guid'])
          .where('changedAtMs', '<', beforeMs)
          .orderBy('changedAtMs')
          .orderBy('log')
          .orderBy('guid')
          .limit(atMost(limit))
          .$asTuple('log', 'guid'),
      ),
    )
    .compile();
}
