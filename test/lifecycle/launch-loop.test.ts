import { expect } from 'chai';
import { GithubError, type JitRequest, type JitRunner } from '../../dispatcher/github/github.ts';
import { type JobSettlement, UnreadableRowError, type Waiting } from '../../dispatcher/ledger/ledger.ts';
import { MAX_LIFE_MS } from '../../dispatcher/lifecycle/launch.ts';
import { LaunchLoop } from '../../dispatcher/lifecycle/launch-loop.ts';
import { CREATING_MS } from '../../dispatcher/lifecycle/machine/step.ts';
import { ulidTime } from '../../time/clock.ts';
import { settled } from '../github/virtual-clock.ts';
import { keyOf } from '../ledger/examples.ts';
import { registration } from '../registration-fixture.ts';
import { type EngineParts, laneOf, openEngineParts, type PartsOptions } from './engine-parts.ts';
import { honestProvider } from './small-fixture.ts';

const SECOND = 1000;
const LANE = laneOf();

describe('the launch loop', () => {
  let parts: EngineParts;
  let loop: LaunchLoop;
  let requests: JitRequest[];
  let released: string[];
  let jit: (request: JitRequest) => Promise<JitRunner>;

  async function open(options: PartsOptions = {}): Promise<void> {
    requests = [];
    released = [];
    jit = () => new Promise(() => {});
    parts = await openEngineParts({
      ...options,
      github: {
        createJitRunner: (request) => {
          requests.push(request);
          return jit(request);
        },
      },
    });
    loop = new LaunchLoop(parts);
    const { backends } = parts;
    const release = backends.release.bind(backends);
    backends.release = (runner) => {
      released.push(runner);
      release(runner);
    };
  }
  afterEach(() => parts.close());

  const runnersOf = () => parts.ledger.runners({ limit: 100 }, 'reject');
  const nowMs = () => parts.clock.now();
  const times = () => [...loop.nextMs()].filter((time) => time !== undefined).map((time) => time - nowMs());

  /** The lane's jobs as the ledger tells them, whatever there is. */
  const waitingFor = (some: Partial<Waiting>): PartsOptions => ({
    through: (ledger) => ({
      waitingJobs: async (laneKey, limit) =>
        (await ledger.waitingJobs(laneKey, limit, 'reject')).map((job) => ({ ...job, ...some })),
    }),
  });

  it('ends its pass while the jobs of a registration are admitted anew, and launches for them after that', async () => {
    await open();
    let isReadmitting = true;
    loop = new LaunchLoop({ ...parts, isReadmitting: () => isReadmitting });
    await parts.queue(LANE, 1);
    let looks = 0;
    const grant = parts.permits.grant.bind(parts.permits);
    parts.permits.grant = async (...words) => {
      looks += 1;
      // It would go on for ever, without a turn for anything else.
      if (looks > 20) throw new Error('the loop goes round and round');
      return await grant(...words);
    };
    await loop.run();
    expect(await runnersOf()).to.deep.equal([]);
    isReadmitting = false;
    await loop.run();
    expect(await runnersOf()).to.have.length(1);
  });

  it('writes down what a restart has to know of a runner before GitHub is asked for it', async () => {
    await open();
    await parts.queue(LANE, 1);
    await loop.run();
    const [runner] = await runnersOf();
    expect(requests.map(({ name }) => name)).to.deep.equal([runner?.name]);
    expect(ulidTime(runner?.name.slice('d1-'.length) ?? '')).to.equal(nowMs());
    expect(runner).to.include({
      ...{ registration: 'acme', host: LANE.host, scope: 'orgs/acme', runnerGroup: LANE.runnerGroup },
      ...{ laneKey: LANE.key, specHash: LANE.specHash, state: 'creating', backend: 'main', incarnation: 'here' },
      ...{ createdAtMs: nowMs(), deadlineAtMs: nowMs() + CREATING_MS, nextCheckAtMs: nowMs() + CREATING_MS },
      ...{ instanceDeadlineAtMs: nowMs() + MAX_LIFE_MS, forJobKey: keyOf(1) },
    });
    const [planned] = await parts.ledger.timeline(runner?.name ?? '');
    expect(planned?.reason).to.equal('planned for Acme/web job 1 on main');
  });

  it('launches one runner for each job and does not wait for them', async () => {
    await open();
    await parts.queue(LANE, 1, 2, 3);
    await loop.run();
    expect(loop.launching).to.equal(3);
    expect([...loop.underWay]).to.have.length(3);
    expect((await runnersOf()).map(({ forJobKey }) => forJobKey)).to.have.members([keyOf(1), keyOf(2), keyOf(3)]);
    expect(parts.board.need(LANE), 'counted again').to.equal(0);
    expect(parts.places.freeOf(parts.places.lineOf('acme'))).to.equal(17);
    await loop.run();
    expect(loop.launching).to.equal(3);
  });

  it('lets go of the backends of what it has planned where it cannot go on, and launches none of it', async () => {
    let reads = 0;
    await open({
      through: (ledger) => ({
        waitingJobs: (laneKey, limit) => {
          reads += 1;
          return reads === 2
            ? Promise.reject(new Error('the disk is gone'))
            : ledger.waitingJobs(laneKey, limit, 'reject');
        },
      }),
    });
    await parts.queue(LANE, 1);
    await parts.queue(laneOf({ key: 'another', labels: ['acme-runner', 'another'] }), 2);
    const outcome = await loop.run().catch((error: unknown) => error);
    expect(outcome).to.be.an('error').with.property('message', 'the disk is gone');
    expect(released).to.have.length(1);
    expect(await runnersOf()).to.deep.equal([]);
    expect(loop.launching).to.equal(0);
  });

  describe('where the row of a waiting job cannot be read', () => {
    const BAD = laneOf({ key: 'bad', labels: ['acme-runner', 'bad'] });
    let isBad: boolean;

    beforeEach(async () => {
      isBad = true;
      await open({
        through: (ledger) => ({
          waitingJobs: async (laneKey, limit, unreadable) =>
            (await ledger.waitingJobs(laneKey, limit, 'reject')).filter(({ key }) => {
              if (!isBad || key !== keyOf(1)) return true;
              const fault = 'column planned: Invalid input';
              if (unreadable === 'reject') throw new UnreadableRowError(fault);
              unreadable({ key, registration: null, fault });
              return false;
            }),
        }),
      });
      await parts.queue(BAD, 1, 2);
      await parts.queue(LANE, 3);
    });

    it('launches for the other lanes, and lets that one rest', async () => {
      await loop.run();
      expect((await runnersOf()).map(({ forJobKey }) => forJobKey)).to.deep.equal([keyOf(3)]);
      const [rest] = parts.restingLanes.of('acme');
      expect(rest).to.include({ about: 'lane bad', untilMs: nowMs() + 5 * SECOND });
      expect(rest?.failure.message).to.include(`the row of its job ${keyOf(1)} in the ledger cannot be read`);
      expect(loop.blockedBy('bad')).to.equal(rest?.failure.message);
      expect(times()).to.include(5 * SECOND);
      await loop.run();
      expect(parts.restingLanes.get('bad'), 'it is not tried before').to.include({ times: 1 });
      expect(parts.logged.filter((event) => event === 'lane-not-planned')).to.have.length(1);
    });

    it('plans that one again after its rest', async () => {
      await loop.run();
      isBad = false;
      await parts.clock.advance(5 * SECOND);
      await loop.run();
      expect(loop.launching).to.equal(3);
      expect(parts.restingLanes.of('acme')).to.deep.equal([]);
    });

    it('lets it rest for longer where its row still cannot be read', async () => {
      await loop.run();
      await parts.clock.advance(5 * SECOND);
      await loop.run();
      expect(parts.restingLanes.get('bad')).to.include({ times: 2, untilMs: nowMs() + 10 * SECOND });
      expect(loop.launching).to.equal(1);
    });

    it('forgets it once none of its jobs waits', async () => {
      await loop.run();
      await parts.ledger.settleJobs([await notOurs(1), await notOurs(2)]);
      parts.board.mark('bad');
      await parts.board.refresh(nowMs());
      await parts.clock.advance(5 * SECOND);
      await loop.run();
      expect(parts.restingLanes.of('acme')).to.deep.equal([]);
      expect(times()).to.deep.equal([]);
    });

    async function notOurs(jobId: number): Promise<JobSettlement> {
      const job = await parts.ledger.job(keyOf(jobId));
      if (job === undefined) throw new Error('the ledger does not know it');
      const admission = { registration: null, lane: null, reasonCode: null, reason: null, cure: null };
      return { key: job.key, version: job.version, admission: { ...admission, state: 'not-ours' } };
    }
  });

  it('looks again when a place is free, where all of them are taken', async () => {
    await open({ maxLaunches: 1 });
    await parts.queue(LANE, 1, 2);
    await loop.run();
    expect(loop.launching).to.equal(1);
    expect(times()).to.deep.equal([5 * SECOND]);
  });

  it('gives the place of a launch that has ended back, and has its lane planned again', async () => {
    await open({ maxLaunches: 1 });
    jit = () => Promise.reject(new GithubError('invalid', 'POST jitconfig', 'no such group'));
    await parts.queue(LANE, 1);
    await loop.run();
    await Promise.all(loop.underWay);
    const [runner] = await runnersOf();
    expect(runner?.failure?.message).to.include('no such group');
    expect(loop.launching).to.equal(0);
    expect(parts.places.free()).to.equal(1);
    expect(released).to.deep.equal([runner?.name]);
    expect(parts.changed).to.include(LANE.key);
    expect(parts.logged).to.not.include('launch-broken');
  });

  it('goes on trying the image by a runner whose container starts', async () => {
    await open({ provider: async () => honestProvider() });
    jit = async () => ({ runnerId: 1, encodedJitConfig: 'eyIuZmFrZSI6IjAifQ==' });
    await parts.queue(LANE, 1);
    await loop.run();
    await Promise.all(loop.underWay);
    expect((await runnersOf()).map(({ state }) => state)).to.deep.equal(['starting']);
    expect(released).to.deep.equal([]);
  });

  it('lets go of the image where the runner cannot even be read', async () => {
    let broken = false;
    await open({
      through: (ledger) => ({
        runner: (name) => (broken ? Promise.reject(new Error('the disk is gone')) : ledger.runner(name)),
      }),
    });
    await parts.queue(LANE, 1);
    jit = () => {
      broken = true;
      return Promise.reject(new GithubError('invalid', 'POST jitconfig', 'no such group'));
    };
    await loop.run();
    await Promise.all(loop.underWay);
    expect(released).to.deep.equal(requests.map(({ name }) => name));
  });

  describe('where a launch breaks', () => {
    it('gives its runner up, whatever it left behind, and says so', async () => {
      await open();
      jit = () => Promise.reject(new TypeError('x is not a function'));
      await parts.queue(LANE, 1);
      await loop.run();
      await Promise.all(loop.underWay);
      const [runner] = await runnersOf();
      expect(runner?.failure?.message).to.include('x is not a function');
      expect(runner?.instanceState).to.not.equal('running');
      expect(parts.logged).to.include('launch-broken').and.not.include('launch-not-recorded');
    });

    it('says also when that cannot be written down', async () => {
      await open({ through: () => ({ stepRunner: () => Promise.reject(new Error('no step')) }) });
      jit = () => Promise.reject(new TypeError('x is not a function'));
      await parts.queue(LANE, 1);
      await loop.run();
      await Promise.all(loop.underWay);
      expect(parts.logged).to.include.members(['launch-broken', 'launch-not-recorded']);
    });

    it('leaves what the ledger failed at to its deadline, without a line of its own', async () => {
      const full = new Error('the disk is full');
      await open({
        isOfLedger: (error) => error === full,
        through: () => ({ stepRunner: () => Promise.reject(full) }),
      });
      jit = () => Promise.reject(new TypeError('x is not a function'));
      await parts.queue(LANE, 1);
      await loop.run();
      await Promise.all(loop.underWay);
      expect(parts.logged).to.deep.equal(['launch-broken']);
      parts.logged.length = 0;
      parts.changed.length = 0;
      const wakes = parts.wakes();
      jit = () => Promise.reject(full);
      await parts.queue(LANE, 2);
      await loop.run();
      await Promise.all(loop.underWay);
      expect(parts.logged).to.deep.equal([]);
      expect(parts.changed).to.deep.equal([LANE.key]);
      expect(parts.wakes()).to.equal(wakes + 1);
      expect((await runnersOf()).map(({ state }) => state)).to.deep.equal(['creating', 'creating']);
    });
  });

  describe('a lane', () => {
    it('waits for a second while its oldest job is read, which is asked for once', async () => {
      await open(waitingFor({ launches: 1 }));
      await parts.queue(LANE, 1, 2);
      await loop.run();
      expect(parts.asked).to.deep.equal([`${keyOf(1)} of acme for launch`]);
      expect(loop.blockedBy(LANE.key)).to.equal('GitHub is asked whether its oldest job still waits');
      expect(times()).to.deep.equal([SECOND]);
      await parts.clock.advance(SECOND - 1);
      await loop.run();
      expect(parts.asked).to.have.length(1);
      await parts.clock.advance(1);
      await loop.run();
      expect(parts.asked).to.have.length(2);
      expect(await runnersOf()).to.deep.equal([]);
    });

    /** The turn of each job by its id; those without one have had no runner yet. */
    const turns = (some: Readonly<Record<number, Partial<Waiting>>>): PartsOptions => ({
      through: (ledger) => ({
        waitingJobs: async (laneKey, limit) =>
          (await ledger.waitingJobs(laneKey, limit, 'reject')).map((job) => ({ ...job, ...some[job.jobId] })),
      }),
    });

    it('launches for the jobs behind one that is read', async () => {
      await open(turns({ 1: { disputed: true } }));
      await parts.queue(LANE, 1, 2, 3);
      await loop.run();
      const served = (await runnersOf()).map(({ forJobKey }) => forJobKey);
      expect(served).to.have.members([keyOf(2), keyOf(3)]);
      expect(new Set(parts.asked)).to.deep.equal(new Set([`${keyOf(1)} of acme for launch`]));
      expect(loop.blockedBy(LANE.key)).to.equal('GitHub is asked whether its oldest job still waits');
    });

    it('launches for the jobs behind one that has had its launches for now, and says what that one waits for', async () => {
      await open();
      const lastLaunchAtMs = nowMs();
      await parts.close();
      await open(turns({ 1: { launches: 3, lastLaunchAtMs } }));
      await parts.queue(LANE, 1, 2);
      await loop.run();
      expect((await runnersOf()).map(({ forJobKey }) => forJobKey)).to.deep.equal([keyOf(2)]);
      expect(loop.blockedBy(LANE.key)).to.include('3 runners were launched for its oldest job');
    });

    it('asks for the next one where the first cannot be read', async () => {
      await open(waitingFor({ launches: 1 }));
      parts.verifier.isResting = (jobKey) => jobKey === keyOf(1);
      await parts.queue(LANE, 1, 2);
      await loop.run();
      expect(parts.asked).to.deep.equal([`${keyOf(2)} of acme for launch`]);
    });

    it('is looked at again at once when something of it has changed', async () => {
      await open(waitingFor({ launches: 1 }));
      await parts.queue(LANE, 1);
      await loop.run();
      loop.unblock(LANE.key);
      expect(loop.blockedBy(LANE.key)).to.equal(undefined);
      await loop.run();
      expect(parts.asked).to.have.length(2);
    });

    it('pauses after many launches for its job, and says why', async () => {
      await open();
      const lastLaunchAtMs = nowMs();
      await parts.close();
      await open(waitingFor({ launches: 3, lastLaunchAtMs }));
      await parts.queue(LANE, 1);
      await loop.run();
      expect(loop.blockedBy(LANE.key)).to.include('3 runners were launched for its oldest job');
      expect(times()).to.deep.equal([30 * SECOND]);
      expect(parts.asked).to.deep.equal([]);
    });

    it('is counted again where it has no job that waits', async () => {
      let counted = 0;
      await open({
        through: (ledger) => ({
          waitingJobs: async () => [],
          laneCounts: (keys) => {
            counted += keys.length;
            return ledger.laneCounts(keys, 'reject');
          },
        }),
      });
      await parts.queue(LANE, 1);
      expect(counted).to.equal(1);
      await loop.run();
      expect(loop.blockedBy(LANE.key)).to.equal('its jobs are being counted again');
      expect(times()).to.deep.equal([SECOND]);
      expect(counted).to.equal(2);
    });

    it('waits for a second where none of its backends has a place, and keeps none', async () => {
      await open();
      parts.permits.withPlace = async () => [];
      await parts.queue(LANE, 1);
      await loop.run();
      expect(loop.blockedBy(LANE.key)).to.equal(
        'another launch tries its backends again, and the others have no place',
      );
      expect(times()).to.deep.equal([SECOND]);
      expect(released).to.have.length(1);
      expect(await runnersOf()).to.deep.equal([]);
    });
  });

  it('counts the places that its own pass has taken, those of each registration apart', async () => {
    await open({ registrations: [registration(), registration({ name: 'emca' })] });
    const taken: Readonly<Record<string, unknown>>[] = [];
    parts.permits.withPlace = async (name, backends, reserved, places) => {
      expect(reserved).to.equal('main');
      taken.push({ name, ...Object.fromEntries(places) });
      return backends;
    };
    await parts.queue(LANE, 1, 2, 3);
    await parts.queue(laneOf({ key: 'other', registration: 'emca', labels: ['emca-runner'] }), 4, 5);
    await loop.run();
    expect(taken.filter(({ name }) => name === 'acme')).to.deep.equal([
      { name: 'acme' },
      { name: 'acme', main: 1 },
      { name: 'acme', main: 2 },
    ]);
    expect(taken.filter(({ name }) => name === 'emca')).to.deep.equal([{ name: 'emca' }, { name: 'emca', main: 1 }]);
  });

  it('begins the launches whose rows were written although another row could not be, and logs that', async () => {
    let refuse = true;
    await open({
      through: (ledger) => ({
        createRunner: (row, reason) => {
          const refused = refuse;
          refuse = false;
          return refused ? Promise.reject(new Error('no room for the row')) : ledger.createRunner(row, reason);
        },
      }),
    });
    await parts.queue(LANE, 1, 2);
    const error = await loop.run().catch((reason: unknown) => reason);
    expect(error).to.be.an('error').with.property('message', 'no room for the row');
    expect(loop.launching).to.equal(1);
    expect(released).to.have.length(1);
    expect((await runnersOf()).map(({ name }) => name)).to.not.include(released[0]);
  });

  it('begins no launch whose row was written while the engine was told to stop', async () => {
    await open({
      through: (ledger) => ({
        createRunner: async (row, reason) => {
          await ledger.createRunner(row, reason);
          parts.stop();
        },
      }),
    });
    await parts.queue(LANE, 1);
    await loop.run();
    await settled();
    expect(requests).to.deep.equal([]);
    expect(released).to.deep.equal((await runnersOf()).map(({ name }) => name));
    expect((await runnersOf()).map(({ state }) => state)).to.deep.equal(['creating']);
  });

  it('starts nothing once the engine stops, and lets go of what it had planned', async () => {
    await open({
      through: (ledger) => ({
        waitingJobs: (laneKey, limit) => {
          parts.stop();
          return ledger.waitingJobs(laneKey, limit, 'reject');
        },
      }),
    });
    await parts.queue(LANE, 1, 2);
    await loop.run();
    await loop.run();
    await settled();
    expect(requests).to.deep.equal([]);
    expect(released).to.have.length(1);
    expect(await runnersOf()).to.deep.equal([]);
  });
});
