/** Registrations that only observe: the real engine on the real ledger, under a virtual clock. */
import { expect } from 'chai';
import type { JobFact } from '../../dispatcher/jobs/facts.ts';
import { jobKey } from '../../dispatcher/jobs/facts.ts';
import type { Registration } from '../../dispatcher/model/registration.ts';
import { ulid } from '../../time/clock.ts';
import {
  DISPATCHER,
  type EngineFixture,
  type ListedRunner,
  MINUTE,
  openEngineFixture,
  registration,
  told,
} from './engine-fixture.ts';

const HOUR = 60 * MINUTE;
const serving = registration('acme', { maxRunners: 3 });
const observing = registration('acme', {
  maxRunners: 3,
  observe: true,
  standby: [{ labels: [], size: 2, maxAgeMs: HOUR }],
});

describe('a registration that only observes', () => {
  let fixture: EngineFixture;
  async function open(one: Registration, prepare: () => Promise<void> = remember): Promise<void> {
    fixture = await openEngineFixture({ registrations: [one], callbackUrl: 'https://shr.example' });
    await prepare();
    await fixture.engine.start();
    await fixture.advance(MINUTE);
  }
  afterEach(() => fixture.close());
  /** The ledger is that of a dispatcher that ran a moment ago. */
  const remember = async (): Promise<void> => {
    const now = fixture.clock.now();
    await fixture.ledger.putCursor('engine/lived-at-ms', String(now), now);
  };

  /** GitHub knows it too. */
  async function tell(some: Partial<JobFact> & { readonly jobId: number }): Promise<void> {
    const fact = told(fixture, some);
    fixture.jobs.set(jobKey(fact), fact);
    await fixture.tell(fact);
    await fixture.advance(5_000);
  }
  const job = async (id: number) => await fixture.ledger.job(`github.com/acme/web/${id}`);
  const runners = async () => await fixture.ledger.runners({ limit: 100 }, 'reject');
  const writes = () => fixture.calls.filter((call) => !call.startsWith('read '));
  const change = (one: Registration) => fixture.reconfigure({ registrations: [one], changed: ['acme'] });
  const told404 = () => fixture.logged.filter((line) => /^(warn|error) /.test(line));

  it('calls no service and registers nothing, whatever its jobs do, and raises no alarm', async () => {
    await open(observing);
    for (let jobId = 1; jobId <= 5; jobId += 1) await tell({ jobId });
    await tell({ jobId: 1, status: 'in_progress', runnerId: 7, runnerName: 'arc-1', startedAtMs: fixture.clock.now() });
    await tell({ jobId: 2, status: 'completed', conclusion: 'cancelled' });
    await fixture.advance(26 * HOUR);
    expect(await runners()).to.deep.equal([]);
    expect(writes()).to.deep.equal([]);
    expect(fixture.serviceCalls()).to.equal(0);
    expect(fixture.listings()).to.equal(0);
    expect(told404()).to.deep.equal([]);
    expect([...fixture.engine.unlisted()]).to.deep.equal([]);
    expect(fixture.engine.resting('acme')).to.deep.equal([]);
  });

  it('says of each waiting job that it is left to others', async () => {
    await open(observing);
    await tell({ jobId: 1 });
    const known = await job(1);
    expect(known).to.include({ admission: 'observed', registration: 'acme', reasonCode: 'observed' });
    expect(known && (await fixture.engine.jobReason(known))).to.equal(
      'its registration only observes (`observe: true`): the job is left to other runners',
    );
  });

  it('refuses what it would refuse', async () => {
    await open(observing);
    await tell({ jobId: 1, labels: ['acme-runner', 'cpu-64'] });
    expect(await job(1)).to.include({ admission: 'refused' });
  });

  it('learns from GitHub how a job ended of which no webhook tells', async () => {
    await open(observing);
    await tell({ jobId: 1 });
    const ended = {
      ...({ jobId: 1, status: 'completed', conclusion: 'success', runnerId: 7, runnerName: 'arc-1' } as const),
      ...{ runnerGroup: 'k8s', startedAtMs: fixture.clock.now() + 3_000, completedAtMs: fixture.clock.now() + 9_000 },
    };
    fixture.jobs.set('github.com/acme/web/1', told(fixture, ended));
    await fixture.advance(15 * MINUTE);
    expect(await job(1)).to.include({
      admission: 'observed',
      status: 'completed',
      runnerName: 'arc-1',
      runnerGroup: 'k8s',
    });
  });

  it('begins to launch for what still waits when it no longer does', async () => {
    await open(observing);
    await tell({ jobId: 1 });
    await tell({ jobId: 2, status: 'completed', conclusion: 'success', runnerId: 7, runnerName: 'arc-1' });
    change(serving);
    await fixture.advance(5_000);
    expect(await job(1)).to.include({ admission: 'lane', reasonCode: null, reason: null });
    expect(await job(2)).to.include({ admission: 'observed' });
    expect((await runners()).map(({ forJobKey }) => forJobKey)).to.deep.equal(['github.com/acme/web/1']);
  });

  it('drains what waits for a job when it begins to, and lets a job that runs come to its end', async () => {
    await open(serving);
    await tell({ jobId: 1 });
    await tell({ jobId: 2 });
    const ofJob = async (id: number) =>
      (await runners()).find(({ forJobKey }) => forJobKey === `github.com/acme/web/${id}`)?.name ?? 'none';
    const [busy, idle] = [await ofJob(1), await ofJob(2)];
    for (const name of [busy, idle]) Object.assign(fixture.runners.get(name) ?? {}, { online: true });
    Object.assign(fixture.runners.get(busy) ?? {}, { busy: true });
    await tell({ jobId: 1, status: 'in_progress', runnerName: busy, startedAtMs: fixture.clock.now() });
    change(registration('acme', { maxRunners: 3, observe: true }));
    await fixture.advance(9 * MINUTE);
    expect(await job(1)).to.include({ admission: 'lane' });
    expect(await job(2)).to.include({ admission: 'observed' });
    expect(writes()).to.include(`delete ${idle}`);
    expect(await fixture.ledger.runner(idle)).to.include({
      state: 'draining',
      drainReason: 'its registration only observes (`observe: true`)',
    });
    expect(writes()).to.not.include(`delete ${busy}`);
    expect((await fixture.ledger.runner(busy))?.state).to.equal('busy');

    Object.assign(fixture.runners.get(busy) ?? {}, { busy: false, online: false });
    await tell({ jobId: 1, status: 'completed', conclusion: 'success', runnerName: busy });
    fixture.instances.clear();
    await fixture.advance(HOUR);
    expect((await runners()).every(({ state }) => state === 'gone')).to.equal(true);
    const calls = fixture.serviceCalls();
    await tell({ jobId: 3 });
    await fixture.advance(2 * HOUR);
    expect(fixture.serviceCalls()).to.equal(calls);
  });

  /** Online, and its job was cancelled. */
  async function idleOnline(): Promise<string> {
    await tell({ jobId: 1 });
    const [runner] = await runners();
    const name = runner?.name ?? 'none';
    Object.assign(fixture.runners.get(name) ?? {}, { online: true });
    await fixture.advance(10_000);
    await tell({ jobId: 1, status: 'completed', conclusion: 'cancelled' });
    expect(await fixture.ledger.runner(name)).to.include({ state: 'online' });
    return name;
  }

  it('drains an idle runner at once, and says why', async () => {
    await open(serving);
    const idle = await idleOnline();
    change(registration('acme', { maxRunners: 3, observe: true }));
    await fixture.advance(2_000);
    expect(await fixture.ledger.runner(idle)).to.include({ state: 'draining' });
    // As soon as GitHub has called it idle for two minutes.
    await fixture.advance(3 * MINUTE);
    expect(writes()).to.include(`delete ${idle}`);
    expect((await fixture.ledger.timeline(idle)).map(({ reason }) => reason)).to.include(
      'its registration only observes (`observe: true`)',
    );
  });

  it('kills no job that GitHub gave to an idle runner and has not told of yet', async () => {
    await open(serving);
    const idle = await idleOnline();
    Object.assign(fixture.runners.get(idle) ?? {}, { busy: true });
    change(registration('acme', { maxRunners: 3, observe: true }));
    await fixture.advance(2 * MINUTE);
    expect(await fixture.ledger.runner(idle)).to.include({ state: 'busy' });
    expect(fixture.instances.has(idle)).to.equal(true);
    await tell({ jobId: 2, status: 'in_progress', runnerName: idle, startedAtMs: fixture.clock.now() });
    await fixture.advance(MINUTE);
    expect(await job(2), 'it keeps the registration that it began with').to.include({ admission: 'lane' });
    expect(await fixture.ledger.runner(idle)).to.include({ state: 'busy' });
  });

  /** Launched before the ledger was lost. */
  function left(index: number, known: Partial<ListedRunner> | undefined): string {
    const createdAtMs = fixture.clock.now() - 20 * MINUTE;
    const name = `${DISPATCHER}-${ulid(createdAtMs, () => index / 10)}`;
    const tags = { dispatcher: DISPATCHER, registration: 'acme', lane: 'lane000000000001', scope: 'orgs/acme' };
    fixture.instances.set(name, {
      ref: { name, id: `i-${name}` },
      state: 'running',
      tags: { ...tags, runner: name, createdAtMs, deadlineAtMs: createdAtMs + 6 * HOUR, charge: {} },
    });
    if (known !== undefined)
      fixture.runners.set(name, { id: 70 + index, name, scope: 'orgs/acme', online: true, busy: false, ...known });
    return name;
  }

  it('looks after what ran before its ledger was lost, and launches nothing', async () => {
    let [idle, busy] = ['', ''];
    await open(observing, async () => {
      idle = left(1, {});
      busy = left(2, { busy: true });
    });
    expect((await runners()).map(({ name }) => name)).to.have.members([idle, busy]);
    await fixture.advance(10 * MINUTE);
    expect(writes()).to.include(`delete ${idle}`);
    expect((await fixture.ledger.runner(busy))?.state).to.equal('busy');
    expect(fixture.instances.has(busy), 'a job runs there').to.equal(true);
    fixture.runners.delete(busy);
    const ended = fixture.instances.get(busy);
    if (ended !== undefined) fixture.instances.set(busy, { ...ended, state: 'succeeded' });
    await fixture.advance(HOUR);
    expect(writes()).to.include.members([`stop ${idle}`, `stop ${busy}`]);
    expect([...fixture.instances.keys()]).to.deep.equal([]);
    expect((await runners()).map(({ state }) => state)).to.deep.equal(['gone', 'gone']);
    expect(writes().filter((call) => /^(launch|jit) /.test(call))).to.deep.equal([]);
    const calls = fixture.serviceCalls();
    await fixture.advance(26 * HOUR);
    expect(fixture.serviceCalls(), 'and then it asks no service any more').to.equal(calls);
  });

  it('asks each service once where the ledger is new, and GitHub for no runners', async () => {
    await open(observing, async () => {});
    await tell({ jobId: 1 });
    await fixture.advance(26 * HOUR);
    expect(fixture.serviceCalls()).to.equal(1);
    expect(fixture.listings()).to.equal(0);
    expect(writes()).to.deep.equal([]);
  });
});
