import { expect } from 'chai';
import { jobKey } from '../../dispatcher/jobs/facts.ts';
import { type EngineFixture, MINUTE, openEngineFixture, registration, told } from './engine-fixture.ts';

const OLD = 'github.com/acme/web/100';
const NEW = 'github.com/acme/site/100';

// W3: the key holds the repository, so a new name is another job until GitHub says that it is the same.
describe('a repository that is renamed while its job waits', () => {
  let fixture: EngineFixture;

  beforeEach(async () => {
    fixture = await openEngineFixture({ registrations: [registration('acme')] });
    await fixture.engine.start();
    await fixture.advance(1000);
  });

  afterEach(() => fixture.close());

  async function queuedUnderBothNames(isRenamed: boolean): Promise<void> {
    const before = told(fixture, { jobId: 100, owner: 'acme' });
    fixture.jobs.set(OLD, before);
    await fixture.tell(before);
    await fixture.advance(1000);
    const after = { ...before, repository: 'site', observedAtMs: fixture.clock.now() };
    if (isRenamed) fixture.jobs.set(jobKey(after), after);
    await fixture.tell(after);
    await fixture.advance(MINUTE);
  }

  it('is one job with one runner, once GitHub has shown it under its new name', async () => {
    await queuedUnderBothNames(true);
    expect(fixture.calls.filter((call) => call.startsWith('launch '))).to.have.length(1);
    expect(fixture.calls).to.include(`read ${NEW} by acme`);
    expect(await fixture.ledger.job(OLD)).to.include({ status: 'completed', reasonCode: 'dropped' });
    expect((await fixture.ledger.job(OLD))?.reason).to.include('acme/site');
    expect(await fixture.ledger.job(NEW)).to.include({ status: 'queued', admission: 'lane' });
    const [runner] = await fixture.ledger.runners({}, 'reject');
    expect(runner?.forJobKey).to.equal(NEW);
  });

  it('stays as it was while GitHub does not confirm the new name', async () => {
    await queuedUnderBothNames(false);
    expect(fixture.calls.filter((call) => call.startsWith('launch '))).to.have.length(1);
    expect(await fixture.ledger.job(OLD)).to.include({ status: 'queued', admission: 'lane' });
    const [runner] = await fixture.ledger.runners({}, 'reject');
    expect(runner?.forJobKey).to.equal(OLD);
  });
});
