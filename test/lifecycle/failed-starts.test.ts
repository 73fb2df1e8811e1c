import { expect } from 'chai';
import { type Github, GithubError } from '../../dispatcher/github/github.ts';
import { runnerView } from '../../dispatcher/http/admin-views.ts';
import type { Instance, InstanceReason, Provider } from '../../providers/provider.ts';
import { ulid } from '../../time/clock.ts';
import {
  DISPATCHER,
  type EngineFixture,
  type FixtureOptions,
  MINUTE,
  openEngineFixture,
  registration,
  told,
} from './engine-fixture.ts';

const SECOND = 1000;
const WELL: InstanceReason = { kind: 'exited', message: 'exited with 0', exitCode: 0 };

describe('whether a start failed', () => {
  let fixture: EngineFixture;
  afterEach(() => fixture.close());

  async function open(options: Partial<FixtureOptions> = {}): Promise<void> {
    fixture = await openEngineFixture({ registrations: [registration('acme')], ...options });
    await fixture.engine.start();
    await fixture.advance(SECOND);
  }

  const keyOf = (jobId: number) => `github.com/acme/web/${jobId}`;

  /** The name of the runner that the job got. */
  async function queue(jobId: number): Promise<string> {
    const before = new Set(fixture.instances.keys());
    const job = told(fixture, { jobId, labels: ['acme-runner', `sid-${jobId}`] });
    fixture.jobs.set(keyOf(jobId), job);
    await fixture.tell(job);
    await fixture.advance(SECOND);
    const name = [...fixture.instances.keys()].find((one) => !before.has(one));
    if (name === undefined) throw new Error(`no runner for job ${jobId}`);
    return name;
  }

  function end(name: string, reason: InstanceReason = WELL): void {
    const instance = fixture.instances.get(name);
    if (instance === undefined) throw new Error(`no container ${name}`);
    fixture.instances.set(name, { ...instance, state: reason.exitCode === 0 ? 'succeeded' : 'failed', reason });
  }

  /** The job ran in it to its end, of which no webhook tells. */
  function runUnseen(name: string, jobId: number): void {
    const job = fixture.jobs.get(keyOf(jobId));
    if (job === undefined) throw new Error(`no job ${jobId}`);
    const { id } = fixture.runners.get(name) ?? { id: 0 };
    fixture.jobs.set(keyOf(jobId), {
      ...job,
      status: 'completed',
      conclusion: 'success',
      runnerName: name,
      runnerId: id,
    });
    fixture.runners.delete(name);
    end(name);
  }

  const launches = () => fixture.calls.filter((call) => call.startsWith('launch ')).length;
  const failedStarts = () => fixture.logged.filter((line) => line.startsWith('warn start-failed '));

  async function expectNoFailedStart(): Promise<void> {
    expect(failedStarts()).to.deep.equal([]);
    expect(await fixture.ledger.breakers()).to.deep.equal([]);
  }

  it('is not said of containers that ran their jobs between two looks', async () => {
    await open();
    const names = [1, 2, 3, 4].map(() => '');
    for (const index of names.keys()) names[index] = await queue(index + 1);
    for (const [index, name] of names.entries()) runUnseen(name, index + 1);
    await fixture.advance(MINUTE);
    for (const [index, name] of names.entries()) {
      expect(await fixture.ledger.runner(name)).to.include({ state: 'gone', failure: null, jobKey: keyOf(index + 1) });
      expect((await fixture.ledger.job(keyOf(index + 1)))?.status).to.equal('completed');
    }
    await expectNoFailedStart();
    expect(launches(), 'no second runner').to.equal(4);
    expect(fixture.calls.filter((call) => call.startsWith('delete '))).to.deep.equal([]);
  });

  it('is not shown while GitHub is asked, and is as soon as that is known', async () => {
    await open();
    const name = await queue(1);
    end(name);
    await fixture.advance(8 * SECOND);
    const shown = async () => {
      const row = await fixture.ledger.runner(name);
      if (row === undefined) throw new Error(`no runner ${name}`);
      return runnerView(row, undefined);
    };
    expect(await shown()).to.include({ state: 'starting', instanceState: 'ended', failure: null });
    await fixture.advance(15 * SECOND);
    expect(await shown()).to.have.nested.property('failure.message', 'exited with 0');
  });

  it('is not said where a job ran that is not known: GitHub has removed the registration', async () => {
    await open();
    const name = await queue(1);
    // The job of another repository, which our credentials cannot see.
    fixture.runners.delete(name);
    end(name);
    await fixture.advance(MINUTE);
    expect(await fixture.ledger.runner(name)).to.include({ state: 'gone', failure: null });
    await expectNoFailedStart();
  });

  it('counts the failures before it no longer where a job ran unseen', async () => {
    await open();
    for (const jobId of [1, 2]) end(await queue(jobId), { kind: 'exited', message: 'exited with 1', exitCode: 1 });
    await fixture.advance(10 * SECOND);
    const [breaker] = await fixture.ledger.breakers();
    expect(breaker).to.include({ rule: 'start' });
    for (const name of fixture.instances.keys()) fixture.runners.delete(name);
    for (const name of fixture.instances.keys()) end(name);
    await fixture.advance(10 * SECOND);
    expect(await fixture.ledger.breakers()).to.deep.equal([]);
  });

  it('is said once GitHub still shows the registration 15 s later, and never used', async () => {
    await open();
    const name = await queue(1);
    end(name);
    await fixture.advance(15 * SECOND);
    expect(await fixture.ledger.runner(name)).to.include({ state: 'starting', instanceState: 'ended' });
    const job = await fixture.ledger.job(keyOf(1));
    expect(job === undefined ? undefined : await fixture.engine.jobReason(job)).to.include(
      'asked whether it ran a job',
    );
    await expectNoFailedStart();
    expect(launches()).to.equal(1);
    await fixture.advance(8 * SECOND);
    const failed = await fixture.ledger.runner(name);
    expect(failed?.failure).to.include({ kind: 'exited', code: '0' });
    expect(failed?.drainReason).to.equal('its container ended before it came online');
    expect(failedStarts()).to.deep.equal([
      `warn start-failed registration=acme backend=main runner=${name} source=acme/main kind=exited code=0 reason=exited with 0`,
    ]);
    expect((await fixture.ledger.breakers()).map(({ rule, failures }) => [rule, failures])).to.deep.equal([
      ['start', 1],
    ]);
    expect(launches(), 'the job has another').to.equal(2);
  });

  it('of a runner that GitHub no longer accepts is said once: nothing of its image is launched for a quarter of an hour', async () => {
    await open();
    const name = await queue(1);
    end(name, { kind: 'exited', message: 'exited with 7', exitCode: 7 });
    await fixture.advance(10 * SECOND);
    expect((await fixture.ledger.runner(name))?.failure).to.include({ kind: 'runner-outdated', code: '7' });
    const job = await fixture.ledger.job(keyOf(1));
    expect(job === undefined ? undefined : await fixture.engine.jobReason(job)).to.include(
      'GitHub no longer accepts its version: build the image with a newer one',
    );
    await fixture.advance(14 * MINUTE);
    expect(launches()).to.equal(1);
    await fixture.advance(2 * MINUTE);
    expect(launches(), 'one finds out whether the image was replaced').to.equal(2);
  });

  it('is said at once of one that ended with another exit code', async () => {
    await open();
    const name = await queue(1);
    end(name, { kind: 'exited', message: 'exited with 3', exitCode: 3 });
    fixture.runners.delete(name);
    await fixture.advance(6 * SECOND);
    expect(failedStarts()).to.have.length(1);
    expect(failedStarts()[0]).to.include(`runner=${name}`).and.include('code=3');
  });

  describe('while GitHub does not answer', () => {
    let down: boolean;

    async function openBeside(provider?: (honest: Provider) => Partial<Provider>): Promise<void> {
      down = false;
      const guarded =
        <Args extends readonly unknown[], Result>(call: (...args: Args) => Promise<Result>) =>
        async (...args: Args): Promise<Result> => {
          if (down) throw new GithubError('transient', 'GET /x', 'GitHub answered 502', { status: 502 });
          return await call(...args);
        };
      await open({
        github: (honest): Github => ({
          ...honest,
          createJitRunner: guarded(honest.createJitRunner),
          deleteRunner: guarded(honest.deleteRunner),
          getRunner: guarded(honest.getRunner),
          findRunner: guarded(honest.findRunner),
          listRunners: guarded(honest.listRunners),
          readJob: guarded(honest.readJob),
        }),
        ...(provider === undefined ? {} : { provider: (_backend, honest) => provider(honest) }),
      });
    }

    it('is not known of a container that ended: it is waited for two minutes, and then not counted', async () => {
      await openBeside();
      const name = await queue(1);
      down = true;
      end(name);
      await fixture.advance(2 * MINUTE);
      expect(await fixture.ledger.runner(name)).to.include({ state: 'starting' });
      await fixture.advance(20 * SECOND);
      const given = await fixture.ledger.runner(name);
      expect(given).to.include({ state: 'draining', failure: null });
      expect(given?.drainReason).to.include('GitHub does not say whether it ran a job');
      await expectNoFailedStart();
    });

    it('is asked again as soon as it does', async () => {
      await openBeside();
      const name = await queue(1);
      down = true;
      runUnseen(name, 1);
      await fixture.advance(MINUTE);
      down = false;
      await fixture.advance(MINUTE);
      expect(await fixture.ledger.runner(name)).to.include({ state: 'gone', failure: null, jobKey: keyOf(1) });
      await expectNoFailedStart();
    });

    it('is not known of a container that was not seen online in time', async () => {
      await openBeside();
      const name = await queue(1);
      down = true;
      await fixture.advance(11 * MINUTE);
      const given = await fixture.ledger.runner(name);
      expect(given?.state).to.equal('draining');
      expect(given?.failure).to.include({ source: 'github', kind: 'transient' });
      expect(given?.failure?.message).to.include('not seen online within 600 s, and GitHub cannot be asked');
      await expectNoFailedStart();
    });
  });

  it('is told with the reason of its job until one came online, also after its backend was reset', async () => {
    await open();
    const broken = { kind: 'exited', message: 'exec /bin/sh: no such file', exitCode: 127 } as const;
    const job = told(fixture, { jobId: 1 });
    fixture.jobs.set(keyOf(1), job);
    await fixture.tell(job);
    const reason = async () => {
      const row = await fixture.ledger.job(keyOf(1));
      const words = row === undefined ? undefined : await fixture.engine.jobReason(row);
      expect(words).to.equal(await fixture.engine.laneReason(row?.laneKey ?? ''));
      return words ?? '';
    };
    const running = () => [...fixture.instances.values()].find(({ state }) => state === 'running')?.ref.name;
    const seen = new Set<string>();
    for (let at = 0; at < 120; at += 1) {
      await fixture.advance(2 * SECOND);
      const name = running();
      if (name !== undefined && at < 60) end(name, broken);
      if (at % 20 === 19) await fixture.engine.resetBackends('acme', undefined);
      const words = await reason();
      seen.add(words.replace(/^its runner .* has been starting.*?;/, 'starting;').replace(/^\d+ runners/, 'count'));
      if (launches() > 1) expect(words).to.include('no such file');
    }
    for (const kind of ['starting; ', 'count were launched', 'no backend can be tried now'])
      expect(
        [...seen].some((words) => words.startsWith(kind)),
        kind,
      ).to.equal(true);
    const runner = fixture.runners.get(running() ?? '');
    if (runner === undefined) throw new Error('none is running');
    runner.online = true;
    await fixture.advance(20 * SECOND);
    expect(await reason())
      .to.include('has been online')
      .and.not.include('no such file');
  });

  it('is not told of a container that reported a failure and was not needed any more', async () => {
    await open();
    const ids = [1, 2];
    for (const jobId of ids) {
      fixture.jobs.set(keyOf(jobId), told(fixture, { jobId }));
      await fixture.tell(told(fixture, { jobId }));
    }
    await fixture.advance(2 * SECOND);
    for (const [name, instance] of fixture.instances) {
      const reason = { kind: 'no-stock', message: 'zone full' } as const;
      fixture.instances.set(name, { ...instance, state: 'pending', reason });
    }
    await fixture.advance(10 * SECOND);
    const cancelled = told(fixture, { jobId: 2, status: 'completed', conclusion: 'cancelled' });
    fixture.jobs.set(keyOf(2), cancelled);
    await fixture.tell(cancelled);
    await fixture.advance(65 * SECOND);
    const ended = (await fixture.ledger.runners({ states: ['draining', 'gone'], limit: 10 }, 'reject')).map(
      ({ failure, onlineAtMs }) => [failure?.kind, onlineAtMs],
    );
    expect(ended, 'it keeps what it reported').to.deep.equal([['no-stock', null]]);
    const job = await fixture.ledger.job(keyOf(1));
    const words = job === undefined ? undefined : await fixture.engine.jobReason(job);
    expect(words).to.include('has been starting').and.not.include('an earlier start failed');
    await expectNoFailedStart();
  });

  describe('is not known of a container that was adopted', () => {
    async function adopt(reason: InstanceReason, registered: boolean): Promise<string> {
      fixture = await openEngineFixture({ registrations: [registration('acme')] });
      const createdAtMs = fixture.clock.now() - MINUTE;
      const name = `${DISPATCHER}-${ulid(createdAtMs, () => 0.5)}`;
      const tags = { dispatcher: DISPATCHER, registration: 'acme', lane: 'lane000000000001', scope: 'orgs/acme' };
      const instance: Instance = {
        ref: { name, id: `i-${name}` },
        state: reason.exitCode === 0 ? 'succeeded' : 'failed',
        reason,
        tags: { ...tags, runner: name, createdAtMs, deadlineAtMs: createdAtMs + 60 * MINUTE, charge: {} },
      };
      fixture.instances.set(name, instance);
      if (registered) fixture.runners.set(name, { id: 7, name, scope: 'orgs/acme', online: false, busy: false });
      await fixture.engine.start();
      await fixture.advance(MINUTE);
      return name;
    }

    for (const exitCode of [0, 1]) {
      for (const registered of [true, false]) {
        const place = registered ? 'and GitHub still lists' : 'and GitHub has removed';
        it(`when it had ended with exit code ${exitCode}, ${place}`, async () => {
          const name = await adopt({ kind: 'exited', message: `exited with ${exitCode}`, exitCode }, registered);
          expect(await fixture.ledger.runner(name)).to.include({ state: 'gone' });
          expect(fixture.instances.size, 'it is removed').to.equal(0);
          expect(fixture.runners.size, 'and so is its registration').to.equal(0);
          await expectNoFailedStart();
        });
      }
    }
  });
});
