/** Jobs: what facts write, what settling changes, and what is asked for. */
import { type Expression, type ExpressionBuilder, type RawBuilder, type SqlBool, sql } from 'kysely';
import type { RunWord, Visibility } from '../../jobs/facts.ts';
import type { JobFilter } from '../ledger.ts';
import { jobColumnNames } from '../rows.ts';
import type { JobsTable, Tables } from '../tables.ts';
import { type Builder, fixed, fixedUpTo, ofRow, type Query, wholeRow } from './fixed.ts';
import { atMost, completed, no, withoutIndex, withoutOrderIndex, yes } from './terms.ts';

export const jobByKey = fixed((builder, key: string) => builder.selectFrom('jobs').selectAll().where('key', '=', key));

/** `prefix`: of the keys of one repository's jobs; everything, where it is empty. */
export function jobsOfRun(builder: Builder, runId: number, prefix: string, limit: number): Query {
  return (
    builder
      .selectFrom('jobs')
      .selectAll()
      .where('runId', '=', runId)
      .where('key', '>=', prefix)
      // Ids are digits, all of which come before it.
      .where('key', '<', `${prefix}\u{10ffff}`)
      .orderBy('key')
      .limit(atMost(limit))
      .compile()
  );
}

export function jobsWithId(builder: Builder, jobId: number, limit: number): Query {
  return builder
    .selectFrom('jobs')
    .selectAll()
    .where('jobId', '=', jobId)
    .orderBy('firstSeenAtMs', 'desc')
    .orderBy('key')
    .limit(atMost(limit))
    .compile();
}

/** A new job, or the fields of a known one that facts may change: its key and its launch counts stay. */
export const putFacts = wholeRow<JobsTable>(jobColumnNames, (builder, values) =>
  builder
    .insertInto('jobs')
    .columns([...jobColumnNames])
    .expression(values)
    .onConflict((conflict) =>
      conflict.column('key').doUpdateSet(({ ref, fn }) => ({
        runId: ref('excluded.runId'),
        runAttempt: ref('excluded.runAttempt'),
        jobName: ref('excluded.jobName'),
        headSha: ref('excluded.headSha'),
        labels: ref('excluded.labels'),
        repositoryId: ref('excluded.repositoryId'),
        visibility: ref('excluded.visibility'),
        visibilityProven: ref('excluded.visibilityProven'),
        workflowName: ref('excluded.workflowName'),
        headBranch: ref('excluded.headBranch'),
        runEvent: ref('excluded.runEvent'),
        runActor: ref('excluded.runActor'),
        runTriggeringActor: ref('excluded.runTriggeringActor'),
        runHead: ref('excluded.runHead'),
        htmlUrl: ref('excluded.htmlUrl'),
        status: ref('excluded.status'),
        conclusion: ref('excluded.conclusion'),
        runnerId: ref('excluded.runnerId'),
        runnerName: ref('excluded.runnerName'),
        runnerGroup: ref('excluded.runnerGroup'),
        createdAtMs: ref('excluded.createdAtMs'),
        startedAtMs: ref('excluded.startedAtMs'),
        completedAtMs: ref('excluded.completedAtMs'),
        statusSinceMs: ref('excluded.statusSinceMs'),
        statusObservedAtMs: ref('excluded.statusObservedAtMs'),
        statusSource: ref('excluded.statusSource'),
        statusToldBy: ref('excluded.statusToldBy'),
        disputed: ref('excluded.disputed'),
        verifiedAtMs: ref('excluded.verifiedAtMs'),
        version: ref('excluded.version'),
        admission: ref('excluded.admission'),
        registration: ref('excluded.registration'),
        laneKey: ref('excluded.laneKey'),
        reasonCode: ref('excluded.reasonCode'),
        reason: ref('excluded.reason'),
        cure: ref('excluded.cure'),
        hold: ref('excluded.hold'),
        heldSinceMs: ref('excluded.heldSinceMs'),
        heldUntilMs: ref('excluded.heldUntilMs'),
        probing: ref('excluded.probing'),
        queuedSinceMs: ref('excluded.queuedSinceMs'),
        demand: ref('excluded.demand'),
        unconfirmed: ref('excluded.unconfirmed'),
        // Since its first change: a job that changes all the time must not wait behind all others.
        unsettledAtMs: fn.coalesce('jobs.unsettledAtMs', 'excluded.unsettledAtMs'),
      })),
    ),
);

/** Times of open jobs that are in the future become now; a GET in the future never happened. */
export function cutJobsToNow(builder: Builder, nowMs: number): Query {
  const now = sql.lit(nowMs);
  const columns = [
    'statusSinceMs',
    'statusObservedAtMs',
    'lastLaunchAtMs',
    'unsettledAtMs',
    'firstSeenAtMs',
    'heldSinceMs',
  ] as const;
  return builder
    .updateTable('jobs')
    .set(({ eb }) => ({
      ...cut(columns, nowMs),
      verifiedAtMs: sql<
        number | null
      >`case when ${sql.ref('verifiedAtMs')} > ${now} then null else ${sql.ref('verifiedAtMs')} end`,
      version: eb('version', '+', 1),
    }))
    .where('status', '<>', completed)
    .where(({ eb, or }) => or([...columns, 'verifiedAtMs' as const].map((column) => eb(column, '>', now))))
    .compile();
}

/** Those first seen in the future: they would be listed above what is new. */
export function cutEndedJobsToNow(builder: Builder, nowMs: number): Query {
  return builder
    .updateTable('jobs')
    .set(cut(['firstSeenAtMs', 'statusSinceMs', 'statusObservedAtMs'], nowMs))
    .where('status', '=', completed)
    .where('firstSeenAtMs', '>', nowMs)
    .compile();
}

function cut(columns: readonly (keyof JobsTable)[], nowMs: number): Record<string, RawBuilder<number>> {
  const now = sql.lit(nowMs);
  return Object.fromEntries(
    columns.map((column) => {
      const value = sql.ref(column);
      return [column, sql<number>`case when ${value} > ${now} then ${now} else ${value} end`];
    }),
  );
}

export const unsettledJobs = fixedUpTo((limit, builder) =>
  builder
    .selectFrom('jobs')
    .selectAll()
    .where('unsettledAtMs', 'is not', null)
    .orderBy('unsettledAtMs')
    .orderBy('key')
    .limit(atMost(limit)),
);

export const putUnsettledLast = fixed((builder, atMs: number, key: string) =>
  builder
    .updateTable('jobs')
    .set({ unsettledAtMs: atMs, demand: sql.lit(0) })
    .where('key', '=', key)
    .where('unsettledAtMs', 'is not', null),
);

export const settleJob = fixed((builder, key: string, version: number) =>
  builder
    .updateTable('jobs')
    .set({ unsettledAtMs: sql.lit(null) })
    .where('key', '=', key)
    .where('version', '=', version),
);

type Admitted = Pick<
  JobsTable,
  | ('admission' | 'registration' | 'laneKey' | 'reasonCode' | 'reason' | 'cure' | 'demand')
  | ('hold' | 'heldSinceMs' | 'heldUntilMs' | 'probing' | 'disputed' | 'unconfirmed')
  | ('key' | 'version')
>;

export const admitJob = ofRow<Admitted>(
  [
    ...(['admission', 'registration', 'laneKey', 'reasonCode', 'reason', 'cure', 'demand'] as const),
    ...(['hold', 'heldSinceMs', 'heldUntilMs', 'probing', 'disputed', 'unconfirmed'] as const),
    ...(['key', 'version'] as const),
  ],
  (builder, { admission, registration, laneKey, reasonCode, reason, cure, demand, ...job }) =>
    builder
      .updateTable('jobs')
      .set({
        ...{ admission, registration, laneKey, reasonCode, reason, cure, demand, unsettledAtMs: sql.lit(null) },
        ...{ hold: job.hold, heldSinceMs: job.heldSinceMs, heldUntilMs: job.heldUntilMs, probing: job.probing },
        ...{ disputed: job.disputed, unconfirmed: job.unconfirmed },
      })
      .where('key', '=', job.key)
      .where('version', '=', job.version),
);

function olderThan(
  eb: ExpressionBuilder<Tables, 'jobs'>,
  { firstSeenAtMs, key }: NonNullable<JobFilter['after']>,
): Expression<SqlBool> {
  return eb.and([
    // Implied by the rest; stated so that an index in the order of time begins there.
    eb('firstSeenAtMs', '<=', firstSeenAtMs),
    eb.or([eb('firstSeenAtMs', '<', firstSeenAtMs), eb('key', '<', key)]),
  ]);
}

/** What a filter requests of one registration, or of all. */
export type JobChoice = Omit<JobFilter, 'registrations' | 'limit'> & { readonly registration: string | undefined };

export function jobsMatching(builder: Builder, choice: JobChoice, limit: number): Query {
  const { registration, admission, status, laneKey, after } = choice;
  const open = status !== undefined && status !== 'completed';
  let query = builder.selectFrom('jobs').selectAll().limit(atMost(limit));
  if (laneKey !== undefined) query = query.where('laneKey', '=', laneKey);
  if (status !== undefined) query = query.where('status', '=', status);
  if (after !== undefined) query = query.where(({ eb }) => olderThan(eb, after));
  if (!open) {
    if (registration !== undefined) query = query.where('registration', '=', registration);
    if (admission !== undefined) query = query.where('admission', '=', admission);
    return query.orderBy('firstSeenAtMs', 'desc').orderBy('key', 'desc').compile();
  }
  // Few jobs are open and many are history: an index in the requested order would walk through all of it.
  query = query.where('status', '<>', completed);
  // Implied by the rest; stated so that the planner prefers the index of open jobs to the one of the lane's history.
  if (laneKey !== undefined) query = query.where('admission', 'in', ['lane', 'expired', 'pending']);
  if (registration !== undefined) query = query.where(withoutIndex('registration'), '=', registration);
  if (admission !== undefined) query = query.where(withoutIndex('admission'), '=', admission);
  return query.orderBy(withoutOrderIndex('firstSeenAtMs'), 'desc').orderBy('key', 'desc').compile();
}

export function unsettleOpenJobs(builder: Builder, sinceMs: number, nowMs: number): Query {
  return unsettled(builder, sinceMs, nowMs).compile();
}

/**
 * Of jobs that a change of the configuration is about: their settlement as it was decided must not count as the result. To
 * be narrowed without an index: a registration, and an owner, may have any number of jobs that have ended.
 */
function unsettled(builder: Builder, sinceMs: number, nowMs: number) {
  return builder
    .updateTable('jobs')
    .set(({ eb, fn }) => ({
      unsettledAtMs: fn.coalesce('unsettledAtMs', eb.val(nowMs)),
      version: eb('version', '+', 1),
    }))
    .where('status', '<>', completed)
    .where('statusSinceMs', '>=', sinceMs);
}

export function unsettleOpenJobsOf(builder: Builder, registration: string, sinceMs: number, nowMs: number): Query {
  return unsettled(builder, sinceMs, nowMs).where(withoutIndex('registration'), '=', registration).compile();
}

export function unsettleOpenJobsWithin(
  builder: Builder,
  ranges: readonly { readonly from: string; readonly to: string }[],
  sinceMs: number,
  nowMs: number,
): Query {
  return unsettled(builder, sinceMs, nowMs)
    .where(({ and, eb, or }) =>
      or(ranges.map(({ from, to }) => and([eb(withoutIndex('key'), '>', from), eb(withoutIndex('key'), '<', to)]))),
    )
    .compile();
}

/** Keys of one repository are between these two. */
export function tellVisibility(
  builder: Builder,
  keys: { readonly from: string; readonly to: string },
  visibility: Visibility | undefined,
  nowMs: number,
): Query {
  return (
    builder
      .updateTable('jobs')
      .set(({ eb, fn }) => ({
        ...(visibility === undefined ? {} : { visibility, visibilityProven: yes }),
        unsettledAtMs: fn.coalesce('unsettledAtMs', eb.val(nowMs)),
        version: eb('version', '+', 1),
      }))
      .where('key', '>', keys.from)
      .where('key', '<', keys.to)
      .where('visibilityProven', '=', no)
      // What was told to be public stays so until the job ends.
      .where(({ eb, or }) => or([eb('visibility', 'is', null), eb('visibility', '<>', 'public')]))
      .where(withoutIndex('status'), '<>', completed)
      .compile()
  );
}

export function tellRun(
  builder: Builder,
  keys: { readonly from: string; readonly to: string },
  { runId, attempt }: { readonly runId: number; readonly attempt: number },
  { origin, isFork }: RunWord,
  nowMs: number,
): Query {
  return builder
    .updateTable('jobs')
    .set(({ eb, fn }) => ({
      ...(origin === undefined
        ? {}
        : { runEvent: origin.event, runActor: origin.actor, runTriggeringActor: origin.triggeringActor }),
      ...(isFork === undefined ? {} : { runHead: isFork ? ('fork' as const) : ('own' as const) }),
      unsettledAtMs: fn.coalesce('unsettledAtMs', eb.val(nowMs)),
      version: eb('version', '+', 1),
    }))
    .where('key', '>', keys.from)
    .where('key', '<', keys.to)
    .where('runId', '=', runId)
    .where('runAttempt', '<=', attempt)
    .where(({ eb, or }) => or([eb('runEvent', 'is', null), eb('runHead', 'is', null)]))
    .where(withoutIndex('status'), '<>', completed)
    .compile();
}

export function unsettleRefused(builder: Builder, registration: string, reasonCode: string, nowMs: number): Query {
  return builder
    .updateTable('jobs')
    .set(({ eb, fn }) => ({
      unsettledAtMs: fn.coalesce('unsettledAtMs', eb.val(nowMs)),
      version: eb('version', '+', 1),
    }))
    .where('registration', '=', registration)
    .where('admission', '=', 'refused')
    .where('reasonCode', '=', reasonCode)
    .where('status', '<>', completed)
    .compile();
}

export function explainJob(
  builder: Builder,
  key: string,
  words: Pick<JobsTable, 'reasonCode' | 'reason' | 'cure'>,
): Query {
  return builder.updateTable('jobs').set(words).where('key', '=', key).compile();
}
