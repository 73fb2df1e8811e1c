import { expect } from 'chai';
import { type Github, GithubError } from '../../dispatcher/github/github.ts';
import { type EngineFixture, MINUTE, openEngineFixture, registration, told } from './engine-fixture.ts';

const NAMES = ['a', 'b', 'c', 'd', 'e', 'f', 'g', 'h', 'i'];

// J8
describe('nine registrations while GitHub is down for 22 minutes', function () {
  // Half an hour of the virtual clock: seconds on an idle machine.
  this.timeout(120_000);

  let fixture: EngineFixture;
  afterEach(() => fixture.close());

  it('are logged when the outage begins and when it is over, not at each try', async () => {
    let down = true;
    const refuse = async () => {
      throw new GithubError('transient', 'GET /x', 'GitHub answered 502', { status: 502, requestId: 'GH:1' });
    };
    fixture = await openEngineFixture({
      registrations: NAMES.map((name) =>
        registration(name, { claim: { kind: 'organization', organization: `org-${name}` } }),
      ),
      github: (honest) => {
        const guarded =
          <Args extends readonly unknown[], Result>(call: (...args: Args) => Promise<Result>) =>
          async (...args: Args): Promise<Result> =>
            down ? await refuse() : await call(...args);
        const github: Github = {
          ...honest,
          createJitRunner: guarded(honest.createJitRunner),
          deleteRunner: guarded(honest.deleteRunner),
          getRunner: guarded(honest.getRunner),
          findRunner: guarded(honest.findRunner),
          listRunners: guarded(honest.listRunners),
          readJob: guarded(honest.readJob),
        };
        return github;
      },
    });
    await fixture.engine.start();
    for (const [index, name] of NAMES.entries()) {
      for (let job = 1; job <= 5; job += 1) {
        const waiting = told(fixture, { jobId: 10 * index + job, owner: `org-${name}`, labels: [`${name}-runner`] });
        fixture.jobs.set(`github.com/org-${name}/web/${waiting.jobId}`, waiting);
        await fixture.tell(waiting);
      }
    }
    await fixture.advance(22 * MINUTE);
    const count = (event: string) => fixture.logged.filter((line) => line.split(' ')[1] === event).length;
    expect(count('sweep-failed'), 'one of each registration').to.equal(NAMES.length);
    expect(count('job-not-read'), 'one of each repository').to.be.at.most(NAMES.length);
    expect(fixture.logged.filter((line) => line.startsWith('warn')).length).to.be.at.most(5 * NAMES.length);
    down = false;
    await fixture.advance(10 * MINUTE);
    expect(count('sweep-failed-over')).to.equal(NAMES.length);
    const over = fixture.logged.find((line) => line.includes('sweep-failed-over'));
    expect(over).to.match(/since=2026-\S+ lastedSeconds=1[34]\d\d times=\d+/);
  });
});

describe('launches whose credentials GitHub refused', () => {
  let fixture: EngineFixture;
  afterEach(() => fixture.close());

  it('go on as soon as another call with them succeeds, not a minute later', async () => {
    let revoked = true;
    fixture = await openEngineFixture({
      registrations: [registration('acme')],
      github: (honest) => ({
        ...honest,
        createJitRunner: async (request) => {
          if (revoked) throw new GithubError('unauthorized', 'POST /x', 'Bad credentials', { status: 401 });
          return await honest.createJitRunner(request);
        },
      }),
    });
    await fixture.engine.start();
    const waiting = told(fixture, { jobId: 1, owner: 'acme', labels: ['acme-runner'] });
    fixture.jobs.set(`github.com/acme/web/${waiting.jobId}`, waiting);
    await fixture.tell(waiting);
    await fixture.advance(5_000);
    const [job] = await fixture.ledger.jobs({ status: 'queued', limit: 1 }, 'reject');
    const reason = async () => (job === undefined ? 'no job' : await fixture.engine.jobReason(job));
    const launches = () => fixture.calls.filter((call) => call.startsWith('launch')).length;
    expect(await reason()).to.include('GitHub refuses the credentials for acme');
    revoked = false;
    fixture.engine.authorized('acme', 'globex', fixture.clock.now());
    await fixture.advance(1_000);
    expect(launches(), 'another owner').to.equal(0);
    fixture.engine.authorized('acme', 'acme', fixture.clock.now());
    await fixture.advance(1_000);
    expect(launches()).to.equal(1);
  });
});
