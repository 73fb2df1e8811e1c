// T8
import { expect } from 'chai';
import { ProviderError } from '../../providers/provider.ts';
import { honestProvider, openSmallFixture, type SmallFixture } from './small-fixture.ts';

const SECOND = 1_000;
const MINUTE = 60 * SECOND;

describe('a launch whose provider does not answer', () => {
  let fixture: SmallFixture;
  /** Calls about the instance that the launch made, in order. */
  let calls: { readonly atMs: number; readonly call: 'launch' | 'inspect'; readonly name: string }[];

  const noAnswer = (call: string) => new ProviderError('transient', `simulated ${call}`, 'no answer within 30 s');

  async function open(
    heals: () => boolean = () => false,
    failure: (call: 'launch' | 'inspect') => ProviderError = noAnswer,
  ): Promise<void> {
    calls = [];
    const note = (call: 'launch' | 'inspect', name: string): void => {
      calls.push({ atMs: fixture.clock.now(), call, name });
      if (!heals()) throw failure(call);
    };
    const honest = honestProvider();
    fixture = await openSmallFixture({
      docker: honestProvider({
        launch: async (request) => {
          note('launch', request.name);
          return await honest.launch(request);
        },
        inspect: async (ref) => {
          note('inspect', ref.name);
          return await honest.inspect(ref);
        },
      }),
    });
    await fixture.engine.start();
    await fixture.clock.advance(SECOND);
  }

  afterEach(() => fixture.close());

  const runner = async () => (await fixture.ledger.runners({ limit: 10 }, 'reject')).at(-1);

  it('is tried five times, each after a longer pause, and then given up', async () => {
    await open();
    await fixture.queueJob(1);
    await fixture.clock.advance(40 * SECOND);
    const first = await runner();
    const own = calls.filter(({ name }) => name === first?.name);
    // A launch that may have worked is looked for before it is repeated.
    expect(own.slice(0, 5).map(({ call }) => call)).to.deep.equal([
      'launch',
      'inspect',
      'inspect',
      'inspect',
      'inspect',
    ]);
    const pauses = own.slice(1, 5).map(({ atMs }, index) => atMs - (own[index]?.atMs ?? 0));
    for (const [index, pauseMs] of pauses.entries()) {
      expect(pauseMs, `pause ${index + 1}`).to.be.within(0.9 * SECOND * 2 ** index, 1.1 * SECOND * 2 ** index);
    }
    expect(first).to.include({ state: 'draining' });
  });

  it('is tried no more while the dispatcher stops, which waits for no pause', async () => {
    await open();
    await fixture.queueJob(1);
    await fixture.clock.advance(10);
    const before = calls.length;
    expect(before).to.be.within(1, 2);
    let stopped = false;
    const stopping = fixture.engine.stop(10 * MINUTE).then(() => {
      stopped = true;
    });
    await fixture.clock.advance(10 * SECOND);
    expect(stopped).to.equal(true);
    await stopping;
    await fixture.clock.advance(10 * MINUTE);
    // The pause under way ends with one more look; nothing follows it.
    expect(calls.length - before).to.be.at.most(1);
  });

  it('is taken up when the service answers again', async () => {
    let well = false;
    await open(() => well);
    await fixture.queueJob(1);
    await fixture.clock.advance(3 * SECOND);
    well = true;
    await fixture.clock.advance(20 * SECOND);
    expect(await runner()).to.include({ state: 'starting' });
    expect(calls.filter(({ call }) => call === 'launch')).to.have.length(2);
  });

  it('is looked for again after the pause that the service asks for, and not abandoned for it', async () => {
    let well = false;
    const tooMany = new ProviderError('throttled', 'simulated inspect', 'too many calls', {
      retryAfterMs: 20 * SECOND,
    });
    await open(
      () => well,
      (call) => (call === 'launch' ? noAnswer(call) : tooMany),
    );
    await fixture.queueJob(1);
    await fixture.clock.advance(5 * SECOND);
    well = true;
    const name = (await runner())?.name;
    const own = () => calls.filter((call) => call.name === name);
    expect(own().map(({ call }) => call)).to.deep.equal(['launch', 'inspect']);
    const askedAtMs = own()[1]?.atMs ?? 0;
    await fixture.clock.advance(30 * SECOND);
    expect(
      own()
        .map(({ call }) => call)
        .slice(0, 4),
    ).to.deep.equal(['launch', 'inspect', 'inspect', 'launch']);
    expect((own()[2]?.atMs ?? 0) - askedAtMs).to.be.within(20 * SECOND, 22 * SECOND);
    expect(await fixture.ledger.runner(name ?? '')).to.include({ state: 'starting' });
  });

  it('moves on where its first call is throttled: nothing was made', async () => {
    await open(
      () => false,
      () => new ProviderError('throttled', 'simulated launch', 'too many calls'),
    );
    await fixture.queueJob(1);
    await fixture.clock.advance(3 * SECOND);
    const name = (await runner())?.name;
    expect(calls.filter((call) => call.name === name).map(({ call }) => call)).to.deep.equal(['launch']);
  });
});
