/** How long history is kept, on every store. */
import { expect } from 'chai';
import { delivery, fact, keyOf, notOurs, runner } from './examples.ts';
import { names, type OpenedLedger } from './opened-ledger.ts';

export function describeRetention(at: OpenedLedger): void {
  describe('retention', () => {
    const day = 24 * 3_600_000;
    const retention = {
      deliveriesMs: 2 * day,
      jobsMs: 5 * day,
      runnersMs: 5 * day,
      maxDeliveries: 1000,
      maxJobs: 1000,
      maxRunners: 1000,
    };
    const end = 100 * day;

    async function completed(ids: readonly number[], atMs: number): Promise<void> {
      for (const jobId of ids) {
        await at.ledger.recordFacts([fact({ jobId, status: 'completed', observedAtMs: atMs + jobId })]);
        await at.ledger.settleJobs([notOurs(await at.known(keyOf(jobId)))]);
      }
    }

    async function gone(ids: readonly number[], atMs: number): Promise<void> {
      for (const id of ids) {
        await at.ledger.createRunner(runner({ name: `d-${id}`, state: 'gone', stateSinceMs: atMs + id }), 'launch');
        await at.ledger.keepOutput(`d-${id}`, 'output', atMs);
      }
    }

    async function pruneAll(rules = retention, limit = 2): Promise<number[]> {
      const steps: number[] = [];
      for (;;) {
        const deleted = await at.ledger.prune(end, rules, limit);
        if (deleted === 0) return steps;
        steps.push(deleted);
      }
    }

    it('forgets what is old, in small steps', async () => {
      await at.ledger.recordDeliveries(
        [1, 2, 3].map((id) => ({
          delivery: delivery(`old-${id}`, { receivedAtMs: end - 3 * day + id }),
          fact: null,
        })),
      );
      await at.ledger.recordDeliveries([{ delivery: delivery('new', { receivedAtMs: end - day }), fact: null }]);
      await completed([1, 2, 3], end - 6 * day);
      await completed([4], end - day);
      await gone([1, 2, 3], end - 6 * day);
      await gone([4], end - day);
      expect(await pruneAll()).to.deep.equal([6, 3]);
      expect((await at.ledger.jobs({}, 'reject')).map((row) => row.jobId)).to.deep.equal([4]);
      expect(names(await at.ledger.runners({}, 'reject'))).to.deep.equal(['d-4']);
      expect(await at.ledger.timeline('d-1')).to.deep.equal([]);
      expect(await at.ledger.output('d-1')).to.equal(undefined);
      expect(await at.ledger.output('d-4')).to.equal('output');
      const again = (guid: string) => at.ledger.recordDeliveries([{ delivery: delivery(guid), fact: null }]);
      expect(await again('new')).to.deep.equal(['duplicate']);
      expect(await again('old-1')).to.deep.equal(['recorded']);
    });

    it('forgets the oldest when there are too many', async () => {
      await completed([1, 2, 3, 4, 5], end - day);
      await gone([1, 2, 3, 4, 5], end - day);
      expect(await pruneAll({ ...retention, maxJobs: 2, maxRunners: 3 })).to.deep.equal([4, 1]);
      expect((await at.ledger.jobs({}, 'reject')).map((row) => row.jobId)).to.deep.equal([5, 4]);
      expect(names(await at.ledger.runners({}, 'reject')).sort()).to.deep.equal(['d-3', 'd-4', 'd-5']);
    });

    it('forgets the oldest deliveries when there are too many, and takes what they said in as before', async () => {
      const flood = ['a', 'b', 'c', 'd', 'e'].map((guid, index) => ({
        delivery: delivery(guid, { receivedAtMs: end - day + index }),
        fact: fact({ jobId: 7, status: 'completed', observedAtMs: end - day }),
      }));
      await at.ledger.recordDeliveries(flood);
      const before = await at.known(keyOf(7));
      expect(await pruneAll({ ...retention, maxDeliveries: 2 })).to.deep.equal([2, 1]);
      const replayed = ['recorded', 'recorded', 'recorded', 'duplicate', 'duplicate'];
      expect(await at.ledger.recordDeliveries(flood)).to.deep.equal(replayed);
      expect(await at.known(keyOf(7))).to.deep.equal(before);
    });

    it('forgets no more in a step than it was asked to, what is old and what is too many together', async () => {
      await completed([1], end - 6 * day);
      await completed([2, 3, 4, 5, 6], end - day);
      expect(await pruneAll({ ...retention, maxJobs: 1 })).to.deep.equal([2, 2, 1]);
      expect((await at.ledger.jobs({}, 'reject')).map((row) => row.jobId)).to.deep.equal([6]);
    });

    it('forgets no more in a step than it was asked to where jobs without an end are among them', async () => {
      await at.ledger.recordFacts([fact({ jobId: 1, observedAtMs: end - 36 * day })]);
      await at.ledger.settleJobs([notOurs(await at.known(keyOf(1)))]);
      await completed([2, 3, 4, 5], end - day);
      expect(await pruneAll({ ...retention, maxJobs: 1 })).to.deep.equal([2, 2]);
      expect((await at.ledger.jobs({}, 'reject')).map((row) => row.jobId)).to.deep.equal([5]);
    });

    it('keeps live runners, open jobs, what waits to be settled, and lanes in use, however old', async () => {
      await at.queue([1]);
      await at.ledger.recordFacts([fact({ jobId: 2, status: 'completed', observedAtMs: 1 })]);
      await at.ledger.recordFacts([fact({ jobId: 3, observedAtMs: 1 })]);
      await at.ledger.createRunner(
        runner({ name: 'd-1', state: 'draining', stateSinceMs: 1, createdAtMs: 1 }),
        'launch',
      );
      expect(await pruneAll({ ...retention, maxJobs: 0, maxRunners: 0 })).to.deep.equal([]);
      expect(await at.ledger.deleteEmptyLanes()).to.equal(0);
      expect(await at.ledger.jobs({}, 'reject')).to.have.length(3);
      expect(await at.ledger.runner('d-1')).to.not.equal(undefined);
    });

    it('prunes jobs of others whose end was not reported, once GitHub must have ended them', async () => {
      await at.ledger.recordFacts([
        fact({ jobId: 1, observedAtMs: end - 36 * day }),
        fact({ jobId: 2, observedAtMs: end - 34 * day }),
      ]);
      await at.ledger.settleJobs([notOurs(await at.known(keyOf(1))), notOurs(await at.known(keyOf(2)))]);
      expect(await pruneAll()).to.deep.equal([1]);
      expect((await at.ledger.jobs({}, 'reject')).map((row) => row.jobId)).to.deep.equal([2]);
    });
  });
}
