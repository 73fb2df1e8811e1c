import { expect } from 'chai';
import { jobKey } from '../../dispatcher/ledger/facts.ts';
import { type EngineHouse, MINUTE, openEngineHouse, registration, told } from './engine-house.ts';

const OLD = 'github.com/acme/web/100';
const NEW = 'github.com/acme/site/100';

// W3: the key holds the repository, so a new name is another job until GitHub says that it is the same.
describe('a repository that is renamed while its job waits', () => {
  let house: EngineHouse;

  beforeEach(async () => {
    house = await openEngineHouse({ registrations: [registration('acme')] });
    await house.engine.start();
    await house.advance(1000);
  });

  afterEach(() => house.close());

  async function queuedUnderBothNames(isRenamed: boolean): Promise<void> {
    const before = told(house, { jobId: 100, owner: 'acme' });
    house.jobs.set(OLD, before);
    await house.tell(before);
    await house.advance(1000);
    const after = { ...before, repository: 'site', observedAtMs: house.clock.now() };
    if (isRenamed) house.jobs.set(jobKey(after), after);
    await house.tell(after);
    await house.advance(MINUTE);
  }

  it('is one job with one runner, once GitHub has shown it under its new name', async () => {
    await queuedUnderBothNames(true);
    expect(house.calls.filter((call) => call.startsWith('launch '))).to.have.length(1);
    expect(house.calls).to.include(`read ${NEW} by acme`);
    expect(await house.ledger.job(OLD)).to.include({ status: 'completed', reasonCode: 'dropped' });
    expect((await house.ledger.job(OLD))?.reason).to.include('acme/site');
    expect(await house.ledger.job(NEW)).to.include({ status: 'queued', admission: 'lane' });
    const [runner] = await house.ledger.runners({});
    expect(runner?.forJobKey).to.equal(NEW);
  });

  it('stays as it was while GitHub does not confirm the new name', async () => {
    await queuedUnderBothNames(false);
    expect(house.calls.filter((call) => call.startsWith('launch '))).to.have.length(1);
    expect(await house.ledger.job(OLD)).to.include({ status: 'queued', admission: 'lane' });
    const [runner] = await house.ledger.runners({});
    expect(runner?.forJobKey).to.equal(OLD);
  });
});
