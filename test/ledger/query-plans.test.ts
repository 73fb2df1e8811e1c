import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import Sqlite from 'better-sqlite3';
import { expect } from 'chai';
import { z } from 'zod';
import { pruneCursors } from '../../dispatcher/ledger/queries/cursors.ts';
import type { Query } from '../../dispatcher/ledger/queries/fixed.ts';
import * as heldJobQueries from '../../dispatcher/ledger/queries/held-jobs.ts';
import * as historyQueries from '../../dispatcher/ledger/queries/history.ts';
import * as jobCheckQueries from '../../dispatcher/ledger/queries/job-checks.ts';
import * as jobQueries from '../../dispatcher/ledger/queries/jobs.ts';
import * as laneQueries from '../../dispatcher/ledger/queries/lanes.ts';
import * as missedQueries from '../../dispatcher/ledger/queries/missed-deliveries.ts';
import * as runnerQueries from '../../dispatcher/ledger/queries/runners.ts';
import * as timelineQueries from '../../dispatcher/ledger/queries/timeline.ts';
import { sqliteBuilder as builder, openSqliteLedger } from '../../dispatcher/ledger/sqlite.ts';

const planSchema = z.array(z.object({ detail: z.string() }));

/** Index entries of what lives: no history in them, so walking through one is as long as the living are many. */
const LIVING = [
  'jobsInDemand',
  'jobsInDemandByAge',
  'jobsOpen',
  'jobsUnconfirmed',
  'jobsUnconfirmedByRegistration',
  'jobsObservedOpen',
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

  function planOf({ sql, parameters }: Query): readonly string[] {
    const rows: unknown = database.prepare(`explain query plan ${sql}`).all(...parameters);
    return planSchema.parse(rows).map((row) => row.detail);
  }

  const job = { registration: undefined };
  const run = { host: 'h', owner: 'o', repository: 'r', runId: 1 };
  const runner = { registration: undefined };
  const plans: readonly (readonly [string, Query, string])[] = [
    ['the jobs of a run', jobQueries.jobsOfRun(builder, 9, 'h/o/r/', 9), 'jobsByRun (runId=? AND key>? AND key<?)'],
    ['one job', jobQueries.jobByKey(builder, 'k'), 'sqlite_autoindex_jobs_1'],
    [
      'the missed delivery of a share that gives way',
      missedQueries.dropOpen(builder, { line: 'l', installation: 'i', share: 's' }),
      'missedDeliveriesOpenByLine (line=? AND installation=? AND share=?)',
    ],
    [
      'the missed delivery that has been over longest',
      missedQueries.dropEnded(builder, 'l'),
      'missedDeliveriesEndedByLine (line=?)',
    ],
    [
      'positions in logs that are read no more',
      pruneCursors(builder, 'deliveries/', 9, 9),
      'cursorsByAge (changedAtMs<?)',
    ],
    [
      'how many missed deliveries a line has open',
      missedQueries.countMissed(builder, 'l', 'open'),
      'missedDeliveriesOpenByLine (line=?)',
    ],
    ['jobs to settle', jobQueries.unsettledJobs(builder, 9), 'jobsUnsettled'],
    [
      'jobs of an owner and of a repository',
      jobQueries.unsettleOpenJobsWithin(
        builder,
        [
          { from: 'h/o/', to: 'h/o0' },
          { from: 'h/p/r/', to: 'h/p/r0' },
        ],
        9,
        9,
      ),
      'jobsOpen',
    ],
    ['open jobs of a registration', jobQueries.unsettleOpenJobsOf(builder, 'r', 9, 9), 'jobsOpen'],
    ['jobs to read again', jobCheckQueries.staleJobs(builder, 9, 9), 'jobsInDemandByAge'],
    ['observed jobs to read again', jobCheckQueries.staleObservedJobs(builder, 1, 9, 9), 'jobsObservedOpen'],
    [
      'the observed jobs of a registration',
      jobCheckQueries.observedJobs(builder, 9, 'r', 9),
      'jobsObserved (registration=? AND firstSeenAtMs>?)',
    ],
    ['jobs in doubt', jobCheckQueries.disputedJobs(builder, 9), 'jobsDisputed'],
    ['jobs that a stranger tells of', jobCheckQueries.unconfirmedJobs(builder, 9), 'jobsUnconfirmed'],
    [
      'those of one registration',
      jobCheckQueries.unconfirmedJobsOf(builder, 9, 'r'),
      'jobsUnconfirmedByRegistration (registration=?)',
    ],
    ['those that waited too long', jobCheckQueries.overdueUnconfirmed(builder, 9, 9), 'jobsUnconfirmed'],
    ['jobs of an id', jobQueries.jobsWithId(builder, 9, 9), 'jobsById'],
    [
      'the same job under another name',
      jobCheckQueries.namesakes(builder, { key: 'k', host: 'h', jobId: 9, registration: 'r' }),
      'jobsById',
    ],
    ['jobs that waited too long', jobCheckQueries.overdueJobs(builder, 9, 9), 'jobsInDemandByAge'],
    ['the demand of a lane', laneQueries.laneDemand(builder, 'l'), 'COVERING INDEX jobsInDemand'],
    ['the supply of a lane', laneQueries.laneSupply(builder, 'l', 'online'), 'COVERING INDEX runnersLiveByLane'],
    ['the next job of a lane', laneQueries.waitingJobs(builder, 9, 'l'), 'jobsInDemand'],
    ['likewise, without some runs', laneQueries.waitingJobsBesides(builder, 9, 'l', [1]), 'jobsInDemand'],
    ['the demand of each run', laneQueries.laneDemandByRun(builder, 'l'), 'jobsInDemand'],
    ['the supply of each run', laneQueries.laneSupplyByRun(builder, 'l', 's'), 'runnersLiveByLane'],
    ['lanes in use', laneQueries.lanesInUse(builder), 'jobsInDemand'],
    ['the held jobs of a lane', heldJobQueries.laneHeld(builder, 'l'), 'jobsHeldByLane'],
    ['held jobs that waited too long', heldJobQueries.overdueHeldJobs(builder, 9, 9), 'jobsHeldBy'],
    [
      'jobs that a runner idled beside',
      heldJobQueries.jobsPassedOver(builder, { laneKey: 'l', registration: 'r' }, 9, 9),
      'jobsInDemand',
    ],
    ['the held jobs of a run', heldJobQueries.heldOfRun(builder, run, 9), 'jobsHeldByRun'],
    ['the held jobs of a repository', heldJobQueries.heldOfRepository(builder, run, 9), 'jobsHeldByRepository'],
    ['the running jobs of a run', heldJobQueries.runningOfRun(builder, run), 'jobsRunningByRun'],
    ['held jobs that may try', heldJobQueries.heldToProbe(builder, 9, 9), 'jobsHeldByTime'],
    ['the time of the next try', heldJobQueries.nextProbe(builder), 'jobsHeldByTime'],
    ['jobs to look for again', heldJobQueries.unseenJobs(builder, 9, 9), 'jobsHeldByTime'],
    [
      'the queued jobs of a lane',
      jobQueries.jobsMatching(builder, { ...job, laneKey: 'l', status: 'queued' }, 9),
      'jobsOpen',
    ],
    [
      'all queued jobs',
      jobQueries.jobsMatching(builder, { ...job, admission: 'lane', status: 'queued' }, 9),
      'jobsOpen',
    ],
    ['the jobs of a registration', jobQueries.jobsMatching(builder, { registration: 'r' }, 9), 'jobsByRegistration'],
    ['the refused jobs', jobQueries.jobsMatching(builder, { ...job, admission: 'refused' }, 9), 'jobsByAdmission'],
    ['the latest jobs', jobQueries.jobsMatching(builder, job, 9), 'jobsByAge'],
    ['all open jobs, to settle them again', jobQueries.unsettleOpenJobs(builder, 9, 9), 'jobsOpen'],
    ['ended jobs of the future', jobQueries.cutEndedJobsToNow(builder, 9), 'jobsByAge (firstSeenAtMs>?)'],
    ['one runner', runnerQueries.runnerByName(builder, 'd-1'), 'sqlite_autoindex_runners_1'],
    ['runners of each run', runnerQueries.liveCountsByRun(builder, 'r'), 'runnersLiveByBackend'],
    ['runners to look at', runnerQueries.runnersDue(builder, 9, 9), 'runnersLiveByCheck'],
    [
      'runners to look at, of some',
      runnerQueries.runnersDue(builder, 9, 9, { registrations: ['r'], places: [{ registration: 'r', backend: 'b' }] }),
      'runnersLiveByCheck',
    ],
    ['the time of the next look', runnerQueries.nextCheckAt(builder), 'COVERING INDEX runnersLiveByCheck'],
    ['live runners by backend', runnerQueries.liveCounts(builder), 'COVERING INDEX runnersLiveByBackend'],
    [
      'registrations with runners',
      runnerQueries.registrationsWithRunners(builder),
      'COVERING INDEX runnersLiveByBackend',
    ],
    ['scopes with runners', runnerQueries.scopesWithRunners(builder, 'r'), 'runnersLiveByBackend (registration=?)'],
    [
      'starts of jobs',
      runnerQueries.jobStarts(builder, 'r', 9, 's', 9),
      'runnersByRegistration (registration=? AND createdAtMs>?)',
    ],
    ['the first of them', runnerQueries.firstOfStarts(builder, 'r'), 'runnersByRegistration (registration=?)'],
    ['surplus runners', runnerQueries.unboundRunners(builder, 'l'), 'COVERING INDEX runnersLiveByLane'],
    [
      'creating runners',
      runnerQueries.runnersMatching(builder, { ...runner, states: ['creating'] }, 9),
      'runnersLiveBy',
    ],
    [
      'live runners of a lane',
      runnerQueries.runnersMatching(builder, { ...runner, laneKey: 'l', states: ['online'] }, 9),
      'runnersLiveByLane',
    ],
    [
      'all live runners of a lane',
      runnerQueries.runnersMatching(builder, { ...runner, laneKey: 'l', states: ['online'] }, 9, 'all'),
      'runnersLiveByLane (laneKey=? AND state=?)',
    ],
    ['the latest runners', runnerQueries.runnersMatching(builder, runner, 9), 'runnersByAge'],
    ['the timeline of a runner', timelineQueries.timelineOf(builder, 'd-1'), 'sqlite_autoindex_runnerTimeline_1'],
    ['old deliveries', historyQueries.pruneDeliveries(builder, 9, 9), 'deliveriesByAge'],
    ['old jobs', historyQueries.pruneEndedJobs(builder, 9, 9), 'jobsEnded'],
    ['forsaken jobs', historyQueries.pruneForsakenJobs(builder, 9, 9), 'jobsOpen'],
    ['old runners of a registration', historyQueries.pruneGoneRunnersOf(builder, 'r', 9), 'runnersGoneByRegistration'],
    ['old runners', historyQueries.pruneGoneRunners(builder, 9, 9), 'runnersGone'],
  ];

  it('find due runners by few different texts, whatever is left out', () => {
    const texts = new Set<string>();
    for (let count = 0; count < 600; count += 1) {
      const registrations = Array.from({ length: count * 10 }, (_, index) => `r${index}`);
      const places = registrations.slice(0, count).map((registration) => ({ registration, backend: null }));
      texts.add(runnerQueries.runnersDue(builder, count, 64, { registrations, places }).sql);
    }
    expect(texts.size).to.be.at.most(25);
  });

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
      'all live runners of a lane',
      'surplus runners',
      'the supply of a lane',
      'the same job under another name',
      'the missed delivery of a share that gives way',
      'the missed delivery that has been over longest',
    ];
    for (const [what, query] of plans) {
      if (sorted.includes(what)) expect(planOf(query).join('\n'), what).to.not.include('TEMP B-TREE');
    }
  });

  it('look at each lane once to find the empty ones, and into the indexes of the living for each', () => {
    const plan = planOf(laneQueries.deleteEmptyLanes(builder));
    expect(plan.filter((line) => line.startsWith('SCAN'))).to.deep.equal(['SCAN lanes']);
    expect(plan.join('\n')).to.include('jobsOpen (laneKey=?').and.to.include('runnersLiveByLane (laneKey=?');
  });
});
