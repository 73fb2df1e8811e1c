/** What every store must do, whatever it is made of. */
import { expect } from 'chai';
import { describeIntake } from './describe-intake.ts';
import { describeJobs } from './describe-jobs.ts';
import { describeLanes } from './describe-lanes.ts';
import { describeMissedDeliveries } from './describe-missed-deliveries.ts';
import { describeRetention } from './describe-retention.ts';
import { describeRunners } from './describe-runners.ts';
import { describeState } from './describe-state.ts';
import { delivery, fact, keyOf, lane, runner } from './examples.ts';
import { OpenedLedger, type Place, rejection } from './opened-ledger.ts';

export function describeLedger(name: string, newPlace: () => Promise<Place>): void {
  describe(`the ledger on ${name}`, () => {
    const at = new OpenedLedger(newPlace);
    beforeEach(() => at.begin());
    afterEach(() => at.end());

    describeIntake(at);
    describeJobs(at);
    describeLanes(at);
    describeRunners(at);
    describeState(at);
    describeMissedDeliveries(at);
    describeRetention(at);

    describe('a restart', () => {
      it('finds everything as it was left', async () => {
        await at.queue([1, 2]);
        await at.ledger.recordFacts([fact({ jobId: 3 })]);
        await at.ledger.recordDeliveries([{ delivery: delivery('a'), fact: null }]);
        await at.ledger.createRunner(runner({ name: 'd-1', forJobKey: keyOf(1) }), 'launch');
        await at.ledger.keepOutput('d-1', 'output', 1);
        await at.ledger.putCursor('c', 'v', 1);
        const look = async () => ({
          jobs: await at.ledger.jobs({}, 'reject'),
          unsettled: await at.ledger.unsettledJobs(10, 'reject'),
          counts: await at.ledger.laneCounts([lane().key], 'reject'),
          waiting: await at.ledger.waitingJobs(lane().key, 10, 'reject'),
          runners: await at.ledger.runners({}, 'reject'),
          timeline: await at.ledger.timeline('d-1'),
          output: await at.ledger.output('d-1'),
          cursor: await at.ledger.cursor('c'),
        });
        const before = await look();
        await at.restart();
        expect(await look()).to.deep.equal(before);
        expect(await at.ledger.recordDeliveries([{ delivery: delivery('a'), fact: null }])).to.deep.equal([
          'duplicate',
        ]);
      });
    });

    it('refuses a decision that calls it back', async () => {
      await at.ledger.createRunner(runner({ name: 'd-1' }), 'launch');
      const calls: Promise<unknown>[] = [];
      await at.ledger.stepRunner('d-1', () => {
        calls.push(rejection(at.ledger.putCursor('c', 'from inside', 1)));
        return { patch: {}, entries: [] };
      });
      const [refusal] = await Promise.all(calls);
      expect(refusal).to.be.an('error').with.property('message').that.includes('decisions are pure');
      expect(await at.ledger.cursor('c')).to.equal(undefined);
    });

    it('answers nothing after it was closed, and closes twice', async () => {
      await at.ledger.close();
      await at.ledger.close();
      expect(await rejection(at.ledger.lanesInUse())).to.include({ name: 'LedgerError', kind: 'unavailable' });
      await at.reopen();
    });
  });
}
