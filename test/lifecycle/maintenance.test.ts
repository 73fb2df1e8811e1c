/** Windows in which nothing is launched: the real engine on the real ledger, under a virtual clock. */
import { expect } from 'chai';
import { RecurringWindows } from '../../time/recurring-window.ts';
import { type EngineFixture, MINUTE, openEngineFixture, registration, told } from './engine-fixture.ts';
import { queuedJobs } from './queued-jobs.ts';

const HOUR = 60 * MINUTE;
/** A Sunday, nine in Berlin. */
const START = Date.UTC(2026, 10, 1, 8);

describe('a registration in a maintenance window', () => {
  let fixture: EngineFixture;
  // Its import takes real time, which the virtual clock does not know.
  before(() => RecurringWindows.load());
  afterEach(() => fixture.close());

  async function open(): Promise<void> {
    const maintenance = [{ cron: '0 10 * * 0', durationMs: 2 * HOUR, timeZone: 'Europe/Berlin' }];
    fixture = await openEngineFixture({
      startMs: START,
      registrations: [registration('acme', { maintenance }), registration('other', { labels: ['other'] })],
    });
    await fixture.engine.start();
    await fixture.advance(2_000);
  }
  const { queue, reasonOf, runners } = queuedJobs(() => fixture);

  it('takes jobs in, launches none until the window ends, and says so', async () => {
    await open();
    await queue(1);
    expect(await runners('acme'), 'before').to.equal(1);

    await fixture.advance(HOUR);
    await queue(2);
    await queue(3, ['other']);
    expect(await runners('other'), 'another registration').to.equal(1);
    const words = 'its registration is in a maintenance window until 2026-11-01 11:00 UTC: no runner is launched';
    const job = await fixture.ledger.job('github.com/acme/web/2');
    expect(job).to.include({ admission: 'lane', registration: 'acme' });
    expect(await reasonOf(2)).to.equal(words);
    expect(await fixture.engine.laneReason(job?.laneKey ?? '')).to.equal(words);

    const endMs = Date.UTC(2026, 10, 1, 11);
    await fixture.engine.pause({ registration: 'acme', reason: null, by: 'ops', byPlatform: true });
    expect(await fixture.engine.maintenanceUntilMs('acme'), 'beside a pause').to.equal(endMs);
    expect(await fixture.engine.maintenanceUntilMs('other')).to.equal(undefined);
    await fixture.engine.resume('acme');

    const during = await runners('acme');
    await fixture.advance(HOUR + 50 * MINUTE);
    expect(await runners('acme')).to.equal(during);
    await fixture.advance(START + 3 * HOUR - fixture.clock.now() + 5_000);
    expect(await runners('acme'), 'after').to.be.greaterThan(during);
    expect(await reasonOf(2)).to.not.include('maintenance');
  });

  it('stops no runner that it has', async () => {
    await open();
    await queue(1);
    const [runner] = await fixture.ledger.runners({ limit: 10 }, 'reject');
    const name = runner?.name ?? '';
    const atGithub = fixture.runners.get(name);
    if (atGithub !== undefined) Object.assign(atGithub, { online: true, busy: true });
    const started = told(fixture, { jobId: 1, status: 'in_progress', runnerName: name });
    fixture.jobs.set('github.com/acme/web/1', started);
    await fixture.tell(started);
    await fixture.advance(2 * HOUR);
    expect(await fixture.ledger.runner(name)).to.include({ state: 'busy' });
  });
});
