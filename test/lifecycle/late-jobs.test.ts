import { expect } from 'chai';
import { keyOf } from '../ledger/examples.ts';
import { type EngineFixture, MINUTE, openEngineFixture, registration, told } from './engine-fixture.ts';

describe('jobs of which webhooks tell long after GitHub created them', () => {
  let fixture: EngineFixture;

  beforeEach(async () => {
    fixture = await openEngineFixture({ registrations: [registration('acme')] });
    await fixture.engine.start();
    await fixture.advance(1000);
  });
  afterEach(() => fixture.close());

  const launches = () => fixture.calls.filter((call) => call.startsWith('launch '));

  it('get a runner only where GitHub says that they still wait', async () => {
    const createdAtMs = fixture.clock.now() - 3 * 60 * MINUTE;
    const facts = [1, 2, 3].map((jobId) =>
      told(fixture, { jobId, createdAtMs, observedAtMs: fixture.clock.now() - 10 }),
    );
    for (const [index, fact] of facts.entries()) {
      const ended = { ...fact, status: 'completed', conclusion: 'success', runnerName: 'of the past' } as const;
      fixture.jobs.set(keyOf(index + 1), index === 2 ? fact : ended);
    }
    await fixture.tell(...facts);
    await fixture.advance(MINUTE / 2);
    expect(launches()).to.have.length(1);
    expect(await fixture.ledger.job(keyOf(1))).to.include({ status: 'completed' });
    expect(await fixture.ledger.job(keyOf(3))).to.include({ status: 'queued', planned: 1 });
    expect(fixture.calls.filter((call) => call.startsWith('read '))).to.have.length(3);
  });

  it('hold up none that was just created', async () => {
    const createdAtMs = fixture.clock.now() - 3 * 60 * MINUTE;
    const late = Array.from({ length: 20 }, (_, n) => told(fixture, { jobId: 100 + n, createdAtMs }));
    await fixture.tell(...late, told(fixture, { jobId: 1 }));
    await fixture.advance(1000);
    expect(await fixture.ledger.job(keyOf(1))).to.include({ planned: 1 });
  });
});
