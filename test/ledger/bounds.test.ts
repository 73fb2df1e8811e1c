import { expect } from 'chai';
import { neverStrangers } from '../../dispatcher/jobs/facts.ts';
import type { JobSettlement, Ledger } from '../../dispatcher/ledger/ledger.ts';
import type { Query } from '../../dispatcher/ledger/queries/fixed.ts';
import { namesakes } from '../../dispatcher/ledger/queries/job-checks.ts';
import { runnersDue } from '../../dispatcher/ledger/queries/runners.ts';
import { atMost } from '../../dispatcher/ledger/queries/terms.ts';
import { openSqliteLedger, sqliteBuilder } from '../../dispatcher/ledger/sqlite.ts';
import { passOver } from '../../dispatcher/ledger/steps/held-jobs.ts';
import { jobs, jobsOfRun, jobsWithId } from '../../dispatcher/ledger/steps/jobs.ts';
import { runners } from '../../dispatcher/ledger/steps/runners.ts';
import type { Context, Step } from '../../dispatcher/ledger/steps/step.ts';
import { fact, runner } from './examples.ts';

const context: Context = {
  builder: sqliteBuilder,
  nowMs: 50_000,
  areStrangers: neverStrangers,
  mostOpenJobs: 10,
};

/** What the step asks of the store first. */
function firstQuery(step: Step<unknown>): Query {
  const { value, done } = step.next();
  if (done === true) throw new Error('the step asks nothing');
  return value;
}

describe('what the ledger reads at once', () => {
  const idle = { name: 'd-1', laneKey: 'lane', registration: 'acme' };
  const when = { onlineAtMs: 1, nowMs: 2, unreadable: 'reject' } as const;
  const named = { jobId: 1, key: 'k', host: 'github.com', registration: 'acme' };
  for (const [what, query, most] of [
    ['runners', firstQuery(runners(context, { limit: 1e9 }, 'reject')), 100_000],
    ['runners, without a limit of the caller', firstQuery(runners(context, {}, 'reject')), 100_000],
    ['jobs', firstQuery(jobs(context, { limit: 1e9 }, 'reject')), 1000],
    ['jobs, without a limit of the caller', firstQuery(jobs(context, {}, 'reject')), 100],
    ['jobs of one run', firstQuery(jobsOfRun(context, { runId: 7 }, 'reject')), 1000],
    ['jobs with one id', firstQuery(jobsWithId(context, 1, 'reject')), 10],
    ['jobs beside which a runner idled', firstQuery(passOver(context, idle, when)), 1000],
    ['jobs with the id of another', namesakes(sqliteBuilder, named), 10],
  ] as const) {
    it(`is at most ${most} ${what}`, () => {
      expect(query.sql).to.match(new RegExp(` limit ${most}$`));
    });
  }
});

describe('a limit of a query', () => {
  // SQLite takes a negative one for no limit.
  for (const limit of [-1, 0.5, Number.NaN, Number.POSITIVE_INFINITY, 2 ** 53]) {
    it(`is not ${limit}`, () => {
      expect(() => atMost(limit)).to.throw(TypeError, `a limit is a whole number, not ${limit}`);
    });
  }
});

describe('the question for the runners that are due, without some', () => {
  const names = (count: number) => Array.from({ length: count }, (_, index) => `r-${index}`);
  const askedWithout = (count: number) => [
    runnersDue(sqliteBuilder, 5, 10, { registrations: names(count) }).sql,
    runnersDue(sqliteBuilder, 5, 10, { places: names(count).map((registration) => ({ registration, backend: 'b' })) })
      .sql,
  ];

  it('has one of five texts, however many are left out: each is compiled and kept', () => {
    const texts = [0, 8, 64, 512, 4096].map(askedWithout);
    expect(new Set(texts.map(([text]) => text)).size).to.equal(5);
    expect(new Set(texts.map(([, text]) => text)).size).to.equal(5);
    for (const [count, index] of [
      [1, 1],
      [7, 1],
      [9, 2],
      [63, 2],
      [65, 3],
      [513, 4],
      [4097, 4],
    ] as const) {
      expect(askedWithout(count), `${count} left out`).to.deep.equal(texts[index]);
    }
  });

  it('names no list where none is left out: not every database takes an empty one', () => {
    for (const text of askedWithout(0)) expect(text).to.not.include('not in');
  });
});

describe('what the ledger keeps of long words', () => {
  const LONG = 'no such image '.repeat(1000);
  const KEPT = 4000;
  let ledger: Ledger;

  beforeEach(async () => {
    ledger = await openSqliteLedger({ path: ':memory:', now: () => 50_000 });
  });

  afterEach(() => ledger.close());

  it('is their first 4000 characters, of the reason of a job', async () => {
    await ledger.recordFacts([fact({ jobId: 1 })]);
    const admission = { state: 'refused', registration: 'acme', lane: null, reasonCode: 'image', cure: null } as const;
    const settled = (await ledger.unsettledJobs(1, 'reject')).map(
      ({ key, version }): JobSettlement => ({ key, version, admission: { ...admission, reason: LONG } }),
    );
    await ledger.settleJobs(settled);
    const [job] = await ledger.jobs({}, 'reject');
    expect(job?.reason?.length).to.be.within(KEPT, KEPT + 20);
    expect(job?.reason).to.match(/^no such image no such image/);
  });

  it('is their first 4000 characters, of the steps of a runner and the reason of its drain', async () => {
    await ledger.createRunner(runner({ name: 'd-1' }), LONG);
    await ledger.stepRunner('d-1', () => ({
      patch: { drainReason: LONG },
      entries: [{ atMs: 1, state: 'draining', reason: 'drain', details: LONG, failure: null }],
    }));
    const [made, drained] = await ledger.timeline('d-1');
    for (const words of [made?.reason, drained?.details, (await ledger.runner('d-1'))?.drainReason]) {
      expect(words?.length).to.be.within(KEPT, KEPT + 20);
    }
    expect(made?.details).to.equal(null);
  });
});
