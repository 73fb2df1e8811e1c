import { expect } from 'chai';
import type { Ledger, RunnerRow } from '../../dispatcher/ledger/ledger.ts';
import { openSqliteLedger } from '../../dispatcher/ledger/sqlite.ts';
import { breaker, failure } from '../failures/examples.ts';
import { fact, runner } from './examples.ts';

const HOUR = 3_600_000;
const MINUTE = 60_000;
const NOW = Date.parse('2026-11-28T12:00:00Z');
const AHEAD = NOW + HOUR;

// X1: a restart after the clock was corrected
describe('a ledger that was written while the clock was an hour ahead', () => {
  let ledger: Ledger;
  let nowMs: number;

  beforeEach(async () => {
    nowMs = AHEAD;
    ledger = await openSqliteLedger({ path: ':memory:', now: () => nowMs });
  });

  afterEach(() => ledger.close());

  async function written(some: Partial<RunnerRow>): Promise<RunnerRow | undefined> {
    await ledger.createRunner(runner({ name: 'd-1', ...some }), 'launch');
    nowMs = NOW;
    await ledger.cutToNow();
    return await ledger.runner('d-1');
  }

  it('has its runners looked at now, each with the time that its state had left', async () => {
    const row = await written({
      state: 'starting',
      stateSinceMs: AHEAD,
      deadlineAtMs: AHEAD + 10 * MINUTE,
      nextCheckAtMs: AHEAD + 5_000,
    });
    expect(row).to.include({ stateSinceMs: NOW, deadlineAtMs: NOW + 10 * MINUTE, nextCheckAtMs: NOW });
    expect((await ledger.runnersDue(NOW, 10, 'reject')).map(({ name }) => name)).to.deep.equal(['d-1']);
  });

  it('keeps what has happened, and gathers evidence that rests on time anew', async () => {
    const row = await written({
      state: 'draining',
      stateSinceMs: NOW - MINUTE,
      nextCheckAtMs: NOW,
      deadlineAtMs: null,
      onlineAtMs: AHEAD,
      busyAtMs: NOW - MINUTE,
      deregisteredAtMs: AHEAD,
      misses: 2,
      firstMissAtMs: AHEAD,
      firstIdleAtMs: NOW - MINUTE,
      lastIdleAtMs: AHEAD,
    });
    expect(row).to.include({
      stateSinceMs: NOW - MINUTE,
      onlineAtMs: NOW,
      busyAtMs: NOW - MINUTE,
      deregisteredAtMs: NOW,
      misses: 0,
      firstMissAtMs: null,
      firstIdleAtMs: null,
      lastIdleAtMs: null,
    });
  });

  it('keeps the evidence whose times have come, whatever else was ahead', async () => {
    const evidence = {
      misses: 2,
      firstMissAtMs: NOW - 2 * MINUTE,
      firstIdleAtMs: NOW - 3 * MINUTE,
      lastIdleAtMs: NOW - MINUTE,
    };
    expect(await written({ stateSinceMs: NOW - MINUTE, nextCheckAtMs: NOW, busyAtMs: AHEAD, ...evidence })).to.include({
      busyAtMs: NOW,
      ...evidence,
    });
  });

  it('looks at a runner whose next look lies further ahead than any pause, and leaves the others alone', async () => {
    await ledger.createRunner(
      runner({ name: 'd-2', stateSinceMs: NOW - MINUTE, nextCheckAtMs: NOW + 14 * MINUTE }),
      'launch',
    );
    expect(await written({ stateSinceMs: NOW - MINUTE, nextCheckAtMs: NOW + 16 * MINUTE })).to.include({
      nextCheckAtMs: NOW,
    });
    expect(await ledger.runner('d-2')).to.include({ nextCheckAtMs: NOW + 14 * MINUTE, version: 1 });
  });

  it('believes what is read of a job from now on', async () => {
    await ledger.recordFacts([fact({ jobId: 1, status: 'in_progress', source: 'read', observedAtMs: AHEAD })]);
    nowMs = NOW;
    expect(await ledger.cutToNow()).to.equal(1);
    const [job] = await ledger.jobs({}, 'reject');
    expect(job).to.include({ statusSinceMs: NOW, statusObservedAtMs: NOW, verifiedAtMs: null });
    await ledger.recordFacts([fact({ jobId: 1, status: 'queued', source: 'read', observedAtMs: NOW + 1 })]);
    expect((await ledger.jobs({}, 'reject'))[0]).to.include({ status: 'queued' });
  });

  it('lists a job that ended then below those that come now', async () => {
    await ledger.recordFacts([fact({ jobId: 1, status: 'completed', conclusion: 'success', observedAtMs: AHEAD })]);
    nowMs = NOW;
    expect(await ledger.cutToNow()).to.equal(1);
    await ledger.recordFacts([fact({ jobId: 2, observedAtMs: NOW + 1 })]);
    const [newest, ended] = await ledger.jobs({}, 'reject');
    expect(newest).to.include({ jobId: 2 });
    expect(ended).to.include({ jobId: 1, firstSeenAtMs: NOW, statusSinceMs: NOW, statusObservedAtMs: NOW });
  });

  it('keeps a breaker closed for as long as it had left', async () => {
    await ledger.putBreaker(
      breaker({
        failure: failure({ atMs: AHEAD }),
        sinceMs: AHEAD - MINUTE,
        closedUntilMs: AHEAD + 2 * MINUTE,
        changedAtMs: AHEAD,
      }),
    );
    nowMs = NOW;
    await ledger.cutToNow();
    const [kept] = await ledger.breakers();
    expect(kept).to.deep.include({ sinceMs: NOW, closedUntilMs: NOW + 2 * MINUTE, changedAtMs: NOW });
    expect(kept?.failure.atMs).to.equal(NOW);
  });

  it('tells of how much it had to be put right', async () => {
    await ledger.recordFacts([fact({ jobId: 1, observedAtMs: AHEAD })]);
    for (const name of ['d-1', 'd-2']) await ledger.createRunner(runner({ name, stateSinceMs: AHEAD }), 'launch');
    await ledger.putBreaker(breaker({ key: 'acme/eci', changedAtMs: AHEAD }));
    await ledger.putBreaker(breaker({ key: 'acme/aci', changedAtMs: AHEAD }));
    nowMs = NOW;
    expect(await ledger.cutToNow()).to.equal(5);
    expect(await ledger.cutToNow()).to.equal(0);
  });

  it('is left as it is when all of its times have come', async () => {
    nowMs = NOW;
    await ledger.createRunner(
      runner({ name: 'd-1', stateSinceMs: NOW - MINUTE, nextCheckAtMs: NOW + MINUTE, deadlineAtMs: NOW + 5 * MINUTE }),
      'launch',
    );
    await ledger.recordFacts([fact({ jobId: 1, observedAtMs: NOW - MINUTE })]);
    await ledger.putBreaker(breaker({ sinceMs: NOW - MINUTE, closedUntilMs: NOW + MINUTE, changedAtMs: NOW }));
    const look = async () => [
      await ledger.runner('d-1'),
      ...(await ledger.jobs({}, 'reject')),
      ...(await ledger.breakers()),
    ];
    const before = await look();
    expect(await ledger.cutToNow()).to.equal(0);
    expect(await look()).to.deep.equal(before);
  });
});
