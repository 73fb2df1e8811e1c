import { expect } from 'chai';
import type { JobFact } from '../../dispatcher/jobs/facts.ts';
import { mergeFact } from '../../dispatcher/ledger/merge.ts';
import { observedReport } from '../../dispatcher/observability/observed-report.ts';
import { fact, lane } from '../ledger/examples.ts';

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
const price = { perCoreHour: 0.1, perGiBHour: 0.01, currency: 'EUR' };
const backends = [
  { name: 'docker', kind: 'docker', region: undefined, options: {}, maxRunners: 1, price },
  { name: 'other', kind: 'docker', region: undefined, options: {}, maxRunners: 9 },
];
const sized = lane({ wish: { ...lane().wish, cpu: 4, memoryGiB: 10 } });
const row = (jobId: number, some: Partial<JobFact> = {}) => ({
  ...mergeFact(undefined, fact({ jobId, createdAtMs: 0, ...some })).row,
  admission: 'observed' as const,
  laneKey: sized.key,
});
const ran = (jobId: number, fromMs: number, toMs: number, some: Partial<JobFact> = {}) =>
  row(jobId, {
    ...{ status: 'completed', conclusion: 'success', runnerName: `arc-${jobId}`, runnerGroup: 'k8s' },
    ...{ startedAtMs: fromMs, completedAtMs: toMs, ...some },
  });
const report = (jobs: readonly ReturnType<typeof row>[], spec = sized, maxRunners = 10) =>
  observedReport({ jobs, lanes: new Map([[spec.key, spec]]) }, { backends, maxRunners });

describe('the report of a registration that only observes', () => {
  it('tells what would have run beside what ran', () => {
    const { jobs } = report([ran(1, 3 * MINUTE, HOUR + 3 * MINUTE)]);
    expect(jobs[0]).to.deep.include({
      ...{ state: 'ran', backend: 'docker', wouldWaitMs: 0, reallyWaitedMs: 3 * MINUTE, reallyRanMs: HOUR },
      wouldCost: { amount: 0.5, currency: 'EUR' },
      wish: sized.wish,
    });
  });

  it('lets a job wait for the end of the one that has its place', () => {
    const { jobs, total } = report([ran(2, MINUTE, 2 * MINUTE, { createdAtMs: 1000 }), ran(1, 0, HOUR)]);
    expect(jobs.map(({ wouldWaitMs }) => wouldWaitMs)).to.deep.equal([HOUR - 1000, 0]);
    expect(total.wouldWait).to.deep.equal({ known: 2, medianMs: 0, p95Ms: HOUR - 1000, longestMs: HOUR - 1000 });
    expect(total).to.deep.include({ jobs: 2, mostAtOnce: 1 });
  });

  it('adds up what is known, and counts what is not', () => {
    const elsewhere = lane({ key: 'lane-2', backends: ['other'] });
    const unsized = lane({ key: 'lane-3' });
    const lanes = new Map([sized, elsewhere, unsized].map((spec) => [spec.key, spec]));
    const jobs = [
      ran(1, 0, HOUR),
      { ...ran(2, 0, HOUR), laneKey: elsewhere.key },
      { ...ran(3, 0, HOUR, { createdAtMs: 2 * HOUR, runnerGroup: null }), laneKey: unsized.key },
      row(4, { status: 'completed', conclusion: 'cancelled' }),
      row(5, {
        createdAtMs: 5 * HOUR,
        status: 'in_progress',
        runnerName: 'arc-5',
        runnerGroup: 'k8s',
        startedAtMs: 5 * HOUR,
      }),
      row(6, { createdAtMs: 6 * HOUR }),
      { ...ran(7, 0, HOUR), laneKey: 'not there' },
    ];
    const { total } = observedReport({ jobs, lanes }, { backends, maxRunners: 10 });
    expect(total.states).to.deep.equal({ waits: 1, runs: 1, ran: 4, 'never-ran': 1 });
    expect([...total.costs]).to.deep.equal([['EUR', 0.5]]);
    expect(total.costUnknown).to.equal(3);
    expect([...total.takenBy]).to.deep.equal([
      ['k8s', 4],
      ['', 1],
    ]);
    expect([...total.backends]).to.deep.equal([
      ['docker', 3],
      ['other', 1],
    ]);
    expect(total.wouldWait.known).to.equal(4);
  });

  it('keeps what never ran out of the places, as an end without a start is none', () => {
    const { jobs } = report([row(2, { status: 'completed', conclusion: 'skipped', startedAtMs: 0 }), ran(1, 0, HOUR)]);
    expect(jobs[0]).to.deep.include({
      ...{ state: 'never-ran', backend: null, wouldWaitMs: null, wouldCost: null, reallyWaitedMs: null },
    });
    expect(jobs[1]).to.deep.include({ wouldWaitMs: 0 });
  });

  it('says that a job would wait still', () => {
    const waiting = row(2, { createdAtMs: 5 });
    const running = row(1, { createdAtMs: 0, status: 'in_progress', runnerName: 'arc', startedAtMs: 1 });
    expect(report([waiting, running]).jobs[0]).to.deep.include({ state: 'waits', backend: null, wouldWaitMs: null });
  });

  it('is empty without jobs', () => {
    const { total } = report([]);
    expect(total.wouldWait).to.deep.equal({ known: 0, medianMs: null, p95Ms: null, longestMs: null });
    expect(total).to.deep.include({ jobs: 0, costUnknown: 0 });
  });
});
