import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'chai';
import { InstanceView } from '../../dispatcher/lifecycle/instance-view.ts';
import { loadProvider } from '../../providers/index.ts';
import { type Provider, ProviderError } from '../../providers/provider.ts';
import { testHost } from '../conformance/harness.ts';

const MINUTE = 60_000;

describe('the view of a service’s instances', () => {
  let root: string;
  let nowMs: number;
  let lists: number;
  let broken: boolean;
  let view: InstanceView;
  let provider: Provider;

  beforeEach(async () => {
    root = await mkdtemp(join(tmpdir(), 'shr-view-'));
    nowMs = 1_000_000;
    lists = 0;
    broken = false;
    view = new InstanceView('acme', () => nowMs);
    const module = await loadProvider('process');
    const honest = module.create(module.options.parse({ command: ['true'], root }), testHost());
    provider = {
      capabilities: honest.capabilities,
      fit: (wish) => honest.fit(wish),
      launch: (request) => honest.launch(request),
      inspect: (ref) => honest.inspect(ref),
      list: (owner) => {
        lists += 1;
        return broken ? Promise.reject(new ProviderError('throttled', 'process list', 'not now')) : honest.list(owner);
      },
      stop: (ref) => honest.stop(ref),
      logs: (ref) => honest.logs(ref),
      check: () => honest.check(),
      close: () => honest.close(),
    };
  });

  afterEach(async () => {
    await provider.close();
    await rm(root, { recursive: true });
  });

  it('is one list for a hundred registrations that are swept together', async () => {
    const seen = await Promise.all(Array.from({ length: 100 }, () => view.list(provider)));
    expect(lists).to.equal(1);
    expect(new Set(seen.map(({ atMs }) => atMs))).to.deep.equal(new Set([1_000_000]));
  });

  it('is taken anew after a minute, and says when it was asked for', async () => {
    await view.list(provider);
    nowMs += MINUTE;
    expect((await view.list(provider)).atMs).to.equal(1_000_000);
    nowMs += 1;
    expect((await view.list(provider)).atMs).to.equal(1_000_000 + MINUTE + 1);
    expect(lists).to.equal(2);
  });

  it('is taken anew when the clock was set back', async () => {
    await view.list(provider);
    nowMs -= 60 * MINUTE;
    await view.list(provider);
    expect(lists).to.equal(2);
  });

  it('lists again after a failure, which it does not keep', async () => {
    broken = true;
    const failed = await view.list(provider).catch((error: unknown) => error);
    expect(failed).to.be.instanceOf(ProviderError).and.include({ kind: 'throttled' });
    broken = false;
    expect((await view.list(provider)).instances).to.deep.equal([]);
    expect(lists).to.equal(2);
  });
});
