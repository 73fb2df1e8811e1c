import { expect } from 'chai';
import type { Poller, PollStatus } from '../../dispatcher/intake/poller.ts';
import { Secret } from '../../dispatcher/model/registration.ts';
import { startGithubSimulator } from '../../simulators/github/index.ts';
import { type Fixture, openFixture } from './poller-fixture.ts';

describe('the poller', () => {
  let fixture: Fixture;

  beforeEach(async () => {
    fixture = await openFixture();
  });
  afterEach(() => fixture.close());

  const run = (id: number, status: string, ...jobs: [id: number, status: string][]) => ({
    id,
    status,
    jobs: jobs.map(([jobId, jobStatus]) => ({ id: jobId, status: jobStatus })),
  });
  const statusOf = (poller: Poller): PollStatus => {
    const [status] = poller.status();
    if (status === undefined) throw new Error('no status');
    return status;
  };
  const asked = (path: string) => fixture.server.asked.filter((one) => one.path === path).length;

  it('records the jobs of queued, running and waiting runs, and tells that there is something to do', async () => {
    fixture.runs.set('web', [
      run(1, 'queued', [11, 'queued']),
      run(2, 'in_progress', [21, 'completed'], [22, 'queued']),
      run(3, 'waiting', [31, 'waiting'], [32, 'in_progress']),
      run(4, 'completed', [41, 'completed']),
    ]);
    const poller = fixture.poller();
    expect(await fixture.pass(poller)).to.equal(true);
    for (const [jobId, status] of [
      [11, 'queued'],
      [21, 'completed'],
      [22, 'queued'],
      [31, 'waiting'],
      [32, 'in_progress'],
      [41, undefined],
    ] as const) {
      expect(await fixture.statusOf(jobId), `job ${jobId}`).to.equal(status);
    }
    expect(fixture.wakes).to.equal(3);
    const job = await fixture.ledger.job('github.com/acme/web/11');
    expect(job).to.include({ owner: 'acme', repository: 'web', visibility: 'internal', statusSource: 'poll' });
    expect(statusOf(poller)).to.include({ repositories: 1, openRuns: 3, jobs: 5, failure: null, passing: false });
  });

  it('changes nothing and does not wake the engine when it sees the same again', async () => {
    fixture.runs.set('web', [run(1, 'queued', [11, 'queued'])]);
    const poller = fixture.poller();
    await fixture.pass(poller);
    await fixture.pass(poller);
    expect(fixture.wakes).to.equal(1);
  });

  it('reads all pages of runs and jobs', async () => {
    const many = Array.from({ length: 120 }, (_, index): [number, string] => [1_000 + index, 'queued']);
    fixture.runs.set('web', [
      run(900, 'in_progress', ...many),
      ...Array.from({ length: 105 }, (_, index) => run(index + 1, 'queued', [5_000 + index, 'queued'])),
    ]);
    const poller = fixture.poller({ limits: { pointsPerMinute: 100_000 } });
    await fixture.pass(poller);
    expect(statusOf(poller)).to.include({ openRuns: 106, jobs: 225 });
    expect(await fixture.statusOf(1_119)).to.equal('queued');
    expect(await fixture.statusOf(5_104)).to.equal('queued');
  });

  it('reads a run once more that has ended between two passes', async () => {
    const ending = run(1, 'queued', [11, 'queued']);
    fixture.runs.set('web', [ending]);
    const poller = fixture.poller();
    await fixture.pass(poller);
    ending.status = 'completed';
    for (const job of ending.jobs) job.status = 'completed';
    await fixture.pass(poller);
    expect(await fixture.statusOf(11)).to.equal('completed');
    const reads = asked('/repos/acme/web/actions/runs/1/jobs');
    await fixture.pass(poller);
    expect(asked('/repos/acme/web/actions/runs/1/jobs')).to.equal(reads);
  });

  it('forgets a run that was deleted, without a trouble', async () => {
    fixture.runs.set('web', [run(1, 'queued', [11, 'queued'])]);
    const poller = fixture.poller();
    await fixture.pass(poller);
    fixture.runs.set('web', []);
    expect(await fixture.pass(poller)).to.equal(true);
    expect(statusOf(poller)).to.deep.include({ openRuns: 0, problems: [] });
  });

  for (const [visibility, isPrivate] of [
    ['private', true],
    ['public', false],
  ] as const) {
    it(`takes a repository for ${visibility} by \`private\` alone, where the server says no more`, async () => {
      fixture.runs.set('web', [run(1, 'queued', [11, 'queued'])]);
      fixture.answerWith(({ path }) =>
        path === '/orgs/acme/repos'
          ? { body: [{ name: 'web', owner: { login: 'acme' }, private: isPrivate }] }
          : undefined,
      );
      await fixture.pass(fixture.poller());
      expect((await fixture.ledger.jobsWithId(11, 'reject'))[0]?.visibility).to.equal(visibility);
    });
  }

  it('knows after a restart which runs were open before it', async () => {
    const ending = run(1, 'queued', [11, 'queued']);
    fixture.runs.set('web', [ending]);
    const before = fixture.poller();
    await fixture.pass(before);
    await before.stop();
    ending.status = 'completed';
    for (const job of ending.jobs) job.status = 'completed';
    await fixture.pass(fixture.poller());
    expect(await fixture.statusOf(11)).to.equal('completed');
  });

  it('begins anew when what it remembered is damaged', async () => {
    await fixture.ledger.putCursor('poll/acme', '{"version":1,"runs":[3', fixture.clock.now());
    fixture.runs.set('web', [run(1, 'queued', [11, 'queued'])]);
    expect(await fixture.pass(fixture.poller())).to.equal(true);
    expect(await fixture.statusOf(11)).to.equal('queued');
  });

  for (const [status, kind] of [
    [404, 'not-found'],
    [403, 'forbidden'],
  ] as const) {
    it(`goes on with the other repositories when one answers ${status}, and shows it`, async () => {
      for (const name of ['broken', 'web', 'api']) fixture.runs.set(name, [run(1, 'queued', [name.length, 'queued'])]);
      fixture.answerWith(({ path }) =>
        path.startsWith('/repos/acme/broken/') ? { status, body: { message: 'no' } } : undefined,
      );
      const poller = fixture.poller();
      await fixture.pass(poller);
      await fixture.pass(poller);
      expect(await fixture.statusOf(3)).to.equal('queued');
      const [trouble] = statusOf(poller).troubles;
      expect(trouble).to.include({ about: 'acme/broken', kind });
      expect(statusOf(poller).problems[0]).to.include('acme/broken');
      expect(fixture.warnings, 'one line, not one a pass').to.deep.equal(['poll.trouble acme/broken']);
      fixture.answerWith(() => undefined);
      await fixture.pass(poller);
      expect(statusOf(poller).problems).to.deep.equal([]);
    });
  }

  it('shows refused credentials, and does not ask with them for every repository', async () => {
    for (const name of ['a', 'b', 'c', 'd', 'e', 'f', 'g', 'h']) fixture.runs.set(name, []);
    fixture.answerWith(({ path }) =>
      path.startsWith('/repos/') ? { status: 401, body: { message: 'Bad credentials' } } : undefined,
    );
    const poller = fixture.poller();
    expect(await fixture.pass(poller)).to.equal(false);
    expect(statusOf(poller).failure).to.include('Bad credentials');
    // The list, and what four workers had begun.
    expect(fixture.server.asked.length).to.be.at.most(5);
  });

  it('ends the pass when GitHub is down, and keeps what it remembers', async () => {
    const ending = run(1, 'queued', [11, 'queued']);
    fixture.runs.set('web', [ending]);
    for (let index = 0; index < 30; index += 1) fixture.runs.set(`idle-${index}`, []);
    const poller = fixture.poller({ limits: { pointsPerMinute: 100_000 } });
    await fixture.pass(poller);
    const asksOfHealthyPass = fixture.server.asked.length;
    fixture.answerWith(() => ({ status: 502, body: 'bad gateway' }));
    expect(await fixture.pass(poller)).to.equal(false);
    expect(fixture.server.asked.length - asksOfHealthyPass).to.be.below(60);
    ending.status = 'completed';
    for (const job of ending.jobs) job.status = 'completed';
    fixture.answerWith(() => undefined);
    await fixture.pass(poller);
    expect(await fixture.statusOf(11)).to.equal('completed');
  });

  it('takes the time that GitHub asks for, says so, and finishes the pass', async () => {
    fixture.runs.set('web', [run(1, 'queued', [11, 'queued'])]);
    let limited = true;
    fixture.answerWith(({ path }) =>
      limited && path.endsWith('/jobs')
        ? { status: 403, body: { message: 'secondary rate limit' }, headers: { 'retry-after': '120' } }
        : undefined,
    );
    const poller = fixture.poller();
    const passing = poller.pollNow('acme');
    await fixture.server.heard(5);
    await fixture.clock.during(
      new Promise<void>((resolve) => {
        const look = () => (statusOf(poller).waitingUntilMs === null ? setImmediate(look) : resolve());
        look();
      }),
    );
    expect(statusOf(poller).waitingUntilMs).to.be.above(fixture.clock.now() + 100_000);
    limited = false;
    await fixture.clock.advance(150_000);
    expect(await fixture.clock.during(passing)).to.equal(true);
    expect(await fixture.statusOf(11)).to.equal('queued');
  });

  it('keeps to a fifth of the budget, and takes longer instead', async () => {
    for (let index = 0; index < 40; index += 1) fixture.runs.set(`web-${index}`, []);
    // 121 calls of the sweep at 20 points a minute.
    const poller = fixture.poller({ limits: { pointsPerMinute: 100 } });
    const times: number[] = [];
    fixture.answerWith(() => {
      times.push(fixture.clock.now());
      return undefined;
    });
    expect(await fixture.clock.during(poller.pollNow('acme'), 90_000, fixture.idle)).to.equal(true);
    expect(times).to.have.length(121);
    for (const from of times) {
      expect(times.filter((atMs) => atMs >= from && atMs < from + 60_000).length).to.be.at.most(20);
    }
  });

  it('asks with ETags, and takes an unchanged answer for what it was', async () => {
    fixture.runs.set('web', [run(1, 'queued', [11, 'queued'])]);
    fixture.tag();
    const poller = fixture.poller();
    await fixture.pass(poller);
    const asks = fixture.server.asked.length;
    await fixture.pass(poller);
    const second = fixture.server.asked.slice(asks);
    expect(second).to.have.length(4);
    expect(second.every((one) => one.headers['if-none-match'] !== undefined)).to.equal(true);
    expect(statusOf(poller)).to.include({ openRuns: 1, jobs: 1 });
  });

  it('polls at its interval, never two passes at once', async () => {
    fixture.runs.set('web', []);
    const poller = fixture.poller({ intervalMs: 60_000 });
    poller.start();
    await fixture.clock.advance(29_000);
    expect(fixture.server.asked).to.have.length(0);
    await fixture.clock.during(fixture.server.heard(1), 2_000);
    const both = Promise.all([poller.pollNow('acme'), poller.pollNow('acme')]);
    await fixture.clock.during(both);
    const asks = fixture.server.asked.length;
    expect(asks).to.equal(4);
    const nextInMs = (statusOf(poller).nextPassAtMs ?? 0) - fixture.clock.now();
    expect(nextInMs).to.be.within(50_000, 60_000);
    await fixture.clock.advance(nextInMs - 1);
    expect(fixture.server.asked).to.have.length(asks);
    await fixture.clock.during(fixture.server.heard(asks + 3), 2_000);
  });

  it('polls a registration without an interval only on request', async () => {
    fixture.runs.set('web', [run(1, 'queued', [11, 'queued'])]);
    const poller = fixture.poller({ intervalMs: null });
    poller.start();
    await fixture.clock.advance(3_600_000);
    expect(fixture.server.asked).to.have.length(0);
    expect(await fixture.pass(poller)).to.equal(true);
    expect(await fixture.statusOf(11)).to.equal('queued');
    expect(statusOf(poller).nextPassAtMs).to.equal(null);
  });

  it('stops at once, though GitHub hangs, and records nothing afterwards', async () => {
    fixture.runs.set('web', [run(1, 'queued', [11, 'queued'])]);
    fixture.answerWith(({ path }) => (path.endsWith('/jobs') ? 'hang' : undefined));
    const poller = fixture.poller();
    poller.start();
    const passing = poller.pollNow('acme');
    await fixture.server.heard(5);
    await poller.stop();
    expect(await passing).to.equal(false);
    expect(fixture.clock.timers).to.equal(0);
    expect(fixture.warnings).to.deep.equal([]);
  });

  it('reads only the repositories that the registration names', async () => {
    for (const name of ['web', 'api', 'docs']) fixture.runs.set(name, []);
    await fixture.pass(fixture.poller({ only: ['web', 'acme/api', 'gone'] }));
    const paths = new Set(fixture.server.asked.map((one) => one.path));
    expect([...paths].sort()).to.deep.equal([
      '/repos/acme/api',
      '/repos/acme/api/actions/runs',
      '/repos/acme/gone',
      '/repos/acme/web',
      '/repos/acme/web/actions/runs',
    ]);
  });

  it('reads on when one job is in a status that it does not know, and says so', async () => {
    fixture.runs.set('web', [run(1, 'in_progress', [11, 'queued'], [12, 'dreaming'], [13, 'queued'])]);
    const poller = fixture.poller();
    await fixture.pass(poller);
    expect(await fixture.statusOf(11)).to.equal('queued');
    expect(await fixture.statusOf(13)).to.equal('queued');
    expect(statusOf(poller).problems.join()).to.include('1 jobs');
  });

  it('follows a workflow on the simulator from its queue to its cancellation', async () => {
    const token = 'ghp_theTokenOfRoot';
    const simulator = await startGithubSimulator({
      owners: [{ login: 'acme', repositories: [{ name: 'web' }, { name: 'site', visibility: 'public' }] }],
      tokens: [{ token, login: 'root', owners: ['*'], access: 'admin' }],
    });
    try {
      const poller = fixture.poller({
        apiUrl: simulator.url,
        credentials: { kind: 'token', token: new Secret(token) },
      });
      const yaml = "on: push\njobs:\n  build:\n    runs-on: acme-runner\n    steps: [{ run: 'true' }]\n";
      const { id, jobs } = simulator.pushWorkflow({ owner: 'acme', repository: 'site', yaml });
      const jobId = jobs[0]?.id ?? 0;
      expect(await fixture.pass(poller)).to.equal(true);
      const [job] = await fixture.ledger.jobsWithId(jobId, 'reject');
      expect(job).to.include({ status: 'queued', visibility: 'public', runId: id });
      simulator.cancel({ runId: id });
      await fixture.pass(poller);
      expect((await fixture.ledger.jobsWithId(jobId, 'reject'))[0]).to.include({
        status: 'completed',
        conclusion: 'cancelled',
      });
      expect(statusOf(poller)).to.deep.include({ repositories: 2, openRuns: 0, problems: [] });
    } finally {
      await simulator.close();
    }
  });
});
