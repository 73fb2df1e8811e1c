/** Call-backs of runners, over HTTP, with the real engine and ledger behind the public listener. */
import { connect } from 'node:net';
import { expect } from 'chai';
import { type CallOutcome, createRunnerCalls } from '../../dispatcher/callbacks/calls.ts';
import { createPublicListener, type PublicListener } from '../../dispatcher/http/public.ts';
import { createIntake } from '../../dispatcher/intake/webhook.ts';
import type { RunOrigin } from '../../dispatcher/jobs/facts.ts';
import { isTokenFor } from '../../dispatcher/lifecycle/callback-token.ts';
import type { Registration } from '../../dispatcher/model/registration.ts';
import type { LaunchRequest } from '../../providers/provider.ts';
import { systemClock } from '../../time/clock.ts';
import { Counts, LogLines, Recorder } from '../intake/intake-fixture.ts';
import { type EngineFixture, MINUTE, openEngineFixture, registration, told } from '../lifecycle/engine-fixture.ts';
import { closedPolicy, grantOf } from '../registration-fixture.ts';

describe("a runner's call-backs", () => {
  let fixture: EngineFixture;
  let listener: PublicListener;
  let base: string;
  let log: LogLines;
  const launched: LaunchRequest[] = [];
  const outcomes: [string, CallOutcome][] = [];
  let inForce: Registration | undefined;
  /** What GitHub says of every run. */
  let isFork: boolean | undefined;
  let origin: RunOrigin | undefined;
  const readRuns: string[] = [];
  const verified: string[][] = [];

  beforeEach(async () => {
    isFork = false;
    origin = undefined;
    readRuns.length = 0;
    verified.length = 0;
    launched.length = 0;
    outcomes.length = 0;
    inForce = registration('acme');
    fixture = await openEngineFixture({
      registrations: [inForce],
      callbackUrl: 'https://shr.acme.example',
      provider: (_backend, honest) => ({
        launch: (request) => {
          launched.push(request);
          return honest.launch(request);
        },
      }),
    });
    log = new LogLines();
    const counts = new Counts();
    const intake = createIntake({
      ...{ ledger: new Recorder(), clock: systemClock, log, metrics: counts },
      endpoints: () => [],
      registrations: () => [],
      onRecorded: () => {},
    });
    const calls = createRunnerCalls({
      ...{ ledger: fixture.ledger, engine: fixture.engine, log },
      registration: () => inForce,
      runs: {
        origin: async () => origin,
        isFork: async (registration, { owner, repository, run }) => {
          readRuns.push(`${registration}: ${owner}/${repository} ${run}`);
          return isFork;
        },
      },
      now: () => fixture.clock.now(),
      verified: (...of) => verified.push(of),
      metrics: { runnerCall: (event, outcome) => outcomes.push([event, outcome]) },
    });
    listener = createPublicListener({ intake, clock: systemClock, metrics: counts, calls });
    base = `http://127.0.0.1:${await listener.listen('127.0.0.1', 0)}`;
    await fixture.engine.start();
    await fixture.tell(told(fixture, { jobId: 1, runId: 71 }));
  });
  afterEach(async () => {
    await listener.close(0);
    await fixture.close();
  });

  function runner(): { readonly name: string; readonly token: string } {
    const [request] = launched;
    if (request === undefined) throw new Error('nothing was launched');
    return { name: request.name, token: request.secretEnvironment['SHR_CALLBACK_TOKEN'] ?? '' };
  }

  async function call(
    event: string,
    fields: Readonly<Record<string, string>> = {},
    { name, token } = runner(),
  ): Promise<{ readonly status: number; readonly text: string }> {
    const response = await fetch(`${base}/runners/${name}/${event}`, {
      method: 'POST',
      headers: { authorization: `Bearer ${token}` },
      body: new URLSearchParams(fields),
    });
    return { status: response.status, text: await response.text() };
  }

  const timeline = async () => (await fixture.ledger.timeline(runner().name)).map(({ reason }) => reason);

  it('are told to the container: where, with which token, and the limits that it keeps by itself', () => {
    const [request] = launched;
    expect(request?.environment).to.deep.equal({
      SHR_LIFE_SECONDS: String((5 * 24 + 1) * 3600),
      SHR_ONLINE_SECONDS: '600',
      SHR_IDLE_SECONDS: '900',
      SHR_CALLBACK_URL: `https://shr.acme.example/runners/${request?.name}`,
    });
    expect(runner().token).to.match(/^[a-z2-7]{32}$/);
    expect(JSON.stringify(request?.tags)).not.to.include(runner().token);
  });

  it('carry with their token which URL the container was told', async () => {
    await call('booted', { version: '' });
    await call('listening', {}, { name: runner().name, token: 'a'.repeat(32) });
    expect(verified).to.deep.equal([[runner().name, runner().token]]);
    expect(isTokenFor('https://shr.acme.example', runner().token)).to.equal(true);
    expect(isTokenFor('https://shr.acme.example/other', runner().token)).to.equal(false);
  });

  it('are recognizable as answered by a dispatcher, whatever the answer; another path is not', async () => {
    const { name, token } = runner();
    const marked = async (path: string, authorization: string) => {
      const response = await fetch(`${base}${path}`, { method: 'POST', headers: { authorization }, body: '' });
      return [response.status, response.headers.get('shr-dispatcher')];
    };
    expect(await marked(`/runners/${name}/listening`, `Bearer ${token}`)).to.deep.equal([204, '1']);
    expect(await marked(`/runners/${name}/listening`, 'Bearer no')).to.deep.equal([404, '1']);
    expect(await marked(`/runners/${name}/job-started`, `Bearer ${token}`)).to.deep.equal([400, '1']);
    expect(await marked(`/proxied/runners/${name}/listening`, `Bearer ${token}`)).to.deep.equal([404, null]);
  });

  it('keep no token: the ledger has its hash alone', async () => {
    const row = await fixture.ledger.runner(runner().name);
    expect(row?.callbackHash).to.match(/^[0-9a-f]{64}$/);
    expect(JSON.stringify(row)).not.to.include(runner().token);
  });

  it('are in the timeline, once each, and have the runner looked at at once', async () => {
    await fixture.advance(100);
    const calls = fixture.serviceCalls();
    expect((await call('booted', { version: '2.338.1' })).status).to.equal(204);
    await fixture.advance(0);
    expect(fixture.serviceCalls(), 'looks at the container').to.be.greaterThan(calls);
    expect((await call('booted', { version: '2.338.2' })).status).to.equal(204);
    expect((await call('listening')).status).to.equal(204);
    expect((await call('exiting', { code: '102' })).status).to.equal(204);
    expect((await timeline()).slice(-3)).to.deep.equal([
      'its container has started, runner 2.338.1',
      'its listener is connected',
      'it exits with 102',
    ]);
    expect(outcomes.map(([, outcome]) => outcome)).to.deep.equal(['heard', 'repeated', 'heard', 'heard']);
  });

  it('prove nothing: a runner that says that its job has ended is not taken down', async () => {
    await call('job-completed', { result: 'success' });
    await call('exiting', { code: '0' });
    await fixture.advance(MINUTE);
    expect((await fixture.ledger.runner(runner().name))?.state).to.equal('starting');
    expect(fixture.calls.filter((one) => /^(?:stop|delete)/.test(one))).to.deep.equal([]);
  });

  it('of a wrong token, another runner or one that is gone have the same answer', async () => {
    const { name, token } = runner();
    const wrong = await call('listening', {}, { name, token: 'a'.repeat(32) });
    expect(wrong.status).to.equal(404);
    expect(await call('listening', {}, { name: 'd1-01jzzzzzzzzzzzzzzzzzzzzzzz', token })).to.deep.equal(wrong);
    expect(await call('no-such-event')).to.deep.equal(wrong);
    await fixture.ledger.stepRunner(name, () => ({ patch: { state: 'gone' }, entries: [] }));
    expect(await call('listening')).to.deep.equal(wrong);
    expect(outcomes.every(([, outcome]) => outcome === 'unknown')).to.equal(true);
  });

  it('are bounded: a longer form is refused before it is read', async () => {
    expect((await call('booted', { version: '1'.repeat(9_000) })).status).to.equal(413);
    expect((await call('booted', { version: 'not\na version' })).status).to.equal(204);
    expect(await timeline()).to.include('its container has started');
  });

  it('of one runner have a bound, whatever its token is used for', async () => {
    const statuses: number[] = [];
    for (let count = 0; count < 40; count += 1) statuses.push((await call('job-completed')).status);
    expect(statuses.filter((status) => status === 200)).to.have.length(31);
    expect(statuses.slice(31).every((status) => status === 429)).to.equal(true);
    await fixture.advance(1_000);
    expect((await call('listening')).status, 'a second later').to.equal(204);
    expect((await call('listening', {}, { ...runner(), token: 'a'.repeat(32) })).status).to.equal(404);
  });

  it('come in few pieces', async () => {
    const socket = connect(Number(new URL(base).port), '127.0.0.1');
    const said = new Promise<string>((resolve) => {
      let text = '';
      socket.on('data', (chunk) => {
        text += chunk.toString();
        if (text.includes('\r\n\r\n')) resolve(text);
      });
    });
    socket.on('error', () => {});
    const { name, token } = runner();
    socket.setNoDelay(true);
    socket.write(
      `POST /runners/${name}/booted HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer ${token}\r\nContent-Length: 200\r\n\r\n`,
    );
    for (let count = 0; count < 100 && !socket.destroyed; count += 1) {
      socket.write('x');
      await new Promise(setImmediate);
      await new Promise((resolve) => setTimeout(resolve, 1));
    }
    expect(await said).to.match(/^HTTP\/1\.1 413 /);
    socket.destroy();
  });

  describe('before the first step of a job', () => {
    const question = { repository: 'acme/web', run: '71' };

    it('are answered with yes for a private repository of the registration', async () => {
      expect((await call('job-started', question)).status).to.equal(200);
    });

    it('are answered with no for a public one, as GitHub told it', async () => {
      await fixture.tell(told(fixture, { jobId: 2, runId: 72, repository: 'site', visibility: 'public' }));
      const { status, text } = await call('job-started', { repository: 'acme/site', run: '72' });
      expect(status).to.equal(403);
      expect(text).to.include('acme/site is public').and.to.include('publicRepositories');
      await call('job-started', { repository: 'acme/site', run: '72' });
      expect(log.lines.filter(({ event }) => event === 'job-denied-in-runner')).to.have.length(1);
      const answers = (await fixture.ledger.timeline(runner().name)).filter(({ reason }) => reason.includes('its job'));
      expect(answers.map(({ reason, details }) => [reason, details])).to.deep.equal([
        ['its job may not run here, and is failed before its first step', text.trimEnd()],
      ]);
    });

    /** The job that had the runner has failed, as GitHub says. */
    async function failed(jobId: number, runId = 71): Promise<{ reasonCode: string | null; reason: string | null }> {
      const { name } = runner();
      const runnerId = fixture.runners.get(name)?.id ?? 0;
      const of = { jobId, runId, runnerName: name, runnerId };
      for (const status of ['in_progress', 'completed'] as const) {
        const fact = told(fixture, { ...of, status, ...(status === 'completed' ? { conclusion: 'failure' } : {}) });
        fixture.jobs.set(`github.com/acme/web/${jobId}`, fact);
        await fixture.tell(fact);
        await fixture.advance(2_000);
      }
      const { reasonCode = null, reason = null } = (await fixture.ledger.job(`github.com/acme/web/${jobId}`)) ?? {};
      return { reasonCode, reason };
    }

    it('and a no is the reason of the job that failed for it', async () => {
      const { text } = await call('job-started', { ...question, fork: 'true' });
      expect(await failed(1)).to.deep.equal({
        reasonCode: 'refused-in-runner',
        reason: `the hook in its runner ${runner().name} failed it before its first step: ${text.trimEnd()}`,
      });
    });

    it('and so it is of one that is first heard of at its end', async () => {
      await call('job-started', { ...question, fork: 'true' });
      const { name } = runner();
      const runnerId = fixture.runners.get(name)?.id ?? 0;
      const of = {
        jobId: 9,
        runId: 71,
        runnerName: name,
        runnerId,
        status: 'completed',
        conclusion: 'failure',
      } as const;
      fixture.jobs.set('github.com/acme/web/9', told(fixture, of));
      await fixture.tell(told(fixture, of));
      await fixture.advance(2_000);
      expect(await fixture.ledger.job('github.com/acme/web/9')).to.include({ reasonCode: 'refused-in-runner' });
    });

    it('and what the code of a job asks later is the reason of nothing', async () => {
      expect((await call('job-started', question)).status).to.equal(200);
      expect((await call('job-started', { ...question, fork: 'true' })).status).to.equal(403);
      expect(await timeline()).to.include('its job has begun');
      expect(await failed(1)).to.deep.equal({ reasonCode: null, reason: null });
    });

    it('and that it cannot be told yet is told once', async () => {
      isFork = undefined;
      for (let asked = 0; asked < 2; asked += 1) expect((await call('job-started', question)).status).to.equal(503);
      expect((await timeline()).filter((reason) => reason.includes('is not known yet'))).to.have.length(1);
    });

    describe('about a fork of a private repository', () => {
      const ofFork = { ...question, fork: 'true' };

      it('are answered with no, and with what to do', async () => {
        const { status, text } = await call('job-started', ofFork);
        expect(status).to.equal(403);
        expect(text).to.include('the code of this job in acme/web comes from a fork').and.include('policy.forks');
        expect(readRuns, 'the event tells').to.deep.equal([]);
      });

      it('are answered with yes where the policy serves them', async () => {
        inForce = registration('acme', { policy: { ...closedPolicy, forks: true } });
        expect((await call('job-started', ofFork)).status).to.equal(200);
        expect((await call('job-started', question)).status).to.equal(200);
        expect(readRuns, 'it does not matter').to.deep.equal([]);
      });

      it('are answered by what GitHub says of the run where the event does not tell', async () => {
        expect((await call('job-started', { ...question, fork: 'false' })).status).to.equal(200);
        expect(readRuns).to.deep.equal([]);
        expect((await call('job-started', { ...question, fork: '' })).status).to.equal(200);
        expect(readRuns).to.deep.equal(['acme: acme/web 71']);
        isFork = true;
        expect((await call('job-started', question)).status).to.equal(403);
        expect((await call('job-started', { ...question, fork: 'perhaps' })).status).to.equal(403);
      });

      it('are answered later while GitHub does not say', async () => {
        isFork = undefined;
        const { status, text } = await call('job-started', question);
        expect(status).to.equal(503);
        expect(text).to.include('it is not known yet whether the code of this job in acme/web comes from a fork');
      });
    });

    it('are answered by who started the run, as GitHub says, and later while it does not', async () => {
      inForce = registration('acme', { policy: { ...closedPolicy, actors: ['octocat'], events: ['push'] } });
      const unknown = await call('job-started', { ...question, fork: 'false' });
      expect(unknown.status).to.equal(503);
      expect(unknown.text).to.include('GitHub has not said which event');
      origin = { event: 'push', actor: 'octocat', triggeringActor: 'octocat' };
      expect((await call('job-started', { ...question, fork: 'false' })).status).to.equal(200);
      origin = { ...origin, actor: 'mallory' };
      const refused = await call('job-started', { ...question, fork: 'false' });
      expect(refused.status).to.equal(403);
      expect(refused.text).to.include('does not serve the actor `mallory`');
    });

    it('are answered with yes for a public one where the policy allows it', async () => {
      inForce = registration('acme', { policy: { ...closedPolicy, publicRepositories: true } });
      expect((await call('job-started', { repository: 'Acme/Site', run: '99' })).status).to.equal(200);
    });

    it('are answered with no for a public one on a shared backend for which the tenant was not granted those', async () => {
      const evil = registration('acme', { policy: { ...closedPolicy, publicRepositories: true } });
      const [main] = evil.backends;
      if (main === undefined) throw new Error('it has a backend');
      inForce = { ...evil, grant: grantOf('acme'), backends: [{ ...main, shared: true }] };
      await fixture.tell(told(fixture, { jobId: 2, runId: 72, repository: 'site', visibility: 'public' }));
      const { status, text } = await call('job-started', { repository: 'acme/site', run: '72' });
      expect(status).to.equal(403);
      expect(text).to.include('was not granted jobs of public repositories on shared backends');
      expect((await call('job-started', { repository: 'acme/fresh', run: '73' })).status, 'not known yet').to.equal(
        503,
      );
      expect((await call('job-started', question)).status, 'a private one').to.equal(200);
      inForce = { ...inForce, backends: [main] };
      expect((await call('job-started', { repository: 'acme/site', run: '72' })).status, 'its own').to.equal(200);
    });

    it('are answered with no for a repository that the registration does not claim', async () => {
      const { status, text } = await call('job-started', { repository: 'other/web', run: '71' });
      expect(status).to.equal(403);
      expect(text).to.include('other/web is not among the repositories of registration acme');
    });

    it('are answered later while GitHub has not said whether it is public', async () => {
      const { status, text } = await call('job-started', { repository: 'acme/fresh', run: '73' });
      expect(status).to.equal(503);
      expect(text).to.include('GitHub has not said yet');
      await fixture.tell(told(fixture, { jobId: 3, runId: 73, repository: 'fresh', visibility: 'internal' }));
      expect((await call('job-started', { repository: 'acme/fresh', run: '73' })).status).to.equal(200);
    });

    it('are answered later while the registration is not in force', async () => {
      inForce = undefined;
      expect((await call('job-started', question)).status).to.equal(503);
    });

    it('believe no visibility that belongs to another repository of that run', async () => {
      await fixture.tell(told(fixture, { jobId: 4, runId: 74, repository: 'site', visibility: 'private' }));
      expect((await call('job-started', { repository: 'acme/other', run: '74' })).status).to.equal(503);
    });

    it('are answered however many jobs of other repositories are said to be of that run', async () => {
      const other = { owner: 'a-stranger', repository: 'web', runId: 72, visibility: 'private' } as const;
      await fixture.tell(...Array.from({ length: 1_001 }, (_, at) => told(fixture, { ...other, jobId: 1_000 + at })));
      await fixture.tell(told(fixture, { jobId: 2, runId: 72, repository: 'site', visibility: 'public' }));
      expect((await call('job-started', { repository: 'acme/site', run: '72' })).status).to.equal(403);
    });

    it('need the repository and the run', async () => {
      expect((await call('job-started', { repository: 'acme', run: '71' })).status).to.equal(400);
      expect((await call('job-started', { repository: 'acme/web' })).status).to.equal(400);
    });
  });

  it('at the end of a job are answered with what it used and waited for, which is kept', async () => {
    const { name } = runner();
    await fixture.advance(20_000);
    await fixture.tell(
      told(fixture, { jobId: 1, runId: 71, status: 'in_progress', runnerName: name, startedAtMs: fixture.clock.now() }),
    );
    await fixture.advance(MINUTE);
    const { status, text } = await call('job-completed', {
      ...{ result: 'failure', memoryPeakBytes: '4187593114', memoryLimitBytes: '4294967296' },
      ...{ cpuSeconds: '78.4', diskBytes: '2254857830', oomKills: '2' },
    });
    expect(status).to.equal(200);
    expect(text.trimEnd().split('\n')).to.deep.equal([
      `shr: runner ${name} on main (registration acme)`,
      'shr: the container has 4 GiB of memory',
      'shr: memory: 3.9 GiB at its peak, 98 % of 4 GiB',
      'shr: cpu: 1m18s, 1.3 cores on average',
      'shr: disk: 2.1 GiB in the work folder',
      'shr: time: waited 0s, ready in 20s, ran for 1m',
      'shr: out of memory: the system killed a process 2 times. Ask for more with the label memory-8',
    ]);
    expect(await fixture.ledger.runner(name)).to.include({
      ...{ memoryPeakBytes: 4_187_593_114, cpuMs: 78_400, diskBytes: 2_254_857_830, oomKills: 2 },
    });
  });

  it('at the end of a job leave out what was not measured, or makes no sense', async () => {
    const { text } = await call('job-completed', { memoryPeakBytes: '-1', cpuSeconds: 'much', oomKills: '1e9' });
    expect(text).to.match(/^shr: runner \S+ on main \(registration acme\)\n/);
    expect(text).not.to.match(/memory:|cpu:|disk:/);
  });

  it('wait for the ledger: an answer that cannot be given is asked for again', async () => {
    const row = fixture.ledger.runner;
    fixture.ledger.runner = () => Promise.reject(new Error('the disk is gone'));
    try {
      expect((await call('listening')).status).to.equal(503);
    } finally {
      fixture.ledger.runner = row;
    }
    expect(outcomes).to.deep.equal([['listening', 'failed']]);
  });

  describe('while the ledger takes no writes', () => {
    let isFull: boolean;
    beforeEach(() => {
      isFull = true;
      const { stepRunner } = fixture.ledger;
      fixture.ledger.stepRunner = (...step) =>
        isFull ? Promise.reject(new Error('the disk is full')) : stepRunner(...step);
    });

    it('are heard when they come again', async () => {
      const used = { result: 'success', memoryPeakBytes: '1000' };
      expect((await call('job-completed', used)).status).to.equal(503);
      isFull = false;
      expect((await call('job-completed', used)).status).to.equal(200);
      expect(await fixture.ledger.runner(runner().name)).to.include({ memoryPeakBytes: 1000 });
      expect((await call('job-completed', used)).status).to.equal(200);
      expect(outcomes.map(([, outcome]) => outcome)).to.deep.equal(['failed', 'heard', 'repeated']);
    });

    it('are told all the same whether a job may run', async () => {
      const question = { repository: 'acme/web', run: '71' };
      expect((await call('job-started', question)).status).to.equal(200);
      isFull = false;
      expect((await call('job-started', question)).status).to.equal(200);
      expect(await timeline(), 'noted as soon as it can be').to.include('its job has begun');
    });
  });

  it('prove no sender where the ledger cannot tell whose token it is', async () => {
    const calls = createRunnerCalls({
      ledger: { ...fixture.ledger, runner: () => Promise.reject(new Error('the disk is gone')) },
      ...{ engine: fixture.engine, registration: () => inForce, now: () => fixture.clock.now(), log },
      metrics: { runnerCall: () => {} },
    });
    const reception = calls.receive('any', 'listening', `Bearer ${'a'.repeat(32)}`);
    if (!('finish' in reception)) throw new Error('it was answered at once');
    expect(await reception.finish()).to.include({ status: 503, verified: false });
  });
});
