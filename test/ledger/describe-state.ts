/** What outlives the process besides jobs and runners, on every store. */
import { expect } from 'chai';
import { breaker, failure } from '../failures/examples.ts';
import type { OpenedLedger } from './opened-ledger.ts';

export function describeState(at: OpenedLedger): void {
  describe('breakers, leases and cursors', () => {
    it('remember a breaker until it is deleted', async () => {
      const account = breaker({ key: 'acme/eci', backend: 'eci' });
      const refused = breaker({
        key: 'acme/aci/abc/refused',
        backend: 'aci',
        rule: 'refused',
        shape: 'abc',
        subject: 'image runner:2',
        failure: failure({ source: 'acme/aci', kind: 'invalid', code: 'InaccessibleImage', requestId: 'r-2' }),
      });
      await at.ledger.putBreaker(account);
      await at.ledger.putBreaker(refused);
      const again = {
        ...account,
        failures: 3,
        failure: failure({ source: 'acme/eci', kind: 'quota', atMs: 65_000 }),
      };
      await at.ledger.putBreaker(again);
      expect(await at.ledger.breakers()).to.deep.equal([refused, again]);
      await at.ledger.deleteBreaker(refused.key);
      expect(await at.ledger.breakers()).to.deep.equal([again]);
    });

    it('give a lease to one holder at a time', async () => {
      expect(await at.ledger.acquireLease('sweep', 'one', 1_000, 100)).to.equal(true);
      expect(await at.ledger.acquireLease('sweep', 'two', 1_099, 100)).to.equal(false);
      expect(await at.ledger.acquireLease('other', 'two', 1_099, 100)).to.equal(true);
      expect(await at.ledger.acquireLease('sweep', 'one', 1_099, 100), 'renewed').to.equal(true);
      expect(await at.ledger.acquireLease('sweep', 'two', 1_198, 100)).to.equal(false);
      expect(await at.ledger.acquireLease('sweep', 'two', 1_199, 100)).to.equal(true);
      expect(await at.ledger.acquireLease('sweep', 'one', 1_200, 100)).to.equal(false);
    });

    it('remember where a reader was', async () => {
      expect(await at.ledger.cursor('poll/acme/web')).to.equal(undefined);
      await at.ledger.putCursor('poll/acme/web', 'W/"etag"', 1);
      await at.ledger.putCursor('poll/acme/web', '', 2);
      expect(await at.ledger.cursor('poll/acme/web')).to.equal('');
    });
  });
}
