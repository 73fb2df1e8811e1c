/** Images whose runners run jobs and never call back: by themselves, and with the real engine. */
import { expect } from 'chai';
import { type LaunchedRunner, SilentImages, silenceWords } from '../../dispatcher/lifecycle/silent-images.ts';
import { problemsOf } from '../../dispatcher/observability/problems.ts';
import { DAY } from '../../time/units.ts';
import { type EngineFixture, openEngineFixture, registration, told } from './engine-fixture.ts';
import { manualClock } from './manual-clock.ts';

describe('images whose runners never call back', () => {
  let clock: ReturnType<typeof manualClock>;
  let images: SilentImages;
  let made: number;
  beforeEach(() => {
    clock = manualClock();
    images = new SilentImages(clock);
    made = 0;
  });

  const ran = (
    change: Partial<LaunchedRunner> = {},
    { calls = false, jobKey = 'a job' }: { readonly calls?: boolean; readonly jobKey?: string | null } = {},
  ) => {
    made += 1;
    const runner = `shr-${made}`;
    images.launched({ runner, registration: 'acme', backend: 'aci', image: 'runner:1', subnet: undefined, ...change });
    if (calls) images.called(runner);
    images.ended({ name: runner, jobKey });
  };
  const times = (count: number, action: () => void) => {
    for (let time = 0; time < count; time += 1) action();
  };

  it('are told of after three that ran a job, and how many there are', () => {
    times(2, () => ran());
    expect(images.of('acme')).to.deep.equal([]);
    times(3, () => ran());
    const [found, ...more] = images.of('acme');
    expect(more).to.deep.equal([]);
    expect(found).to.include({ image: 'runner:1', backend: 'aci', runners: 5 });
  });

  it('are not those of runners that got no job, or that are unknown to this process', () => {
    times(5, () => ran({}, { jobKey: null }));
    times(5, () => images.ended({ name: 'of an earlier process', jobKey: 'a job' }));
    expect(images.of('acme')).to.deep.equal([]);
  });

  it('are told of no more from the first call on', () => {
    times(5, () => ran());
    ran({}, { calls: true });
    expect(images.of('acme')).to.deep.equal([]);
    times(2, () => ran());
    expect(images.of('acme')).to.deep.equal([]);
  });

  it('are apart by registration, backend and subnet: a call from one subnet says nothing of another', () => {
    times(3, () => ran({ subnet: 'vsw-1' }));
    times(3, () => ran({ registration: 'globex' }));
    ran({ subnet: 'vsw-2' }, { calls: true });
    ran({ registration: 'globex', backend: 'eci' }, { calls: true });
    expect(images.of('acme').map(({ subnet }) => subnet)).to.deep.equal(['vsw-1']);
    expect(images.of('globex')).to.have.length(1);
    images.forget('globex');
    expect(images.of('globex')).to.deep.equal([]);
    expect(images.of('acme')).to.have.length(1);
  });

  it('are at most a hundred of a registration, and are forgotten a day after the last runner', () => {
    times(3, () => ran({ registration: 'globex' }));
    for (let image = 0; image < 500; image += 1) times(3, () => ran({ image: `runner:${image}` }));
    expect(images.of('acme')).to.have.length(100);
    expect(images.of('globex'), 'another registration loses nothing').to.have.length(1);
    clock.move(DAY + 1);
    expect(images.of('acme')).to.deep.equal([]);
  });

  it('are a problem of the registration, with what to do', () => {
    const silent = { image: 'runner:1', backend: 'eci', subnet: 'vsw-1', runners: 5, sinceMs: 1 };
    const empty = { configuration: [], poll: [], sweep: [], resting: [], skew: undefined, others: [] };
    const [problem] = problemsOf({ ...empty, silent: [silent], callbackUrl: 'https://shr.example' });
    expect(problem).to.include({ kind: 'runner', about: 'runner:1', sinceMs: 1 });
    expect(problem?.message)
      .to.include('the last 5 runners of image runner:1 on backend eci ran jobs and never called')
      .and.include('https://shr.example cannot be reached from subnet vsw-1')
      .and.include('Build the image from ours');
    expect(silenceWords({ ...silent, subnet: undefined }, 'x')).to.include('the network of backend eci');
  });
});

describe('a dispatcher whose runners never call back', () => {
  let fixture: EngineFixture;
  afterEach(() => fixture.close());

  async function run(jobId: number, calls: boolean): Promise<void> {
    const job = told(fixture, { jobId, runId: jobId });
    await fixture.tell(job);
    await fixture.advance(1000);
    const runner = [...fixture.runners.keys()].at(-1) ?? '';
    if (calls) fixture.engine.called(runner);
    await fixture.tell(told(fixture, { jobId, runId: jobId, status: 'in_progress', runnerName: runner }));
    await fixture.tell(
      told(fixture, { jobId, runId: jobId, status: 'completed', conclusion: 'success', runnerName: runner }),
    );
    fixture.runners.delete(runner);
    fixture.instances.delete(runner);
    await fixture.advance(10 * 60_000);
    expect((await fixture.ledger.runner(runner))?.state).to.equal('gone');
  }

  it('says so after their jobs, goes on launching, and takes it back with the first call', async () => {
    fixture = await openEngineFixture({ registrations: [registration('acme')], callbackUrl: 'https://shr.example' });
    await fixture.engine.start();
    for (const jobId of [1, 2, 3]) await run(jobId, false);
    expect(fixture.engine.silentImages('acme').map(({ runners }) => runners)).to.deep.equal([3]);
    await run(4, true);
    expect(fixture.engine.silentImages('acme')).to.deep.equal([]);
  });

  it('says nothing where they are not told to call', async () => {
    fixture = await openEngineFixture({ registrations: [registration('acme')] });
    await fixture.engine.start();
    for (const jobId of [1, 2, 3]) await run(jobId, false);
    expect(fixture.engine.silentImages('acme')).to.deep.equal([]);
  });
});
