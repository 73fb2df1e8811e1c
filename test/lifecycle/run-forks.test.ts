/** Jobs whose code comes from a fork, where policy or grant does not serve those: only a read of the run tells. */
import { expect } from 'chai';
import { type Github, GithubError } from '../../dispatcher/github/github.ts';
import type { JobFact } from '../../dispatcher/jobs/facts.ts';
import type { JobRow } from '../../dispatcher/ledger/ledger.ts';
import type { Policy, Registration } from '../../dispatcher/model/registration.ts';
import { MINUTE } from '../../time/units.ts';
import { closedPolicy, grantOf } from '../registration-fixture.ts';
import { type EngineFixture, type FixtureOptions, openEngineFixture, registration, told } from './engine-fixture.ts';

describe('a policy that does not serve forks', () => {
  let fixture: EngineFixture;
  afterEach(() => fixture.close());

  const acme = (policy: Partial<Policy>, more: Partial<Registration> = {}) =>
    registration('acme', { policy: { ...closedPolicy, ...policy }, ...more });

  async function open(registered: Registration, some: Partial<FixtureOptions> = {}): Promise<void> {
    fixture = await openEngineFixture({ registrations: [registered], ...some });
    await fixture.engine.start();
  }

  async function job(jobId: number, some: Partial<JobFact> = {}): Promise<JobRow> {
    await fixture.tell(told(fixture, { jobId, runId: 7, ...some }));
    await fixture.advance(1000);
    return await row(jobId);
  }

  async function row(jobId: number): Promise<JobRow> {
    const found = await fixture.ledger.job(`github.com/acme/web/${jobId}`);
    if (found === undefined) throw new Error('no such job');
    return found;
  }

  const says = (isFork: boolean, runId = 7) => fixture.runs.set(runId, { completed: false, attempt: 1, isFork });
  const asked = () => fixture.calls.filter((call) => call.startsWith('run '));
  const launches = () => fixture.calls.filter((call) => call.startsWith('launch '));

  it('refuses the job of a fork before anything is launched, with the field that decided', async () => {
    await open(acme({}));
    says(true);
    const refused = await job(1);
    expect(refused).to.include({ admission: 'refused', reasonCode: 'fork', runHead: 'fork' });
    expect(refused.reason).to.include('the code of this job in Acme/web comes from a fork');
    expect(refused.cure).to.include('`policy.forks`');
    await fixture.advance(30 * MINUTE);
    expect(launches()).to.deep.equal([]);
    expect(asked()).to.have.length(1);
  });

  it('reads the run once for all of its jobs, and launches for those of the repository itself', async () => {
    await open(acme({}));
    says(false);
    await fixture.tell(...[1, 2, 3].map((jobId) => told(fixture, { jobId, runId: 7 })));
    await fixture.advance(1000);
    for (const jobId of [1, 2, 3]) expect(await row(jobId)).to.include({ admission: 'lane', runHead: 'own' });
    expect(await job(4, { runAttempt: 2 }), 'no attempt changes it').to.include({ admission: 'lane' });
    expect(asked().length).to.be.within(1, 2);
    expect(launches()).to.have.length(4);
  });

  it('reads none where forks are served, where a public repository is, or where another rule refuses', async () => {
    await open(acme({ forks: true, publicRepositories: true }));
    says(true);
    expect(await job(1)).to.include({ admission: 'lane', runHead: null });
    expect(await job(2, { visibility: 'public' })).to.include({ admission: 'lane' });
    await fixture.close();
    await open(acme({ publicRepositories: true }));
    says(true);
    expect(await job(1, { visibility: 'public' })).to.include({ admission: 'lane' });
    await fixture.close();
    await open(acme({ branches: ['release'] }));
    says(false);
    expect(await job(1)).to.include({ admission: 'refused', reasonCode: 'origin-not-allowed' });
    expect(asked()).to.deep.equal([]);
  });

  it('asks for no run of a job that has ended when it is first seen', async () => {
    await open(acme({}));
    says(true);
    const ended = await job(1, { status: 'completed', conclusion: 'success' });
    expect(ended).to.include({ admission: 'lane', runHead: null });
    expect(asked()).to.deep.equal([]);
    expect(launches()).to.deep.equal([]);
  });

  it('refuses forks of a public repository too, where it names them', async () => {
    await open(acme({ publicRepositories: true, forks: false }));
    says(true);
    expect(await job(1, { visibility: 'public' })).to.include({ admission: 'refused', reasonCode: 'fork' });
  });

  it('launches nothing while GitHub does not say, asks again by itself, and loses no job', async () => {
    let fails = true;
    const github = (honest: Github): Github => ({
      ...honest,
      readRun: (...run) =>
        fails
          ? Promise.reject(new GithubError('rate-limited', 'GET run', '429', { retryAfterMs: 5 * MINUTE }))
          : honest.readRun(...run),
    });
    await open(acme({}), { github });
    says(false);
    const waiting = await job(1);
    expect(waiting).to.include({ admission: 'refused', reasonCode: 'unknown-fork' });
    expect(waiting.reason).to.include('it is not known yet whether the code of this job in Acme/web comes from a fork');
    await fixture.advance(30 * MINUTE);
    expect(launches()).to.deep.equal([]);
    expect(fixture.logged.filter((line) => line.includes('run-not-read'))).to.have.length(1);
    fails = false;
    await fixture.advance(11 * MINUTE);
    expect(await row(1)).to.include({ admission: 'lane' });
    expect(launches()).to.have.length(1);
  });

  it('launches nothing where GitHub never says, and asks with growing pauses', async () => {
    let reads = 0;
    const github = (honest: Github): Github => ({
      ...honest,
      async readRun() {
        reads += 1;
        return { completed: false, attempt: 1 };
      },
    });
    await open(acme({}), { github });
    expect(await job(1)).to.include({ admission: 'refused', reasonCode: 'unknown-fork' });
    await fixture.advance(60 * MINUTE);
    expect(reads).to.be.within(4, 12);
    expect(launches()).to.deep.equal([]);
  });

  it('keeps forks from shared backends that the grant keeps them from, and runs them elsewhere', async () => {
    const { powers } = grantOf('team-a');
    const grant = grantOf('team-a', { powers: { ...powers, images: ['*', 'registry.example/*'] } });
    const [own] = registration('acme').backends;
    if (own === undefined) throw new Error('no backend');
    await open(acme({ forks: true }, { grant, backends: [{ ...own, shared: true }] }));
    says(true);
    const refused = await job(1);
    expect(refused).to.include({ admission: 'refused', reasonCode: 'not-granted' });
    expect(refused.reason).to.include('jobs of forks').and.include('powers.forks');
    says(false, 8);
    expect(await job(2, { runId: 8 })).to.include({ admission: 'lane', reason: null });
    expect(launches()).to.have.length(1);
  });
});
