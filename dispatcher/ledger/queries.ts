/**
 * Every query of the ledger, one per function, in the SQL common to SQLite and PostgreSQL. Nothing runs here: a
 * function returns text and parameters, and the store runs them (see steps.ts).
 *
 * Values that a partial index depends on are literals in the text: with a parameter in their place SQLite
 * cannot know that the index covers the query, and scans the table.
 */
import { type AliasedRawBuilder, type RawBuilder, sql } from 'kysely';
import { type Builder, fixed, fixedUpTo, ofRow, type Query, wholeRow } from './fixed-queries.ts';
import type { JobFilter, RunnerFilter, RunnersLeftOut } from './ledger.ts';
import { failureColumnNames, jobColumnNames, runnerColumnNames } from './rows.ts';
import type { Bit, JobsTable, RunnersTable, Tables } from './tables.ts';

export type { Builder, Query } from './fixed-queries.ts';

const yes: RawBuilder<Bit> = sql.lit(1);
const no: RawBuilder<Bit> = sql.lit(0);
const completed: RawBuilder<'completed'> = sql.lit('completed');
const inLane: RawBuilder<'lane'> = sql.lit('lane');
const unbound = (['creating', 'starting', 'online'] as const).map((state) => sql.lit(state));

/**
 * SQLite reads the value of a bound LIMIT while planning, so each execution compiles the statement anew: 16 µs
 * instead of 0.5 µs. There are few different limits, so they are literals.
 */
function atMost(limit: number): RawBuilder<number> {
  if (!Number.isSafeInteger(limit) || limit < 0) throw new TypeError(`a limit is a whole number, not ${limit}`);
  return sql.lit(limit);
}

/** Hides the column from the planner: an index on it would be the wrong one. Both databases interpret it alike. */
export function withoutIndex(column: string): RawBuilder<string> {
  return sql`coalesce(${sql.ref(column)}, '')`;
}

function withoutOrderIndex(column: string): RawBuilder<number> {
  return sql`${sql.ref(column)} + 0`;
}

// ── deliveries ───────────────────────────────────────────────────────────────────────────────────────────────────

export const insertDelivery = wholeRow<Tables['deliveries']>(
  ['endpoint', 'guid', 'event', 'action', 'receivedAtMs'],
  (builder, values) =>
    builder
      .insertInto('deliveries')
      .columns(['endpoint', 'guid', 'event', 'action', 'receivedAtMs'])
      .expression(values)
      .onConflict((conflict) => conflict.columns(['endpoint', 'guid']).doNothing()),
);

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
          .limit(atMost(limit))
          .$asTuple('endpoint', 'guid'),
      ),
    )
    .compile();
}

// ── jobs ─────────────────────────────────────────────────────────────────────────────────────────────────────────

export const jobByKey = fixed((builder, key: string) => builder.selectFrom('jobs').selectAll().where('key', '=', key));

export function jobsOfRun(builder: Builder, runId: number, limit: number): Query {
  return builder
    .selectFrom('jobs')
    .selectAll()
    .where('runId', '=', runId)
    .orderBy('key')
    .limit(atMost(limit))
    .compile();
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
        workflowName: ref('excluded.workflowName'),
        htmlUrl: ref('excluded.htmlUrl'),
        status: ref('excluded.status'),
        conclusion: ref('excluded.conclusion'),
        runnerId: ref('excluded.runnerId'),
        runnerName: ref('excluded.runnerName'),
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
  const cut = (column: string) =>
    sql<number>`case when ${sql.ref(column)} > ${now} then ${now} else ${sql.ref(column)} end`;
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
      ...Object.fromEntries(columns.map((column) => [column, cut(column)])),
      verifiedAtMs: sql<
        number | null
      >`case when ${sql.ref('verifiedAtMs')} > ${now} then null else ${sql.ref('verifiedAtMs')} end`,
      version: eb('version', '+', 1),
    }))
    .where('status', '<>', completed)
    .where(({ eb, or }) => or([...columns, 'verifiedAtMs' as const].map((column) => eb(column, '>', now))))
    .compile();
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

/** What a filter requests of one registration, or of all. */
export type JobChoice = Omit<JobFilter, 'registrations' | 'limit'> & { readonly registration: string | undefined };

export function jobsMatching(builder: Builder, choice: JobChoice, limit: number): Query {
  const { registration, admission, status, laneKey } = choice;
  const open = status !== undefined && status !== 'completed';
  let query = builder.selectFrom('jobs').selectAll().limit(atMost(limit));
  if (laneKey !== undefined) query = query.where('laneKey', '=', laneKey);
  if (status !== undefined) query = query.where('status', '=', status);
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
  return builder
    .updateTable('jobs')
    .set(({ eb, fn }) => ({
      unsettledAtMs: fn.coalesce('unsettledAtMs', eb.val(nowMs)),
      // A settlement that was decided with the old registrations must not count as the result.
      version: eb('version', '+', 1),
    }))
    .where('status', '<>', completed)
    .where('statusSinceMs', '>=', sinceMs)
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

/**
 * Numbers each row within its registration, in `order`. With it one of each registration is taken in turn: rows
 * of one that GitHub does not answer for stay, and must not hide the others'.
 */
export function turn(order: RawBuilder<unknown>): AliasedRawBuilder<number, 'turn'> {
  return sql<number>`row_number() over (partition by coalesce(registration, '') order by ${order})`.as('turn');
}

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
    .orderBy('key')
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
  return builder
    .selectFrom((jobs) =>
      jobs
        .selectFrom('jobs')
        .select(['key', 'registration', 'queuedSinceMs', turn(sql`${sql.ref('queuedSinceMs')}, key`)])
        .where('demand', '=', yes)
        .where('queuedSinceMs', '<', beforeMs)
        .where(({ eb, or }) => or([eb('verifiedAtMs', 'is', null), eb('verifiedAtMs', '<', beforeMs)]))
        .as('ranked'),
    )
    .select(['key', 'registration'])
    .orderBy('turn')
    .orderBy('queuedSinceMs')
    .orderBy('key')
    .limit(atMost(limit))
    .compile();
}

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

export function explainJob(
  builder: Builder,
  key: string,
  words: Pick<JobsTable, 'reasonCode' | 'reason' | 'cure'>,
): Query {
  return builder.updateTable('jobs').set(words).where('key', '=', key).compile();
}

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

export function countStolen(builder: Builder, key: string): Query {
  return builder
    .updateTable('jobs')
    .set(({ eb }) => ({ stolen: eb('stolen', '+', 1) }))
    .where('key', '=', key)
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
        .where(withoutIndex('admission'), 'in', ['refused', 'not-ours', 'expired'])
        .where('unsettledAtMs', 'is', null)
        .where('statusSinceMs', '<', beforeMs)
        .limit(atMost(limit)),
    )
    .returning('share')
    .compile();
}

// ── lanes ────────────────────────────────────────────────────────────────────────────────────────────────────────

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
  builder.selectFrom('lanes').select('spec').where('key', '=', key),
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

export const laneSupply = fixed((builder, key: string) =>
  builder
    .selectFrom('runners')
    .select(['state', 'specHash', ({ fn }) => fn.countAll<number>().as('count')])
    .where('live', '=', yes)
    .where('laneKey', '=', key)
    .where('state', 'in', unbound)
    .where('jobKey', 'is', null)
    .groupBy(['state', 'specHash']),
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

export const waitingJobs = fixedUpTo((limit, builder, laneKey: string) =>
  builder
    .selectFrom('jobs')
    .select([
      'key',
      'host',
      'owner',
      'repository',
      'jobId',
      'planned',
      'launches',
      'lastLaunchAtMs',
      'stolen',
      'passedOver',
      'probing',
      'verifiedAtMs',
      'statusSinceMs',
      'disputed',
    ])
    .where('demand', '=', yes)
    .where('laneKey', '=', laneKey)
    .orderBy('planned')
    .orderBy('statusSinceMs')
    .orderBy('key')
    .limit(atMost(limit)),
);

/** A lane with an open job stays, queued or not: the job may return to its queue. */
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
    .compile();
}

// ── runners ──────────────────────────────────────────────────────────────────────────────────────────────────────

export const insertRunner = wholeRow<RunnersTable>(runnerColumnNames, (builder, values) =>
  builder
    .insertInto('runners')
    .columns([...runnerColumnNames])
    .expression(values),
);

export const putRunner = wholeRow<RunnersTable>(runnerColumnNames, (builder, values) =>
  builder
    .insertInto('runners')
    .columns([...runnerColumnNames])
    .expression(values)
    .onConflict((conflict) =>
      conflict.column('name').doUpdateSet(({ ref }) => ({
        specHash: ref('excluded.specHash'),
        state: ref('excluded.state'),
        stateSinceMs: ref('excluded.stateSinceMs'),
        deadlineAtMs: ref('excluded.deadlineAtMs'),
        nextCheckAtMs: ref('excluded.nextCheckAtMs'),
        incarnation: ref('excluded.incarnation'),
        backend: ref('excluded.backend'),
        instanceDeadlineAtMs: ref('excluded.instanceDeadlineAtMs'),
        instanceId: ref('excluded.instanceId'),
        instanceState: ref('excluded.instanceState'),
        githubRunnerId: ref('excluded.githubRunnerId'),
        forJobKey: ref('excluded.forJobKey'),
        jobKey: ref('excluded.jobKey'),
        onlineAtMs: ref('excluded.onlineAtMs'),
        busyAtMs: ref('excluded.busyAtMs'),
        finishedAtMs: ref('excluded.finishedAtMs'),
        endReadAtMs: ref('excluded.endReadAtMs'),
        misses: ref('excluded.misses'),
        firstMissAtMs: ref('excluded.firstMissAtMs'),
        drainReason: ref('excluded.drainReason'),
        forced: ref('excluded.forced'),
        firstIdleAtMs: ref('excluded.firstIdleAtMs'),
        lastIdleAtMs: ref('excluded.lastIdleAtMs'),
        deregisteredAtMs: ref('excluded.deregisteredAtMs'),
        stopSentAtMs: ref('excluded.stopSentAtMs'),
        refusedSinceMs: ref('excluded.refusedSinceMs'),
        attempts: ref('excluded.attempts'),
        failureSource: ref('excluded.failureSource'),
        failureKind: ref('excluded.failureKind'),
        failureCode: ref('excluded.failureCode'),
        failureRequestId: ref('excluded.failureRequestId'),
        failure: ref('excluded.failure'),
        failureAtMs: ref('excluded.failureAtMs'),
        version: ref('excluded.version'),
        live: ref('excluded.live'),
      })),
    ),
);

export const runnerByName = fixed((builder, name: string) =>
  builder.selectFrom('runners').selectAll().where('name', '=', name),
);

export type RunnerChoice = Omit<RunnerFilter, 'registrations' | 'limit'> & {
  readonly registration: string | undefined;
};

export function runnersMatching(builder: Builder, choice: RunnerChoice, limit: number): Query {
  const { registration, states, laneKey } = choice;
  const alive = states !== undefined && !states.includes('gone');
  let query = builder.selectFrom('runners').selectAll().limit(atMost(limit));
  if (laneKey !== undefined) query = query.where('laneKey', '=', laneKey);
  if (states !== undefined) query = query.where('state', 'in', [...states]);
  if (!alive) {
    if (registration !== undefined) query = query.where('registration', '=', registration);
    return query.orderBy('createdAtMs', 'desc').orderBy('name', 'desc').compile();
  }
  query = query.where('live', '=', yes);
  if (registration !== undefined) query = query.where(withoutIndex('registration'), '=', registration);
  return query.orderBy(withoutOrderIndex('createdAtMs'), 'desc').orderBy('name', 'desc').compile();
}

/** All of them: `limits.maxRunners` bounds their number. */
export function liveRunners(builder: Builder): Query {
  return builder
    .selectFrom('runners')
    .selectAll()
    .where('live', '=', yes)
    .orderBy('nextCheckAtMs')
    .orderBy('name')
    .compile();
}

export function runnersDue(builder: Builder, nowMs: number, limit: number, except: RunnersLeftOut = {}): Query {
  const { registrations = [], places = [] } = except;
  let query = builder
    .selectFrom('runners')
    .selectAll()
    .where('live', '=', yes)
    .where('nextCheckAtMs', '<=', nowMs)
    .orderBy('nextCheckAtMs')
    .orderBy('name')
    .limit(atMost(limit));
  if (registrations.length > 0) query = query.where(withoutIndex('registration'), 'not in', registrations);
  for (const { registration, backend } of places) {
    query = query.where(({ eb, or }) =>
      or([eb('registration', '<>', registration), eb('backend', 'is distinct from', backend)]),
    );
  }
  return query.compile();
}

export const putOff = fixed((builder, untilMs: number, name: string) =>
  builder.updateTable('runners').set({ nextCheckAtMs: untilMs }).where('name', '=', name).where('live', '=', yes),
);

export const hastenLaunchesOf = fixed((builder, nowMs: number, otherThan: string) =>
  builder
    .updateTable('runners')
    .set({ nextCheckAtMs: nowMs })
    .where('live', '=', yes)
    .where('state', '=', sql.lit('creating'))
    .where('incarnation', '<>', otherThan),
);

export const nextCheckAt = fixed((builder) =>
  builder
    .selectFrom('runners')
    .select('nextCheckAtMs as atMs')
    .where('live', '=', yes)
    .where('nextCheckAtMs', 'is not', null)
    .orderBy('nextCheckAtMs')
    .limit(atMost(1)),
);

export const liveCounts = fixed((builder) =>
  builder
    .selectFrom('runners')
    .select([
      'registration',
      'backend',
      ({ fn }) => fn.countAll<number>().as('count'),
      ({ eb, fn }) =>
        fn
          .sum<number>(eb.case().when('state', '=', sql.lit('draining')).then(sql.lit(1)).else(sql.lit(0)).end())
          .as('draining'),
    ])
    .where('live', '=', yes)
    .where(
      'instanceState',
      'not in',
      (['absent', 'ended'] as const).map((state) => sql.lit(state)),
    )
    // Between its row and the provider's call a runner reserves its slot; one that never gets there has none.
    .where(({ eb, or }) => or([eb('instanceState', '<>', sql.lit('none')), eb('state', '=', sql.lit('creating'))]))
    .groupBy(['registration', 'backend']),
);

export function surplusRunners(builder: Builder, laneKey: string, limit: number): Query {
  return builder
    .selectFrom('runners')
    .selectAll()
    .where('live', '=', yes)
    .where('laneKey', '=', laneKey)
    .where('state', 'in', ['creating', 'starting', 'online'])
    .where('jobKey', 'is', null)
    .orderBy(({ eb }) =>
      eb.case('state').when('creating').then(sql.lit(0)).when('starting').then(sql.lit(1)).else(sql.lit(2)).end(),
    )
    .orderBy('createdAtMs', 'desc')
    .orderBy('name', 'desc')
    .limit(atMost(limit))
    .compile();
}

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

export function countGoneRunners(builder: Builder): Query {
  return builder
    .selectFrom('runners')
    .select(({ fn }) => fn.countAll<number>().as('count'))
    .where('live', '=', no)
    .compile();
}

export function pruneGoneRunners(builder: Builder, beforeMs: number, limit: number): Query {
  return builder
    .deleteFrom('runners')
    .where('name', 'in', (query) =>
      query
        .selectFrom('runners')
        .select('name')
        .where('live', '=', no)
        .where('stateSinceMs', '<', beforeMs)
        .orderBy('stateSinceMs')
        .orderBy('name')
        .limit(atMost(limit)),
    )
    .compile();
}

// ── breakers, leases, cursors ────────────────────────────────────────────────────────────────────────────────────

export function allBreakers(builder: Builder): Query {
  return builder.selectFrom('breakers').selectAll().orderBy('key').compile();
}

export function putBreaker(builder: Builder, breaker: Tables['breakers']): Query {
  const { key, ...state } = breaker;
  return builder
    .insertInto('breakers')
    .values({ key, ...state })
    .onConflict((conflict) => conflict.column('key').doUpdateSet(state))
    .compile();
}

export function deleteBreaker(builder: Builder, key: string): Query {
  return builder.deleteFrom('breakers').where('key', '=', key).compile();
}

/** Changes a row only for its holder, or once the lease has expired. */
export function takeLease(builder: Builder, lease: Tables['leases'], nowMs: number): Query {
  const { name, holder, untilMs } = lease;
  return builder
    .insertInto('leases')
    .values({ name, holder, untilMs })
    .onConflict((conflict) =>
      conflict
        .column('name')
        .doUpdateSet({ holder, untilMs })
        .where(({ eb, or }) => or([eb('leases.holder', '=', holder), eb('leases.untilMs', '<=', nowMs)])),
    )
    .compile();
}

export function cursorByName(builder: Builder, name: string): Query {
  return builder.selectFrom('cursors').select('value').where('name', '=', name).compile();
}

export function putCursor(builder: Builder, cursor: Tables['cursors']): Query {
  const { name, value, changedAtMs } = cursor;
  return builder
    .insertInto('cursors')
    .values({ name, value, changedAtMs })
    .onConflict((conflict) => conflict.column('name').doUpdateSet({ value, changedAtMs }))
    .compile();
}

// ── migrations ───────────────────────────────────────────────────────────────────────────────────────────────────

export function createMigrations({ schema }: Builder): Query {
  return schema
    .createTable('migrations')
    .ifNotExists()
    .addColumn('version', 'bigint', (column) => column.notNull().primaryKey())
    .addColumn('name', 'text', (column) => column.notNull())
    .addColumn('appliedAtMs', 'bigint', (column) => column.notNull())
    .compile();
}

export function appliedMigrations(builder: Builder): Query {
  return builder.selectFrom('migrations').select('version').orderBy('version').compile();
}

export function insertMigration(builder: Builder, migration: Tables['migrations']): Query {
  return builder.insertInto('migrations').values(migration).compile();
}
