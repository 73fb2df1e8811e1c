/**
 * The history of the schema. A migration never changes after its release: the next change is a new one.
 * They run in order, all in one transaction, when the store opens.
 */
import { sql } from 'kysely';
import { appliedMigrations, createMigrations, insertMigration } from '../queries/migrations.ts';
import { versionOf } from '../rows.ts';
import type { Context, Step } from '../steps/step.ts';
import { heldJobs } from './held-jobs.ts';
import type { Migration } from './migration.ts';

/** `bigint` holds milliseconds in PostgreSQL, and any integer in SQLite. */
const integer = 'bigint';

const first: Migration = {
  version: 1,
  name: 'deliveries, jobs, lanes, runners, breakers, leases, cursors',
  statements: ({ schema }) =>
    [
      schema
        .createTable('deliveries')
        .addColumn('endpoint', 'text', (column) => column.notNull())
        .addColumn('guid', 'text', (column) => column.notNull())
        .addColumn('event', 'text', (column) => column.notNull())
        .addColumn('action', 'text')
        .addColumn('receivedAtMs', integer, (column) => column.notNull())
        .addPrimaryKeyConstraint('deliveriesKey', ['endpoint', 'guid']),
      schema.createIndex('deliveriesByAge').on('deliveries').columns(['receivedAtMs']),

      schema
        .createTable('jobs')
        .addColumn('key', 'text', (column) => column.notNull().primaryKey())
        .addColumn('host', 'text', (column) => column.notNull())
        .addColumn('jobId', integer, (column) => column.notNull())
        .addColumn('runId', integer, (column) => column.notNull())
        .addColumn('runAttempt', integer, (column) => column.notNull())
        .addColumn('owner', 'text', (column) => column.notNull())
        .addColumn('repository', 'text', (column) => column.notNull())
        .addColumn('visibility', 'text')
        .addColumn('jobName', 'text', (column) => column.notNull())
        .addColumn('workflowName', 'text')
        .addColumn('headSha', 'text', (column) => column.notNull())
        .addColumn('htmlUrl', 'text')
        .addColumn('labels', 'text', (column) => column.notNull())
        .addColumn('status', 'text', (column) => column.notNull())
        .addColumn('conclusion', 'text')
        .addColumn('runnerId', integer)
        .addColumn('runnerName', 'text')
        .addColumn('createdAtMs', integer)
        .addColumn('startedAtMs', integer)
        .addColumn('completedAtMs', integer)
        .addColumn('firstSeenAtMs', integer, (column) => column.notNull())
        .addColumn('statusSinceMs', integer, (column) => column.notNull())
        .addColumn('statusObservedAtMs', integer, (column) => column.notNull())
        .addColumn('statusSource', 'text', (column) => column.notNull())
        .addColumn('disputed', integer, (column) => column.notNull())
        .addColumn('verifiedAtMs', integer)
        .addColumn('admission', 'text', (column) => column.notNull())
        .addColumn('registration', 'text')
        .addColumn('laneKey', 'text')
        .addColumn('reasonCode', 'text')
        .addColumn('reason', 'text')
        .addColumn('cure', 'text')
        .addColumn('launches', integer, (column) => column.notNull())
        .addColumn('lastLaunchAtMs', integer)
        .addColumn('version', integer, (column) => column.notNull())
        .addColumn('demand', integer, (column) => column.notNull())
        .addColumn('unsettledAtMs', integer),
      // Live rows, by partial indexes: they stay small however long the history grows.
      schema
        .createIndex('jobsUnsettled')
        .on('jobs')
        .columns(['unsettledAtMs', 'key'])
        .where(sql.ref('unsettledAtMs'), 'is not', null),
      schema
        .createIndex('jobsInDemand')
        .on('jobs')
        .columns(['laneKey', 'launches', 'statusSinceMs', 'key'])
        .where(sql.ref('demand'), '=', sql.lit(1)),
      schema
        .createIndex('jobsInDemandByAge')
        .on('jobs')
        .columns(['statusSinceMs', 'key'])
        .where(sql.ref('demand'), '=', sql.lit(1)),
      schema
        .createIndex('jobsDisputed')
        .on('jobs')
        .columns(['admission', 'demand desc', 'statusObservedAtMs', 'key'])
        .where(sql.ref('disputed'), '=', sql.lit(1)),
      schema
        .createIndex('jobsOpen')
        .on('jobs')
        .columns(['laneKey', 'admission', 'statusSinceMs', 'key'])
        .where(sql.ref('status'), '<>', sql.lit('completed')),
      // The history, for display and for pruning.
      schema
        .createIndex('jobsEnded')
        .on('jobs')
        .columns(['statusSinceMs', 'key', 'unsettledAtMs'])
        .where(sql.ref('status'), '=', sql.lit('completed')),
      schema.createIndex('jobsByAge').on('jobs').columns(['firstSeenAtMs', 'key']),
      schema.createIndex('jobsByAdmission').on('jobs').columns(['admission', 'firstSeenAtMs', 'key']),
      schema
        .createIndex('jobsByRegistration')
        .on('jobs')
        .columns(['registration', 'firstSeenAtMs', 'key'])
        .where(sql.ref('registration'), 'is not', null),
      schema
        .createIndex('jobsByLane')
        .on('jobs')
        .columns(['laneKey', 'firstSeenAtMs', 'key'])
        .where(sql.ref('laneKey'), 'is not', null),

      schema
        .createTable('lanes')
        .addColumn('key', 'text', (column) => column.notNull().primaryKey())
        .addColumn('registration', 'text', (column) => column.notNull())
        .addColumn('specHash', 'text', (column) => column.notNull())
        .addColumn('spec', 'text', (column) => column.notNull())
        .addColumn('changedAtMs', integer, (column) => column.notNull()),

      schema
        .createTable('runners')
        .addColumn('name', 'text', (column) => column.notNull().primaryKey())
        .addColumn('registration', 'text', (column) => column.notNull())
        .addColumn('host', 'text', (column) => column.notNull())
        .addColumn('scope', 'text', (column) => column.notNull())
        .addColumn('runnerGroup', 'text', (column) => column.notNull())
        .addColumn('laneKey', 'text', (column) => column.notNull())
        .addColumn('labels', 'text', (column) => column.notNull())
        .addColumn('specHash', 'text', (column) => column.notNull())
        .addColumn('state', 'text', (column) => column.notNull())
        .addColumn('stateSinceMs', integer, (column) => column.notNull())
        .addColumn('createdAtMs', integer, (column) => column.notNull())
        .addColumn('deadlineAtMs', integer)
        .addColumn('nextCheckAtMs', integer)
        .addColumn('incarnation', 'text', (column) => column.notNull())
        .addColumn('backend', 'text')
        .addColumn('instanceDeadlineAtMs', integer, (column) => column.notNull())
        .addColumn('instanceId', 'text')
        .addColumn('instanceState', 'text', (column) => column.notNull())
        .addColumn('githubRunnerId', integer)
        .addColumn('forJobKey', 'text')
        .addColumn('jobKey', 'text')
        .addColumn('onlineAtMs', integer)
        .addColumn('busyAtMs', integer)
        .addColumn('finishedAtMs', integer)
        .addColumn('misses', integer, (column) => column.notNull())
        .addColumn('firstMissAtMs', integer)
        .addColumn('drainReason', 'text')
        .addColumn('forced', integer, (column) => column.notNull())
        .addColumn('firstIdleAtMs', integer)
        .addColumn('lastIdleAtMs', integer)
        .addColumn('deregisteredAtMs', integer)
        .addColumn('stopSentAtMs', integer)
        .addColumn('refusedSinceMs', integer)
        .addColumn('attempts', integer, (column) => column.notNull())
        .addColumn('failureKind', 'text')
        .addColumn('failure', 'text')
        .addColumn('version', integer, (column) => column.notNull())
        .addColumn('live', integer, (column) => column.notNull()),
      schema
        .createIndex('runnersLiveByLane')
        .on('runners')
        .columns(['laneKey', 'state', 'jobKey', 'specHash', 'createdAtMs', 'name'])
        .where(sql.ref('live'), '=', sql.lit(1)),
      schema
        .createIndex('runnersLiveByCheck')
        .on('runners')
        .columns(['nextCheckAtMs', 'name'])
        .where(sql.ref('live'), '=', sql.lit(1)),
      schema
        .createIndex('runnersLiveByBackend')
        .on('runners')
        .columns(['registration', 'backend', 'instanceState'])
        .where(sql.ref('live'), '=', sql.lit(1)),
      schema
        .createIndex('runnersGone')
        .on('runners')
        .columns(['stateSinceMs', 'name'])
        .where(sql.ref('live'), '=', sql.lit(0)),
      schema.createIndex('runnersByAge').on('runners').columns(['createdAtMs', 'name']),
      schema.createIndex('runnersByRegistration').on('runners').columns(['registration', 'createdAtMs', 'name']),
      schema.createIndex('runnersByLane').on('runners').columns(['laneKey', 'createdAtMs', 'name']),

      schema
        .createTable('runnerTimeline')
        .addColumn('runner', 'text', (column) => column.notNull().references('runners.name').onDelete('cascade'))
        .addColumn('version', integer, (column) => column.notNull())
        .addColumn('position', integer, (column) => column.notNull())
        .addColumn('atMs', integer, (column) => column.notNull())
        .addColumn('state', 'text', (column) => column.notNull())
        .addColumn('reason', 'text', (column) => column.notNull())
        .addColumn('details', 'text')
        .addPrimaryKeyConstraint('runnerTimelineKey', ['runner', 'version', 'position']),
      schema
        .createTable('runnerOutputs')
        .addColumn('runner', 'text', (column) =>
          column.notNull().primaryKey().references('runners.name').onDelete('cascade'),
        )
        .addColumn('output', 'text', (column) => column.notNull())
        .addColumn('keptAtMs', integer, (column) => column.notNull()),

      schema
        .createTable('breakers')
        .addColumn('key', 'text', (column) => column.notNull().primaryKey())
        .addColumn('kind', 'text', (column) => column.notNull())
        .addColumn('message', 'text', (column) => column.notNull())
        .addColumn('failures', integer, (column) => column.notNull())
        .addColumn('openUntilMs', integer)
        .addColumn('changedAtMs', integer, (column) => column.notNull()),
      schema
        .createTable('leases')
        .addColumn('name', 'text', (column) => column.notNull().primaryKey())
        .addColumn('holder', 'text', (column) => column.notNull())
        .addColumn('untilMs', integer, (column) => column.notNull()),
      schema
        .createTable('cursors')
        .addColumn('name', 'text', (column) => column.notNull().primaryKey())
        .addColumn('value', 'text', (column) => column.notNull())
        .addColumn('changedAtMs', integer, (column) => column.notNull()),
    ].map((statement) => statement.compile()),
};

/** For a job that is still in the ledger, by its previous key: its repository was only in its columns. */
const newKeyOf = (oldKey: string) => sql`(
  select lower("jobs"."host" || '/' || "jobs"."owner" || '/' || "jobs"."repository" || '/' || "jobs"."jobId")
  from "jobs" where "jobs"."key" = ${sql.ref(oldKey)}
)`;

const second: Migration = {
  version: 2,
  name: 'jobs are known by their repository too, and each status by whose word it is',
  statements: (builder) => [
    builder.schema.alterTable('jobs').addColumn('repositoryId', integer).compile(),
    builder.schema.alterTable('jobs').addColumn('statusToldBy', 'text').compile(),
    // Runners first: the old keys of the jobs map to the new ones. A pruned job leaves its old key behind.
    ...(['jobKey', 'forJobKey'] as const).map((column) =>
      sql`update "runners" set ${sql.ref(column)} = coalesce(${newKeyOf(`runners.${column}`)}, ${sql.ref(column)})
        where ${sql.ref(column)} is not null`.compile(builder),
    ),
    sql`update "jobs" set "key" = lower("host" || '/' || "owner" || '/' || "repository" || '/' || "jobId")`.compile(
      builder,
    ),
    builder.schema
      .alterTable('jobs')
      .addColumn('unconfirmed', integer, (column) => column.notNull().defaultTo(0))
      .compile(),
    builder.schema
      .createIndex('jobsUnconfirmed')
      .on('jobs')
      .columns(['statusSinceMs', 'key'])
      .where(sql.ref('unconfirmed'), '=', sql.lit(1))
      .compile(),
    builder.schema.alterTable('runners').addColumn('endReadAtMs', integer).compile(),
    builder.schema
      .alterTable('jobs')
      .addColumn('share', 'text', (column) => column.notNull().defaultTo(''))
      .compile(),
    sql`update "jobs" set "share" = lower("host" || '/' || "owner")`.compile(builder),
    builder.schema
      .createTable('shares')
      .addColumn('name', 'text', (column) => column.notNull().primaryKey())
      .addColumn('open', integer, (column) => column.notNull())
      .addColumn('ended', integer, (column) => column.notNull())
      .compile(),
    sql`insert into "shares" ("name", "open", "ended")
      select "share", sum(case when "status" = 'completed' then 0 else 1 end),
        sum(case when "status" = 'completed' then 1 else 0 end)
      from "jobs" group by "share"`.compile(builder),
    builder.schema
      .createIndex('jobsEndedByShare')
      .on('jobs')
      .columns(['share', 'statusSinceMs', 'key', 'unsettledAtMs'])
      .where(sql.ref('status'), '=', sql.lit('completed'))
      .compile(),
    builder.schema.createIndex('jobsById').on('jobs').columns(['jobId', 'firstSeenAtMs']).compile(),
  ],
};

/** Failure kinds written by earlier versions, for those whose name has changed since. */
const EARLIER_KINDS = [
  'capacity',
  'quota',
  'throttled',
  'transient',
  'unauthorized',
  'invalid',
  'conflict',
  'exited',
  'out-of-memory',
  'spot-reclaimed',
  'image-pull-failed',
  'no-stock',
  'time-limit',
  'stopped',
  'launch-timeout',
  'interrupted',
];

/**
 * A failure is one value in six columns. Breakers of earlier versions are dropped: they recorded neither image nor
 * options, and what is still broken closes again at the first launch.
 */
const third: Migration = {
  version: 3,
  name: 'failures of runners, timelines and breakers in one form',
  statements: (builder) => {
    const { schema } = builder;
    const runners = sql.table('runners');
    const [kind, source, atMs] = [sql.ref('failureKind'), sql.ref('failureSource'), sql.ref('failureAtMs')];
    const place = sql`${sql.ref('registration')} || '/' || ${sql.ref('backend')}`;
    return [
      ...(['failureSource', 'failureCode', 'failureRequestId'] as const).map((column) =>
        schema.alterTable('runners').addColumn(column, 'text').compile(),
      ),
      schema.alterTable('runners').addColumn('failureAtMs', integer).compile(),
      sql`
        update ${runners} set
          ${source} = case
            when ${kind} like 'github-%' then 'github'
            when ${kind} in ('time-limit', 'interrupted', 'full', 'no-backend') then 'dispatcher'
            when ${sql.ref('backend')} is null then 'dispatcher'
            else ${place} end,
          ${kind} = case
            when ${kind} like 'github-%' then substr(${kind}, 8)
            when ${kind} in ('full', 'no-backend') then 'no-place'
            when ${kind} in (${sql.join(EARLIER_KINDS.map((name) => sql.lit(name)))}) then ${kind}
            else 'unknown' end,
          ${atMs} = ${sql.ref('stateSinceMs')}
        where ${kind} is not null`.compile(builder),

      ...(['failureSource', 'failureKind', 'failureCode', 'failureRequestId', 'failure'] as const).map((column) =>
        schema.alterTable('runnerTimeline').addColumn(column, 'text').compile(),
      ),
      schema.alterTable('runnerTimeline').addColumn('failureAtMs', integer).compile(),

      schema.dropTable('breakers').compile(),
      schema
        .createTable('breakers')
        .addColumn('key', 'text', (column) => column.notNull().primaryKey())
        .addColumn('registration', 'text', (column) => column.notNull())
        .addColumn('backend', 'text', (column) => column.notNull())
        .addColumn('rule', 'text', (column) => column.notNull())
        .addColumn('shape', 'text')
        .addColumn('subject', 'text')
        .addColumn('configuration', 'text', (column) => column.notNull())
        .addColumn('failureSource', 'text', (column) => column.notNull())
        .addColumn('failureKind', 'text', (column) => column.notNull())
        .addColumn('failureCode', 'text')
        .addColumn('failureRequestId', 'text')
        .addColumn('failure', 'text', (column) => column.notNull())
        .addColumn('failureAtMs', integer, (column) => column.notNull())
        .addColumn('failures', integer, (column) => column.notNull())
        .addColumn('sinceMs', integer, (column) => column.notNull())
        .addColumn('closedUntilMs', integer, (column) => column.notNull())
        .addColumn('changedAtMs', integer, (column) => column.notNull())
        .compile(),
    ];
  },
};

const ninth: Migration = {
  version: 9,
  name: 'jobs are found by their run',
  statements: ({ schema }) => [schema.createIndex('jobsByRun').on('jobs').columns(['runId', 'key']).compile()],
};

const tenth: Migration = {
  version: 10,
  name: 'held jobs are found by their repository',
  statements: ({ schema }) => [
    schema
      .createIndex('jobsHeldByRepository')
      .on('jobs')
      .columns(['host', 'owner', 'repository', 'statusSinceMs', 'key'])
      .where(sql.ref('hold'), '=', sql.lit('unserved'))
      .compile(),
  ],
};

const eleventh: Migration = {
  version: 11,
  name: 'jobs that another tenant tells of are found by their registration',
  statements: ({ schema }) => [
    schema
      .createIndex('jobsUnconfirmedByRegistration')
      .on('jobs')
      .columns(['registration', 'statusSinceMs', 'key'])
      .where(sql.ref('unconfirmed'), '=', sql.lit(1))
      .compile(),
  ],
};

const twelfth: Migration = {
  version: 12,
  name: 'the stop of a container is marked before it is sent',
  statements: (builder) => [
    builder.schema.alterTable('runners').addColumn('stopAskedAtMs', integer).compile(),
    builder
      .updateTable('runners')
      .set(({ ref }) => ({ stopAskedAtMs: ref('stopSentAtMs') }))
      .where('stopSentAtMs', 'is not', null)
      .compile(),
  ],
};

const thirteenth: Migration = {
  version: 13,
  name: 'what a container says of itself',
  statements: ({ schema }) => [
    schema.alterTable('runners').addColumn('callbackHash', 'text').compile(),
    ...(['memoryPeakBytes', 'cpuMs', 'diskBytes', 'oomKills'] as const).map((column) =>
      schema.alterTable('runners').addColumn(column, integer).compile(),
    ),
  ],
};

const fourteenth: Migration = {
  version: 14,
  name: 'whose word the visibility of a repository is',
  statements: ({ schema }) => [
    schema
      .alterTable('jobs')
      .addColumn('visibilityProven', integer, (column) => column.notNull().defaultTo(0))
      .compile(),
  ],
};

const fifteenth: Migration = {
  version: 15,
  name: 'runners that are gone are found by their registration',
  statements: ({ schema }) => [
    schema
      .createIndex('runnersGoneByRegistration')
      .on('runners')
      .columns(['registration', 'stateSinceMs', 'name'])
      .where(sql.ref('live'), '=', sql.lit(0))
      .compile(),
  ],
};

const sixteenth: Migration = {
  version: 16,
  name: 'tokens of the admin API, and what was done with them',
  statements: ({ schema }) =>
    [
      schema
        .createTable('tokens')
        .addColumn('id', 'text', (column) => column.notNull().primaryKey())
        .addColumn('name', 'text', (column) => column.notNull())
        .addColumn('hash', 'text', (column) => column.notNull().unique())
        .addColumn('role', 'text', (column) => column.notNull())
        .addColumn('tenants', 'text')
        .addColumn('createdAtMs', integer, (column) => column.notNull())
        .addColumn('createdBy', 'text', (column) => column.notNull())
        .addColumn('expiresAtMs', integer)
        .addColumn('revokedAtMs', integer)
        .addColumn('revokedBy', 'text'),
      schema
        .createTable('audit')
        .addColumn('id', 'text', (column) => column.notNull().primaryKey())
        .addColumn('atMs', integer, (column) => column.notNull())
        .addColumn('actorId', 'text', (column) => column.notNull())
        .addColumn('actorName', 'text', (column) => column.notNull())
        .addColumn('action', 'text', (column) => column.notNull())
        .addColumn('subject', 'text', (column) => column.notNull())
        .addColumn('tenant', 'text')
        .addColumn('status', integer)
        .addColumn('outcome', 'text'),
      schema
        .createIndex('auditByTenant')
        .on('audit')
        .columns(['tenant', 'id'])
        .where(sql.ref('tenant'), 'is not', null),
      schema.createIndex('auditByActor').on('audit').columns(['actorId', 'id']),
    ].map((statement) => statement.compile()),
};

const seventeenth: Migration = {
  version: 17,
  name: 'runners that are launched ahead of their job',
  statements: ({ schema }) => [schema.alterTable('runners').addColumn('standby', 'text').compile()],
};

const eighteenth: Migration = {
  version: 18,
  name: 'the branch of a job',
  statements: ({ schema }) => [schema.alterTable('jobs').addColumn('headBranch', 'text').compile()],
};

const nineteenth: Migration = {
  version: 19,
  name: 'the last version without problems of each registration',
  statements: ({ schema }) => [
    schema
      .createTable('registrationVersions')
      .addColumn('name', 'text', (column) => column.notNull().primaryKey())
      .addColumn('hash', 'text', (column) => column.notNull())
      .addColumn('sealed', 'text', (column) => column.notNull())
      .addColumn('keptAtMs', integer, (column) => column.notNull())
      .compile(),
  ],
};

const twentieth: Migration = {
  version: 20,
  name: 'the session that each token was made with',
  statements: (builder) => [
    builder.schema.alterTable('tokens').addColumn('sessionId', 'text').compile(),
    // A restart ends all sessions.
    builder.updateTable('tokens').set({ sessionId: 'ended' }).where('createdBy', 'like', 'person:%').compile(),
  ],
};

const twentyFirst: Migration = {
  version: 21,
  name: 'what started the run of a job, and who',
  statements: ({ schema }) =>
    ['runEvent', 'runActor', 'runTriggeringActor'].map((column) =>
      schema.alterTable('jobs').addColumn(column, 'text').compile(),
    ),
};

const twentySecond: Migration = {
  version: 22,
  name: 'jobs that a registration only observes',
  statements: ({ schema }) => [
    schema.alterTable('jobs').addColumn('runnerGroup', 'text').compile(),
    schema
      .createIndex('jobsObserved')
      .on('jobs')
      .columns(['registration', 'firstSeenAtMs', 'key'])
      .where(sql.ref('admission'), '=', sql.lit('observed'))
      .compile(),
    schema
      .createIndex('jobsObservedByLane')
      .on('jobs')
      .columns(['laneKey'])
      .where(sql.ref('admission'), '=', sql.lit('observed'))
      .compile(),
    schema
      .createIndex('jobsObservedOpen')
      .on('jobs')
      // Its first column tells the planner that it is narrower than that of all admissions.
      .columns(['admission', 'queuedSinceMs', 'key'])
      .where(sql.ref('admission'), '=', sql.lit('observed'))
      .where(sql.ref('status'), '<>', sql.lit('completed'))
      .compile(),
  ],
};

const twentyThird: Migration = {
  version: 23,
  name: 'registrations that the admin API was given',
  statements: ({ schema }) => [
    schema
      .createTable('apiRegistrations')
      .addColumn('name', 'text', (column) => column.notNull().primaryKey())
      .addColumn('document', 'text', (column) => column.notNull())
      .addColumn('hash', 'text', (column) => column.notNull())
      .addColumn('tenant', 'text')
      .addColumn('putBy', 'text', (column) => column.notNull())
      .addColumn('putAtMs', integer, (column) => column.notNull())
      .compile(),
  ],
};

const twentyFourth: Migration = {
  version: 24,
  name: 'whose share of the audit trail an entry takes',
  statements: (builder) => [
    builder.schema
      .alterTable('audit')
      .addColumn('share', 'text', (column) => column.notNull().defaultTo(''))
      .compile(),
    builder
      .updateTable('audit')
      .set({ share: sql<string>`${sql.ref('tenant')}` })
      .where('tenant', 'is not', null)
      .compile(),
  ],
};

const twentyFifth: Migration = {
  version: 25,
  name: 'runners that are registered ahead of their job',
  statements: ({ schema }) =>
    (['idleLimitMs', 'jobLimitMs'] as const).map((column) =>
      schema.alterTable('runners').addColumn(column, integer).compile(),
    ),
};

const twentySixth: Migration = {
  version: 26,
  name: 'whether the code of a run is of its repository',
  statements: ({ schema }) => [schema.alterTable('jobs').addColumn('runHead', 'text').compile()],
};

const twentySeventh: Migration = {
  version: 27,
  name: 'runners on a candidate image',
  statements: ({ schema }) => [schema.alterTable('runners').addColumn('candidate', 'text').compile()],
};

const twentyEighth: Migration = {
  version: 28,
  name: "deliveries of GitHub's logs that never arrived",
  statements: ({ schema }) =>
    [
      schema
        .createTable('missedDeliveries')
        .addColumn('log', 'text', (column) => column.notNull())
        .addColumn('guid', 'text', (column) => column.notNull())
        .addColumn('deliveryId', 'text', (column) => column.notNull())
        .addColumn('share', 'text', (column) => column.notNull())
        .addColumn('rank', integer, (column) => column.notNull())
        .addColumn('deliveredAtMs', integer, (column) => column.notNull())
        .addColumn('attempts', integer, (column) => column.notNull())
        .addColumn('dueAtMs', integer, (column) => column.notNull())
        .addColumn('ended', 'text')
        .addColumn('changedAtMs', integer, (column) => column.notNull())
        .addPrimaryKeyConstraint('missedDeliveriesKey', ['log', 'guid']),
      schema.createIndex('missedDeliveriesByAge').on('missedDeliveries').columns(['changedAtMs']),
      schema
        .createIndex('missedDeliveriesOpen')
        .on('missedDeliveries')
        .columns(['log', 'dueAtMs'])
        .where(sql.ref('ended'), 'is', null),
    ].map((statement) => statement.compile()),
};

const twentyNinth: Migration = {
  version: 29,
  name: 'whose deliveries never arrived',
  statements: ({ schema }) =>
    [
      ...(['line', 'installation'] as const).map((column) =>
        schema.alterTable('missedDeliveries').addColumn(column, 'text', (text) => text.notNull().defaultTo('')),
      ),
      // The counts of a line, and which of its rows gives way, are read from these alone, however many it has.
      schema
        .createIndex('missedDeliveriesOpenByLine')
        .on('missedDeliveries')
        .columns(['line', 'installation', 'share', 'deliveredAtMs', 'log', 'guid'])
        .where(sql.ref('ended'), 'is', null),
      schema
        .createIndex('missedDeliveriesEndedByLine')
        .on('missedDeliveries')
        .columns(['line', 'changedAtMs', 'log', 'guid'])
        .where(sql.ref('ended'), 'is not', null),
    ].map((statement) => statement.compile()),
};

const thirtieth: Migration = {
  version: 30,
  name: 'cursors by age',
  statements: ({ schema }) => [schema.createIndex('cursorsByAge').on('cursors').columns(['changedAtMs']).compile()],
};

/** In the order in which they are applied. */
export const migrations: readonly Migration[] = [
  first,
  second,
  third,
  heldJobs,
  ninth,
  tenth,
  eleventh,
  twelfth,
  thirteenth,
  fourteenth,
  fifteenth,
  sixteenth,
  seventeenth,
  eighteenth,
  nineteenth,
  twentieth,
  twentyFirst,
  twentySecond,
  twentyThird,
  twentyFourth,
  twentyFifth,
  twentySixth,
  twentySeventh,
  twentyEighth,
  twentyNinth,
  thirtieth,
];

export const SCHEMA_VERSION = Math.max(...migrations.map((migration) => migration.version));

/** Returns the version that the store had, 0 for a new one. A newer one is left untouched. */
export function* migrate({ builder, nowMs }: Context): Step<number> {
  yield createMigrations(builder);
  const applied = (yield appliedMigrations(builder)).rows.map(versionOf);
  const present = Math.max(0, ...applied);
  if (present > SCHEMA_VERSION) return present;
  for (const migration of migrations) {
    if (applied.includes(migration.version)) continue;
    yield* migration.statements(builder);
    yield insertMigration(builder, { version: migration.version, name: migration.name, appliedAtMs: nowMs });
  }
  return present;
}
