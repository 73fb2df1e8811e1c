/** Runners: their rows, and those that are due for something. */
import { type Expression, type ExpressionBuilder, type SqlBool, sql } from 'kysely';
import type { RunnerFilter, RunnersLeftOut } from '../ledger.ts';
import { runnerColumnNames } from '../rows.ts';
import type { RunnersTable, Tables } from '../tables.ts';
import { type Builder, fixed, type Query, wholeRow } from './fixed.ts';
import { atMost, unbound, withoutIndex, withoutOrderIndex, yes } from './terms.ts';

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
        scope: ref('excluded.scope'),
        runnerGroup: ref('excluded.runnerGroup'),
        laneKey: ref('excluded.laneKey'),
        labels: ref('excluded.labels'),
        specHash: ref('excluded.specHash'),
        state: ref('excluded.state'),
        stateSinceMs: ref('excluded.stateSinceMs'),
        deadlineAtMs: ref('excluded.deadlineAtMs'),
        nextCheckAtMs: ref('excluded.nextCheckAtMs'),
        incarnation: ref('excluded.incarnation'),
        backend: ref('excluded.backend'),
        candidate: ref('excluded.candidate'),
        instanceDeadlineAtMs: ref('excluded.instanceDeadlineAtMs'),
        instanceId: ref('excluded.instanceId'),
        instanceState: ref('excluded.instanceState'),
        githubRunnerId: ref('excluded.githubRunnerId'),
        standby: ref('excluded.standby'),
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
        stopAskedAtMs: ref('excluded.stopAskedAtMs'),
        stopSentAtMs: ref('excluded.stopSentAtMs'),
        callbackHash: ref('excluded.callbackHash'),
        memoryPeakBytes: ref('excluded.memoryPeakBytes'),
        cpuMs: ref('excluded.cpuMs'),
        diskBytes: ref('excluded.diskBytes'),
        oomKills: ref('excluded.oomKills'),
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

/** The latest `limit`; `all`: as many in any order, for callers whose choice is never longer. */
export function runnersMatching(builder: Builder, choice: RunnerChoice, limit: number, all?: 'all'): Query {
  const { registration, states, laneKey, after } = choice;
  const alive = states !== undefined && !states.includes('gone');
  let query = builder.selectFrom('runners').selectAll().limit(atMost(limit));
  if (laneKey !== undefined) query = query.where('laneKey', '=', laneKey);
  if (states !== undefined) query = query.where('state', 'in', [...states]);
  if (after !== undefined) query = query.where(({ eb }) => olderThan(eb, after));
  if (!alive) {
    if (registration !== undefined) query = query.where('registration', '=', registration);
    return query.orderBy('createdAtMs', 'desc').orderBy('name', 'desc').compile();
  }
  query = query.where('live', '=', yes);
  if (registration !== undefined) query = query.where(withoutIndex('registration'), '=', registration);
  // Sorting rows of so many columns costs ten times what finding them does, even where none is found.
  if (all !== undefined) return query.compile();
  return query.orderBy(withoutOrderIndex('createdAtMs'), 'desc').orderBy('name', 'desc').compile();
}

function olderThan(
  eb: ExpressionBuilder<Tables, 'runners'>,
  { createdAtMs, name }: NonNullable<RunnerFilter['after']>,
): Expression<SqlBool> {
  return eb.and([
    // Implied by the rest; stated so that an index in the order of time begins there.
    eb('createdAtMs', '<=', createdAtMs),
    eb.or([eb('createdAtMs', '<', createdAtMs), eb('name', '<', name)]),
  ]);
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

/** Both lists are filled up to one of these lengths, so that there are few different texts. */
const LEFT_OUT_LENGTHS = [0, 8, 64, 512, 4096] as const;

/** What is left out beyond the longest list is returned: to leave it out saves reading, and nothing depends on it. */
export function runnersDue(builder: Builder, nowMs: number, limit: number, except: RunnersLeftOut = {}): Query {
  const registrations = filledUp(except.registrations ?? []);
  const places = filledUp((except.places ?? []).map(({ registration, backend }) => `${registration}/${backend ?? ''}`));
  return dueWithout(limit, registrations.length, places.length)(builder, nowMs, ...registrations, ...places);
}

function filledUp(list: readonly string[]): readonly string[] {
  const [last] = list;
  if (last === undefined) return [];
  const length = LEFT_OUT_LENGTHS.find((one) => one >= list.length) ?? Math.max(...LEFT_OUT_LENGTHS);
  return Array.from({ length }, (_, index) => list[index] ?? last);
}

type DueQuery = (builder: Builder, nowMs: number, ...leftOut: readonly string[]) => Query;
const dueQueries = new Map<string, DueQuery>();

function dueWithout(limit: number, registrations: number, places: number): DueQuery {
  const key = `${limit} ${registrations} ${places}`;
  const known = dueQueries.get(key);
  if (known !== undefined) return known;
  const made = fixed((builder, nowMs: number, ...leftOut: readonly string[]) => {
    let query = builder
      .selectFrom('runners')
      .selectAll()
      .where('live', '=', yes)
      .where('nextCheckAtMs', '<=', nowMs)
      .orderBy('nextCheckAtMs')
      .orderBy('name')
      .limit(atMost(limit));
    const [names, keys] = [leftOut.slice(0, registrations), leftOut.slice(registrations)];
    if (names.length > 0) query = query.where(withoutIndex('registration'), 'not in', names);
    const place = sql<string>`${sql.ref('registration')} || '/' || coalesce(${sql.ref('backend')}, '')`;
    if (keys.length > 0) query = query.where(place, 'not in', keys);
    return query;
  });
  dueQueries.set(key, made);
  return made;
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

const countIn = <State extends 'draining' | 'parked'>(state: State) =>
  sql<number>`sum(case when ${sql.ref('state')} = ${sql.lit(state)} then 1 else 0 end)`.as(state);

export const liveCounts = fixed((builder) =>
  builder
    .selectFrom('runners')
    .select([
      'registration',
      'backend',
      ({ fn }) => fn.countAll<number>().as('count'),
      countIn('draining'),
      countIn('parked'),
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

/** By the run whose job each runs, or was launched for. Those that no cap counts are left out here as well. */
export const liveCountsByRun = fixed((builder, registration: string) =>
  builder
    .selectFrom('runners')
    .innerJoin('jobs', (join) =>
      join.on('jobs.key', '=', ({ fn }) => fn.coalesce('runners.jobKey', 'runners.forJobKey')),
    )
    .select(['jobs.runId', ({ fn }) => fn.countAll<number>().as('count')])
    .where('runners.live', '=', yes)
    .where('runners.registration', '=', registration)
    .where(
      'runners.instanceState',
      'not in',
      (['absent', 'ended'] as const).map((state) => sql.lit(state)),
    )
    .where(({ eb, or }) =>
      or([eb('runners.instanceState', '<>', sql.lit('none')), eb('runners.state', '=', sql.lit('creating'))]),
    )
    .groupBy('jobs.runId'),
);

export const registrationsWithRunners = fixed((builder) =>
  builder.selectFrom('runners').select('registration').distinct().where('live', '=', yes).orderBy('registration'),
);

export const scopesWithRunners = fixed((builder, registration: string) =>
  builder
    .selectFrom('runners')
    .select('scope')
    .distinct()
    .where('live', '=', yes)
    .where('registration', '=', registration)
    .orderBy('scope'),
);

/** Of one registration at most so many runners are looked at for the starts of jobs. */
const MOST_STARTS = 10_000;

/** When the first of them was created; nothing: there are fewer. */
export const firstOfStarts = fixed((builder, registration: string) =>
  builder
    .selectFrom('runners')
    .select('createdAtMs as atMs')
    .where('registration', '=', registration)
    .orderBy('createdAtMs', 'desc')
    .orderBy('name', 'desc')
    .limit(atMost(1))
    .offset(atMost(MOST_STARTS - 1)),
);

export const jobStarts = fixed(
  (builder, registration: string, createdSinceMs: number, specHash: string, sinceMs: number) =>
    builder
      .selectFrom('runners')
      .select('busyAtMs as atMs')
      .where('registration', '=', registration)
      .where('createdAtMs', '>=', createdSinceMs)
      .where('specHash', '=', specHash)
      .where('busyAtMs', '>=', sinceMs),
);

/** All that have no job: sorting them here would cost many times what finding them does. */
export const unboundRunners = fixed((builder, laneKey: string) =>
  builder
    .selectFrom('runners')
    .select(['name', 'state', 'createdAtMs'])
    .where('live', '=', yes)
    .where('laneKey', '=', laneKey)
    .where('state', 'in', unbound)
    .where('jobKey', 'is', null),
);
