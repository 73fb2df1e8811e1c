/** Jobs whose admission depends on what started their run, and who. */
import { expect } from 'chai';
import { type Github, GithubError } from '../../dispatcher/github/github.ts';
import type { JobFact, RunOrigin } from '../../dispatcher/jobs/facts.ts';
import type { JobRow } from '../../dispatcher/ledger/ledger.ts';
import type { Policy } from '../../dispatcher/model/registration.ts';
import { closedPolicy } from '../registration-fixture.ts';
import { type EngineFixture, type FixtureOptions, openEngineFixture, registration, told } from './engine-fixture.ts';

const MINUTE = 60_000;
const octocat: RunOrigin = { event: 'push', actor: 'octocat', triggeringActor: 'octocat' };

describe('a policy that serves only some events and actors', () => {
  let fixture: EngineFixture;
  afterEach(() => fixture.close());

  const acme = (policy: Partial<Policy>) => registration('acme', { policy: { ...closedPolicy, ...policy } });

  async function open(policy: Partial<Policy>, some: Partial<FixtureOptions> = {}): Promise<void> {
    fixture = await openEngineFixture({ registrations: [acme(policy)], ...some });
    await fixture.engine.start();
  }

  async function job(jobId: number, some: Partial<JobFact> = {}): Promise<JobRow> {
    const fact = told(fixture, { jobId, runId: 7, ...some });
    await fixture.tell(fact);
    await fixture.advance(1000);
    return await row(fact.jobId);
  }

  async function row(jobId: number): Promise<JobRow> {
    const found = await fixture.ledger.job(`github.com/acme/web/${jobId}`);
    if (found === undefined) throw new Error('no such job');
    return found;
  }

  const says = (origin: RunOrigin, attempt = 1, runId = 7) =>
    fixture.runs.set(runId, { completed: false, attempt, origin });
  const asked = () => fixture.calls.filter((call) => call.startsWith('run '));
  const launches = () => fixture.calls.filter((call) => call.startsWith('launch '));

  it('reads the run of a job once for all of its jobs, and admits those that it serves', async () => {
    await open({ events: ['push'], actors: ['Octocat'] });
    says(octocat);
    await fixture.tell(...[1, 2, 3].map((jobId) => told(fixture, { jobId, runId: 7 })));
    await fixture.advance(1000);
    for (const jobId of [1, 2, 3]) expect(await row(jobId)).to.include({ admission: 'lane', runEvent: 'push' });
    expect(await job(4)).to.include({ admission: 'lane' });
    expect(asked()).to.deep.equal(['run Acme/web 7 by acme']);
    expect(launches()).to.have.length(4);
  });

  it('refuses the others with the field that decided, and launches nothing for them', async () => {
    await open({ actors: ['octocat'] });
    says({ ...octocat, triggeringActor: 'mallory' });
    const refused = await job(1);
    expect(refused).to.include({ admission: 'refused', reasonCode: 'origin-not-allowed' });
    expect(refused.reason).to.include('does not serve the actor `mallory`');
    await fixture.advance(30 * MINUTE);
    expect(launches()).to.deep.equal([]);
    expect(asked()).to.have.length(1);
  });

  it('asks for no run where it narrows neither, nor where the branch decides already', async () => {
    await open({ branches: ['release'], actors: ['octocat'] });
    says(octocat);
    expect(await job(1)).to.include({ admission: 'refused', reasonCode: 'origin-not-allowed' });
    expect(asked()).to.deep.equal([]);
  });

  it('asks for each attempt anew, and believes no answer that is older than it', async () => {
    await open({ actors: ['octocat'] });
    says(octocat);
    expect(await job(1)).to.include({ admission: 'lane' });
    const again = await job(2, { runAttempt: 2 });
    expect(again, 'GitHub still answers with the first').to.include({ admission: 'refused', runActor: null });
    expect(again.reasonCode).to.equal('unknown-origin');
    says({ ...octocat, triggeringActor: 'mallory' }, 2);
    await fixture.advance(3 * MINUTE);
    expect(await row(2)).to.include({ reasonCode: 'origin-not-allowed', runTriggeringActor: 'mallory' });
  });

  it('admits none while GitHub does not say, asks again by itself, and loses none', async () => {
    let fails = true;
    const github = (honest: Github): Github => ({
      ...honest,
      readRun: (...run) =>
        fails ? Promise.reject(new GithubError('transient', 'GET run', '503')) : honest.readRun(...run),
    });
    await open({ events: ['push'] }, { github });
    says(octocat);
    expect(await job(1)).to.include({ admission: 'refused', reasonCode: 'unknown-origin' });
    await fixture.advance(30 * MINUTE);
    expect(launches()).to.deep.equal([]);
    expect(fixture.logged.filter((line) => line.includes('run-not-read'))).to.have.length(1);
    fails = false;
    await fixture.advance(11 * MINUTE);
    expect(await row(1)).to.include({ admission: 'lane' });
    expect(launches()).to.have.length(1);
  });

  it('admits none of a run whose account is gone: GitHub names nobody', async () => {
    await open({ events: ['push'] });
    fixture.runs.set(7, { completed: false, attempt: 1 });
    expect(await job(1)).to.include({ admission: 'refused', reasonCode: 'unknown-origin' });
    await fixture.advance(60 * MINUTE);
    expect(asked().length).to.be.within(4, 12);
  });
});
