/** The counters of each share's jobs, and the pruning based on them. */
import { sql } from 'kysely';
import { type Builder, fixed, type Query } from './fixed.ts';

export const shareByName = fixed((builder, name: string) =>
  builder.selectFrom('shares').select(['name', 'open', 'ended']).where('name', '=', name),
);

/** Those with the longest history first. */
export function sharesByHistory(builder: Builder, limit: number): Query {
  return builder
    .selectFrom('shares')
    .select(['name', 'open', 'ended'])
    .where('ended', '>', 0)
    .orderBy('ended', 'desc')
    .orderBy('name')
    .limit(sql.lit(limit))
    .compile();
}

export const countShare = fixed((builder, name: string, open: number, ended: number) =>
  builder
    .insertInto('shares')
    .values({ name, open, ended })
    .onConflict((conflict) =>
      conflict.column('name').doUpdateSet(({ eb, ref }) => ({
        open: eb('shares.open', '+', ref('excluded.open')),
        ended: eb('shares.ended', '+', ref('excluded.ended')),
      })),
    ),
);

export function deleteEmptyShares(builder: Builder): Query {
  return builder.deleteFrom('shares').where('open', '<=', 0).where('ended', '<=', 0).compile();
}

/** The oldest of one share's history. */
export function pruneEndedOfShare(builder: Builder, share: string, limit: number): Query {
  return builder
    .deleteFrom('jobs')
    .where('key', 'in', (query) =>
      query
        .selectFrom('jobs')
        .select('key')
        .where('share', '=', share)
        .where('status', '=', sql.lit('completed'))
        .where('unsettledAtMs', 'is', null)
        .orderBy('statusSinceMs')
        .orderBy('key')
        .limit(sql.lit(limit)),
    )
    .returning('share')
    .compile();
}
