/** What a tenant gets on shared backends by what its own webhook tells of a repository's visibility: nothing. */
import { expect } from 'chai';
import { strangersAmong } from '../../dispatcher/admission/strangers.ts';
import { GithubError } from '../../dispatcher/github/github.ts';
import type { JobFact } from '../../dispatcher/jobs/facts.ts';
import { type JobRow, LedgerError } from '../../dispatcher/ledger/ledger.ts';
import type { Registration } from '../../dispatcher/model/registration.ts';
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
const main = { name: 'main', kind: 'simulated', region: undefined, options: {}, maxRunners: 50 } as const;

/** A tenant that was granted one shared backend, and no public repositories. */
function tenant(name: string, change: Partial<Registration> = {}): Registration {
  const usual = registration(name);
  const grant = grantOf(name, {
    owners: [name],
    labels: [`${name}-runner`],
    runnerGroups: ['Default'],
    backends: ['main'],
    powers: { ...grantOf(name).powers, images: ['*'] },
  });
  return {
    ...usual,
    claim: { kind: 'organization', organization: name },
    backends: [{ ...main, shared: true }],
    policy: { ...usual.policy, publicRepositories: true },
    grant,
    ...change,
  };
}

describe('a tenant without public repositories on shared backends', () => {
  let fixture: EngineFixture;

  afterEach(() => fixture.close());

  async function open(registrations: readonly Registration[], some: Partial<FixtureOptions> = {}): Promise<void> {
    fixture = await openEngineFixture({ registrations, areStrangers: strangersAmong(registrations), ...some });
    await fixture.engine.start();
    await fixture.advance(1000);
  }

  /** A job of evil/web, signed with the tenant's own secret unless the test says otherwise. */
  async function job(jobId: number, some: Partial<JobFact> = {}): Promise<JobRow> {
    const fact = told(fixture, {
      ...{ jobId, owner: 'evil', visibility: 'private', labels: ['evil-runner'], toldBy: 'evil' },
      ...some,
    });
    await fixture.tell(fact);
    await fixture.advance(1000);
    return await row(fact);
  }

  async function row({ owner, repository, jobId }: Pick<JobFact, 'owner' | 'repository' | 'jobId'>): Promise<JobRow> {
    const found = await fixture.ledger.job(`github.com/${owner}/${repository}/${jobId}`);
    if (found === undefined) throw new Error('no such job');
    return found;
  }

  const asked = () => fixture.calls.filter((call) => call.startsWith('visibility '));
  const launches = () => fixture.calls.filter((call) => call.startsWith('launch '));

  it('gets no runner there for a public repository that its own webhook calls private', async () => {
    await open([tenant('evil')]);
    fixture.visibilities.set('evil/web', 'public');
    const refused = await job(1);
    expect(refused).to.include({ admission: 'refused', reasonCode: 'not-granted', visibility: 'public' });
    expect(refused.reason).to.include('was not granted jobs of public repositories');
    await fixture.tell(told(fixture, { jobId: 1, owner: 'evil', visibility: 'private', toldBy: 'evil' }));
    await fixture.advance(10 * MINUTE);
    expect(launches()).to.deep.equal([]);
    expect(asked()).to.deep.equal(['visibility evil/web by evil']);
  });

  it('gets one for a private repository as soon as GitHub has said that it is', async () => {
    await open([tenant('evil')]);
    expect(await job(1)).to.include({ admission: 'lane', visibilityProven: true });
    expect(launches()).to.have.length(1);
  });

  it('costs one GET of each repository in an hour, however many jobs it signs', async () => {
    await open([tenant('evil')]);
    for (let jobId = 1; jobId <= 20; jobId += 1) expect(await job(jobId)).to.include({ admission: 'lane' });
    expect(await job(21, { repository: 'api' })).to.include({ admission: 'lane' });
    expect(asked()).to.deep.equal(['visibility evil/web by evil', 'visibility evil/api by evil']);
    await fixture.advance(HOUR);
    fixture.visibilities.set('evil/web', 'public');
    expect(await job(22)).to.include({ admission: 'refused' });
    expect(await row({ owner: 'evil', repository: 'web', jobId: 1 })).to.include({ visibility: 'private' });
  });

  it('costs at most 60 GETs a minute, and all of its jobs are decided on in their turn', async () => {
    await open([tenant('evil')]);
    for (let jobId = 1; jobId <= 100; jobId += 1) {
      await fixture.tell(
        told(fixture, {
          ...{ jobId, owner: 'evil', repository: `r${jobId}`, toldBy: 'evil', visibility: 'private' },
          labels: ['evil-runner'],
        }),
      );
    }
    await fixture.advance(30_000);
    expect(asked()).to.have.length(60);
    await fixture.advance(2 * MINUTE);
    expect(asked()).to.have.length(100);
    const pending = await fixture.ledger.jobs({ admission: 'pending', limit: 1000 }, 'reject');
    expect(pending).to.deep.equal([]);
  });

  for (const [whose, fact] of [
    ['the platform’s own webhook', { toldBy: null }],
    ['a poll', { source: 'poll', toldBy: 'evil' }],
  ] as const) {
    it(`is not asked about where ${whose} has told`, async () => {
      await open([tenant('evil')]);
      expect(await job(1, fact)).to.include({ admission: 'lane' });
      expect(asked()).to.deep.equal([]);
    });
  }

  it('is not asked about where it has only backends of its own', async () => {
    await open([tenant('evil', { backends: [main] })]);
    expect(await job(1)).to.include({ admission: 'lane' });
    expect(asked()).to.deep.equal([]);
  });

  it('is not asked about where public repositories were granted', async () => {
    const { grant, ...evil } = tenant('evil');
    if (grant === undefined) throw new Error('it has a grant');
    await open([{ ...evil, grant: { ...grant, powers: { ...grant.powers, publicRepositories: true } } }]);
    expect(await job(1)).to.include({ admission: 'lane' });
    expect(asked()).to.deep.equal([]);
  });

  it('is served by its own backends alone for a public repository that it calls private', async () => {
    await open([
      tenant('evil', {
        backends: [
          { ...main, shared: true },
          { ...main, name: 'mine' },
        ],
      }),
    ]);
    fixture.visibilities.set('evil/web', 'public');
    expect(await job(1)).to.include({ admission: 'lane' });
    const [runner] = await fixture.ledger.runners({}, 'reject');
    expect(runner).to.include({ backend: 'mine' });
  });

  it('has its jobs refused while GitHub does not answer, and asked for again until it does', async () => {
    let fails = true;
    await open([tenant('evil')], {
      github: (honest) => ({
        ...honest,
        readVisibility: async (owner, repository) => {
          const visibility = await honest.readVisibility(owner, repository);
          if (fails) throw new GithubError('transient', 'GET repository', '503');
          return visibility;
        },
      }),
    });
    const waits = await job(1);
    expect(waits).to.include({ admission: 'refused', reasonCode: 'not-granted' });
    expect(waits.reason).to.include('GitHub has not said yet');
    await fixture.advance(30 * MINUTE);
    expect(asked().length).to.be.within(3, 8);
    expect(fixture.logged.filter((line) => line.includes('visibility-not-read'))).to.have.length(1);
    fails = false;
    await fixture.advance(11 * MINUTE);
    expect(await row(waits)).to.include({ admission: 'lane' });
  });

  it('has its jobs decided on although the ledger could not take GitHub’s answer at first', async () => {
    let isFull = true;
    await open([tenant('evil')], {
      through: (ledger) => ({
        ...ledger,
        tellVisibility: (...told) =>
          isFull ? Promise.reject(new LedgerError('full', 'no room')) : ledger.tellVisibility(...told),
      }),
    });
    const waits = await job(1);
    expect(waits).to.include({ admission: 'pending' });
    isFull = false;
    await fixture.advance(2 * MINUTE);
    expect(await row(waits)).to.include({ admission: 'lane' });
    expect(asked(), 'the answer was kept').to.have.length(1);
  });

  it('has its other jobs decided on where a read of one repository breaks', async () => {
    await open([tenant('evil')], {
      github: (honest) => ({
        ...honest,
        readVisibility: async (owner, repository) => {
          if (repository === 'broken') throw new TypeError('a defect');
          return await honest.readVisibility(owner, repository);
        },
      }),
    });
    await job(1, { repository: 'broken' });
    expect(await job(2)).to.include({ admission: 'lane' });
    await fixture.advance(10 * MINUTE);
    expect(fixture.logged.filter((line) => line.includes('visibility-not-read'))).to.have.length(1);
  });

  it('keeps no other tenant waiting with a GitHub that does not answer', async () => {
    await open([tenant('evil'), tenant('acme')], {
      github: (honest) => ({
        ...honest,
        readVisibility: (owner, repository) =>
          owner === 'evil' ? new Promise(() => {}) : honest.readVisibility(owner, repository),
      }),
    });
    for (let jobId = 1; jobId <= 300; jobId += 1) await job(jobId, { repository: `r${jobId}` });
    const other = await job(1000, { owner: 'acme', labels: ['acme-runner'], toldBy: 'acme' });
    expect(other).to.include({ admission: 'lane' });
  });

  it('is asked about as well where no source has told', async () => {
    await open([tenant('evil')]);
    const before = await job(1, { visibility: undefined });
    expect(before).to.include({
      admission: 'lane',
      visibility: 'private',
    });
  });
});
