import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'chai';
import type { Registration } from '../../dispatcher/model/registration.ts';
import { type InstanceReason, type LaunchRequest, ProviderError } from '../../providers/provider.ts';
import {
  type EngineFixture,
  type FixtureOptions,
  MINUTE,
  openEngineFixture,
  registration,
  told,
} from './engine-fixture.ts';

const SECOND = 1000;
const STABLE = 'registry.example/runner:1';
const CANDIDATE = 'registry.example/runner:2';
const PULL: InstanceReason = { kind: 'image-pull-failed', message: 'manifest unknown' };

/** Every first launch that may be one is on the candidate: what is drawn is proven by the rules' own test. */
const CANARY = { image: CANDIDATE, percent: 100 };
const acme = (change: Partial<Registration> = {}) => registration('acme', { canary: CANARY, ...change });

describe('a candidate image of a registration', () => {
  let fixture: EngineFixture;
  /** `job IMAGE`, in the order of the launches. */
  let launched: { readonly name: string; readonly image: string }[];
  let refuse: (request: LaunchRequest) => ProviderError | undefined;
  afterEach(() => fixture.close());

  async function open(options: Partial<FixtureOptions> = {}): Promise<void> {
    launched = [];
    refuse = () => undefined;
    fixture = await openEngineFixture({
      registrations: [acme()],
      provider: (_backend, honest) => ({
        async launch(request) {
          launched.push({ name: request.name, image: request.shape.image });
          const error = refuse(request);
          if (error !== undefined) throw error;
          return await honest.launch(request);
        },
      }),
      ...options,
    });
    await fixture.engine.start();
    await fixture.advance(SECOND);
  }

  async function queue(jobId: number, ...labels: readonly string[]): Promise<void> {
    const job = told(fixture, { jobId, labels: ['acme-runner', `sid-${jobId}`, ...labels] });
    fixture.jobs.set(`github.com/acme/web/${jobId}`, job);
    await fixture.tell(job);
    await fixture.advance(SECOND);
  }

  /** All that starts does so, unless its image is `bad`. */
  async function settle(bad = CANDIDATE): Promise<void> {
    for (const { name, image } of launched) {
      const instance = fixture.instances.get(name);
      const listed = fixture.runners.get(name);
      if (image === bad && instance !== undefined)
        fixture.instances.set(name, { ...instance, state: 'failed', reason: PULL });
      else if (listed !== undefined) listed.online = true;
    }
    await fixture.advance(MINUTE);
  }

  const images = () => launched.map(({ image }) => image);
  const logged = (event: string) => fixture.logged.filter((line) => line.includes(` ${event} `));
  const job = (jobId: number) => fixture.ledger.job(`github.com/acme/web/${jobId}`);

  it('is used for the first launch of a job, and its runner says so', async () => {
    await open();
    await queue(1);
    expect(images()).to.deep.equal([CANDIDATE]);
    expect(await fixture.ledger.runner(launched[0]?.name ?? '')).to.include({
      candidate: CANDIDATE,
      state: 'starting',
    });
    await settle('none');
    expect(fixture.engine.canary('acme')).to.include({ starts: '+', stopped: null });
    expect(images()).to.have.length(1);
  });

  it('is followed by the stable image where its start failed, and costs the job none of its launches', async () => {
    await open();
    await queue(1);
    await settle();
    expect(images()).to.deep.equal([CANDIDATE, STABLE]);
    expect(await job(1)).to.include({ launches: 1, planned: 2 });
    expect(fixture.engine.canary('acme')).to.include({ starts: '-', stopped: null });
    expect(await fixture.ledger.breakers()).to.deep.equal([]);
    expect(await fixture.ledger.runner(launched[1]?.name ?? '')).to.include({ candidate: null, state: 'starting' });
  });

  it('is followed by the stable image in the same launch where the service refuses it', async () => {
    await open();
    refuse = ({ shape }) =>
      shape.image === CANDIDATE ? new ProviderError('invalid', 'create', 'no such image') : undefined;
    await queue(1);
    expect(images()).to.deep.equal([CANDIDATE, STABLE]);
    expect(new Set(launched.map(({ name }) => name)).size).to.equal(1);
    expect(await fixture.ledger.runner(launched[0]?.name ?? '')).to.include({ candidate: null, state: 'starting' });
    expect(await job(1)).to.include({ launches: 1, planned: 1 });
    expect(fixture.engine.canary('acme')).to.include({ starts: '-' });
    expect(await fixture.ledger.breakers()).to.deep.equal([]);
  });

  it('is not blamed for what closes the backend', async () => {
    await open();
    refuse = () => new ProviderError('quota', 'create', 'too many cores');
    await queue(1);
    expect(images()).to.deep.equal([CANDIDATE]);
    expect(fixture.engine.canary('acme')).to.include({ starts: '' });
    expect((await fixture.ledger.breakers()).map(({ rule }) => rule)).to.deep.equal(['account']);
  });

  it('is not for jobs that get another image by a label', async () => {
    await open({ registrations: [acme({ images: { other: 'registry.example/other:1' } })] });
    await queue(1, 'img-other');
    expect(images()).to.deep.equal(['registry.example/other:1']);
  });

  it('has few starts on their way before the first has come online', async () => {
    await open();
    for (const jobId of [1, 2, 3, 4, 5]) await queue(jobId);
    expect(images()).to.deep.equal([CANDIDATE, CANDIDATE, CANDIDATE, STABLE, STABLE]);
    await settle('none');
    for (const jobId of [6, 7, 8, 9]) await queue(jobId);
    expect(images().slice(5)).to.deep.equal([CANDIDATE, CANDIDATE, CANDIDATE, CANDIDATE]);
  });

  async function stopIt(): Promise<void> {
    for (const jobId of [1, 2, 3]) await queue(jobId);
    await settle();
    expect(fixture.engine.canary('acme')?.stopped?.reason).to.equal('3 starts in a row failed');
    launched = [];
  }

  it('is stopped by its own breaker, with a line in the log, and no job is lost', async () => {
    await open();
    await stopIt();
    const [line, ...more] = logged('canary-stopped');
    expect(more).to.deep.equal([]);
    expect(line).to.include(`image=${CANDIDATE}`).and.to.include('reason=3 starts in a row failed');
    expect(line).to.include('kind=image-pull-failed').and.to.include('manifest unknown');
    const waiting = await Promise.all([1, 2, 3].map(async (id) => (await job(id))?.launches));
    expect(waiting).to.deep.equal([1, 1, 1]);
    await queue(4);
    expect(images()).to.deep.equal([STABLE]);
  });

  it('is used again after an operator has reset the registration', async () => {
    await open();
    await stopIt();
    expect(await fixture.engine.resetBackends('acme', 'main')).to.deep.equal([]);
    await queue(4);
    expect(images()).to.deep.equal([STABLE]);
    const [closure] = (await fixture.engine.resetBackends('acme', undefined)) ?? [];
    expect(closure).to.include({ rule: 'canary', about: `candidate image ${CANDIDATE}`, failures: 3 });
    expect(logged('canary-resumed')[0]).to.include('reason=an operator reset it');
    await queue(5);
    expect(images()).to.deep.equal([STABLE, CANDIDATE]);
  });

  it('is begun with anew when the file names another, and stays stopped when it names the same', async () => {
    await open();
    await stopIt();
    fixture.reconfigure({ registrations: [acme({ priority: 1 })], changed: ['acme'] });
    await fixture.advance(SECOND);
    await queue(4);
    expect(images()).to.deep.equal([STABLE]);
    const next = { image: 'registry.example/runner:3', percent: 100 };
    fixture.reconfigure({ registrations: [acme({ canary: next })], changed: ['acme'] });
    await fixture.advance(SECOND);
    expect(logged('canary-resumed')[0]).to.include('reason=its configuration has changed');
    await queue(5);
    expect(images()).to.deep.equal([STABLE, next.image]);
    fixture.reconfigure({ registrations: [registration('acme')], changed: ['acme'] });
    await fixture.advance(SECOND);
    expect(fixture.engine.canary('acme')).to.equal(undefined);
    await queue(6);
    expect(images()).to.deep.equal([STABLE, next.image, STABLE]);
  });

  it('stays stopped over a restart', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'shr-canary-'));
    after(() => rm(folder, { recursive: true, force: true }));
    const ledgerPath = join(folder, 'ledger.sqlite');
    await open({ ledgerPath });
    await stopIt();
    const startMs = fixture.clock.now();
    await fixture.close();
    await open({ ledgerPath, startMs: startMs + MINUTE, incarnation: 'next' });
    expect(fixture.engine.canary('acme')?.stopped?.failure.kind).to.equal('image-pull-failed');
    await queue(4);
    expect(images()).to.deep.equal([STABLE]);
  });

  it('leaves standby containers on the stable image', async () => {
    const pool = { mode: 'registered', labels: ['acme-runner'], size: 2, maxAgeMs: 60 * MINUTE } as const;
    await open({ registrations: [acme({ standby: [pool] })] });
    await fixture.advance(MINUTE);
    expect(images()).to.deep.equal([STABLE, STABLE]);
  });
});
