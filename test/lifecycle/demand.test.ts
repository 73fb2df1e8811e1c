import { expect } from 'chai';
import { closedPolicy } from '../registration-fixture.ts';
import { type DemandFixture, openDemandFixture, refusal } from './scripted-github.ts';

const SECOND = 1000;
const MINUTE = 60 * SECOND;
const DAY = 24 * 60 * MINUTE;

describe('demand, with the engine on virtual time', function () {
  this.timeout(30_000);
  let fixture: DemandFixture;

  beforeEach(async () => {
    fixture = await openDemandFixture();
    await fixture.clock.advance(5 * SECOND);
  });

  afterEach(async () => {
    await fixture.close();
  });

  const minutes = (count: number) => fixture.clock.advance(count * MINUTE);
  const job = async (id: number) => {
    const row = await fixture.ledger.job(`github.com/acme/web/${id}`);
    if (row === undefined) throw new Error(`no job ${id}`);
    return row;
  };

  // folder 06, T5
  describe('in an outage of GitHub', () => {
    it('asks at most once a minute, counts no launch, and says what is so', async () => {
      fixture.script.refuses = () => refusal('transient', 503);
      for (const id of [1, 2, 3]) await fixture.queue(id, { labels: ['acme-runner', `sid-${id}`] });
      const said = new Set<string | undefined>();
      for (let minute = 0; minute < 37; minute += 1) {
        await minutes(1);
        said.add((await fixture.reason(1))?.replace(/\d\d:\d\d:\d\d/g, 'HH:MM:SS').replace(/\d+ tries/, 'N tries'));
      }
      expect(fixture.registrations.length).to.be.within(30, 37 + 7);
      expect(fixture.launches).to.deep.equal([]);
      expect((await job(1)).launches).to.equal(0);
      expect([...said]).to.deep.equal(['GitHub answers 503 since HH:MM:SS UTC, N tries; the next at HH:MM:SS UTC']);
    });

    it('says so also while one launch asks GitHub again', async () => {
      fixture.script.refuses = () => refusal('transient', 503);
      await fixture.queue(1);
      await minutes(5);
      fixture.script.isSlow = true;
      const said: (string | undefined)[] = [];
      for (let step = 0; step < 12; step += 1) {
        await fixture.clock.advance(10 * SECOND);
        said.push(await fixture.reason(1));
      }
      for (const words of said) expect(words).to.match(/^GitHub answers 503 since/);
      expect(said.some((words) => words?.includes('one launch tries again'))).to.equal(true);
    });

    it('starts every job within a minute after it', async () => {
      fixture.script.refuses = () => refusal('transient', 502);
      for (const id of [1, 2, 3]) await fixture.queue(id, { labels: ['acme-runner', `sid-${id}`] });
      await minutes(37);
      fixture.script.refuses = () => undefined;
      await minutes(1);
      expect(fixture.launches).to.have.length(3);
    });

    it('leaves the runners that GitHub refused out of the caps', async () => {
      fixture.script.refuses = () => refusal('transient', 503);
      await fixture.queue(1);
      await minutes(10);
      const counted = (await fixture.ledger.liveCounts()).reduce((sum, { count }) => sum + count, 0);
      expect(counted).to.equal(0);
    });
  });

  // folder 01, T5
  it('asks every five minutes for what GitHub refuses for a reason, and serves the other lanes meanwhile', async () => {
    fixture.script.refuses = ({ labels }) => (labels.includes('odd') ? refusal('invalid', 422) : undefined);
    await fixture.queue(1, { labels: ['acme-runner', 'sid-odd'] });
    fixture.script.refuses = ({ labels }) => (labels.includes('sid-odd') ? refusal('invalid', 422) : undefined);
    await minutes(2);
    const refusedBefore = fixture.registrations.length;
    await fixture.queue(2);
    await fixture.clock.advance(5 * SECOND);
    expect(fixture.launches).to.have.length(1);
    expect(await fixture.reason(1))
      .to.include('sid-odd')
      .and.to.include('422');
    await minutes(30);
    const odd = fixture.registrations.filter(({ labels }) => labels.includes('sid-odd'));
    expect(refusedBefore).to.equal(2);
    expect(odd).to.have.length.within(7, 8);
  });

  // folder 04
  describe('a job that GitHub calls queued for ever', () => {
    it('gets no runner when it was created more than a day ago, and says so', async () => {
      await fixture.queue(1, { createdAtMs: fixture.clock.now() - 40 * DAY });
      await minutes(20);
      expect(fixture.registrations).to.deep.equal([]);
      expect(await job(1)).to.include({ admission: 'expired' });
      expect(await fixture.reason(1))
        .to.include('queued since 2026-01-23')
        .and.to.include('24 h');
    });

    it('is given up a day after its creation, however late it was seen', async () => {
      await fixture.queue(1, { createdAtMs: fixture.clock.now() - DAY + 30 * MINUTE });
      await minutes(29);
      expect((await job(1)).admission).to.equal('lane');
      await minutes(3);
      expect((await job(1)).admission).to.equal('expired');
    });

    it('gets no second runner when its run has completed', async () => {
      await fixture.queue(1);
      fixture.script.completedRuns.add(101);
      await minutes(60);
      expect(fixture.launches).to.have.length(1);
      expect(await fixture.reason(1)).to.include('its run has completed');
    });

    it('is looked at anew when it moves all the same', async () => {
      await fixture.queue(1, { createdAtMs: fixture.clock.now() - 40 * DAY });
      await minutes(1);
      const told = { ...(await job(1)), source: 'poll' as const, toldBy: 'acme', observedAtMs: fixture.clock.now() };
      await fixture.tell({ ...told, visibility: 'private', status: 'waiting' });
      await minutes(1);
      await fixture.tell({ ...told, visibility: 'private', observedAtMs: fixture.clock.now() });
      await minutes(1);
      expect((await job(1)).admission).to.equal('lane');
    });
  });

  // folder 07
  describe('a job that GitHub answers 404 for', () => {
    /** The first runner idles, so that the job is read before the second. */
    const untilItIsRead = async () => {
      await fixture.queue(1);
      fixture.script.unseenJobs.add(1);
      for (let step = 0; step < 900 && fixture.reads.length === 0; step += 1) await fixture.clock.advance(SECOND);
    };

    it('is kept after one 404, and gets its next runner', async () => {
      await untilItIsRead();
      fixture.script.unseenJobs.clear();
      await minutes(1);
      expect(await job(1)).to.include({ status: 'queued', hold: null });
      expect(fixture.launches).to.have.length(2);
    });

    it('is asked for again after five seconds, and then after thirty more', async () => {
      await untilItIsRead();
      const readsAfter: number[] = [];
      for (const seconds of [4, 2, 27, 4]) {
        await fixture.clock.advance(seconds * SECOND);
        readsAfter.push(fixture.reads.length);
      }
      expect(readsAfter).to.deep.equal([1, 2, 2, 3]);
    });

    it('is dropped after three misses over three minutes where its repository is seen', async () => {
      await untilItIsRead();
      await fixture.clock.advance(2.5 * MINUTE);
      expect(await job(1)).to.include({ status: 'queued', hold: 'unseen' });
      await minutes(2);
      expect(await job(1)).to.include({ status: 'completed', reasonCode: 'dropped' });
      expect(fixture.reads.length).to.be.within(3, 5);
    });

    it('is kept and held where its repository is not seen, and says which', async () => {
      fixture.script.seesRepository = false;
      await untilItIsRead();
      await minutes(60);
      expect(await job(1)).to.include({ status: 'queued', admission: 'lane', hold: 'unseen' });
      expect(await fixture.reason(1))
        .to.include('do not see the repository')
        .and.to.include('acme/web');
      expect(fixture.launches).to.have.length(1);
      fixture.script.unseenJobs.clear();
      await minutes(6);
      expect(fixture.launches).to.have.length(2);
    });

    it('keeps no other job of its lane waiting', async () => {
      fixture.script.seesRepository = false;
      await untilItIsRead();
      await minutes(10);
      const before = fixture.launches.length;
      await fixture.queue(2);
      await fixture.clock.advance(10 * SECOND);
      expect(fixture.launches).to.have.length(before + 1);
    });
  });

  // folder 05, J1
  describe('a job that GitHub gives to no runner that fits', () => {
    it('is held after three of them, and tried less and less often', async () => {
      await fixture.queue(1);
      await minutes(15.5);
      expect(fixture.launches).to.have.length(3);
      expect(await job(1)).to.include({ hold: 'unserved', passedOver: 3 });
      await minutes(8 * 60);
      expect(fixture.launches.length).to.be.within(12, 22);
      expect((await fixture.ledger.laneCounts([(await job(1)).laneKey ?? ''], 'reject'))[0]).to.include({ held: 1 });
    });

    it('names the causes in order, on the job and on the lane, and never says that others took its runners', async () => {
      await fixture.queue(1);
      await minutes(17);
      const lane = await fixture.engine.laneReason((await job(1)).laneKey ?? '');
      for (const words of [await fixture.reason(1), lane]) {
        expect(words).to.match(
          /runs-on names a group.*'Default' does not admit acme\/web.*max-parallel.*runner version/,
        );
        expect(words).to.not.match(/other jobs took|another job/);
      }
    });

    it('shows the last line that a runner which idled beside it printed', async () => {
      await fixture.close();
      fixture = await openDemandFixture(
        {},
        { logs: async () => 'starting\nRunner version v2.300.0 is deprecated\n\n' },
      );
      await fixture.queue(1);
      await minutes(17);
      expect(await fixture.reason(1)).to.include('"Runner version v2.300.0 is deprecated"');
    });

    it('does not keep the other jobs of its lane waiting, which count fully', async () => {
      await fixture.queue(1);
      await minutes(18);
      const before = fixture.launches.length;
      for (const id of [2, 3, 4]) await fixture.queue(id);
      await fixture.clock.advance(5 * SECOND);
      expect(fixture.launches.length - before).to.be.within(2, 3);
      for (const id of [2, 3, 4]) expect(await fixture.start(id), `job ${id}`).to.be.a('string');
    });

    it('has one runner of its run trying at a time, whatever the size of the run', async () => {
      for (const id of [1, 2, 3, 4, 5]) await fixture.queue(id, { runId: 7 });
      await minutes(5.5);
      expect(fixture.launches).to.have.length(5);
      let most = 0;
      for (let minute = 0; minute < 60; minute += 1) {
        await minutes(1);
        const live = await fixture.ledger.runners({ states: ['creating', 'starting', 'online'] }, 'reject');
        most = Math.max(most, live.length);
      }
      expect(most).to.equal(1);
    });

    it('starts within a minute when max-parallel makes room, with one spare runner and no more', async () => {
      for (const id of [1, 2, 3, 4]) await fixture.queue(id, { runId: 7 });
      await fixture.clock.advance(5 * SECOND);
      expect(await fixture.start(1)).to.be.a('string');
      await minutes(20);
      for (const id of [2, 3, 4]) expect((await job(id)).hold).to.equal('unserved');
      for (const next of [2, 3, 4]) {
        await fixture.complete(next - 1);
        const endedAtMs = fixture.clock.now();
        let name: string | undefined;
        while (name === undefined && fixture.clock.now() - endedAtMs < 2 * MINUTE) {
          await fixture.clock.advance(SECOND);
          name = await fixture.start(next);
        }
        expect(fixture.clock.now() - endedAtMs, `job ${next}`).to.be.at.most(MINUTE);
        await minutes(20);
      }
    });

    it('frees its whole run when more of it run side by side than when it was held', async () => {
      for (const id of [1, 2, 3, 4, 5]) await fixture.queue(id, { runId: 7 });
      await minutes(8);
      expect((await job(5)).hold).to.equal('unserved');
      let started: string | undefined;
      for (let step = 0; step < 40 * 60 && started === undefined; step += 1) {
        await fixture.clock.advance(SECOND);
        started = await fixture.start(1);
      }
      await minutes(1);
      const waiting = [2, 3, 4, 5];
      for (const id of waiting) expect(await fixture.start(id), `job ${id}`).to.be.a('string');
    });

    it('tries at once when another job of its lane ends', async () => {
      await fixture.queue(1);
      await minutes(20);
      await fixture.queue(2);
      await fixture.clock.advance(5 * SECOND);
      expect(await fixture.start(2)).to.be.a('string');
      await minutes(20);
      await fixture.complete(2);
      await minutes(1);
      expect(await fixture.start(1)).to.be.a('string');
    });
  });

  // J1: a runner version that GitHub refuses
  describe('an image whose runners get no job in several lanes', () => {
    const idleInThreeLanes = async () => {
      for (const id of [1, 2, 3]) await fixture.queue(id, { labels: ['acme-runner', `sid-${id}`] });
      await minutes(6);
    };

    it('is not launched for a while, and says what GitHub may refuse', async () => {
      await idleInThreeLanes();
      const before = fixture.launches.length;
      await minutes(3);
      expect(fixture.launches).to.have.length(before);
      expect(await fixture.reason(1))
        .to.include('online in 3 lanes')
        .and.to.include('runner version');
    });

    it('is well again as soon as one of its runners gets a job', async () => {
      await fixture.queue(4, { labels: ['acme-runner', 'sid-4'] });
      await fixture.clock.advance(2 * MINUTE);
      await idleInThreeLanes();
      const breakers = await fixture.ledger.breakers();
      expect(breakers.map(({ rule }) => rule)).to.deep.equal(['idle']);
      await minutes(6);
      const started = await Promise.all([1, 2, 3, 4].map((id) => fixture.start(id)));
      expect(started.some((name) => name !== undefined)).to.equal(true);
      await fixture.clock.advance(5 * SECOND);
      expect(await fixture.ledger.breakers()).to.deep.equal([]);
    });

    it('is not blamed for one lane whose job is held back', async () => {
      await fixture.queue(1);
      await minutes(60);
      expect(await fixture.ledger.breakers()).to.deep.equal([]);
    });
  });

  // X5
  it('says how many of those that fill the cap are being taken down, and until when', async () => {
    await fixture.close();
    fixture = await openDemandFixture({ maxRunners: 2 }, { inspect: async ({ name }) => fixture.running(name) });
    for (const id of [1, 2]) await fixture.queue(id);
    await minutes(6);
    await fixture.queue(3, { labels: ['acme-runner', 'sid-3'] });
    await fixture.clock.advance(10 * SECOND);
    expect(await fixture.reason(3)).to.match(
      /at its cap of 2 runners: 2 of them are being taken down, the first of them is expected to be gone by 12:\d\d:\d\d UTC/,
    );
  });

  // X5
  it('gives the place of a container that has ended to the next one at once', async () => {
    await fixture.close();
    fixture = await openDemandFixture({ maxRunners: 1 }, { stop: () => new Promise(() => {}) });
    await fixture.queue(1);
    await fixture.clock.advance(5 * SECOND);
    expect(await fixture.start(1)).to.be.a('string');
    await fixture.complete(1);
    await fixture.queue(2, { labels: ['acme-runner', 'sid-2'] });
    await minutes(1);
    expect(fixture.launches).to.have.length(2);
  });

  // J14, T1
  it('says on the job that its container was ended at its time limit', async () => {
    await fixture.close();
    fixture = await openDemandFixture({
      policy: { ...closedPolicy, architectures: ['x64'], maxTimeLimitMs: 10 * MINUTE },
    });
    await fixture.queue(1, { labels: ['acme-runner', 'timeout-1m'] });
    await fixture.clock.advance(5 * SECOND);
    const name = await fixture.start(1);
    await minutes(3);
    expect(await fixture.ledger.runner(name ?? '')).to.include({ forced: true });
    expect(await job(1)).to.include({ reasonCode: 'time-limit' });
    await fixture.complete(1);
    await fixture.clock.advance(5 * SECOND);
    const { reason, status } = await job(1);
    expect(status).to.equal('completed');
    expect(reason)
      .to.include(name ?? '')
      .and.to.include('time limit');
  });

  // J14
  it('says of a job whose container hangs that its runner starts, and until when', async () => {
    fixture.script.hangs = true;
    await fixture.queue(1);
    await minutes(7);
    const lane = await fixture.engine.laneReason((await job(1)).laneKey ?? '');
    for (const words of [await fixture.reason(1), lane]) {
      expect(words).to.match(
        /its runner acme-\w+ has been starting on docker for 7 min; it is given up at 12:\d\d:\d\d UTC/,
      );
    }
  });

  it('counts a runner that took another job as stolen, and says so', async () => {
    await fixture.queue(1);
    await fixture.clock.advance(5 * SECOND);
    const name = [...fixture.runners.keys()][0] ?? '';
    await fixture.tell({
      ...(await job(1)),
      jobId: 99,
      status: 'in_progress',
      runnerName: name,
      visibility: 'private',
      source: 'webhook',
      toldBy: 'acme',
      observedAtMs: fixture.clock.now(),
    });
    await fixture.clock.advance(5 * SECOND);
    expect(await job(1)).to.include({ stolen: 1, passedOver: 0, launches: 2 });
  });
});
