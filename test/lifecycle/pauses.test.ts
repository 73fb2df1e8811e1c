/** Operators' pauses: the real engine on the real ledger, under a virtual clock. */
import { expect } from 'chai';
import { openSqliteLedger } from '../../dispatcher/ledger/sqlite.ts';
import { Pauses } from '../../dispatcher/lifecycle/pauses.ts';
import { type EngineFixture, openEngineFixture, registration } from './engine-fixture.ts';
import { queuedJobs } from './queued-jobs.ts';

const START = Date.UTC(2026, 10, 1, 8);
const ops = { reason: 'the registry moves', by: 'ops', byPlatform: true };

describe('a pause', () => {
  let fixture: EngineFixture;
  beforeEach(async () => {
    fixture = await openEngineFixture({
      startMs: START,
      registrations: [registration('acme'), registration('other', { labels: ['other'] })],
    });
    await fixture.engine.start();
    await fixture.advance(2_000);
  });
  afterEach(() => fixture.close());

  const { queue, reasonOf, runners } = queuedJobs(() => fixture);

  it('of a registration takes its jobs in, launches none until it resumes, and says so', async () => {
    await fixture.engine.pause({ registration: 'acme', ...ops });
    await queue(1);
    await queue(2, ['other']);
    expect([await runners('acme'), await runners('other')]).to.deep.equal([0, 1]);
    await fixture.advance(600_000);
    expect(await runners('acme')).to.equal(0);
    const words =
      'its registration is paused since 2026-11-01 08:00 UTC by ops (the registry moves): no runner is launched';
    expect(await reasonOf(1)).to.equal(words);
    const job = await fixture.ledger.job('github.com/acme/web/1');
    expect(job).to.include({ admission: 'lane', status: 'queued' });
    expect(await fixture.engine.laneReason(job?.laneKey ?? '')).to.equal(words);

    expect(await fixture.engine.resume('acme')).to.deep.include({ registration: 'acme', by: 'ops' });
    await fixture.advance(5_000);
    expect(await runners('acme')).to.equal(1);
    expect(await reasonOf(1)).to.not.include('paused');
    expect(await fixture.engine.resume('acme')).to.equal(undefined);
  });

  it('of all registrations stays when a single one resumes', async () => {
    await fixture.engine.pause({ registration: null, ...ops, reason: null });
    await fixture.engine.pause({ registration: 'acme', ...ops });
    await queue(1);
    await queue(2, ['other']);
    await fixture.engine.resume('acme');
    await fixture.advance(5_000);
    expect([await runners('acme'), await runners('other')]).to.deep.equal([0, 0]);
    expect(await reasonOf(2)).to.equal(
      'all registrations are paused since 2026-11-01 08:00 UTC by ops: no runner is launched',
    );
    await fixture.engine.resume(null);
    await fixture.advance(5_000);
    expect([await runners('acme'), await runners('other')]).to.deep.equal([1, 1]);
  });
});

describe('the pauses in the ledger', () => {
  const pause = { registration: 'acme', ...ops, sinceMs: 1 };

  it('outlive the process', async () => {
    const ledger = await openSqliteLedger({ path: ':memory:', now: () => 1 });
    try {
      await new Pauses(ledger).pause(pause);
      const next = new Pauses(ledger);
      await next.load();
      expect(next.of('acme')).to.deep.equal(pause);
      expect(next.of('other')).to.equal(undefined);
      await next.resume('acme', 2);
      const third = new Pauses(ledger);
      await third.load();
      expect(third.all()).to.deep.equal([]);
    } finally {
      await ledger.close();
    }
  });

  it('of a tenant hold again when the platform’s ends, also after a restart', async () => {
    const ledger = await openSqliteLedger({ path: ':memory:', now: () => 1 });
    try {
      const own = { ...pause, reason: 'ours', by: 'ops-a', byPlatform: false };
      const pauses = new Pauses(ledger);
      await pauses.pause(own);
      await pauses.pause(pause);
      await pauses.pause({ ...pause, reason: 'still' });
      expect(pauses.of('acme')).to.include({ by: 'ops', reason: 'still' });
      const next = new Pauses(ledger);
      await next.load();
      expect(await next.resume('acme', 2)).to.include({ by: 'ops', reason: 'still' });
      expect(next.of('acme')).to.deep.equal(own);
      expect(await next.resume('acme', 3)).to.deep.equal(own);
      expect(next.all()).to.deep.equal([]);
    } finally {
      await ledger.close();
    }
  });

  it('of a tenant that are made while the platform’s holds hold beside it, and each ends by its own resume', async () => {
    const ledger = await openSqliteLedger({ path: ':memory:', now: () => 1 });
    try {
      const own = { ...pause, reason: 'ours', by: 'ops-a', byPlatform: false };
      const pauses = new Pauses(ledger);
      await pauses.pause(pause);
      expect(await pauses.pause(own)).to.deep.equal({ ...pause, own });
      const later = { ...own, reason: 'ours still' };
      expect(await pauses.pause(later)).to.deep.equal({ ...pause, own: later });
      const next = new Pauses(ledger);
      await next.load();
      expect(await next.resume('acme', 2, { byPlatform: true })).to.include({ by: 'ops' });
      expect(next.of('acme')).to.deep.equal(later);

      await next.pause({ ...pause, reason: 'again' });
      expect(await next.resume('acme', 3, { byPlatform: false })).to.deep.equal(later);
      expect(next.of('acme')).to.deep.equal({ ...pause, reason: 'again' });
      expect(await next.resume('acme', 4, { byPlatform: false })).to.equal(undefined);
      expect(next.of('acme')).to.include({ reason: 'again' });
      expect(await next.resume('acme', 5)).to.include({ reason: 'again' });
      expect(next.all()).to.deep.equal([]);
    } finally {
      await ledger.close();
    }
  });

  it('do not hold where they could not be written, and do not end there either', async () => {
    let fails = true;
    const pauses = new Pauses({
      cursor: async () => undefined,
      putCursor: async () => {
        if (fails) throw new Error('full');
      },
      persist: async () => {},
    });
    expect(await pauses.pause(pause).catch(() => 'failed')).to.equal('failed');
    expect(pauses.of('acme')).to.equal(undefined);
    fails = false;
    await pauses.pause(pause);
    fails = true;
    expect(await pauses.resume('acme', 2).catch(() => 'failed')).to.equal('failed');
    expect(pauses.of('acme')).to.deep.equal(pause);
  });

  it('stop the start where they cannot be read: what is paused is not launched', async () => {
    const pauses = new Pauses({ cursor: async () => '[{', putCursor: async () => {}, persist: async () => {} });
    const failed = await pauses.load().then(
      () => 'loaded',
      (error: unknown) => String(error),
    );
    expect(failed).to.include('delete it');
  });
});
