/** Jobs that a registration only observes, on every store. */
import { expect } from 'chai';
import type { Ledger } from '../../dispatcher/ledger/ledger.ts';
import { admitted, fact, keyOf, lane, runner } from './examples.ts';

const DAY = 24 * 3_600_000;

export function describeObservedJobs(name: string, open: () => Promise<Ledger>): void {
  describe(`observed jobs, in the ledger on ${name}`, () => {
    let ledger: Ledger;
    beforeEach(async () => {
      ledger = await open();
    });
    afterEach(() => ledger.close());

    async function settle(jobId: number, state: 'observed' | 'lane', spec = lane()): Promise<void> {
      const row = await ledger.job(keyOf(jobId));
      if (row === undefined) throw new Error(`no job ${jobId}`);
      const { admission, ...settlement } = admitted(row, spec);
      if (admission === undefined) throw new Error('it is admitted');
      await ledger.settleJobs([{ ...settlement, admission: { ...admission, state } }]);
    }
    const observedKeys = async (sinceMs = 0) =>
      (await ledger.observedJobs('acme', sinceMs, 'reject')).jobs.map(({ key }) => key);

    it('ask for no runner, and their lane is not in use', async () => {
      await ledger.recordFacts([fact({ jobId: 1 })]);
      await settle(1, 'observed');
      expect(await ledger.job(keyOf(1))).to.include({ admission: 'observed', laneKey: lane().key });
      expect(await ledger.lanesInUse()).to.deep.equal([]);
      expect((await ledger.laneCounts([lane().key], 'reject'))[0]).to.include({ demand: 0, held: 0 });
    });

    it('are not observed without their lane', async () => {
      await ledger.recordFacts([fact({ jobId: 1 })]);
      const row = await ledger.job(keyOf(1));
      const { admission, ...settlement } = admitted(row ?? never());
      const without = { ...(admission ?? never()), state: 'observed' as const, lane: null };
      const failure = await ledger.settleJobs([{ ...settlement, admission: without }]).catch((error: unknown) => error);
      expect(failure).to.be.instanceOf(TypeError);
    });

    it('tell what would have run and who took them, after their end too, newest first', async () => {
      await ledger.recordFacts([fact({ jobId: 1, observedAtMs: 10_001 }), fact({ jobId: 2, observedAtMs: 10_002 })]);
      await ledger.recordFacts([fact({ jobId: 3, observedAtMs: 10_003 })]);
      for (const jobId of [1, 2]) await settle(jobId, 'observed');
      await settle(3, 'lane');
      const end = { status: 'completed', conclusion: 'success', runnerId: 9, startedAtMs: 3_000, completedAtMs: 9_000 };
      await ledger.recordFacts([
        fact({ jobId: 1, ...end, status: 'completed', runnerName: 'arc-x1', runnerGroup: 'k8s', observedAtMs: 20_000 }),
      ]);
      expect(await ledger.deleteEmptyLanes()).to.equal(0);
      const { jobs, lanes, more } = await ledger.observedJobs('acme', 0, 'reject');
      expect(jobs.map(({ key, runnerGroup, runnerName }) => [key, runnerName, runnerGroup])).to.deep.equal([
        [keyOf(2), null, null],
        [keyOf(1), 'arc-x1', 'k8s'],
      ]);
      expect(lanes.get(lane().key)).to.deep.equal(lane());
      expect(more).to.equal(false);
      expect(await observedKeys(10_002)).to.deep.equal([keyOf(2)]);
      expect((await ledger.observedJobs('other', 0, 'reject')).jobs).to.deep.equal([]);
    });

    it("leave out what only another tenant's webhook tells of", async () => {
      await ledger.recordFacts([fact({ jobId: 1, toldBy: 'mallory' })]);
      await settle(1, 'observed');
      expect(await observedKeys()).to.deep.equal([]);
      await ledger.recordFacts([fact({ jobId: 1, source: 'read', observedAtMs: 20_000 })]);
      await settle(1, 'observed');
      expect(await observedKeys()).to.deep.equal([keyOf(1)]);
    });

    it('are read again while they are open, one of each registration in turn, and not for ever', async () => {
      await ledger.recordFacts([1, 2, 3, 4].map((jobId) => fact({ jobId, createdAtMs: null, observedAtMs: jobId })));
      for (const jobId of [1, 2, 4]) await settle(jobId, 'observed');
      await settle(3, 'observed', lane({ key: 'lane-of-other', registration: 'other' }));
      const stale = async (sinceMs: number, beforeMs: number, limit: number) =>
        (await ledger.staleObservedJobs(sinceMs, beforeMs, limit)).map(({ key }) => key);
      expect(await stale(0, 100, 9)).to.deep.equal([keyOf(1), keyOf(3), keyOf(2), keyOf(4)]);
      expect(await stale(0, 100, 2)).to.deep.equal([keyOf(1), keyOf(3)]);
      expect(await stale(2, 4, 9)).to.deep.equal([keyOf(2), keyOf(3)]);
      await ledger.recordFacts([fact({ jobId: 2, createdAtMs: null, source: 'read', observedAtMs: 200 })]);
      await ledger.recordFacts([fact({ jobId: 4, status: 'completed', conclusion: 'cancelled', observedAtMs: 200 })]);
      expect(await stale(0, 100, 9)).to.deep.equal([keyOf(1), keyOf(3)]);
    });

    it('are pruned where their end was never told', async () => {
      const retention = { deliveriesMs: 1, jobsMs: DAY, runnersMs: 1, maxDeliveries: 9, maxJobs: 9, maxRunners: 9 };
      await ledger.recordFacts([fact({ jobId: 1, observedAtMs: 0 })]);
      await settle(1, 'observed');
      await ledger.prune(34 * DAY, retention, 100);
      expect(await ledger.job(keyOf(1))).to.not.equal(undefined);
      await ledger.prune(36 * DAY, retention, 100);
      expect(await ledger.job(keyOf(1))).to.equal(undefined);
      expect(await ledger.deleteEmptyLanes()).to.equal(1);
    });

    it('call for a runner again as soon as they are admitted to their lane', async () => {
      await ledger.recordFacts([fact({ jobId: 1 })]);
      await settle(1, 'observed');
      await ledger.unsettleJobsOf(['acme'], [], 0);
      await settle(1, 'lane');
      expect((await ledger.laneCounts([lane().key], 'reject'))[0]).to.include({ demand: 1 });
      expect(await observedKeys()).to.deep.equal([]);
      await ledger.createRunner(runner({ name: 'd-1', forJobKey: keyOf(1) }), 'planned');
      expect(await ledger.lanesInUse()).to.deep.equal([lane().key]);
    });
  });
}

function never(): never {
  throw new Error('it is there');
}
