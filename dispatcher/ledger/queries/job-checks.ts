/** Jobs whose state is in doubt, or old: they are read again from GitHub, or given up. */
import { sql } from 'kysely';
import type { JobsTable } from '../tables.ts';
import { type Builder, fixedUpTo, ofRow, type Query } from './fixed.ts';
import { atMost, completed, inLane, observed, turn, withoutIndex, yes } from './terms.ts';

export function disputedJobs(builder: Builder, limit: number): Query {
  const ranked = builder
    .selectFrom('jobs')
    .select('key')
    // Those that may need a runner first.
    .select(turn(sql`demand desc, ${sql.ref('statusObservedAtMs')}, key`))
    .where('disputed', '=', yes)
    .where(withoutIndex('admission'), '=', inLane);
  return builder
    .selectFrom(ranked.as('ranked'))
    .innerJoin('jobs', 'jobs.key', 'ranked.key')
    .selectAll('jobs')
    .orderBy('ranked.turn')
    .orderBy('jobs.demand', 'desc')
    .orderBy('jobs.statusObservedAtMs')
    .orderBy('jobs.key')
    .limit(atMost(limit))
    .compile();
}

/** Newest first: an older one that no other source has confirmed by now is less likely to exist. */
export function unconfirmedJobs(builder: Builder, limit: number): Query {
  const ranked = builder
    .selectFrom('jobs')
    .select('key')
    .select(turn(sql`${sql.ref('statusSinceMs')} desc, key`))
    .where('unconfirmed', '=', yes);
  return builder
    .selectFrom(ranked.as('ranked'))
    .innerJoin('jobs', 'jobs.key', 'ranked.key')
    .selectAll('jobs')
    .orderBy('ranked.turn')
    .orderBy('jobs.statusSinceMs', 'desc')
    .orderBy('jobs.key')
    .limit(atMost(limit))
    .compile();
}

export const unconfirmedJobsOf = fixedUpTo((limit, builder, registration: string) =>
  builder
    .selectFrom('jobs')
    .selectAll()
    .where('unconfirmed', '=', yes)
    .where('registration', '=', registration)
    .orderBy('statusSinceMs', 'desc')
    .orderBy('key')
    .limit(atMost(limit)),
);

export function overdueUnconfirmed(builder: Builder, beforeMs: number, limit: number): Query {
  return builder
    .selectFrom('jobs')
    .select(['key', 'laneKey'])
    .where('unconfirmed', '=', yes)
    .where('statusSinceMs', '<', beforeMs)
    .orderBy('statusSinceMs')
    .orderBy('key')
    .limit(atMost(limit))
    .compile();
}

/** Open jobs of the registration with the same id under another name of their repository. */
interface Named {
  readonly jobId: number;
  readonly key: string;
  readonly host: string;
  readonly registration: string;
}

export const namesakes = ofRow<Named>(['jobId', 'key', 'host', 'registration'], (builder, job) =>
  builder
    .selectFrom('jobs')
    .selectAll()
    .where('jobId', '=', job.jobId)
    .where('key', '<>', job.key)
    .where('host', '=', job.host)
    .where(withoutIndex('registration'), '=', job.registration)
    .where(withoutIndex('status'), '<>', completed)
    .orderBy('firstSeenAtMs')
    .limit(atMost(10)),
);

export function renameJob(builder: Builder, column: 'jobKey' | 'forJobKey', from: string, to: string): Query {
  return builder
    .updateTable('runners')
    .set({ [column]: to })
    .where('live', '=', yes)
    .where(column, '=', from)
    .compile();
}

export function staleJobs(builder: Builder, beforeMs: number, limit: number): Query {
  return inTurns(builder, unverified(builder, beforeMs).where('demand', '=', yes), limit);
}

export function staleObservedJobs(builder: Builder, sinceMs: number, beforeMs: number, limit: number): Query {
  const observing = unverified(builder, beforeMs)
    .where('admission', '=', observed)
    .where('status', '<>', completed)
    .where('queuedSinceMs', '>=', sinceMs);
  return inTurns(builder, observing, limit);
}

/** Jobs of before that nobody has verified since then. */
function unverified(builder: Builder, beforeMs: number) {
  return builder
    .selectFrom('jobs')
    .select(['key', 'registration', 'queuedSinceMs', turn(sql`${sql.ref('queuedSinceMs')}, key`)])
    .where('queuedSinceMs', '<', beforeMs)
    .where(({ eb, or }) => or([eb('verifiedAtMs', 'is', null), eb('verifiedAtMs', '<', beforeMs)]));
}

/** Each share's oldest first. */
function inTurns(builder: Builder, some: ReturnType<typeof unverified>, limit: number): Query {
  return builder
    .selectFrom(some.as('ranked'))
    .select(['key', 'registration'])
    .orderBy('turn')
    .orderBy('queuedSinceMs')
    .orderBy('key')
    .limit(atMost(limit))
    .compile();
}

export const observedJobs = fixedUpTo((limit, builder, registration: string, sinceMs: number) =>
  builder
    .selectFrom('jobs')
    .selectAll()
    .where('admission', '=', observed)
    .where('registration', '=', registration)
    .where('firstSeenAtMs', '>=', sinceMs)
    .orderBy('firstSeenAtMs', 'desc')
    .orderBy('key', 'desc')
    .limit(atMost(limit)),
);

export function overdueJobs(builder: Builder, beforeMs: number, limit: number): Query {
  return builder
    .selectFrom('jobs')
    .select(['key', 'laneKey', 'queuedSinceMs'])
    .where('demand', '=', yes)
    .where('status', '=', 'queued')
    .where('queuedSinceMs', '<', beforeMs)
    .orderBy('queuedSinceMs')
    .orderBy('key')
    .limit(atMost(limit))
    .compile();
}

export function expireJob(
  builder: Builder,
  key: string,
  words: Pick<JobsTable, 'reasonCode' | 'reason' | 'cure'>,
): Query {
  return builder
    .updateTable('jobs')
    .set(({ eb }) => ({
      ...words,
      admission: 'expired',
      demand: 0,
      unconfirmed: 0,
      hold: null,
      heldSinceMs: null,
      heldUntilMs: null,
      probing: 0,
      version: eb('version', '+', 1),
    }))
    .where('key', '=', key)
    .compile();
}
