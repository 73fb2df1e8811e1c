/** What a tenant with a valid webhook secret of its own can do to others with made-up deliveries: nothing. */
import { expect } from 'chai';
import { type JobFact, jobKey } from '../../dispatcher/jobs/facts.ts';
import type { RunnerRow } from '../../dispatcher/ledger/ledger.ts';
import type { Registration } from '../../dispatcher/model/registration.ts';
import { type EngineFixture, MINUTE, openEngineFixture, registration, told } from './engine-fixture.ts';

const victim = registration('acme');
/** Its own organization. */
const evil = registration('evil', { claim: { kind: 'organization', organization: 'evil' } });
/** A tenant with one repository of the victim's organization. */
const neighbour = registration('neighbour', {
  claim: { kind: 'repositories', repositories: [{ owner: 'acme', repository: 'b' }] },
});

describe('a hostile source with a valid secret', () => {
  let fixture: EngineFixture;

  afterEach(() => fixture.close());

  async function open(registrations: readonly Registration[] = [victim, evil, neighbour]): Promise<void> {
    fixture = await openEngineFixture({ registrations, areStrangers: (one, other) => one !== other });
    await fixture.engine.start();
    await fixture.advance(1000);
  }

  async function only(): Promise<RunnerRow> {
    const [runner, ...others] = await fixture.ledger.runners({ registrations: ['acme'] }, 'reject');
    if (runner === undefined || others.length > 0) throw new Error('one runner was expected');
    return runner;
  }

  const state = async () => (await only()).state;
  const reads = () => fixture.calls.filter((call) => call.startsWith('read '));
  const stops = () => fixture.calls.filter((call) => call.startsWith('stop '));

  /** The victim's job waits, and its runner listens. */
  async function online(jobId = 100): Promise<RunnerRow> {
    await fixture.tell(truth({ jobId }));
    await fixture.advance(1000);
    const runner = await only();
    const listed = fixture.runners.get(runner.name);
    if (listed === undefined) throw new Error('it is not registered');
    listed.online = true;
    await fixture.advance(30_000);
    expect(await state()).to.equal('online');
    return await only();
  }

  /** The victim's job runs on its runner. */
  async function busy(jobId = 100): Promise<RunnerRow> {
    const runner = await online(jobId);
    const listed = fixture.runners.get(runner.name);
    if (listed !== undefined) listed.busy = true;
    await fixture.tell(
      truth({ jobId, status: 'in_progress', runnerName: runner.name, runnerId: runner.githubRunnerId, startedAtMs: 1 }),
    );
    await fixture.advance(1000);
    const after = await only();
    expect(after).to.include({ state: 'busy', jobKey: `github.com/acme/web/${jobId}` });
    return after;
  }

  /** True at GitHub, and told by the platform's own webhook. */
  function truth(some: Partial<JobFact> & { readonly jobId: number }): JobFact {
    const fact = told(fixture, { owner: 'acme', ...some });
    fixture.jobs.set(jobKey(fact), fact);
    return fact;
  }

  function lie(by: string, some: Partial<JobFact> & { readonly jobId: number }): JobFact {
    return told(fixture, { owner: by, repository: 'x', labels: [`${by}-runner`], toldBy: by, ...some });
  }

  // W1
  for (const status of ['completed', 'in_progress'] as const) {
    it(`moves no runner with \`${status}\` of its own repository and the name of a busy one`, async () => {
      await open();
      const runner = await busy();
      await fixture.tell(
        lie('evil', { jobId: 666, status, conclusion: null, runnerName: runner.name, runnerId: runner.githubRunnerId }),
      );
      await fixture.advance(10 * MINUTE);
      expect(await only()).to.include({ state: 'busy', jobKey: 'github.com/acme/web/100', finishedAtMs: null });
      expect([...stops(), ...reads()]).to.deep.equal([]);
    });

    // W1
    it(`moves no runner with \`${status}\` of its own repository and the name of an idle one`, async () => {
      await open();
      const runner = await online();
      await fixture.tell(
        lie('evil', { jobId: 666, status, conclusion: null, runnerName: runner.name, runnerId: runner.githubRunnerId }),
      );
      await fixture.advance(MINUTE);
      expect(await only()).to.include({ state: 'online', jobKey: null });
      expect([...stops(), ...reads()]).to.deep.equal([]);
    });

    // W1
    it(`moves no runner with a made-up \`${status}\` about a repository that the runner's scope covers`, async () => {
      await open();
      const runner = await busy();
      await fixture.tell(
        lie('neighbour', { jobId: 666, owner: 'acme', repository: 'b', status, runnerName: runner.name }),
      );
      await fixture.advance(10 * MINUTE);
      expect(await only()).to.include({ state: 'busy', jobKey: 'github.com/acme/web/100', finishedAtMs: null });
      expect(stops()).to.deep.equal([]);
      expect(reads(), 'with the credential of the runner').to.include('read github.com/acme/b/666 by acme');
      expect(reads()).to.include('read github.com/acme/web/100 by acme');
    });

    // W1
    it(`moves no idle runner with a made-up \`${status}\` of a covered repository`, async () => {
      await open();
      const runner = await online();
      await fixture.tell(
        lie('neighbour', { jobId: 666, owner: 'acme', repository: 'b', status, runnerName: runner.name }),
      );
      await fixture.advance(MINUTE);
      expect(await only()).to.include({ state: 'online', jobKey: null });
      expect(reads()).to.deep.equal(['read github.com/acme/b/666 by acme']);
    });
  }

  it('binds no runner by a real job of its own that ran on another runner of the same name', async () => {
    await open();
    const runner = await online();
    // A repository's own runner may be called as an organization's is: GitHub itself says so when it is asked.
    const fake = { jobId: 667, repository: 'b', status: 'completed', runnerName: runner.name, runnerId: 1 } as const;
    await fixture.tell(truth({ ...fake, labels: ['something'], conclusion: 'success' }));
    await fixture.advance(MINUTE);
    expect(await only()).to.include({ state: 'online', jobKey: null });
  });

  it('is believed once GitHub has said the same: a job of the neighbour did take the runner', async () => {
    await open();
    const runner = await online();
    const stolen = { jobId: 700, owner: 'acme', repository: 'b', runnerName: runner.name } as const;
    const start = truth({ ...stolen, runnerId: runner.githubRunnerId, status: 'in_progress', labels: ['gpu'] });
    await fixture.tell({ ...start, toldBy: 'neighbour' });
    await fixture.advance(MINUTE);
    expect(await fixture.ledger.runner(runner.name)).to.include({ state: 'busy', jobKey: 'github.com/acme/b/700' });
    const end = truth({ ...start, status: 'completed', conclusion: 'success' });
    await fixture.tell({ ...end, toldBy: 'neighbour' });
    await fixture.advance(MINUTE);
    const after = await fixture.ledger.runner(runner.name);
    expect(after?.endReadAtMs).to.be.greaterThan(0);
    expect(after?.finishedAtMs).to.be.greaterThan(0);
  });

  it('is asked about also where true facts came with what it made up', async () => {
    await open();
    const made = lie('neighbour', { jobId: 666, owner: 'acme', repository: 'b', labels: ['acme-runner'] });
    await fixture.tell(truth({ jobId: 100 }), made);
    await fixture.advance(1000);
    expect(reads()).to.deep.equal(['read github.com/acme/b/666 by acme']);
  });

  it('costs the victim at most 20 GETs a minute, however many false facts it sends', async () => {
    await open();
    const runner = await busy();
    for (let minute = 0; minute < 5; minute += 1) {
      for (let index = 0; index < 60; index += 1) {
        const jobId = 10_000 + minute * 60 + index;
        await fixture.tell(
          lie('neighbour', { jobId, owner: 'acme', repository: 'b', status: 'completed', runnerName: runner.name }),
          lie('neighbour', { jobId: jobId + 5000, owner: 'acme', repository: 'b', labels: ['acme-runner'] }),
        );
      }
      await fixture.advance(MINUTE);
    }
    expect(reads().length).to.be.within(1, 6 * 20 + 10);
    expect(
      fixture.calls.filter((call) => call.startsWith('jit ')),
      'no runner for what is made up',
    ).to.have.length(1);
  });

  describe('and a runner that was believed to be done', () => {
    it('is busy again when GitHub refuses to delete it, and is not stopped', async () => {
      await open();
      const runner = await busy();
      // The platform's own webhook was wrong (or late, or replayed): nothing contradicts it but GitHub's 422.
      await fixture.tell(
        told(fixture, {
          jobId: 100,
          owner: 'acme',
          status: 'completed',
          runnerName: runner.name,
          conclusion: 'success',
        }),
      );
      await fixture.advance(10 * MINUTE);
      expect(await only()).to.include({ state: 'busy', jobKey: 'github.com/acme/web/100', finishedAtMs: null });
      expect(stops()).to.deep.equal([]);
      expect(fixture.calls).to.include(`delete ${runner.name}`);
      expect(reads()).to.include('read github.com/acme/web/100 by acme');
    });

    it('is stopped when GitHub says that its job ended, although it refuses to delete it', async () => {
      await open();
      const runner = await busy();
      await fixture.tell(
        truth({
          jobId: 100,
          status: 'completed',
          conclusion: 'success',
          runnerName: runner.name,
          runnerId: runner.githubRunnerId,
        }),
      );
      await fixture.advance(10 * MINUTE);
      expect(stops()).to.deep.equal([`stop ${runner.name}`]);
    });
  });

  // W3
  it('takes no job away with ids next to the present one, however many it makes up', async () => {
    await open();
    for (let jobId = 100; jobId < 400; jobId += 1) {
      await fixture.tell(lie('evil', { jobId, status: 'completed', conclusion: 'success' }));
    }
    await fixture.tell(truth({ jobId: 250 }));
    await fixture.advance(MINUTE);
    expect(fixture.calls.filter((call) => call.startsWith('launch '))).to.have.length(1);
    // And it ends none that waits.
    await fixture.tell(lie('evil', { jobId: 250, status: 'completed', conclusion: 'cancelled' }));
    expect(await fixture.ledger.job('github.com/acme/web/250')).to.include({ status: 'queued', admission: 'lane' });
  });

  describe('of a tenant that may speak of the victim’s repositories as well', () => {
    const twin = registration('twin');

    it('creates no demand: a job that only it reports gets a runner once GitHub has confirmed it', async () => {
      await open([victim, twin]);
      const made = told(fixture, { jobId: 500, owner: 'acme', toldBy: 'twin' });
      const real = truth({ jobId: 501 });
      await fixture.tell(made, { ...real, toldBy: 'twin' });
      await fixture.advance(5 * MINUTE);
      expect(await fixture.ledger.job('github.com/acme/web/500')).to.include({ admission: 'not-ours' });
      const launches = fixture.calls.filter((call) => call.startsWith('launch '));
      expect(launches).to.have.length(1);
      expect((await only()).forJobKey).to.equal('github.com/acme/web/501');
    });

    it('ends no demand, and costs one GET a job in ten minutes', async () => {
      await open([{ ...victim, maxRunners: 0 }, twin]);
      await fixture.tell(truth({ jobId: 100 }));
      await fixture.advance(1000);
      for (let round = 0; round < 20; round += 1) {
        await fixture.tell(told(fixture, { jobId: 100, owner: 'acme', status: 'completed', toldBy: 'twin' }));
        await fixture.advance(20_000);
      }
      expect(await fixture.ledger.job('github.com/acme/web/100')).to.include({ status: 'queued', disputed: false });
      expect(reads().length).to.be.within(1, 2);
    });

    it('cannot poison a job that is still to come: the first word of the platform counts as if nothing had been said', async () => {
      await open([victim, twin]);
      for (const labels of [['ubuntu-latest'], ['acme-runner']]) {
        for (const status of ['queued', 'completed'] as const) {
          const jobId = 800 + labels.length + (status === 'queued' ? 0 : 10) + (labels[0] === 'acme-runner' ? 100 : 0);
          await fixture.tell(
            told(fixture, { jobId, owner: 'acme', status, labels, visibility: 'public', toldBy: 'twin' }),
          );
          await fixture.advance(1000);
          await fixture.tell(truth({ jobId }));
          await fixture.advance(1000);
          expect(await fixture.ledger.job(`github.com/acme/web/${jobId}`), `${labels} ${status}`).to.deep.include({
            status: 'queued',
            admission: 'lane',
            registration: 'acme',
            labels: ['acme-runner'],
            visibility: 'private',
          });
        }
      }
    });

    it('does not expose the victim’s repository: what it says of its visibility changes nothing', async () => {
      await open([victim, twin]);
      await fixture.tell(truth({ jobId: 100 }));
      await fixture.tell(told(fixture, { jobId: 100, owner: 'acme', visibility: 'public', toldBy: 'twin' }));
      expect(await fixture.ledger.job('github.com/acme/web/100')).to.include({ visibility: 'private' });
    });
  });

  // W12
  it('a repository that turns public is admitted anew: its job is refused where that is not allowed', async () => {
    await open([{ ...victim, maxRunners: 0 }]);
    await fixture.tell(truth({ jobId: 100, visibility: 'private' }));
    expect(await fixture.ledger.job('github.com/acme/web/100')).to.include({ admission: 'lane' });
    await fixture.tell(truth({ jobId: 100, visibility: 'public' }));
    expect(await fixture.ledger.job('github.com/acme/web/100')).to.include({
      admission: 'refused',
      visibility: 'public',
    });
    await fixture.tell(truth({ jobId: 100, visibility: 'private' }));
    expect(await fixture.ledger.job('github.com/acme/web/100')).to.include({
      admission: 'refused',
      visibility: 'public',
    });
  });

  describe('that tags containers in an account of its own', () => {
    const tagged = (runner: string, scope: string) => ({
      ref: { name: runner, id: `fake-${runner}` },
      state: 'running' as const,
      tags: {
        dispatcher: 'd1',
        registration: 'evil',
        lane: 'x'.repeat(16),
        scope,
        runner,
        createdAtMs: 1,
        deadlineAtMs: Number.MAX_SAFE_INTEGER,
        charge: {},
      },
    });

    it('says nothing of a runner that was placed elsewhere, and has none adopted outside of its claim', async () => {
      await open();
      const runner = await busy();
      const { name } = runner;
      fixture.instances.set('a', tagged(name, 'orgs/acme'));
      fixture.instances.set('b', tagged('d1-01k8zyw0000000000000000zzz', 'orgs/acme'));
      fixture.instances.set('c', tagged('tenants-own-machine', 'orgs/evil'));
      await fixture.advance(20 * MINUTE);
      expect(await fixture.ledger.runners({ registrations: ['evil'] }, 'reject')).to.deep.equal([]);
      expect(await only()).to.include({ name, state: 'busy', instanceId: runner.instanceId });
    });
  });
});
