import { expect } from 'chai';
import type { JobFact } from '../../dispatcher/jobs/facts.ts';
import { keyOf } from '../ledger/examples.ts';
import { type EngineFixture, MINUTE, openEngineFixture, registration, told } from './engine-fixture.ts';

describe('a job of which the last word counts as later than GitHub’s answers for a minute', () => {
  let fixture: EngineFixture;
  /** When GitHub was asked for it, in ms since it was told of. */
  let readsAfterMs: number[];
  let toldAtMs = 0;

  beforeEach(async () => {
    readsAfterMs = [];
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
  });
  afterEach(() => fixture.close());

  async function tellOf(...words: readonly Partial<JobFact>[]): Promise<void> {
    const facts = words.map((some) => told(fixture, { jobId: 1, observedAtMs: toldAtMs + MINUTE, ...some }));
    const last = facts.at(-1);
    if (last !== undefined) fixture.jobs.set(keyOf(1), last);
    await fixture.tell(...facts);
    expect((await fixture.ledger.job(keyOf(1)))?.disputed).to.equal(true);
  }

  async function expectGrowingPauses(): Promise<void> {
    await fixture.advance(MINUTE - 1);
    const pauses = readsAfterMs.slice(1).map((atMs, index) => atMs - (readsAfterMs[index] ?? 0));
    expect(pauses.length).to.be.within(3, 6);
    for (const pause of pauses) expect(pause).to.be.at.least(1000);
    expect(pauses[0]).to.be.below(4000);
    expect(pauses.at(-1)).to.be.above(4 * (pauses[0] ?? 0));
  }

  async function expectSettled(): Promise<void> {
    await fixture.advance(MINUTE);
    expect(await fixture.ledger.job(keyOf(1))).to.include({ disputed: false });
    const reads = readsAfterMs.length;
    await fixture.advance(5 * MINUTE);
    expect(readsAfterMs.length, 'nothing is in doubt').to.equal(reads);
  }

  it('is asked for less and less often while it waits, and launched for as soon as an answer counts as later', async () => {
    await tellOf({ status: 'waiting' }, { status: 'queued' });
    await expectGrowingPauses();
    expect(fixture.calls.filter((call) => call.startsWith('launch '))).to.deep.equal([]);
    await expectSettled();
    expect(fixture.calls.filter((call) => call.startsWith('launch '))).to.have.length(1);
  });

  it('is asked for less and less often while it runs', async () => {
    await tellOf({ status: 'in_progress', runnerName: 'one' }, { status: 'in_progress', runnerName: 'another' });
    await expectGrowingPauses();
    await expectSettled();
  });
});
