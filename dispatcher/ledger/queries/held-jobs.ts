/** The queries for held jobs. There are few such jobs, and each query uses a partial index that only contains them. */
import { sql } from 'kysely';
import type { JobRow, JobWords, RunnerRow } from '../ledger.ts';
import { type Builder, fixed, type Query } from './fixed.ts';
import { atMost, turn, withoutIndex } from './terms.ts';

/** The run that a job belongs to. */
export type RunOf = Pick<JobRow, 'host' | 'owner' | 'repository' | 'runId'>;

export const laneHeld = fixed((builder, laneKey: string) =>
  builder
    .selectFrom('jobs')
    .select(({ fn }) => [
      fn.countAll<number>().as('held'),
      fn.min<number | null>('queuedSinceMs').as('oldestQueuedSinceMs'),
    ])
    .where('hold', 'is not', null)
    .where('laneKey', '=', laneKey),
);

export function overdueHeldJobs(builder: Builder, beforeMs: number, limit: number): Query {
  return builder
    .selectFrom('jobs')
    .select(['key', 'laneKey', 'queuedSinceMs'])
    .where('hold', 'is not', null)
    .where('laneKey', 'is not', null)
    .where('queuedSinceMs', '<', beforeMs)
    .orderBy('queuedSinceMs')
    .orderBy('key')
    .limit(atMost(limit))
    .compile();
}

/**
 * Jobs that were queued before a runner of their lane came online, and still are. Filters by registration too: an
 * adopted runner's lane comes from tags that its tenant controls.
 */
export function jobsPassedOver(
  builder: Builder,
  { laneKey, registration }: Pick<RunnerRow, 'laneKey' | 'registration'>,
  onlineAtMs: number,
  limit: number,
): Query {
  return builder
    .selectFrom('jobs')
    .selectAll()
    .where('demand', '=', sql.lit(1))
    .where('laneKey', '=', laneKey)
    .where(withoutIndex('registration'), '=', registration)
    .where('status', '=', 'queued')
    .where('statusSinceMs', '<=', onlineAtMs)
    .orderBy('planned')
    .orderBy('statusSinceMs')
    .orderBy('key')
    .limit(atMost(limit))
    .compile();
}

export function runningOfRun(builder: Builder, { host, owner, repository, runId }: RunOf): Query {
  return builder
    .selectFrom('jobs')
    .select(({ fn }) => fn.countAll<number>().as('count'))
    .where('status', '=', sql.lit('in_progress'))
    .where('runId', '=', runId)
    .where('host', '=', host)
    .where('owner', '=', owner)
    .where('repository', '=', repository)
    .compile();
}

/** Longest waiting first. */
function unserved(builder: Builder, limit: number) {
  return builder
    .selectFrom('jobs')
    .selectAll()
    .where('hold', '=', sql.lit('unserved'))
    .orderBy('statusSinceMs')
    .orderBy('key')
    .limit(atMost(limit));
}

export function heldOfRun(builder: Builder, { host, owner, repository, runId }: RunOf, limit: number): Query {
  return unserved(builder, limit)
    .where('runId', '=', runId)
    .where(withoutIndex('host'), '=', host)
    .where('owner', '=', owner)
    .where('repository', '=', repository)
    .compile();
}

export function heldOfRepository(
  builder: Builder,
  { host, owner, repository }: Omit<RunOf, 'runId'>,
  limit: number,
): Query {
  return unserved(builder, limit)
    .where('host', '=', host)
    .where('owner', '=', owner)
    .where('repository', '=', repository)
    .compile();
}

export function heldOfLane(builder: Builder, laneKey: string, limit: number): Query {
  return unserved(builder, limit).where('laneKey', '=', laneKey).compile();
}

/** Does not read the row, which may be what fails. One that is due later stays so. */
export const putHeldOff = fixed((builder, untilMs: number, key: string, dueBeforeMs: number) =>
  builder
    .updateTable('jobs')
    .set({ heldUntilMs: untilMs })
    .where('key', '=', key)
    .where('hold', 'is not', null)
    .where('heldUntilMs', '<', dueBeforeMs),
);

export const hastenHeld = fixed((builder, nowMs: number) =>
  builder
    .updateTable('jobs')
    .set({ heldUntilMs: nowMs })
    .where('hold', '=', sql.lit('unserved'))
    .where('probing', '=', sql.lit(0)),
);

export const hastenHeldOf = fixed((builder, nowMs: number, registration: string) =>
  builder
    .updateTable('jobs')
    .set({ heldUntilMs: nowMs })
    .where('hold', '=', sql.lit('unserved'))
    .where('probing', '=', sql.lit(0))
    .where(withoutIndex('registration'), '=', registration),
);

/** One of each registration in turn. */
export function heldToProbe(builder: Builder, dueBeforeMs: number, limit: number): Query {
  const due = builder
    .selectFrom('jobs')
    .select(['key', turn(sql`${sql.ref('heldUntilMs')}, key`)])
    .where('hold', '=', sql.lit('unserved'))
    .where('probing', '=', sql.lit(0))
    .where('heldUntilMs', '<=', dueBeforeMs);
  return builder
    .selectFrom(due.as('ranked'))
    .innerJoin('jobs', 'jobs.key', 'ranked.key')
    .selectAll('jobs')
    .orderBy('ranked.turn')
    .orderBy('jobs.heldUntilMs')
    .orderBy('jobs.key')
    .limit(atMost(limit))
    .compile();
}

export const nextProbe = fixed((builder) =>
  builder
    .selectFrom('jobs')
    .select('heldUntilMs as atMs')
    .where('hold', 'is not', null)
    .where('probing', '=', sql.lit(0))
    .where('heldUntilMs', 'is not', null)
    .orderBy('heldUntilMs')
    .limit(sql.lit(1)),
);

/** One of each registration in turn. */
export function unseenJobs(builder: Builder, nowMs: number, limit: number): Query {
  return builder
    .selectFrom((jobs) =>
      jobs
        .selectFrom('jobs')
        .select(['key', 'registration', 'heldUntilMs', turn(sql`${sql.ref('heldUntilMs')}, key`)])
        .where('hold', '=', sql.lit('unseen'))
        .where('heldUntilMs', '<=', nowMs)
        .as('ranked'),
    )
    .select(['key', 'registration'])
    .orderBy('turn')
    .orderBy('heldUntilMs')
    .orderBy('key')
    .limit(atMost(limit))
    .compile();
}

export type HoldColumns = Pick<
  JobRow,
  | 'hold'
  | 'heldSinceMs'
  | 'heldUntilMs'
  | 'heldAtRunning'
  | 'probing'
  | 'passedOver'
  | 'passedOverBy'
  | 'lastLaunchAtMs'
> & { readonly demand: boolean } & (JobWords | object);

export function putHold(builder: Builder, key: string, hold: HoldColumns): Query {
  const { demand, probing, ...columns } = hold;
  return builder
    .updateTable('jobs')
    .set({ ...columns, probing: probing ? 1 : 0, demand: demand ? 1 : 0 })
    .where('key', '=', key)
    .compile();
}
