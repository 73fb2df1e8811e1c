/** What comes in, on every store. */
import { expect } from 'chai';
import { delivery, fact, keyOf } from './examples.ts';
import { type OpenedLedger, rejection } from './opened-ledger.ts';

export function describeIntake(at: OpenedLedger): void {
  describe('intake', () => {
    it('records a delivery and its job', async () => {
      const told = fact({ jobId: 1, labels: ['ACME-runner', 'ünïcode "quoted"'], visibility: undefined });
      expect(await at.ledger.recordDeliveries([{ delivery: delivery('a'), fact: told }])).to.deep.equal(['recorded']);
      expect(await at.ledger.job(keyOf(1))).to.deep.include({
        key: 'github.com/acme/web/1',
        labels: told.labels,
        visibility: null,
        status: 'queued',
        admission: 'pending',
        firstSeenAtMs: told.observedAtMs,
        version: 1,
      });
    });

    it('says that a batch has committed before it answers, and then whoever reads sees it', async () => {
      const order: string[] = [];
      const seen = new Promise((resolve) => {
        const committed = (results: readonly string[]) => {
          order.push(`committed: ${results.join()}`);
          void at.ledger.job(keyOf(1)).then(resolve);
        };
        void at.ledger
          .recordDeliveries([{ delivery: delivery('a'), fact: fact({ jobId: 1 }) }], committed)
          .then(() => order.push('answered'));
      });
      expect(await seen).to.include({ key: keyOf(1) });
      await at.ledger.persist();
      expect(order).to.deep.equal(['committed: recorded', 'answered']);
    });

    it('lets a doubled delivery change nothing', async () => {
      await at.ledger.recordDeliveries([{ delivery: delivery('a'), fact: fact({ jobId: 1 }) }]);
      const before = await at.ledger.job(keyOf(1));
      const doubled = { delivery: delivery('a'), fact: fact({ jobId: 1, status: 'completed' }) };
      expect(await at.ledger.recordDeliveries([doubled])).to.deep.equal(['duplicate']);
      expect(await at.ledger.job(keyOf(1))).to.deep.equal(before);
    });

    it('takes one GUID from two endpoints for two deliveries', async () => {
      const answers = await at.ledger.recordDeliveries([
        { delivery: delivery('a', { endpoint: 'two' }), fact: fact({ jobId: 1 }) },
        { delivery: delivery('a', { endpoint: 'one' }), fact: fact({ jobId: 2 }) },
        { delivery: delivery('a', { endpoint: 'two' }), fact: fact({ jobId: 3 }) },
      ]);
      expect(answers).to.deep.equal(['recorded', 'recorded', 'duplicate']);
      expect(await at.ledger.job(keyOf(2))).to.not.equal(undefined);
      expect(await at.ledger.job(keyOf(3))).to.equal(undefined);
    });

    it('applies the facts of one batch in their order', async () => {
      await at.ledger.recordDeliveries([
        { delivery: delivery('z'), fact: fact({ jobId: 1, observedAtMs: 10 }) },
        {
          delivery: delivery('a'),
          fact: fact({ jobId: 1, status: 'in_progress', runnerName: 'd-1', observedAtMs: 11 }),
        },
      ]);
      expect(await at.ledger.job(keyOf(1))).to.include({ status: 'in_progress', firstSeenAtMs: 10, runnerName: 'd-1' });
    });

    it('records deliveries without a job', async () => {
      const ping = { delivery: delivery('p', { event: 'ping', action: null }), fact: null };
      expect(await at.ledger.recordDeliveries([ping])).to.deep.equal(['recorded']);
      expect(await at.ledger.recordDeliveries([ping])).to.deep.equal(['duplicate']);
    });

    it('writes nothing of a batch that contains an invalid entry', async () => {
      const good = { delivery: delivery('a'), fact: fact({ jobId: 1 }) };
      const bad = { delivery: delivery('b'), fact: fact({ jobId: 2, jobName: 'nul\0' }) };
      expect(await rejection(at.ledger.recordDeliveries([good, bad]))).to.be.instanceOf(TypeError);
      expect(await at.ledger.job(keyOf(1))).to.equal(undefined);
      expect(await at.ledger.recordDeliveries([good])).to.deep.equal(['recorded']);
    });

    it('counts the jobs that facts changed', async () => {
      const told = [
        fact({ jobId: 1 }),
        fact({ jobId: 2 }),
        fact({ jobId: 1, status: 'in_progress', observedAtMs: 11_000 }),
      ];
      expect(await at.ledger.recordFacts(told)).to.equal(2);
      expect(await at.ledger.recordFacts(told)).to.equal(0);
    });

    it('takes many calls at once', async () => {
      const calls = Array.from({ length: 40 }, (_, index) => ({
        delivery: delivery(`guid-${index % 20}`),
        fact: fact({ jobId: index % 20 }),
      }));
      const answers = await Promise.all(calls.map((call) => at.ledger.recordDeliveries([call])));
      expect(answers.filter(([answer]) => answer === 'recorded')).to.have.length(20);
      expect(await at.ledger.unsettledJobs(100, 'reject')).to.have.length(20);
    });
  });
}
