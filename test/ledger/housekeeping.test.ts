import { expect } from 'chai';
import { createHousekeeping } from '../../dispatcher/ledger/housekeeping.ts';
import { VirtualClock } from '../github/virtual-clock.ts';

const MINUTE_MS = 60_000;
const retention = { deliveriesMs: 1, jobsMs: 1, runnersMs: 1, maxDeliveries: 1, maxJobs: 1, maxRunners: 1 };
const silent = { debug() {}, info() {}, warn() {}, error() {} };

describe('housekeeping', () => {
  it('goes on at once while there is more, so that nothing comes for long faster than it is deleted', async () => {
    const clock = new VirtualClock();
    let left = 2_500_000;
    const prune = async (_nowMs: number, _retention: unknown, limit: number) => {
      const deleted = Math.min(left, limit);
      left -= deleted;
      return deleted;
    };
    const housekeeping = createHousekeeping({ ledger: { prune }, clock, random: () => 0.5, log: silent, retention });
    housekeeping.start();
    await clock.advance(18 * MINUTE_MS);
    expect(left).to.equal(0);
    await housekeeping.stop();
    expect(clock.timers).to.equal(0);
  });
});
