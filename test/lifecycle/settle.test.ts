import { expect } from 'chai';
import type { JobFact } from '../../dispatcher/jobs/facts.ts';
import type { Admission } from '../../dispatcher/jobs/lane.ts';
import type { JobRow } from '../../dispatcher/ledger/ledger.ts';
import { openSqliteLedger } from '../../dispatcher/ledger/sqlite.ts';
import { Backends } from '../../dispatcher/lifecycle/backends.ts';
import { Doubts } from '../../dispatcher/lifecycle/doubts.ts';
import { Ghosts } from '../../dispatcher/lifecycle/ghosts.ts';
import { Resting } from '../../dispatcher/lifecycle/resting.ts';
import { RunOrigins } from '../../dispatcher/lifecycle/run-origins.ts';
import { SettleLoop } from '../../dispatcher/lifecycle/settle.ts';
import { Verifier } from '../../dispatcher/lifecycle/verify.ts';
import { Visibilities } from '../../dispatcher/lifecycle/visibility.ts';
import { eventLoopTurn } from '../../time/clock.ts';
import { fact, keyOf, lane } from '../ledger/examples.ts';
import { type EngineParts, laneOf, openEngineParts } from './engine-parts.ts';
import { manualClock } from './manual-clock.ts';
import { openRunnerContextParts, type RunnerContextParts, silent } from './runner-context-fixture.ts';
import { jobRow, runnerRow } from './runner-fixture.ts';

const nothing = () => undefined;

async function settleAll(parts: RunnerContextParts): Promise<void> {
  const { clock, context, ledger } = parts;
  const backends = new Backends({
    ledger,
    clock,
    log: silent,
    maxLaunches: 1,
    registrations: new Map(),
    others: { obstacle: nothing },
  });
  await new SettleLoop({
    ...parts,
    backends,
    verifier: new Verifier(parts),
    doubts: new Doubts(parts),
    visibilities: new Visibilities(parts),
    runOrigins: new RunOrigins(parts),
    ghosts: new Ghosts(backends),
    resting: new Resting(clock, context.states),
  }).run();
}

/** Settles jobs whose admission takes so long, and tells how often others had their turn meanwhile. */
async function turnsWhileSettling(jobs: number, admissionMs: number): Promise<number> {
  const clock = manualClock();
  const ledger = await openSqliteLedger({ path: ':memory:', now: () => clock.now() });
  await ledger.recordFacts(Array.from({ length: jobs }, (_, index) => fact({ jobId: index + 1 })));
  const parts = openRunnerContextParts(ledger, clock, {
    admit: () => {
      clock.move(admissionMs);
      return { outcome: 'not-ours', reason: 'its labels are slow' };
    },
  });
  let turns = 0;
  let settled = false;
  const others = (async () => {
    for (; !settled; turns += 1) await eventLoopTurn();
  })();
  try {
    await settleAll(parts);
  } finally {
    settled = true;
    await others;
  }
  expect(await ledger.unsettledJobs(1, 'reject')).to.deep.equal([]);
  await ledger.close();
  return turns;
}

// W8
describe('settling jobs', () => {
  it('lets everything else have its turn between slow admissions', async () => {
    expect(await turnsWhileSettling(60, 20)).to.be.at.least(59);
  });

  it('lets it have one a few milliseconds, not one a job', async () => {
    expect(await turnsWhileSettling(60, 1)).to.be.within(10, 30);
  });

  it('does so also after the clock was set back', async () => {
    expect(await turnsWhileSettling(60, -20)).to.be.at.least(59);
  });

  it('takes up a bounded number in a pass, and asks for the next one', async () => {
    const parts = await openEngineParts();
    await parts.ledger.recordFacts(Array.from({ length: 1_200 }, (_, index) => fact({ jobId: index + 1 })));
    const loop = new SettleLoop({ ...parts, ghosts: new Ghosts(parts.backends) });
    const left: number[] = [];
    const caughtUp: boolean[] = [];
    for (let pass = 0; pass < 3; pass += 1) {
      await loop.run();
      left.push((await parts.ledger.unsettledJobs(9_999, 'reject')).length);
      caughtUp.push(loop.isCaughtUp);
    }
    expect(left).to.deep.equal([700, 200, 0]);
    expect(caughtUp).to.deep.equal([false, false, true]);
    expect(parts.wakes()).to.equal(2);
    await parts.close();
  });

  it('lets a job rest that cannot be settled, logs it once, and settles the others', async () => {
    let isBroken = true;
    let admissions = 0;
    const parts = await openEngineParts({
      options: {
        admit: ({ labels: [label] }) => {
          if (label !== 'odd') return { outcome: 'lane', lane: laneOf() };
          admissions += 1;
          if (isBroken) throw new TypeError('labels.odd is not a function');
          return { outcome: 'not-ours', reason: 'no one asks for it' };
        },
      },
    });
    const nowMs = parts.clock.now();
    const queued = (jobId: number, label: string) =>
      fact({ jobId, labels: [label], owner: 'acme', createdAtMs: nowMs, observedAtMs: nowMs });
    await parts.ledger.recordFacts([queued(1, 'odd'), queued(2, 'acme-runner')]);
    const loop = new SettleLoop({ ...parts, ghosts: new Ghosts(parts.backends) });
    await loop.run();
    await loop.run();
    expect(await parts.ledger.job(keyOf(2))).to.include({ admission: 'lane' });
    expect(admissions).to.equal(1);
    expect(loop.isCaughtUp).to.equal(true);
    expect(loop.nextMs).to.equal(nowMs + 5_000);
    await parts.clock.advance(5_000);
    await loop.run();
    expect(admissions).to.equal(2);
    expect(loop.nextMs).to.equal(nowMs + 15_000);
    expect(parts.logged.filter((event) => event === 'job-not-settled')).to.have.length(1);
    isBroken = false;
    await parts.clock.advance(10_000);
    await loop.run();
    expect(await parts.ledger.job(keyOf(1))).to.include({ admission: 'not-ours' });
    expect(parts.logged).to.include('job-not-settled-over');
    expect(loop.nextMs).to.equal(undefined);
    await parts.close();
  });

  it('asks for no runner for a job that cannot be settled any more', async () => {
    let isBroken = false;
    const parts = await openEngineParts({
      options: {
        admit: () => {
          if (isBroken) throw new TypeError('it broke');
          return { outcome: 'lane', lane: laneOf() };
        },
      },
    });
    const nowMs = parts.clock.now();
    await parts.ledger.recordFacts([fact({ jobId: 1, owner: 'acme', createdAtMs: nowMs, observedAtMs: nowMs })]);
    const loop = new SettleLoop({ ...parts, ghosts: new Ghosts(parts.backends) });
    await loop.run();
    const demand = async () => (await parts.ledger.laneCounts([laneOf().key], 'reject'))[0]?.demand;
    expect(await demand()).to.equal(1);
    isBroken = true;
    await parts.ledger.unsettleOpenJobs(0);
    await loop.run();
    expect(await demand()).to.equal(0);
    expect(parts.changed).to.include(laneOf().key);
    isBroken = false;
    await parts.clock.advance(5_000);
    await loop.run();
    expect(await demand()).to.equal(1);
    await parts.close();
  });

  it('settles one by one where they cannot be written together', async () => {
    const parts = await openEngineParts({
      options: { admit: () => ({ outcome: 'lane', lane: laneOf() }) },
      through: (ledger) => ({
        settleJobs: (settlements) =>
          settlements.some(({ key }) => key === keyOf(1))
            ? Promise.reject(new TypeError('a fraction is no integer'))
            : ledger.settleJobs(settlements),
      }),
    });
    await parts.ledger.recordFacts([fact({ jobId: 1 }), fact({ jobId: 2 }), fact({ jobId: 3 })]);
    await new SettleLoop({ ...parts, ghosts: new Ghosts(parts.backends) }).run();
    expect((await parts.ledger.unsettledJobs(9, 'reject')).map(({ key }) => key)).to.deep.equal([keyOf(1)]);
    expect(parts.resting.has(keyOf(1))).to.equal(true);
    await parts.close();
  });

  it('counts what became of each job by registration and outcome, once', async () => {
    const clock = manualClock();
    const ledger = await openSqliteLedger({ path: ':memory:', now: () => clock.now() });
    const counted: string[] = [];
    const outcomes: Readonly<Record<string, Admission>> = {
      ours: { outcome: 'lane', lane: lane() },
      large: { outcome: 'refused', registration: 'acme', code: 'cpu-above-maximum', reason: 'too many', cure: 'fewer' },
    };
    const parts = openRunnerContextParts(ledger, clock, {
      admit: ({ labels: [label = ''] }) => outcomes[label] ?? { outcome: 'not-ours', reason: 'no one asks for it' },
      metrics: {
        jobAdmitted: (registration, outcome, code) => void counted.push(`${registration} ${outcome} ${code}`),
        queueToStart: nothing,
        launched: nothing,
        launchFailed: nothing,
        imageStart: nothing,
        tornDown: nothing,
      },
    });
    const labels = ['ours', 'large', 'other'];
    await ledger.recordFacts(
      labels.map((label, index) => fact({ jobId: index + 1, labels: [label], createdAtMs: clock.now() })),
    );
    await settleAll(parts);
    await settleAll(parts);
    expect(counted).to.have.members(['acme lane null', 'acme refused cpu-above-maximum', 'null not-ours null']);
    await ledger.close();
  });

  describe('with a job that changes', () => {
    let parts: EngineParts;
    let admission: Admission;
    let starts: string[];
    let disputed: boolean;
    const LANE = laneOf();

    beforeEach(async () => {
      admission = { outcome: 'lane', lane: LANE };
      starts = [];
      disputed = false;
      const metrics = {
        jobAdmitted: nothing,
        queueToStart: (registration: string, backend: string, ms: number) =>
          void starts.push(`${registration} ${backend} ${ms}`),
        launched: nothing,
        launchFailed: nothing,
        imageStart: nothing,
        tornDown: nothing,
      };
      parts = await openEngineParts({
        options: { admit: () => admission, metrics },
        through: (ledger) => ({
          unsettledJobs: async (limit) =>
            (await ledger.unsettledJobs(limit, 'reject')).map((job) => ({ ...job, disputed })),
          unconfirmedJobsOf: async (registration, limit) => [jobRow({ key: `${limit} of ${registration}` })],
        }),
      });
    });
    afterEach(() => parts.close());

    const settle = () => new SettleLoop({ ...parts, ghosts: new Ghosts(parts.backends) }).run();

    async function tell(some: Partial<JobFact> = {}): Promise<JobRow | undefined> {
      const nowMs = parts.clock.now();
      await parts.ledger.recordFacts([
        fact({ jobId: 1, owner: 'acme', createdAtMs: nowMs, observedAtMs: nowMs, ...some }),
      ]);
      await settle();
      return await parts.ledger.job(keyOf(1));
    }

    /** What an engine does at its start. */
    async function settleAgain(): Promise<number> {
      const before = parts.logged.length;
      await parts.ledger.unsettleOpenJobs(0);
      await settle();
      return parts.logged.slice(before).filter((event) => event === 'job').length;
    }

    it('says what became of it when that changes in its outcome, its lane or its reason, and not else', async () => {
      await tell();
      expect(await settleAgain(), 'the same').to.equal(0);
      admission = { outcome: 'lane', lane: { ...LANE, key: 'lane-2' } };
      expect(await settleAgain(), 'another lane').to.equal(1);
      admission = { outcome: 'refused', registration: 'acme', code: 'no-image', reason: 'no', cure: 'write one' };
      expect(await settleAgain(), 'another outcome').to.equal(1);
      admission = { ...admission, code: 'cpu-above-maximum' };
      expect(await settleAgain(), 'another reason').to.equal(1);
      expect(await settleAgain()).to.equal(0);
    });

    it('has the lanes planned again that it was in and that it comes to', async () => {
      await tell();
      parts.changed.length = 0;
      admission = { outcome: 'lane', lane: { ...LANE, key: 'lane-2' } };
      await settleAgain();
      expect(new Set(parts.changed)).to.deep.equal(new Set([LANE.key, 'lane-2']));
    });

    it('measures the time from its creation to its start, where it came to one of our runners', async () => {
      const createdAtMs = parts.clock.now();
      await parts.ledger.createRunner(
        runnerRow({ name: 'd1-a', state: 'online', laneKey: LANE.key, backend: 'main' }),
        '',
      );
      await tell();
      const startedAtMs = createdAtMs + 7_000;
      await tell({ status: 'in_progress', runnerName: 'd1-a', runnerId: 7, startedAtMs, createdAtMs });
      expect(starts).to.deep.equal(['acme main 7000']);
      expect(await parts.ledger.runner('d1-a')).to.include({ state: 'busy', jobKey: keyOf(1) });
      await settleAgain();
      expect(starts, 'once').to.have.length(1);
    });

    it('binds no runner that is not ours, not covered, or before the job starts', async () => {
      for (const [name, some] of [
        ['d1-a', { scope: 'orgs/emca' }],
        ['d1-b', {}],
      ] as const) {
        await parts.ledger.createRunner(runnerRow({ name, state: 'online', laneKey: LANE.key, ...some }), '');
      }
      await tell({ status: 'in_progress', runnerName: 'd1-a' });
      await tell({ jobId: 2, status: 'queued', runnerName: 'd1-b' });
      await tell({ jobId: 3, status: 'in_progress', runnerName: 'd10-b' });
      await tell({ jobId: 4, status: 'in_progress', runnerName: 'd1-unknown' });
      expect((await parts.ledger.runners({ limit: 9 }, 'reject')).map(({ state }) => state)).to.deep.equal([
        'online',
        'online',
      ]);
      expect(parts.logged).to.include('out-of-reach');
      expect(starts).to.deep.equal([]);
    });

    it('that is disputed is read, with the credentials of its registration', async () => {
      disputed = true;
      await tell();
      expect(parts.asked).to.deep.equal([`${keyOf(1)} of acme for verify`]);
    });

    it('that is a day old when it is first seen is given up', async () => {
      const nowMs = parts.clock.now();
      const day = 24 * 3_600_000;
      expect(await tell({ createdAtMs: nowMs - day + 1 })).to.include({ admission: 'lane' });
      await tell({ jobId: 2, createdAtMs: nowMs - day });
      expect(await parts.ledger.job(keyOf(2))).to.include({ admission: 'expired', laneKey: null });
    });

    it('is confirmed where another registration’s webhook reported it', async () => {
      await tell({ toldBy: 'emca' });
      expect(parts.confirmed).to.deep.equal(['20 of acme']);
    });

    it('needs no confirmation where its own registration’s webhook reported it, or it is not ours', async () => {
      await tell({ toldBy: 'acme' });
      admission = { outcome: 'not-ours', reason: 'no one asks for it' };
      await tell({ jobId: 2, toldBy: 'emca' });
      expect(parts.confirmed).to.deep.equal([]);
    });
  });
});
