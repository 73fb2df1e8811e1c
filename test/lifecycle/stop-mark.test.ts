import { expect } from 'chai';
import type { RunnerRow } from '../../dispatcher/ledger/ledger.ts';
import { drainRunner } from '../../dispatcher/lifecycle/drain.ts';
import { GithubView } from '../../dispatcher/lifecycle/github-view.ts';
import { ProviderError } from '../../providers/provider.ts';
import { type EngineParts, openEngineParts, type PartsOptions } from './engine-parts.ts';
import { runnerRow } from './runner-fixture.ts';
import { honestProvider } from './small-fixture.ts';

// A job whose container ended is run again or not by whether we stopped it: a crash must not hide that.
describe('a container that is stopped', () => {
  let parts: EngineParts;
  /** The rows as the ledger had them when the service was told to stop. */
  let stopped: (RunnerRow | undefined)[];
  let answer: () => Promise<void>;

  async function open(some: Partial<RunnerRow>, options: PartsOptions = {}): Promise<void> {
    stopped = [];
    answer = async () => {};
    parts = await openEngineParts({
      ...options,
      provider: async () =>
        honestProvider({
          inspect: async ({ name }) => ({ ref: { name, id: 'i-1' }, state: 'running' }),
          stop: async ({ name }) => {
            stopped.push(await parts.ledger.runner(name));
            await answer();
          },
        }),
    });
    const nowMs = parts.clock.now();
    const row = runnerRow({
      ...{ name: 'd1-a', state: 'draining', stateSinceMs: nowMs, backend: 'main', instanceId: 'i-1', forced: true },
      ...{ instanceState: 'running', deregisteredAtMs: nowMs, nextCheckAtMs: nowMs, ...some },
    });
    await parts.ledger.createRunner(row, 'it was there');
  }
  afterEach(() => parts.close());

  async function drain(): Promise<RunnerRow | undefined> {
    const row = await parts.ledger.runner('d1-a');
    if (row !== undefined) await drainRunner({ ...parts, view: new GithubView(parts.context) }, row);
    return await parts.ledger.runner('d1-a');
  }

  it('is marked before the service is told', async () => {
    await open({});
    const nowMs = parts.clock.now();
    const after = await drain();
    expect(stopped[0]).to.include({ stopAskedAtMs: nowMs, stopSentAtMs: null });
    expect(after).to.include({ stopAskedAtMs: nowMs, stopSentAtMs: nowMs });
  });

  it('stays marked where the service does not answer, from the first time on', async () => {
    await open({});
    const nowMs = parts.clock.now();
    answer = () => Promise.reject(new ProviderError('transient', 'main stop', 'no answer within 30 s'));
    expect(await drain()).to.include({ stopAskedAtMs: nowMs, stopSentAtMs: null });
    await parts.clock.advance(90_000);
    expect(await drain()).to.include({ stopAskedAtMs: nowMs, stopSentAtMs: null });
    expect(stopped).to.have.length(2);
  });

  it('is no longer stopped where a job came to it while the mark was written', async () => {
    await open(
      { forced: false, jobKey: null, instanceDeadlineAtMs: 0 },
      {
        through: (ledger) => ({
          stepRunner: async (name, decide) => {
            const step = await ledger.stepRunner(name, decide);
            const isMark = step?.before.stopAskedAtMs === null && step.after.stopAskedAtMs !== null;
            if (isMark) await ledger.stepRunner(name, () => ({ patch: { state: 'busy' }, entries: [] }));
            return step;
          },
        }),
      },
    );
    expect(await drain()).to.include({ state: 'busy' });
    expect(stopped).to.deep.equal([]);
  });

  it('is not marked where it had ended by itself, and is only removed', async () => {
    await open({ instanceState: 'ended' });
    expect(await drain()).to.include({ stopAskedAtMs: null, stopSentAtMs: parts.clock.now() });
    expect(stopped).to.have.length(1);
  });
});
