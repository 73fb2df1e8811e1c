import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import Sqlite from 'better-sqlite3';
import { expect } from 'chai';
import { z } from 'zod';
import * as held from '../../dispatcher/ledger/held-job-queries.ts';
import * as queries from '../../dispatcher/ledger/queries.ts';
import { sqliteBuilder as builder, openSqliteLedger } from '../../dispatcher/ledger/sqlite.ts';

const planSchema = z.array(z.object({ detail: z.string() }));

/** Index entries of what lives: no history in them, so walking through one is as long as the living are many. */
const LIVING = [
  'jobsInDemand',
  'jobsInDemandByAge',
  'jobsOpen',
  'jobsUnconfirmed',
  'jobsUnconfirmedByRegistration',
  'jobsDisputed',
  'jobsHeldByLane',
  'jobsHeldByTime',
  'jobsHeldByRun',
  'runnersLiveByLane',
  'runnersLiveByCheck',
  'runnersLiveByBackend',
];

describe('the plans that SQLite makes', () => {
  let folder: string;
  let database: Sqlite.Database;

  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'ledger-'));
    const path = join(folder, 'ledger.db');
    await (await openSqliteLedger({ path, now: () => 1 })).close();
    database = new Sqlite(path, { readonly: true });
  });

  after(async () => {
    database.close();
    await rm(folder, { recursive: true });
  });

  function planOf({ sql, parameters }: queries.Query): readonly string[] {
    const rows: unknown = database.prepare(`explain query plan ${sql}`).all(...parameters);
    return planSchema.parse(rows).map((row) => row.detail);
  }

  const job = { registration: undefined };
  const run = { host: 'h', owner: 'o', repository: 'r', runId: 1 };
  const runner = { registration: undefined };
  const plans: readonly (readonly [string, queries.Query, string])[] = [
    ['the jobs of a run', queries.jobsOfRun(builder, 9, 9), 'jobsByRun'],
    ['one job', queries.jobByKey(builder, 'k'), 'sqlite_autoindex_jobs_1'],
    ['jobs to settle', queries.unsettledJobs(builder, 9), 'jobsUnsettled'],
    ['jobs to read again', queries.staleJobs(builder, 9, 9), 'jobsInDemandByAge'],
    ['jobs in doubt', queries.disputedJobs(builder, 9), 'jobsDisputed'],
    ['jobs that a stranger tells of', queries.unconfirmedJobs(builder, 9), 'jobsUnconfirmed'],
    [
      'those of one registration',
      queries.unconfirmedJobsOf(builder, 9, 'r'),
      'jobsUnconfirmedByRegistration (registration=?)',
    ],
    ['those that waited too long', queries.overdueUnconfirmed(builder, 9, 9), 'jobsUnconfirmed'],
    ['jobs of an id', queries.jobsWithId(builder, 9, 9), 'jobsById'],
    [
      'the same job under another name',
      queries.namesakes(builder, { key: 'k', host: 'h', jobId: 9, registration: 'r' }),
      'jobsById',
    ],
    ['jobs that waited too long', queries.overdueJobs(builder, 9, 9), 'jobsInDemandByAge'],
    ['the demand of a lane', queries.laneDemand(builder, 'l'), 'COVERING INDEX jobsInDemand'],
    ['the supply of a lane', queries.laneSupply(builder, 'l'), 'COVERING INDEX runnersLiveByLane'],
    ['the next job of a lane', queries.waitingJobs(builder, 9, 'l'), 'jobsInDemand'],
    ['lanes in use', queries.lanesInUse(builder), 'jobsInDemand'],
    ['the held jobs of a lane', held.laneHeld(builder, 'l'), 'jobsHeldByLane'],
    ['held jobs that waited too long', held.overdueHeldJobs(builder, 9, 9), 'jobsHeldBy'],
    [
      'jobs that a runner idled beside',
      held.jobsPassedOver(builder, { laneKey: 'l', registration: 'r' }, 9, 9),
      'jobsInDemand',
    ],
    ['the held jobs of a run', held.heldOfRun(builder, run, 9), 'jobsHeldByRun'],
    ['the held jobs of a repository', held.heldOfRepository(builder, run, 9), 'jobsHeldByRepository'],
    ['the running jobs of a run', held.runningOfRun(builder, run), 'jobsRunningByRun'],
    ['held jobs that may try', held.heldToProbe(builder, 9, 9), 'jobsHeldByTime'],
    ['the time of the next try', held.nextProbe(builder), 'jobsHeldByTime'],
    ['jobs to look for again', held.unseenJobs(builder, 9, 9), 'jobsHeldByTime'],
    [
      'the queued jobs of a lane',
      queries.jobsMatching(builder, { ...job, laneKey: 'l', status: 'queued' }, 9),
      'jobsOpen',
    ],
    ['all queued jobs', queries.jobsMatching(builder, { ...job, admission: 'lane', status: 'queued' }, 9), 'jobsOpen'],
    ['the jobs of a registration', queries.jobsMatching(builder, { registration: 'r' }, 9), 'jobsByRegistration'],
    ['the refused jobs', queries.jobsMatching(builder, { ...job, admission: 'refused' }, 9), 'jobsByAdmission'],
    ['the latest jobs', queries.jobsMatching(builder, job, 9), 'jobsByAge'],
    ['all open jobs, to settle them again', queries.unsettleOpenJobs(builder, 9, 9), 'jobsOpen'],
    ['one runner', queries.runnerByName(builder, 'd-1'), 'sqlite_autoindex_runners_1'],
    ['runners to look at', queries.runnersDue(builder, 9, 9), 'runnersLiveByCheck'],
    [
      'runners to look at, of some',
      queries.runnersDue(builder, 9, 9, { registrations: ['r'], places: [{ registration: 'r', backend: 'b' }] }),
      'runnersLiveByCheck',
    ],
    ['the time of the next look', queries.nextCheckAt(builder), 'COVERING INDEX runnersLiveByCheck'],
    ['live runners by backend', queries.liveCounts(builder), 'COVERING INDEX runnersLiveByBackend'],
    ['surplus runners', queries.surplusRunners(builder, 'l', 9), 'runnersLiveByLane'],
    ['creating runners', queries.runnersMatching(builder, { ...runner, states: ['creating'] }, 9), 'runnersLiveBy'],
    [
      'live runners of a lane',
      queries.runnersMatching(builder, { ...runner, laneKey: 'l', states: ['online'] }, 9),
      'runnersLiveByLane',
    ],
    ['the latest runners', queries.runnersMatching(builder, runner, 9), 'runnersByAge'],
    ['the timeline of a runner', queries.timelineOf(builder, 'd-1'), 'sqlite_autoindex_runnerTimeline_1'],
    ['old deliveries', queries.pruneDeliveries(builder, 9, 9), 'deliveriesByAge'],
    ['old jobs', queries.pruneEndedJobs(builder, 9, 9), 'jobsEnded'],
    ['forsaken jobs', queries.pruneForsakenJobs(builder, 9, 9), 'jobsOpen'],
    ['old runners', queries.pruneGoneRunners(builder, 9, 9), 'runnersGone'],
  ];

  for (const [what, query, index] of plans) {
    it(`find ${what} by an index that history does not make longer`, () => {
      const plan = planOf(query);
      expect(plan.join('\n')).to.include(index);
      // What a subquery found is walked over again.
      const walks = plan.filter((line) => /^SCAN (?!ranked$|\(subquery-\d+\)$)/.test(line));
      // The latest first, as many as wished: such a walk ends at its limit.
      const bounded = ['jobsByAge', 'runnersByAge'].some((name) => index === name);
      const long = walks.filter((line) => !bounded && !LIVING.some((name) => line.endsWith(`INDEX ${name}`)));
      expect(long).to.deep.equal([]);
    });
  }

  it('sort nothing for the queries of every event', () => {
    const sorted = [
      'jobs to settle',
      'the next job of a lane',
      'runners to look at',
      'runners to look at, of some',
      'jobs that waited too long',
    ];
    for (const [what, query] of plans) {
      if (sorted.includes(what)) expect(planOf(query).join('\n'), what).to.not.include('TEMP B-TREE');
    }
  });

  it('look at each lane once to find the empty ones, and into the indexes of the living for each', () => {
    const plan = planOf(queries.deleteEmptyLanes(builder));
    expect(plan.filter((line) => line.startsWith('SCAN'))).to.deep.equal(['SCAN lanes']);
    expect(plan.join('\n')).to.include('jobsOpen (laneKey=?').and.to.include('runnersLiveByLane (laneKey=?');
  });
});
