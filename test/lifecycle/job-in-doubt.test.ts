import { expect } from 'chai';
import { keyOf } from '../ledger/examples.ts';
import { type EngineFixture, MINUTE, openEngineFixture, registration, told } from './engine-fixture.ts';

describe('a waiting job of which a webhook tells at a time that the clock has not reached, because it was set back', () => {
  let fixture: EngineFixture;
  /** When GitHub was asked for it, in ms since it was told of. */
  let readsAfterMs: number[];

  beforeEach(async () => {
    readsAfterMs = [];
    let toldAtMs = 0;
    fixture = await openEngineFixture({
      registrations: [registration('acme')],
      github: (honest) => ({
        ...honest,
        readJob: async (...asked) => {
          readsAfterMs.push(fixture.clock.now() - toldAtMs);
          if (readsAfterMs.length > 100) throw new Error('GitHub is asked for it without end');
          return await honest.readJob(...asked);
        },
      }),
    });
    await fixture.engine.start();
    await fixture.advance(1000);
    toldAtMs = fixture.clock.now();
    const queued = told(fixture, { jobId: 1, observedAtMs: toldAtMs + MINUTE });
    fixture.jobs.set(keyOf(1), queued);
    await fixture.tell({ ...queued, status: 'waiting' }, queued);
    expect((await fixture.ledger.job(keyOf(1)))?.disputed).to.equal(true);
  });
  afterEach(() => fixture.close());

  it('is asked for less and less often, and launched for as soon as an answer counts as later', async () => {
    await fixture.advance(MINUTE - 1);
    const pauses = readsAfterMs.slice(1).map((atMs, index) => atMs - (readsAfterMs[index] ?? 0));
    expect(pauses.length).to.be.within(2, 6);
    for (const pause of pauses) expect(pause).to.be.at.least(1000);
    expect(pauses.at(-1)).to.be.above(4 * (pauses[0] ?? 0));
    expect(fixture.calls.filter((call) => call.startsWith('launch '))).to.deep.equal([]);
    await fixture.advance(MINUTE);
    expect(await fixture.ledger.job(keyOf(1))).to.include({ disputed: false });
    expect(fixture.calls.filter((call) => call.startsWith('launch '))).to.have.length(1);
    const reads = readsAfterMs.length;
    await fixture.advance(MINUTE);
    expect(readsAfterMs.length, 'nothing is in doubt').to.equal(reads);
  });
});
