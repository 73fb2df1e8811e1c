/** Runners that are registered ahead of their jobs: the real engine on the real ledger, under a virtual clock. */
import { expect } from 'chai';
import { GithubError, type JitRequest } from '../../dispatcher/github/github.ts';
import type { RunnerRow } from '../../dispatcher/ledger/ledger.ts';
import type { Registration, StandbyPool } from '../../dispatcher/model/registration.ts';
import { type LaunchRequest, ProviderError } from '../../providers/provider.ts';
import { grantOf } from '../registration-fixture.ts';
import {
  type EngineFixture,
  type FixtureOptions,
  MINUTE,
  openEngineFixture,
  registration,
  told,
} from './engine-fixture.ts';

const HOUR = 60 * MINUTE;

describe('standby of registered runners', () => {
  let fixture: EngineFixture;
  let launched: LaunchRequest[];
  let registered: JitRequest[];
  let refuse: GithubError | undefined;

  const pool = (some: Partial<StandbyPool> = {}): StandbyPool => ({
    mode: 'registered',
    labels: ['acme-runner'],
    size: 1,
    maxAgeMs: 6 * HOUR,
    ...some,
  });
  const acme = (some: Partial<Registration> = {}): Registration => registration('acme', { standby: [pool()], ...some });

  async function open(options: Partial<FixtureOptions> = {}): Promise<void> {
    launched = [];
    registered = [];
    refuse = undefined;
    fixture = await openEngineFixture({
      // No call-backs: the point of it.
      registrations: [acme()],
      provider: (_backend, honest) => ({
        launch: (request) => {
          launched.push(request);
          return honest.launch(request);
        },
      }),
      github: (honest) => ({
        ...honest,
        createJitRunner: async (request) => {
          registered.push(request);
          if (refuse !== undefined) throw refuse;
          return await honest.createJitRunner(request);
        },
        // The listener of a runner that is deleted ends.
        deleteRunner: async (scope, runnerId) => {
          const [name] = [...fixture.runners.values()].filter(({ id }) => id === runnerId).map((one) => one.name);
          const answer = await honest.deleteRunner(scope, runnerId);
          const instance = fixture.instances.get(name ?? '');
          if (answer === 'deleted' && instance !== undefined)
            fixture.instances.set(instance.ref.name, { ...instance, state: 'succeeded' });
          return answer;
        },
      }),
      ...options,
    });
    await fixture.engine.start();
    await fixture.advance(2_000);
  }
  afterEach(async () => await fixture.close());

  const live = async (): Promise<readonly RunnerRow[]> =>
    (await fixture.ledger.runners({ limit: 100 }, 'reject')).filter(({ state }) => state !== 'gone');
  const states = async () => (await live()).map(({ state }) => state).sort();
  const reasons = async (name: string) => (await fixture.ledger.timeline(name)).map(({ reason }) => reason);

  function nameOf(index: number): string {
    const request = launched[index];
    if (request === undefined) throw new Error(`nothing was launched as number ${index}`);
    return request.name;
  }
  async function comeOnline(...names: readonly string[]): Promise<void> {
    for (const name of names) {
      const runner = fixture.runners.get(name);
      if (runner !== undefined) runner.online = true;
    }
    await fixture.advance(10_000);
  }
  /** GitHub gives it the job. */
  async function take(name: string, jobId: number, labels: readonly string[] = ['acme-runner']): Promise<void> {
    const runner = fixture.runners.get(name);
    if (runner !== undefined) runner.busy = true;
    const fact = told(fixture, { jobId, labels, status: 'in_progress', runnerName: name });
    fixture.jobs.set(`github.com/acme/web/${jobId}`, fact);
    await fixture.tell(fact);
    await fixture.advance(3_000);
  }

  it('starts runners with exactly the labels, in the lane of the jobs that they are for', async () => {
    await open();
    expect(registered.map(({ labels }) => labels)).to.deep.equal([['acme-runner']]);
    expect(launched[0]?.environment['SHR_IDLE_SECONDS'], 'its own watchdog waits as long').to.equal(
      String((6 * HOUR + 10 * MINUTE) / 1000),
    );
    await comeOnline(nameOf(0));
    expect((await live())[0]).to.include({ state: 'online', standby: null, forJobKey: null });
    await fixture.tell(told(fixture, { jobId: 1 }));
    await fixture.advance(1_000);
    const [job] = await fixture.ledger.jobs({ limit: 1 }, 'reject');
    expect((await live()).map(({ laneKey }) => laneKey)).to.deep.equal([job?.laneKey, job?.laneKey]);
    expect(job, 'it has its runner: what was launched takes that one’s place').to.include({ planned: 0, launches: 0 });
  });

  it('counts those that start and those that wait, and replaces one that got a job', async () => {
    await open({ registrations: [acme({ standby: [pool({ size: 2 })] })] });
    await fixture.advance(5 * MINUTE);
    expect(launched).to.have.length(2);
    await comeOnline(nameOf(0), nameOf(1));
    await fixture.advance(HOUR);
    expect(launched, 'they wait longer than `timeouts.idle`').to.have.length(2);
    await fixture.tell(told(fixture, { jobId: 1 }));
    await take(nameOf(0), 1);
    expect(launched).to.have.length(3);
    expect(await states()).to.deep.equal(['busy', 'online', 'starting']);
    expect(await fixture.ledger.job('github.com/acme/web/1')).to.include({ launches: 0, stolen: 0 });
  });

  it('launches for more jobs than wait, at once and for the jobs', async () => {
    await open();
    await comeOnline(nameOf(0));
    await fixture.tell(...[1, 2, 3].map((jobId) => told(fixture, { jobId })));
    await fixture.advance(2_000);
    expect(launched, 'two for the jobs, one to wait').to.have.length(4);
    expect((await live()).filter(({ forJobKey }) => forJobKey !== null)).to.have.length(2);
  });

  it('serves a job with fewer labels, as GitHub does, and starts no runner beside it', async () => {
    await open({ registrations: [acme({ standby: [pool({ labels: ['acme-runner', 'cpu-4'] })] })] });
    await comeOnline(nameOf(0));
    await fixture.tell(told(fixture, { jobId: 1 }));
    await fixture.advance(2_000);
    expect(
      registered.map(({ labels }) => labels.length),
      'both wait: one has the job',
    ).to.deep.equal([2, 2]);
    await take(nameOf(0), 1);
    expect(registered).to.have.length(2);
  });

  it('lets a runner wait up to its age, and then another takes its place', async () => {
    await open({ registrations: [acme({ standby: [pool({ maxAgeMs: HOUR })] })] });
    await comeOnline(nameOf(0));
    await fixture.advance(59 * MINUTE);
    expect(launched).to.have.length(1);
    await fixture.advance(3 * MINUTE);
    expect(await reasons(nameOf(0))).to.include('no job came in time');
    expect(launched).to.have.length(2);
    expect(fixture.calls).to.include(`delete ${nameOf(0)}`);
  });

  it('takes down what is above its size, and no more than that', async () => {
    await open({ registrations: [acme({ standby: [pool({ size: 3 })] })] });
    await comeOnline(nameOf(0), nameOf(1), nameOf(2));
    fixture.reconfigure({ registrations: [acme()], changed: ['acme'] });
    await fixture.advance(4 * MINUTE);
    expect(await states()).to.deep.equal(['online']);
    fixture.reconfigure({ registrations: [acme({ standby: [] })], changed: ['acme'] });
    await fixture.advance(4 * MINUTE);
    expect(await states()).to.deep.equal([]);
    expect(launched).to.have.length(3);
  });

  for (const why of ['observe', 'removed'] as const) {
    it(`drain at once when its registration is no longer to run any: ${why}`, async () => {
      await open({ registrations: [acme({ standby: [pool({ size: 2 })] })] });
      await comeOnline(nameOf(0));
      fixture.reconfigure(
        why === 'observe'
          ? { registrations: [acme({ standby: [pool({ size: 2 })], observe: true })], changed: ['acme'] }
          : { registrations: [], leaving: { acme: 'removed' }, readmit: 'all' },
      );
      await fixture.advance(2_000);
      expect((await live()).every(({ state }) => state === 'draining')).to.equal(true);
      await fixture.advance(3 * MINUTE);
      expect(fixture.calls).to.include.members([`delete ${nameOf(0)}`, `delete ${nameOf(1)}`]);
      expect(await reasons(nameOf(0))).to.include(
        why === 'observe'
          ? 'its registration only observes (`observe: true`)'
          : 'its registration is no longer in the configuration',
      );
      expect(launched).to.have.length(2);
    });
  }

  it('replaces those of another image', async () => {
    await open();
    await comeOnline(nameOf(0));
    fixture.reconfigure({
      registrations: [acme({ defaults: { image: 'registry.example/runner:2' } })],
      changed: ['acme'],
    });
    await fixture.advance(2 * MINUTE);
    expect(launched.map(({ shape }) => shape.image)).to.deep.equal([
      'registry.example/runner:1',
      'registry.example/runner:2',
    ]);
    expect(await reasons(nameOf(0))).to.include('the image, shape or backends of its lane changed');
  });

  it('says what keeps it from its size: a pause, its cap, its launches a minute', async () => {
    const notFilled = async () => (await fixture.engine.standby()).map(({ notFilled: words }) => words);
    await open({ registrations: [acme({ standby: [pool({ size: 3 })], maxLaunchesPerMinute: 1 })] });
    expect((await notFilled())[0]).to.match(
      /^the registration launches at most 1 runner a minute: the next follows at /,
    );
    await fixture.engine.pause({ registration: 'acme', reason: 'a move', by: 'ops', byPlatform: false });
    expect((await notFilled())[0]).to.match(
      /^its registration is paused since .* by ops \(a move\): no runner is launched$/,
    );
    await fixture.engine.resume('acme');
    await fixture.advance(3 * MINUTE);
    expect(await notFilled(), 'it is').to.deep.equal([null]);
    await fixture.close();

    await open({ registrations: [acme({ standby: [pool({ size: 3 })], maxRunners: 2 })] });
    expect(await notFilled()).to.deep.equal(['the registration is at its cap of 2 runners']);
  });

  it('follows the demand of the last hours, and says so', async () => {
    const demand = { max: 4, withinMs: 10 * MINUTE, overMs: 2 * HOUR };
    await open({ registrations: [acme({ standby: [pool({ size: 0, demand })] })] });
    expect(launched).to.deep.equal([]);
    for (const jobId of [1, 2, 3]) {
      await fixture.tell(told(fixture, { jobId }));
      await fixture.advance(1_000);
      await take(nameOf(jobId - 1), jobId);
    }
    await fixture.advance(6 * MINUTE);
    expect(launched, 'three started within ten minutes').to.have.length(6);
    expect(await fixture.engine.standby()).to.deep.include({
      ...{ registration: 'acme', mode: 'registered', labels: ['acme-runner'], lane: (await live())[0]?.laneKey },
      ...{ size: 3, waiting: 3, why: 'at most 3 jobs started within 10m in the last 2h' },
      notFilled: null,
    });
    await comeOnline(nameOf(3), nameOf(4), nameOf(5));
    await fixture.advance(2 * HOUR + 15 * MINUTE);
    expect((await states()).filter((state) => state !== 'busy')).to.deep.equal([]);
  });

  it('follows a schedule, in its time zone', async () => {
    const schedule = [{ cron: '0 10 * * *', durationMs: HOUR, timeZone: 'Europe/Berlin', size: 2 }];
    await open({
      registrations: [acme({ standby: [pool({ size: 0, schedule })] })],
      startMs: Date.UTC(2026, 10, 2, 8, 57),
    });
    // The module that reads it is loaded outside the virtual time.
    await new Promise((resolve) => setTimeout(resolve, 200));
    expect(launched).to.deep.equal([]);
    await fixture.advance(5 * MINUTE);
    await comeOnline(nameOf(0), nameOf(1));
    expect(await states()).to.deep.equal(['online', 'online']);
    await fixture.advance(HOUR + 3 * MINUTE);
    expect(await states()).to.deep.equal([]);
  });

  it('keeps within caps, and gives its place to a job that it cannot serve', async () => {
    await open({ registrations: [acme({ maxRunners: 2, standby: [pool({ size: 2 })] })] });
    await comeOnline(nameOf(0), nameOf(1));
    await fixture.tell(told(fixture, { jobId: 1, labels: ['acme-runner', 'cpu-4'] }));
    await fixture.advance(2 * MINUTE);
    const drained = await Promise.all([0, 1].map(async (index) => (await reasons(nameOf(index))).join()));
    expect(drained.filter((one) => one.includes('a waiting job needs its place'))).to.have.length(1);
    expect(registered.map(({ labels }) => labels.at(-1))).to.deep.equal(['acme-runner', 'acme-runner', 'cpu-4']);
  });

  it('gives a workflow run no more runners than its limit by way of the pool', async () => {
    await open({ registrations: [acme({ maxRunnersPerRun: 2, standby: [pool({ size: 1 })] })] });
    await comeOnline(nameOf(0));
    await fixture.tell(...[1, 2, 3, 4, 5, 6].map((jobId) => told(fixture, { jobId, runId: 7 })));
    await take(nameOf(0), 1);
    for (let index = 1; index < 10; index += 1) {
      await fixture.advance(5_000);
      const name = launched[index]?.name;
      if (name !== undefined && fixture.runners.get(name)?.busy === false) {
        await comeOnline(name);
        await take(name, index + 1);
      }
    }
    expect(launched.length).to.be.at.most(3);
  });

  it('makes no room for jobs that the limit of their workflow run keeps waiting', async () => {
    await open({
      registrations: [acme({ maxRunners: 2, maxRunnersPerRun: 1, standby: [pool({ size: 1 })] })],
    });
    await comeOnline(nameOf(0));
    await fixture.tell(
      ...[1, 2, 3].map((jobId) => told(fixture, { jobId, runId: 7, labels: ['acme-runner', 'cpu-4'] })),
    );
    await fixture.advance(2_000);
    await comeOnline(nameOf(1));
    await take(nameOf(1), 1, ['acme-runner', 'cpu-4']);
    await fixture.advance(10 * MINUTE);
    expect(await reasons(nameOf(0))).not.to.include('a waiting job needs its place');
    expect(launched, 'one to wait, one for the run').to.have.length(2);
    await fixture.tell(told(fixture, { jobId: 4, runId: 8, labels: ['acme-runner', 'cpu-4'] }));
    await fixture.advance(2 * MINUTE);
    expect(await reasons(nameOf(0)), 'another run may have one').to.include('a waiting job needs its place');
  });

  it('makes room for a job of a workflow run of which another lane may not launch now', async () => {
    const [backend] = acme().backends;
    if (backend === undefined) throw new Error('no backend');
    const backends = [backend, { ...backend, name: 'other' }];
    const policy = { ...acme().policy, backends: ['*'] };
    const standby = [pool({ size: 2, labels: ['acme-runner', 'backend-main'] })];
    await open({
      registrations: [acme({ backends, policy, maxRunners: 2, maxRunnersPerRun: 1, standby })],
      provider: (name, honest) => ({
        launch: async (request) => {
          if (name === 'other') throw new ProviderError('unauthorized', 'launch', 'the key is not valid');
          launched.push(request);
          return await honest.launch(request);
        },
      }),
    });
    await comeOnline(nameOf(0), nameOf(1));
    await fixture.tell(told(fixture, { jobId: 1, runId: 7, labels: ['acme-runner', 'cpu-4', 'backend-other'] }));
    await fixture.advance(2 * MINUTE);
    expect(await fixture.ledger.breakers()).to.have.length(1);
    await fixture.advance(10_000);
    await comeOnline(...launched.map(({ name }) => name));
    expect(await states(), 'the pool has its place back').to.deep.equal(['online', 'online']);
    const before = launched.length;
    await fixture.tell(told(fixture, { jobId: 2, runId: 7, labels: ['acme-runner', 'cpu-8', 'backend-main'] }));
    await fixture.advance(2 * MINUTE);
    expect(registered.at(-1)?.labels).to.include('cpu-8');
    expect(launched).to.have.length(before + 1);
  });

  it('launches within the rate, and nothing in a pause', async () => {
    await open({ registrations: [acme({ maxLaunchesPerMinute: 2, standby: [pool({ size: 5 })] })] });
    await fixture.advance(20_000);
    expect(launched).to.have.length(2);
    await fixture.engine.pause({ registration: 'acme', reason: null, by: 'ops', byPlatform: true });
    await comeOnline(nameOf(0), nameOf(1));
    await fixture.advance(10 * MINUTE);
    expect(await states(), 'and those that wait go on').to.deep.equal(['online', 'online']);
    await fixture.engine.resume('acme');
    await fixture.advance(3 * MINUTE);
    expect(launched).to.have.length(5);
  });

  it('asks GitHub no more often than for a job while it refuses', async () => {
    await open({ registrations: [acme({ standby: [pool({ size: 5 })] })] });
    await fixture.close();
    await open({ registrations: [acme({ standby: [pool({ size: 0 })] })] });
    refuse = new GithubError('forbidden', 'POST generate-jitconfig', 'no', { status: 403 });
    fixture.reconfigure({ registrations: [acme({ standby: [pool({ size: 5 })] })], changed: ['acme'] });
    await fixture.advance(10 * MINUTE);
    expect(registered.length).to.be.within(2, 12);
    expect(launched).to.deep.equal([]);
  });

  it('launches no image again and again that never comes online', async () => {
    await open();
    await fixture.advance(3 * HOUR);
    expect(launched.length).to.be.within(2, 20);
  });

  /** Each one that came online ends. */
  async function endAll(exitCode: number, isRemoved: boolean, except?: string): Promise<void> {
    for (const { name } of (await live()).filter((one) => one.state === 'online' && one.name !== except)) {
      const instance = fixture.instances.get(name);
      if (instance === undefined || instance.state !== 'running') continue;
      const reason = { kind: 'exited', message: 'it ended', exitCode } as const;
      fixture.instances.set(name, { ...instance, state: exitCode === 0 ? 'succeeded' : 'failed', reason });
      if (isRemoved) fixture.runners.delete(name);
    }
  }

  for (const exitCode of [0, 1])
    it(`does not launch runners again and again that come online and end with exit code ${exitCode}`, async () => {
      await open();
      for (let at = 0; at < 180; at += 1) {
        await comeOnline(...fixture.runners.keys());
        await endAll(exitCode, false);
        await fixture.advance(20_000);
      }
      expect(launched.length, 'in an hour and a half').to.be.within(4, 16);
      const reason = 'its container ended soon after it came online, without a job';
      expect(await reasons(nameOf(0))).to.include(reason);
    });

  it('replaces at once one that GitHub removed as it does after a job, whether or not the job was reported', async () => {
    await open();
    for (let at = 0; at < 30; at += 1) {
      await comeOnline(...fixture.runners.keys());
      await endAll(0, true);
      await fixture.advance(50_000);
    }
    expect(launched.length, 'in half an hour').to.be.greaterThan(14);
  });

  it('holds no end against its image when it has waited for as long as a start may take', async () => {
    await open();
    for (let at = 0; at < 6; at += 1) {
      await comeOnline(...fixture.runners.keys());
      await fixture.advance(12 * MINUTE);
      await endAll(1, false);
      await fixture.advance(2 * MINUTE);
    }
    expect(launched).to.have.length(7);
    expect(await fixture.ledger.breakers()).to.deep.equal([]);
  });

  it('holds no late end against its image, whatever the service had remarked on it', async () => {
    await open();
    for (let at = 0; at < 4; at += 1) {
      await comeOnline(...fixture.runners.keys());
      for (const { name } of await live()) {
        const instance = fixture.instances.get(name);
        const reason = { kind: 'spot-reclaimed', message: 'it will be taken back' } as const;
        if (instance?.state === 'running') fixture.instances.set(name, { ...instance, reason });
      }
      await fixture.advance(HOUR);
      expect((await live()).map(({ failure }) => failure?.kind)).to.deep.equal(['spot-reclaimed']);
      await endAll(1, false);
      await fixture.advance(2 * MINUTE);
    }
    expect(await fixture.ledger.breakers()).to.deep.equal([]);
    expect(launched).to.have.length(5);
  });

  /** What is closed for its image and shape. */
  async function closeByFailures(except?: string): Promise<void> {
    for (let at = 0; at < 3; at += 1) {
      await comeOnline(...fixture.runners.keys());
      await endAll(1, false, except);
      await fixture.advance(40_000);
    }
    const [breaker] = await fixture.ledger.breakers();
    expect(breaker).to.include({ rule: 'start', failures: 3 });
  }

  it('keeps no job waiting for as long as a start may take that tests a closed backend and is online', async () => {
    await open();
    await closeByFailures();
    await fixture.advance(MINUTE);
    const before = launched.length;
    await comeOnline(...fixture.runners.keys());
    await fixture.tell(...[1, 2].map((jobId) => told(fixture, { jobId })));
    await fixture.advance(20_000);
    expect(launched.length).to.be.greaterThan(before);
  });

  it('opens a backend that it tests, though it lives for less than a start may take', async () => {
    await open({ registrations: [acme({ standby: [pool({ maxAgeMs: 5 * MINUTE })] })] });
    await closeByFailures();
    await fixture.advance(MINUTE);
    await comeOnline(...fixture.runners.keys());
    await fixture.advance(6 * MINUTE);
    expect(await fixture.ledger.breakers()).to.deep.equal([]);
  });

  it('opens nothing for having lasted a second time, after GitHub called it offline', async () => {
    await open({ registrations: [acme({ standby: [pool({ size: 2 })] })] });
    const first = nameOf(0);
    await comeOnline(first, nameOf(1));
    await fixture.advance(12 * MINUTE);
    await endAll(1, false, first);
    await fixture.advance(2 * MINUTE);
    await closeByFailures(first);
    const listed = fixture.runners.get(first);
    if (listed === undefined) throw new Error('it is not listed');
    listed.online = false;
    await fixture.advance(3 * MINUTE);
    expect((await fixture.ledger.runner(first))?.lastIdleAtMs).to.equal(null);
    listed.online = true;
    await fixture.advance(3 * MINUTE);
    expect((await fixture.ledger.runner(first))?.lastIdleAtMs).not.to.equal(null);
    expect(await fixture.ledger.breakers()).to.have.length(1);
  });

  it('opens a backend that it tests as soon as it gets a job', async () => {
    await open();
    await closeByFailures();
    await fixture.advance(MINUTE);
    const name = launched.at(-1)?.name ?? '';
    await comeOnline(name);
    await fixture.tell(told(fixture, { jobId: 1 }));
    await take(name, 1);
    expect((await fixture.ledger.runner(name))?.state).to.equal('busy');
    expect(await fixture.ledger.breakers()).to.deep.equal([]);
  });

  it('launches no image again and again whose containers vanish, however short a start may take', async () => {
    await open({ registrations: [acme({ timeouts: { launchMs: 2 * MINUTE, idleMs: 5 * MINUTE } })] });
    for (let at = 0; at < 60; at += 1) {
      await comeOnline(...fixture.runners.keys());
      for (const { name } of (await live()).filter(({ state }) => state === 'online')) fixture.instances.delete(name);
      await fixture.advance(50_000);
    }
    const [breaker] = await fixture.ledger.breakers();
    expect(breaker).to.include({ rule: 'start' });
    expect(launched.length, 'in an hour').to.be.within(4, 10);
  });

  it('holds the demand for the hook', async () => {
    const grant = grantOf('acme', { labels: ['*'], requireHook: { labels: true, images: [] } });
    await open({
      registrations: [acme({ grant: { ...grant, runnerGroups: ['Default'] } })],
      provider: (_backend, honest) => ({
        launch: (request) => {
          launched.push(request);
          return honest.launch(request);
        },
        imageLabels: async () => ({ kind: 'read', labels: {} }),
      }),
    });
    await fixture.advance(5 * MINUTE);
    expect(launched).to.deep.equal([]);
  });

  it('gives a job its own time limit, however long its runner has waited', async () => {
    const limit = 30 * MINUTE;
    await open({ registrations: [acme({ defaults: { image: 'registry.example/runner:1', timeLimitMs: limit } })] });
    expect(launched[0]?.shape.timeLimitMs).to.equal(6 * HOUR + limit);
    await comeOnline(nameOf(0));
    await fixture.advance(HOUR);
    await fixture.tell(told(fixture, { jobId: 1 }));
    await take(nameOf(0), 1);
    const [busy] = (await live()).filter(({ state }) => state === 'busy');
    expect(busy?.deadlineAtMs).to.be.closeTo(fixture.clock.now() + limit, 10_000);
  });

  it('learns of a job that GitHub gives out to no runner, and keeps its size', async () => {
    await open();
    await comeOnline(nameOf(0));
    const ghost = told(fixture, { jobId: 1 });
    fixture.jobs.set('github.com/acme/web/1', ghost);
    await fixture.tell(ghost);
    for (let minute = 0; minute < 40; minute += 1) {
      await comeOnline(...fixture.runners.keys());
      await fixture.advance(50_000);
    }
    expect((await fixture.ledger.job('github.com/acme/web/1'))?.hold).to.equal('unserved');
    expect(launched.length).to.be.within(3, 8);
    await fixture.advance(10 * MINUTE);
    await comeOnline(...fixture.runners.keys());
    await fixture.advance(2 * MINUTE);
    expect(await states()).to.deep.equal(['online']);
  });

  it('waits with as many as there is room for', async () => {
    await open({ registrations: [acme({ standby: [pool({ size: 2 })] })], maxRunners: 1 });
    await comeOnline(nameOf(0));
    await fixture.advance(10 * MINUTE);
    expect(await states()).to.deep.equal(['online']);
    expect(launched).to.have.length(1);
  });
});
