import { expect } from 'chai';
import { jobKey } from '../../dispatcher/jobs/facts.ts';
import type { Ledger } from '../../dispatcher/ledger/ledger.ts';
import type { Registration } from '../../dispatcher/model/registration.ts';
import { type EngineFixture, MINUTE, openEngineFixture, registration, told } from './engine-fixture.ts';

describe('an engine whose registrations change', () => {
  let fixture: EngineFixture;
  let readmitted: number;

  async function open(registrations: readonly Registration[], maxRunners = 100): Promise<void> {
    readmitted = 0;
    const counting = (ledger: Ledger): Ledger => ({
      ...ledger,
      unsettleJobsOf: async (...of) => {
        const jobs = await ledger.unsettleJobsOf(...of);
        readmitted += jobs;
        return jobs;
      },
    });
    fixture = await openEngineFixture({ registrations, maxRunners, through: counting });
    await fixture.engine.start();
    await fixture.advance(MINUTE);
  }

  afterEach(() => fixture.close());

  const launches = () => fixture.calls.filter((call) => call.startsWith('launch ')).length;
  const job = async (id: number) => await fixture.ledger.job(`github.com/acme/web/${id}`);
  const runners = async () => await fixture.ledger.runners({ limit: 100 }, 'reject');

  async function runJob(jobId: number, labels: readonly string[] = ['acme-runner']): Promise<string> {
    await fixture.tell(told(fixture, { jobId, labels }));
    await fixture.advance(5_000);
    const all = await runners();
    const name = all.find(({ forJobKey }) => forJobKey === `github.com/acme/web/${jobId}`)?.name ?? 'none';
    const atGithub = fixture.runners.get(name);
    if (atGithub !== undefined) Object.assign(atGithub, { online: true, busy: true });
    await fixture.tell(told(fixture, { jobId, labels, status: 'in_progress', runnerName: name }));
    await fixture.advance(5_000);
    return name;
  }

  it('takes the waiting job of one that is added, once its backend was listed', async () => {
    await open([]);
    await fixture.tell(told(fixture, { jobId: 1 }));
    expect(await job(1)).to.include({ admission: 'not-ours' });
    fixture.reconfigure({
      registrations: [registration('acme')],
      changed: ['acme'],
      readmit: [{ host: 'github.com', owner: 'ACME' }],
    });
    await fixture.advance(2_000);
    expect(await job(1)).to.include({ admission: 'lane', registration: 'acme' });
    expect(launches()).to.equal(1);
    expect(readmitted).to.equal(1);
  });

  it('lets more run at once when a cap is raised, and ends none when it is lowered', async () => {
    await open([registration('acme', { maxRunners: 2 })]);
    for (let jobId = 1; jobId <= 20; jobId += 1) await fixture.tell(told(fixture, { jobId }));
    await fixture.advance(2_000);
    expect(launches()).to.equal(2);
    const raised = registration('acme', { maxRunners: 7 });
    fixture.reconfigure({ registrations: [raised], changed: ['acme'] });
    await fixture.advance(2_000);
    expect(launches()).to.equal(7);
    const lowered = registration('acme', { maxRunners: 1 });
    fixture.reconfigure({ registrations: [lowered], changed: ['acme'] });
    await fixture.advance(MINUTE);
    expect(launches()).to.equal(7);
    expect(fixture.calls.filter((call) => call.startsWith('stop '))).to.deep.equal([]);
  });

  it('obeys another limit of the dispatcher at once', async () => {
    const acme = registration('acme');
    await open([acme], 1);
    for (let jobId = 1; jobId <= 5; jobId += 1) await fixture.tell(told(fixture, { jobId }));
    await fixture.advance(2_000);
    expect(launches()).to.equal(1);
    fixture.reconfigure({ registrations: [acme], maxRunners: 3 });
    await fixture.advance(2_000);
    expect(launches()).to.equal(3);
  });

  it('launches nothing by what a policy allowed before, from the change on', async () => {
    const wide = registration('acme', { maxRunners: 1 });
    await open([wide]);
    await runJob(1);
    const labels = ['acme-runner', 'cpu-8'];
    await fixture.tell(told(fixture, { jobId: 2, labels }));
    expect(await job(2)).to.include({ admission: 'lane' });
    const narrow = registration('acme', { maxRunners: 10, policy: { ...wide.policy, maxCpu: 2 } });
    fixture.reconfigure({ registrations: [narrow], changed: ['acme'] });
    await fixture.advance(MINUTE);
    expect(await job(2)).to.include({ admission: 'refused' });
    expect(launches()).to.equal(1);
  });

  it('replaces idle runners whose image is another now, and leaves the job that runs alone', async () => {
    await open([registration('acme')]);
    const busy = await runJob(1);
    await fixture.tell(told(fixture, { jobId: 2 }));
    await fixture.advance(5_000);
    const [idle] = (await runners()).filter(({ name }) => name !== busy);
    const atGithub = fixture.runners.get(idle?.name ?? '');
    if (atGithub !== undefined) atGithub.online = true;
    await fixture.advance(20_000);
    const other = registration('acme', { defaults: { image: 'registry.example/runner:2' } });
    fixture.reconfigure({ registrations: [other], changed: ['acme'] });
    await fixture.advance(5 * MINUTE);
    const after = await runners();
    const hash = (name: string | undefined) => after.find((runner) => runner.name === name)?.specHash;
    const [fresh] = after.filter(({ name }) => name !== busy && name !== idle?.name);
    expect(fresh?.specHash).to.not.equal(hash(busy));
    expect(after.find(({ name }) => name === busy)?.state).to.equal('busy');
    expect(after.find(({ name }) => name === idle?.name)?.state).to.be.oneOf(['draining', 'gone']);
  });

  it('replaces idle runners of a preset that is another now, and leaves the job that runs alone', async () => {
    const withLarge = (cpu: number) =>
      registration('acme', { presets: { shapes: { large: { cpu } }, images: {}, places: {} } });
    await open([withLarge(2)]);
    const labels = ['acme-runner', 'shape-large'];
    const busy = await runJob(1, labels);
    const waiting = told(fixture, { jobId: 2, labels });
    fixture.jobs.set(jobKey(waiting), waiting);
    await fixture.tell(waiting);
    await fixture.advance(5_000);
    const [idle] = (await runners()).filter(({ name }) => name !== busy);
    const atGithub = fixture.runners.get(idle?.name ?? '');
    if (atGithub !== undefined) atGithub.online = true;
    await fixture.advance(20_000);
    fixture.reconfigure({ registrations: [withLarge(4)], changed: ['acme'] });
    await fixture.advance(5 * MINUTE);
    const after = await runners();
    const hash = (name: string | undefined) => after.find((runner) => runner.name === name)?.specHash;
    const [fresh] = after.filter(({ name }) => name !== busy && name !== idle?.name);
    expect(fresh?.specHash).to.be.a('string').that.does.not.equal(hash(busy));
    expect(after.find(({ name }) => name === busy)?.state).to.equal('busy');
    expect(after.find(({ name }) => name === idle?.name)?.state).to.be.oneOf(['draining', 'gone']);
  });

  it('launches nothing for one that was removed, watches its runners to their end, and then forgets it', async () => {
    await open([registration('acme'), registration('emca', { claim: { kind: 'organization', organization: 'emca' } })]);
    const busy = await runJob(1);
    fixture.reconfigure({ registrations: [], leaving: { acme: 'removed' }, readmit: 'all' });
    await fixture.tell(told(fixture, { jobId: 2 }));
    await fixture.advance(MINUTE);
    expect(launches()).to.equal(1);
    expect(await job(2)).to.include({ admission: 'not-ours' });
    expect((await runners())[0]).to.include({ name: busy, state: 'busy' });
    fixture.runners.delete(busy);
    fixture.instances.delete(busy);
    await fixture.tell(told(fixture, { jobId: 1, status: 'completed', runnerName: busy, conclusion: 'success' }));
    await fixture.advance(5 * MINUTE);
    expect((await runners())[0]).to.include({ name: busy, state: 'gone' });
    fixture.reconfigure({ registrations: [], gone: ['acme'] });
    await fixture.advance(MINUTE);
    expect(fixture.engine.backends().map((one) => one.registration)).to.deep.equal(['emca']);
  });

  for (const absence of ['removed', 'set-aside'] as const) {
    it(`drains the idle runners of one that is ${absence} at once, and none that has a job`, async () => {
      await open([registration('acme', { maxRunners: 3 })]);
      const busy = await runJob(1);
      await fixture.tell(told(fixture, { jobId: 2 }));
      await fixture.advance(5_000);
      const idle = (await runners()).find(({ name }) => name !== busy)?.name ?? 'none';
      Object.assign(fixture.runners.get(idle) ?? {}, { online: true });
      await fixture.advance(20_000);
      await fixture.tell(told(fixture, { jobId: 2, status: 'completed', conclusion: 'cancelled' }));
      await fixture.advance(1_000);
      expect(await fixture.ledger.runner(idle)).to.include({ state: 'online' });
      fixture.reconfigure({ registrations: [], leaving: { acme: absence }, readmit: 'all' });
      await fixture.advance(2_000);
      expect(await fixture.ledger.runner(idle)).to.include({ state: 'draining' });
      await fixture.advance(3 * MINUTE);
      expect(fixture.calls).to.include(`delete ${idle}`);
      expect((await fixture.ledger.runner(idle))?.drainReason).to.match(
        absence === 'removed'
          ? /^its registration is no longer in the configuration$/
          : /^its registration is set aside/,
      );
      expect(fixture.calls).to.not.include(`delete ${busy}`);
      expect(await fixture.ledger.runner(busy)).to.include({ state: 'busy' });
    });
  }

  it('tells the waiting job of one that was removed why it does not run', async () => {
    await open([registration('acme', { maxRunners: 1 })]);
    await runJob(1);
    await fixture.tell(told(fixture, { jobId: 2 }));
    fixture.reconfigure({ registrations: [], leaving: { acme: 'removed' } });
    await fixture.advance(2_000);
    const waiting = await job(2);
    expect(waiting).to.include({ admission: 'refused', reasonCode: 'registration-removed' });
    expect(waiting?.reason).to.match(/those that live finish their jobs and are removed$/);
  });

  it('admits only the jobs anew that the change is about', async () => {
    const others = Array.from({ length: 30 }, (_, index) =>
      registration(`t${index}`, { claim: { kind: 'organization', organization: `t${index}` }, labels: ['x'] }),
    );
    await open([registration('acme', { maxRunners: 0 }), ...others.map((one) => ({ ...one, maxRunners: 0 }))]);
    for (let index = 0; index < 30; index += 1) {
      await fixture.tell(told(fixture, { jobId: 100 + index, owner: `t${index}`, labels: ['x'] }));
    }
    await fixture.tell(told(fixture, { jobId: 1 }), told(fixture, { jobId: 2 }));
    fixture.reconfigure({
      registrations: [registration('acme'), ...others],
      changed: ['acme'],
      readmit: [{ host: 'github.com', owner: 'acme', repository: 'web' }],
    });
    await fixture.advance(2_000);
    expect(launches()).to.equal(2);
    expect(readmitted).to.be.within(2, 4);
  });

  it('tries a backend at once whose options were corrected', async () => {
    const wrong = registration('acme');
    fixture = await openEngineFixture({
      registrations: [wrong],
      provider: () => ({
        launch: () => Promise.reject(new Error('the options are wrong')),
      }),
    });
    await fixture.engine.start();
    await fixture.advance(MINUTE);
    expect(fixture.engine.backends()[0]?.listed).to.equal(true);
    const options = { region: 'another' };
    fixture.reconfigure({
      registrations: [{ ...wrong, backends: wrong.backends.map((one) => ({ ...one, options })) }],
      changed: ['acme'],
    });
    expect(fixture.engine.backends()[0]?.listed, 'until it was listed').to.equal(false);
    await fixture.advance(2_000);
    expect(fixture.engine.backends()[0]).to.include({ listed: true, launching: 0 });
  });
});
