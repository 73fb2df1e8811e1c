/** Launches a minute: the real engine on the real ledger, under a virtual clock. */
import { expect } from 'chai';
import type { Registration } from '../../dispatcher/model/registration.ts';
import { grantOf } from '../registration-fixture.ts';
import { type EngineFixture, MINUTE, openEngineFixture, registration, told } from './engine-fixture.ts';

describe('launches a minute', () => {
  let fixture: EngineFixture;
  afterEach(() => fixture.close());

  async function open(...registrations: readonly Registration[]): Promise<void> {
    fixture = await openEngineFixture({ registrations });
    await fixture.engine.start();
    await fixture.advance(2_000);
  }

  async function queue(label: string, ...jobIds: readonly number[]): Promise<void> {
    for (const jobId of jobIds) {
      const job = told(fixture, { jobId, labels: [label] });
      fixture.jobs.set(`github.com/acme/web/${jobId}`, job);
      await fixture.tell(job);
    }
    await fixture.advance(5_000);
  }

  const launched = async (...names: readonly string[]) =>
    (await fixture.ledger.runners({ registrations: names, limit: 100 }, 'reject')).length;

  it('are as many as the registration says, in any minute, and the jobs that wait say so', async () => {
    await open(registration('acme', { maxLaunchesPerMinute: 2 }), registration('other', { labels: ['other'] }));
    await queue('acme-runner', 1, 2, 3, 4, 5);
    await queue('other', 6, 7, 8);
    expect(await launched('acme')).to.equal(2);
    expect(await launched('other'), 'another without a limit').to.equal(3);
    const job = await fixture.ledger.job('github.com/acme/web/5');
    if (job === undefined) throw new Error('no job');
    expect(await fixture.engine.jobReason(job)).to.match(
      /^the registration launches at most 2 runners a minute: the next follows at \d\d:\d\d:\d\d UTC$/,
    );
    await fixture.advance(MINUTE - 15_000);
    expect(await launched('acme')).to.equal(2);
    await fixture.advance(15_000);
    expect(await launched('acme')).to.equal(4);
    await fixture.advance(MINUTE);
    expect(await launched('acme')).to.equal(5);
  });

  it('are no more with many registrations than the tenant was granted', async () => {
    const limits = { ...grantOf('acme').limits, maxLaunchesPerMinute: 3 };
    const grant = grantOf('acme', { limits, labels: ['*'] });
    await open(
      registration('one', { labels: ['one'], grant, maxLaunchesPerMinute: 100 }),
      registration('two', { labels: ['two'], grant }),
    );
    await queue('one', 1, 2, 3, 4);
    await queue('two', 5, 6, 7, 8);
    expect(await launched('one', 'two')).to.equal(3);
    const job = await fixture.ledger.job('github.com/acme/web/8');
    if (job === undefined) throw new Error('no job');
    expect(await fixture.engine.jobReason(job)).to.include(
      'the tenant launches at most 3 runners a minute (dispatcher.yaml:limits.maxLaunchesPerMinute)',
    );
    await fixture.advance(MINUTE);
    expect(await launched('one', 'two')).to.equal(6);
  });
});
