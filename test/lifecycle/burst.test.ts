import { expect } from 'chai';
import { type EngineHouse, openEngineHouse, registration, told } from './engine-house.ts';

// X3
describe('a burst of jobs', () => {
  const JOBS = 40;
  let house: EngineHouse;
  afterEach(() => house.close());

  it('costs no DELETE for runners that GitHub has removed itself', async () => {
    house = await openEngineHouse({ registrations: [registration('acme')] });
    await house.engine.start();
    await house.advance(1_000);
    const ids = Array.from({ length: JOBS }, (_, index) => index + 1);
    await house.tell(...ids.map((jobId) => told(house, { jobId })));
    await house.advance(5_000);
    const names = [...house.runners.keys()];
    expect(names).to.have.length(JOBS);
    for (const [index, runnerName] of names.entries()) {
      const jobId = ids[index] ?? 0;
      await house.tell(told(house, { jobId, status: 'in_progress', runnerName, startedAtMs: house.clock.now() }));
    }
    await house.advance(10_000);
    for (const [index, runnerName] of names.entries()) {
      const jobId = ids[index] ?? 0;
      // As GitHub does: an ephemeral runner is removed with the end of its job, and its container exits.
      house.runners.delete(runnerName);
      const instance = house.instances.get(runnerName);
      if (instance !== undefined) house.instances.set(runnerName, { ...instance, state: 'succeeded' });
      const done = told(house, { jobId, status: 'completed', conclusion: 'success', runnerName });
      house.jobs.set(`github.com/acme/web/${jobId}`, done);
      await house.tell(done);
    }
    const before = house.calls.length;
    await house.advance(60_000);
    expect(await house.ledger.runners({ states: ['gone'] })).to.have.length(JOBS);
    const calls = house.calls.slice(before);
    expect(calls.filter((call) => call.startsWith('delete'))).to.deep.equal([]);
    expect(house.listings()).to.be.at.most(30);
  });

  it('deletes what remains of one that GitHub did not remove', async () => {
    house = await openEngineHouse({ registrations: [registration('acme')] });
    await house.engine.start();
    await house.advance(1_000);
    await house.tell(told(house, { jobId: 1 }));
    await house.advance(5_000);
    const [runnerName = ''] = house.runners.keys();
    await house.tell(told(house, { jobId: 1, status: 'in_progress', runnerName, startedAtMs: house.clock.now() }));
    const instance = house.instances.get(runnerName);
    if (instance !== undefined) house.instances.set(runnerName, { ...instance, state: 'succeeded' });
    const done = told(house, { jobId: 1, status: 'completed', conclusion: 'success', runnerName });
    house.jobs.set('github.com/acme/web/1', done);
    await house.tell(done);
    await house.advance(60_000);
    expect(house.calls.filter((call) => call.startsWith('delete'))).to.deep.equal([`delete ${runnerName}`]);
    expect(await house.ledger.runners({ states: ['gone'] })).to.have.length(1);
  });
});
