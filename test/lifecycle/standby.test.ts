/** Containers that were started ahead of their jobs: the real engine on the real ledger, under a virtual clock. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'chai';
import { GithubError, type JitRequest } from '../../dispatcher/github/github.ts';
import type { RunnerRow } from '../../dispatcher/ledger/ledger.ts';
import type { JitAnswer } from '../../dispatcher/lifecycle/standby/hand-over.ts';
import { scheduledSize } from '../../dispatcher/lifecycle/standby/schedule.ts';
import type { Registration } from '../../dispatcher/model/registration.ts';
import type { LaunchRequest } from '../../providers/provider.ts';
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

describe('standby', () => {
  let fixture: EngineFixture;
  let launched: LaunchRequest[];
  let registered: JitRequest[];
  let refuse: GithubError | undefined;
  const folders: string[] = [];

  const acme = (some: Partial<Registration> = {}): Registration =>
    registration('acme', { standby: [{ labels: [], size: 1, maxAgeMs: 6 * HOUR }], ...some });

  async function open(options: Partial<FixtureOptions> = {}): Promise<void> {
    launched = [];
    registered = [];
    refuse = undefined;
    fixture = await openEngineFixture({
      registrations: [acme()],
      callbackUrl: 'https://shr.acme.example',
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
          return { ...(await honest.createJitRunner(request)), encodedJitConfig: `jit-of-${request.name}` };
        },
      }),
      ...options,
    });
    await fixture.engine.start();
    await fixture.advance(2_000);
  }
  afterEach(async () => {
    await fixture.close();
    for (const folder of folders.splice(0)) await rm(folder, { recursive: true });
  });

  const row = async (name: string): Promise<RunnerRow | undefined> => await fixture.ledger.runner(name);
  const states = async () => (await fixture.ledger.runners({ limit: 100 }, 'reject')).map(({ state }) => state).sort();
  const reasons = async (name: string) => (await fixture.ledger.timeline(name)).map(({ reason }) => reason);

  function nameOf(index: number): string {
    const request = launched[index];
    if (request === undefined) throw new Error(`nothing was launched as number ${index}`);
    return request.name;
  }

  /** Its container asks, and `answer` holds what it was told, once it was. */
  function asks(name: string): { answer?: JitAnswer; leave(): void } {
    const control = new AbortController();
    const asked: { answer?: JitAnswer; leave(): void } = { leave: () => control.abort() };
    void fixture.engine.jitFor(name, control.signal).then((answer) => {
      asked.answer = answer;
    });
    return asked;
  }
  async function readyOne(index = 0): Promise<{ readonly name: string; readonly asked: ReturnType<typeof asks> }> {
    const name = nameOf(index);
    const asked = asks(name);
    await fixture.advance(100);
    return { name, asked };
  }

  it('starts containers without a registration, and without a JIT configuration in them', async () => {
    await open();
    expect(registered).to.deep.equal([]);
    expect(launched).to.have.length(1);
    const [request] = launched;
    expect(Object.keys(request?.secretEnvironment ?? {})).to.deep.equal(['SHR_CALLBACK_TOKEN']);
    expect(request?.environment['SHR_CALLBACK_URL']).to.equal(`https://shr.acme.example/runners/${request?.name}`);
    expect(await row(nameOf(0))).to.include({ state: 'parked', standby: 'booting', githubRunnerId: null });
    await fixture.advance(5 * MINUTE);
    expect(launched, 'it counts while it starts').to.have.length(1);
    expect(fixture.calls.filter((call) => !call.startsWith('launch'))).to.deep.equal([]);
  });

  it('gives a job one that waits, registered with exactly the job’s labels, and starts the next', async () => {
    await open();
    const { name, asked } = await readyOne();
    expect(await row(name)).to.include({ state: 'parked', standby: 'ready' });
    await fixture.tell(told(fixture, { jobId: 1, labels: ['acme-runner', 'sid-77'] }));
    await fixture.advance(1_000);
    expect(asked.answer).to.deep.equal({ kind: 'jit', encodedJitConfig: `jit-of-${name}` });
    expect(registered.map((request) => [request.name, request.labels])).to.deep.equal([
      [name, ['acme-runner', 'sid-77']],
    ]);
    expect(await row(name)).to.include({ state: 'starting', forJobKey: 'github.com/acme/web/1' });
    const job = await fixture.ledger.job('github.com/acme/web/1');
    expect(job).to.include({ planned: 1, launches: 1 });
    await fixture.advance(2_000);
    expect(launched, 'the one that takes its place').to.have.length(2);
    expect(await states()).to.deep.equal(['parked', 'starting']);
    const runner = fixture.runners.get(name);
    if (runner !== undefined) runner.online = true;
    await fixture.advance(10_000);
    expect((await row(name))?.state).to.equal('online');
  });

  it('hands it over once: who asks again has lost it, and is taken down; the next one serves', async () => {
    await open({ registrations: [acme({ standby: [{ labels: [], size: 2, maxAgeMs: HOUR }] })] });
    const first = await readyOne(0);
    await fixture.tell(told(fixture, { jobId: 1 }));
    fixture.jobs.set('github.com/acme/web/1', told(fixture, { jobId: 1 }));
    await fixture.advance(500);
    expect(first.asked.answer?.kind).to.equal('jit');
    const second = asks(nameOf(1));
    const again = asks(first.name);
    await fixture.advance(5_000);
    expect(again.answer).to.deep.equal({ kind: 'never' });
    expect(await reasons(first.name)).to.include('its JIT configuration was lost on its way');
    expect(fixture.calls).to.include(`delete ${first.name}`);
    expect(second.answer).to.deep.equal({ kind: 'jit', encodedJitConfig: `jit-of-${nameOf(1)}` });
  });

  it('says with the reason of its job how one that was older than the job and got it has failed', async () => {
    await open();
    const { name } = await readyOne();
    await fixture.advance(30 * MINUTE);
    asks(name);
    await fixture.advance(100);
    const job = told(fixture, { jobId: 1 });
    fixture.jobs.set('github.com/acme/web/1', job);
    await fixture.tell(job);
    await fixture.advance(1_000);
    expect(await row(name)).to.include({ state: 'starting', forJobKey: 'github.com/acme/web/1' });
    const reason = async () => {
      const known = await fixture.ledger.job('github.com/acme/web/1');
      return known === undefined ? undefined : await fixture.engine.jobReason(known);
    };
    expect(await reason()).to.not.include('an earlier start failed');
    const instance = fixture.instances.get(name);
    if (instance === undefined) throw new Error('its container is gone');
    const broken = { kind: 'exited', message: 'exec /bin/sh: no such file', exitCode: 127 } as const;
    fixture.instances.set(name, { ...instance, state: 'failed', reason: broken });
    await fixture.advance(10_000);
    expect(await reason()).to.match(/has been starting.*; an earlier start failed on .*no such file/);
    const next = [...fixture.runners.values()].find((one) => one.name !== name);
    if (next === undefined) throw new Error('no other one was registered');
    next.online = true;
    await fixture.advance(20_000);
    expect(await reason())
      .to.include('has been online')
      .and.not.include('an earlier start failed');
  });

  it('gives no job to one whose connection is closed: a container of its own serves it', async () => {
    await open();
    const { name, asked } = await readyOne();
    asked.leave();
    await fixture.advance(0);
    expect(asked.answer).to.deep.equal({ kind: 'not-yet' });
    await fixture.tell(told(fixture, { jobId: 1 }));
    await fixture.advance(1_000);
    expect(registered).to.have.length(1);
    expect(registered[0]?.name).not.to.equal(name);
    expect((await row(name))?.state).to.equal('parked');
  });

  it('takes down one that does not come for what was made for it', async () => {
    let answerGithub = (): void => {};
    await open({
      github: (honest) => ({
        ...honest,
        createJitRunner: async (request) => {
          registered.push(request);
          await new Promise<void>((resolve) => {
            answerGithub = resolve;
          });
          return await honest.createJitRunner(request);
        },
      }),
    });
    const { name, asked } = await readyOne();
    await fixture.tell(told(fixture, { jobId: 1 }));
    await fixture.advance(100);
    fixture.jobs.set('github.com/acme/web/1', told(fixture, { jobId: 1 }));
    asked.leave();
    answerGithub();
    await fixture.advance(19_000);
    expect((await row(name))?.state).to.equal('starting');
    await fixture.advance(2_000);
    expect(await reasons(name)).to.include('its container did not come for its JIT configuration');
    await fixture.advance(2 * MINUTE);
    expect(fixture.calls).to.include(`delete ${name}`);
    expect((await row(name))?.state).to.equal('gone');
  });

  it('serves what its pools cannot with a container of its own: another shape, and more jobs than wait', async () => {
    await open();
    const { name, asked } = await readyOne();
    await fixture.tell(
      told(fixture, { jobId: 1, labels: ['acme-runner', 'cpu-4'] }),
      told(fixture, { jobId: 2, labels: ['acme-runner', 'memory-8'] }),
    );
    await fixture.advance(1_000);
    expect(asked.answer).to.equal(undefined);
    expect(registered.map(({ labels }) => labels.at(-1))).to.have.members(['cpu-4', 'memory-8']);
    await fixture.tell(told(fixture, { jobId: 3 }), told(fixture, { jobId: 4 }));
    await fixture.advance(1_000);
    expect(asked.answer?.kind).to.equal('jit');
    expect(registered.filter((request) => request.name === name)).to.have.length(1);
    expect(registered).to.have.length(4);
  });

  it('serves only its own registration, though labels and shape are the same', async () => {
    const globex = registration('globex', { claim: { kind: 'organization', organization: 'globex' } });
    await open({ registrations: [acme({ labels: ['shared'] }), { ...globex, labels: ['shared'] }] });
    const { asked } = await readyOne();
    await fixture.tell(told(fixture, { jobId: 1, owner: 'globex', repository: 'x', labels: ['shared'] }));
    await fixture.advance(1_000);
    expect(asked.answer).to.equal(undefined);
    expect(registered.map(({ scope }) => scope)).to.deep.equal([{ kind: 'organization', organization: 'globex' }]);
  });

  it('gives no job one while its registration is paused', async () => {
    await open();
    const { asked } = await readyOne();
    await fixture.engine.pause({ registration: null, reason: null, by: 'ops', byPlatform: true });
    await fixture.tell(told(fixture, { jobId: 1 }));
    await fixture.advance(5_000);
    expect(asked.answer).to.equal(undefined);
    expect(registered).to.deep.equal([]);
    await fixture.engine.resume(null);
    await fixture.advance(1_000);
    expect(asked.answer?.kind).to.equal('jit');
  });

  it('launches ahead of jobs within the rate, which a job with a container of a pool does not use again', async () => {
    await open({
      registrations: [acme({ maxLaunchesPerMinute: 2, standby: [{ labels: [], size: 10, maxAgeMs: HOUR }] })],
    });
    await fixture.advance(20_000);
    expect(launched).to.have.length(2);
    const first = asks(nameOf(0));
    const second = asks(nameOf(1));
    await fixture.advance(100);
    await fixture.tell(told(fixture, { jobId: 1 }), told(fixture, { jobId: 2 }));
    await fixture.advance(1_000);
    expect([first.answer?.kind, second.answer?.kind]).to.deep.equal(['jit', 'jit']);
    await fixture.tell(told(fixture, { jobId: 3, labels: ['acme-runner', 'cpu-4'] }));
    await fixture.advance(MINUTE - 15_000);
    expect(launched, 'in the next minute').to.have.length(4);
    expect(
      registered.map(({ labels }) => labels.at(-1)),
      'the job comes first',
    ).to.include('cpu-4');
  });

  it('fills the pools of others while the service of one tenant hangs', async () => {
    const claim = { kind: 'organization', organization: 'globex' } as const;
    const many = { standby: [{ labels: [], size: 10, maxAgeMs: HOUR }] };
    await open({
      registrations: [acme(many), registration('globex', { claim, ...many })],
      provider: (_backend, honest) => ({
        launch: async (request) => {
          launched.push(request);
          if (request.tags.registration === 'acme') await new Promise(() => {});
          return await honest.launch(request);
        },
      }),
    });
    await fixture.advance(30_000);
    const of = (name: string) => launched.filter(({ tags }) => tags.registration === name).length;
    expect(of('globex')).to.equal(10);
    expect(of('acme'), 'its own share').to.be.at.most(5);
  });

  it('does not launch ready containers again and again that vanish without a word', async () => {
    await open();
    for (let at = 0; at < 120; at += 1) {
      for (const one of await fixture.ledger.runners({ states: ['parked'] }, 'reject')) {
        asks(one.name);
        await fixture.advance(100);
        fixture.instances.delete(one.name);
      }
      await fixture.advance(MINUTE);
    }
    expect(launched.length, 'in two hours').to.be.within(4, 16);
  });

  it('makes room where a cap keeps a job waiting that it cannot serve', async () => {
    await open({ registrations: [acme({ maxRunners: 1 })] });
    const { name } = await readyOne();
    await fixture.tell(told(fixture, { jobId: 1, labels: ['acme-runner', 'cpu-4'] }));
    await fixture.advance(3_000);
    expect(await reasons(name)).to.include('a waiting job needs its place');
    await fixture.advance(MINUTE);
    expect((await row(name))?.state).to.equal('gone');
    expect(registered.map(({ labels }) => labels)).to.deep.equal([['acme-runner', 'cpu-4']]);
    expect(launched, 'no place is left for another').to.have.length(2);
  });

  it('makes room for a job whose backend none of its containers is on', async () => {
    const [backend] = acme().backends;
    if (backend === undefined) throw new Error('no backend');
    const backends = [backend, { ...backend, name: 'other' }];
    const policy = { ...acme().policy, backends: ['*'] };
    await open({ registrations: [acme({ maxRunners: 1, backends, policy })] });
    const { name } = await readyOne();
    const at = (await row(name))?.backend === 'other' ? backend.name : 'other';
    await fixture.tell(told(fixture, { jobId: 1, labels: ['acme-runner', `backend-${at}`] }));
    await fixture.advance(MINUTE);
    expect(await reasons(name)).to.include('a waiting job needs its place');
    expect(registered).to.have.length(1);
  });

  it('makes no room for a job that may not launch', async () => {
    const globex = registration('globex', { claim: { kind: 'organization', organization: 'globex' } });
    await open({ maxRunners: 1, registrations: [acme(), globex] });
    const { name } = await readyOne();
    await fixture.engine.pause({ registration: 'globex', reason: null, by: 'ops', byPlatform: true });
    await fixture.tell(told(fixture, { jobId: 1, owner: 'globex', labels: ['globex-runner'] }));
    await fixture.advance(MINUTE);
    expect((await row(name))?.state).to.equal('parked');
    await fixture.engine.resume('globex');
    await fixture.advance(3_000);
    expect(await reasons(name)).to.include('a waiting job needs its place');
  });

  it('keeps no container from the jobs of others for jobs of a registration that is paused', async () => {
    const globex = registration('globex', { claim: { kind: 'organization', organization: 'globex' } });
    await open({ maxRunners: 1, registrations: [acme(), globex] });
    const { name } = await readyOne();
    await fixture.engine.pause({ registration: 'acme', reason: null, by: 'ops', byPlatform: false });
    await fixture.tell(
      told(fixture, { jobId: 1 }),
      told(fixture, { jobId: 2, owner: 'globex', labels: ['globex-runner'] }),
    );
    await fixture.advance(MINUTE);
    expect(await reasons(name)).to.include('a waiting job needs its place');
  });

  it('serves at the cap too: what waits needs no further place', async () => {
    await open({ registrations: [acme({ maxRunners: 1 })] });
    const { asked } = await readyOne();
    await fixture.tell(told(fixture, { jobId: 1 }));
    await fixture.advance(500);
    expect(asked.answer?.kind).to.equal('jit');
    expect(launched).to.have.length(1);
  });

  it('replaces one that has reached its age, and asks nothing of GitHub for it', async () => {
    await open({ registrations: [acme({ standby: [{ labels: [], size: 1, maxAgeMs: HOUR }] })] });
    const { name } = await readyOne();
    for (let at = 0; at < 65; at += 1) {
      asks(name);
      await fixture.advance(MINUTE);
    }
    expect((await row(name))?.state).to.equal('gone');
    expect(await reasons(name)).to.include('it has waited for a job for as long as it may');
    expect(fixture.calls.filter((call) => /^(?:jit|delete)/.test(call))).to.deep.equal([]);
    expect(fixture.calls).to.include(`stop ${name}`);
    expect(launched.length).to.be.at.least(2);
  });

  it('takes down containers that never ask, and does not launch them again and again', async () => {
    await open();
    await fixture.advance(12 * MINUTE);
    expect((await row(nameOf(0)))?.failure?.message).to.include('a standby container has our entrypoint');
    await fixture.advance(90 * MINUTE);
    expect(launched.length, 'in an hour and a half').to.be.within(2, 8);
    await fixture.tell(told(fixture, { jobId: 1 }));
    await fixture.advance(1_000);
    expect(registered, 'the breaker is the pool’s own').to.have.length(1);
  });

  it('does not launch containers again and again that ask once and end', async () => {
    await open();
    for (let at = 0; at < 90; at += 1) {
      for (const one of await fixture.ledger.runners({ states: ['parked'] }, 'reject')) {
        asks(one.name);
        await fixture.advance(100);
        const instance = fixture.instances.get(one.name);
        if (instance !== undefined) fixture.instances.set(one.name, { ...instance, state: 'failed' });
      }
      await fixture.advance(MINUTE);
    }
    expect(launched.length, 'in an hour and a half').to.be.within(4, 16);
  });

  describe('with one that has waited for long beside those that end', () => {
    /** All others that run ask once and end. */
    async function endOthers(first: string): Promise<void> {
      for (const [name, instance] of fixture.instances) {
        if (name === first || instance.state !== 'running') continue;
        asks(name);
        await fixture.advance(100);
        const reason = { kind: 'exited', message: 'it ended', exitCode: 1 } as const;
        fixture.instances.set(name, { ...instance, state: 'failed', reason });
      }
    }
    async function openWithOld(size: number): Promise<string> {
      await open({ registrations: [acme({ standby: [{ labels: [], size: 1, maxAgeMs: 6 * HOUR }] })] });
      const { name } = await readyOne();
      await fixture.advance(15 * MINUTE);
      const standby = [{ labels: [], size, maxAgeMs: 6 * HOUR }];
      fixture.reconfigure({ registrations: [acme({ standby })], changed: ['acme'] });
      await fixture.advance(2_000);
      return name;
    }

    it('does not launch them again and again', async () => {
      const first = await openWithOld(2);
      for (let at = 0; at < 120; at += 1) {
        await endOthers(first);
        await fixture.advance(30_000);
      }
      expect(launched.length, 'in an hour').to.be.within(4, 16);
      expect((await row(first))?.state).to.equal('parked');
    });

    it('fills its pool as soon as they wait, not one in as long as a start may take', async () => {
      const first = await openWithOld(4);
      for (let at = 0; at < 10 && (await fixture.ledger.breakers())[0]?.failures !== 3; at += 1) {
        await endOthers(first);
        await fixture.advance(20_000);
      }
      expect(await fixture.ledger.breakers()).to.have.length(1);
      await fixture.advance(2 * MINUTE);
      for (let at = 0; at < 6; at += 1) {
        for (const [name, { state }] of fixture.instances) if (name !== first && state === 'running') asks(name);
        await fixture.advance(20_000);
      }
      expect(await states().then((all) => all.filter((state) => state === 'parked'))).to.have.length(4);
    });
  });

  it('loses the container, and no job, where GitHub does not register it', async () => {
    await open();
    const { name, asked } = await readyOne();
    refuse = new GithubError('transient', 'POST generate-jitconfig', 'Bad gateway', { status: 502 });
    await fixture.tell(told(fixture, { jobId: 1 }));
    fixture.jobs.set('github.com/acme/web/1', told(fixture, { jobId: 1 }));
    await fixture.advance(500);
    expect(asked.answer).to.deep.equal({ kind: 'never' });
    expect((await row(name))?.state).to.equal('draining');
    const job = await fixture.ledger.job('github.com/acme/web/1');
    expect(job, 'the claim is given back').to.include({ planned: 0, launches: 0 });
    refuse = undefined;
    await fixture.advance(2 * MINUTE);
    expect((await row(name))?.state).to.equal('gone');
    expect(registered.length).to.be.greaterThan(1);
    expect(fixture.runners.size).to.be.greaterThan(0);
  });

  it('counts the time limit of a job from the moment it gets its container', async () => {
    const limit = 30 * MINUTE;
    await open({
      registrations: [acme({ defaults: { image: 'registry.example/runner:1', timeLimitMs: limit } })],
    });
    const { name } = await readyOne();
    expect(launched[0]?.shape.timeLimitMs).to.equal(6 * HOUR + limit);
    expect(launched[0]?.environment['SHR_LIFE_SECONDS']).to.equal(String((6 * HOUR + limit) / 1000));
    asks(name);
    await fixture.advance(20_000);
    asks(name);
    await fixture.tell(told(fixture, { jobId: 1 }));
    const claimedAtMs = fixture.clock.now();
    await fixture.advance(1_000);
    expect((await row(name))?.instanceDeadlineAtMs).to.equal(claimedAtMs + limit);
  });

  it('answers a runner that was launched for a job, or is unknown, that there is none', async () => {
    await open({ registrations: [registration('acme')] });
    await fixture.tell(told(fixture, { jobId: 1 }));
    const [one, other] = [asks(nameOf(0)), asks('d1-01jzzzzzzzzzzzzzzzzzzzzzzz')];
    await fixture.advance(100);
    expect([one.answer, other.answer]).to.deep.equal([{ kind: 'never' }, { kind: 'never' }]);
    expect((await row(nameOf(0)))?.state, 'and leaves it alone').to.equal('starting');
  });

  it('holds an ask open for 25 s, and only the latest of a runner', async () => {
    await open();
    const { name, asked } = await readyOne();
    const later = asks(name);
    await fixture.advance(10);
    expect(asked.answer).to.deep.equal({ kind: 'not-yet' });
    await fixture.advance(24_000);
    expect(later.answer).to.equal(undefined);
    await fixture.advance(1_500);
    expect(later.answer).to.deep.equal({ kind: 'not-yet' });
  });

  it('follows the configuration while it works', async () => {
    await open();
    const { name, asked } = await readyOne();
    fixture.reconfigure({
      registrations: [acme({ defaults: { image: 'registry.example/runner:2' } })],
      changed: ['acme'],
    });
    await fixture.advance(3_000);
    expect(asked.answer).to.deep.equal({ kind: 'never' });
    expect(await reasons(name)).to.include('its pool is not configured any more');
    expect(launched.map(({ shape }) => shape.image)).to.deep.equal([
      'registry.example/runner:1',
      'registry.example/runner:2',
    ]);
    const other = acme({ defaults: { image: 'registry.example/runner:2' } });
    const [backend] = other.backends;
    if (backend === undefined) throw new Error('no backend');
    fixture.reconfigure({
      registrations: [{ ...other, backends: [{ ...backend, options: { network: 'other' } }] }],
      changed: ['acme'],
    });
    await fixture.advance(3_000);
    expect(launched, 'with other options of the backend').to.have.length(3);
    fixture.reconfigure({ registrations: [], leaving: { acme: 'removed' } });
    await fixture.advance(2 * MINUTE);
    expect(await states()).to.deep.equal(['gone', 'gone', 'gone']);
  });

  it('goes when its registration only observes, and says so', async () => {
    await open();
    const { name, asked } = await readyOne();
    fixture.reconfigure({ registrations: [acme({ observe: true })], changed: ['acme'] });
    await fixture.advance(3_000);
    expect(asked.answer).to.deep.equal({ kind: 'never' });
    expect(await reasons(name)).to.include('its registration only observes (`observe: true`)');
  });

  it('replaces those that were started before the hook was demanded', async () => {
    await open();
    const { name, asked } = await readyOne();
    const grant = grantOf('acme', { labels: ['*'], requireHook: { labels: false, images: ['*'] } });
    fixture.reconfigure({ registrations: [acme({ grant })], changed: ['acme'] });
    await fixture.advance(3_000);
    expect(asked.answer).to.deep.equal({ kind: 'never' });
    expect(await reasons(name)).to.include('its pool is not configured any more');
    expect(launched.map(({ environment }) => environment['SHR_HOOK_SILENCE'])).to.deep.equal([undefined, 'deny']);
  });

  it('gives no job one whose image is not proven to carry the demanded hook any more', async () => {
    let labels: Readonly<Record<string, string>> = { 'serverless-hosted-runner.contract': '1' };
    await open({
      registrations: [acme({ grant: grantOf('acme', { labels: ['*'], requireHook: { labels: true, images: [] } }) })],
      provider: (_backend, honest) => ({
        launch: (request) => {
          launched.push(request);
          return honest.launch(request);
        },
        imageLabels: async () => ({ kind: 'read', labels }),
      }),
    });
    await readyOne();
    labels = {};
    await fixture.advance(11 * MINUTE);
    const { asked, name } = await readyOne();
    await fixture.tell(told(fixture, { jobId: 1 }));
    await fixture.advance(1_000);
    expect(asked.answer).to.deep.equal({ kind: 'never' });
    expect(registered.filter((request) => request.name === name)).to.deep.equal([]);
    expect((await row(name))?.failure?.message).to.include('demands the job-started hook');
  });

  it('follows a schedule', async () => {
    const schedule = [{ cron: '0 9 * * *', durationMs: HOUR, timeZone: 'Etc/UTC', size: 2 }];
    await scheduledSize({ size: 0, schedule })(0);
    await open({
      registrations: [acme({ standby: [{ labels: [], size: 0, schedule, maxAgeMs: 6 * HOUR }] })],
      startMs: Date.UTC(2026, 10, 2, 8, 57),
    });
    expect(launched).to.deep.equal([]);
    await fixture.advance(5 * MINUTE);
    expect(await states()).to.deep.equal(['parked', 'parked']);
    await fixture.advance(HOUR + 2 * MINUTE);
    expect((await states()).filter((state) => state !== 'gone')).to.deep.equal([]);
  });

  it('parks nothing in a drain', async () => {
    await open();
    await readyOne();
    fixture.reconfigure({ registrations: [acme()], maxRunners: 0 });
    await fixture.advance(2 * MINUTE);
    expect(await states()).to.deep.equal(['gone']);
    expect(launched).to.have.length(1);
  });

  describe('after a start on the same ledger', () => {
    async function reopen(options: Partial<FixtureOptions> = {}): Promise<readonly [string, () => Promise<void>]> {
      const folder = await mkdtemp(join(tmpdir(), 'standby-'));
      folders.push(folder);
      const ledgerPath = join(folder, 'ledger.db');
      await open({ ledgerPath });
      const { name } = await readyOne();
      return [
        name,
        async () => {
          const { instances } = fixture;
          const startMs = fixture.clock.now() + 5 * MINUTE;
          await fixture.close();
          await open({
            ledgerPath,
            startMs,
            incarnation: 'next',
            ...options,
            provider: (_backend, honest) => ({
              launch: (request) => {
                launched.push(request);
                return honest.launch(request);
              },
              inspect: async (ref) => instances.get(ref.name) ?? (await honest.inspect(ref)),
              stop: async (ref) => {
                instances.delete(ref.name);
                await honest.stop(ref);
              },
            }),
          });
        },
      ];
    }

    it('serves with those that wait', async () => {
      const [name, start] = await reopen();
      await start();
      expect(launched).to.deep.equal([]);
      const asked = asks(name);
      await fixture.advance(100);
      await fixture.tell(told(fixture, { jobId: 1 }));
      await fixture.advance(500);
      // The disk is a real one.
      while (asked.answer === undefined) await new Promise((resolve) => setTimeout(resolve, 5));
      expect(asked.answer).to.deep.equal({ kind: 'jit', encodedJitConfig: `jit-of-${name}` });
    });

    for (const others of [['acme-runner'], ['acme-runner', 'cpu-4']])
      it(`keeps the one that serves a job for it, while others with ${others.join(' ')} wait at the cap`, async () => {
        const [name, start] = await reopen({ registrations: [acme({ maxRunners: 1 })] });
        await start();
        await fixture.tell(
          ...[1, 2].map((jobId) => told(fixture, { jobId, labels: others })),
          told(fixture, { jobId: 3 }),
        );
        await fixture.advance(20_000);
        expect((await row(name))?.state, 'it has not asked again yet').to.equal('parked');
        const asked = asks(name);
        for (let at = 0; at < 20 && asked.answer === undefined; at += 1) {
          await fixture.advance(1_000);
          await new Promise((resolve) => setTimeout(resolve, 5));
        }
        expect(asked.answer?.kind).to.equal('jit');
      });

    it('takes down one that does not ask any more where its place is needed', async () => {
      const [name, start] = await reopen({ registrations: [acme({ maxRunners: 1 })] });
      await start();
      await fixture.tell(...[1, 2].map((jobId) => told(fixture, { jobId })));
      await fixture.advance(6 * MINUTE);
      expect(await reasons(name)).to.include('a waiting job needs its place');
      expect(launched).to.have.length(1);
    });

    it('takes down those whose image, shape or pool is another one now', async () => {
      const [name, start] = await reopen({
        registrations: [acme({ defaults: { image: 'registry.example/runner:2' } })],
      });
      await start();
      await fixture.advance(3 * MINUTE);
      expect(await reasons(name)).to.include('its pool is not configured any more');
      expect((await row(name))?.state).to.equal('gone');
      expect(launched.map(({ shape }) => shape.image)).to.deep.equal(['registry.example/runner:2']);
    });

    it('does not stop one that an older ledger takes for parked while it runs a job', async () => {
      const [name, start] = await reopen({
        registrations: [acme({ defaults: { image: 'registry.example/runner:2' } })],
      });
      await start();
      fixture.runners.set(name, { id: 77, name, scope: 'orgs/acme', online: true, busy: true });
      await fixture.advance(HOUR);
      expect(await row(name)).to.include({ state: 'busy', githubRunnerId: 77 });
      expect(fixture.calls).not.to.include(`stop ${name}`);
    });
  });
});
