/** Reasons that repeat what a service said before: the real engine on the real ledger, under a virtual clock. */
import { expect } from 'chai';
import { ProviderError } from '../../providers/provider.ts';
import { failure } from '../failures/examples.ts';
import { type EngineFixture, MINUTE, openEngineFixture, registration, told } from './engine-fixture.ts';

const backend = (name: string, shared: boolean) => ({
  ...{ name, kind: 'simulated', region: undefined, options: {}, maxRunners: 50 },
  ...(shared ? { shared: true as const } : {}),
});

describe('the reason of a job whose runner keeps what an account said', () => {
  let fixture: EngineFixture;
  afterEach(() => fixture.close());

  async function reasonWith(isShared: boolean): Promise<string> {
    fixture = await openEngineFixture({
      registrations: [registration('acme', { backends: [backend('first', isShared)] })],
    });
    await fixture.engine.start();
    await fixture.advance(MINUTE);
    await fixture.tell(told(fixture, { jobId: 1 }));
    await fixture.advance(5_000);
    const [runner] = await fixture.ledger.runners({ limit: 1 }, 'reject');
    const said = failure({
      ...{ source: 'acme/first', kind: 'unauthorized', code: null, requestId: 'r-77' },
      message: 'no right to read subscription 4711',
    });
    await fixture.ledger.stepRunner(runner?.name ?? '', () => ({ patch: { failure: said }, entries: [] }));
    const job = await fixture.ledger.job('github.com/acme/web/1');
    const reasons = [
      job === undefined ? '' : await fixture.engine.jobReason(job),
      await fixture.engine.laneReason(job?.laneKey ?? ''),
    ];
    expect(reasons[0]).to.equal(reasons[1]);
    return reasons[0] ?? '';
  }

  it('does not repeat the words of a shared one: they may be older than what its closures say now', async () => {
    const reason = await reasonWith(true);
    expect(reason).to.match(/^its runner .* has been starting on first for /);
    expect(reason).to.include('(unauthorized at first: its administrators see why)');
    expect(reason).to.not.match(/4711|r-77/);
  });

  it('repeats those of its own', async () => {
    expect(await reasonWith(false)).to.include('no right to read subscription 4711 (request r-77)');
  });

  for (const isShared of [true, false])
    it(`${isShared ? 'names by its kind alone' : 'repeats'} what ${isShared ? 'a shared' : 'its own'} account said to an earlier start`, async () => {
      fixture = await openEngineFixture({
        registrations: [registration('acme', { backends: [backend('first', isShared)] })],
        provider: () => ({
          launch: () => Promise.reject(new ProviderError('quota', 'launch', 'subscription 4711 has no cores left')),
        }),
      });
      await fixture.engine.start();
      await fixture.advance(MINUTE);
      await fixture.tell(told(fixture, { jobId: 1 }));
      fixture.jobs.set('github.com/acme/web/1', told(fixture, { jobId: 1 }));
      for (let launch = 0; launch < 5; launch += 1) {
        await fixture.advance(5_000);
        await fixture.engine.resetBackends('acme', undefined);
      }
      const job = await fixture.ledger.job('github.com/acme/web/1');
      const reason = job === undefined ? '' : ((await fixture.engine.jobReason(job)) ?? '');
      expect(reason).to.match(/^next in line; an earlier start failed on first: /);
      if (isShared) {
        expect(reason).to.match(/: quota at first: its administrators see why$/);
        expect(reason).to.not.include('4711');
      } else expect(reason).to.match(/subscription 4711 has no cores left$/);
    });
});
