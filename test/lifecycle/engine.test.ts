import { expect } from 'chai';
import type { Ledger } from '../../dispatcher/ledger/ledger.ts';
import { type EngineFixture, openEngineFixture, registration } from './engine-fixture.ts';

describe('an engine that is told to stop', () => {
  let fixture: EngineFixture;
  afterEach(() => fixture.close());

  it('starts nothing more in the pass that is under way: no sweep, no chore, no call of a service', async () => {
    let stopped: Promise<void> | undefined;
    let chores = 0;
    fixture = await openEngineFixture({
      registrations: [registration('acme')],
      through: (ledger: Ledger): Ledger => ({
        ...ledger,
        unsettledJobs: (limit) => {
          stopped ??= fixture.engine.stop(1_000);
          return ledger.unsettledJobs(limit, 'reject');
        },
        verifyStorage: () => {
          chores += 1;
          return ledger.verifyStorage();
        },
      }),
    });
    await fixture.engine.start();
    await fixture.advance(2_000);
    await stopped;
    expect(stopped).to.not.equal(undefined);
    expect(fixture.serviceCalls()).to.equal(0);
    expect(chores).to.equal(0);
  });
});
