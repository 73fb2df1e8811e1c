import { expect } from 'chai';
import type { LaneSpec } from '../../dispatcher/admission/lane.ts';
import type { Breaker } from '../../dispatcher/ledger/ledger.ts';
import { Backends, type FailureKind } from '../../dispatcher/lifecycle/backends.ts';
import type { Log } from '../../dispatcher/lifecycle/ports.ts';
import { manualClock } from './manual-clock.ts';

const SECOND = 1000;
const MINUTE = 60 * SECOND;
const quiet: Log = { debug() {}, info() {}, warn() {}, error() {} };

function lane(specHash = 'spec1'): LaneSpec {
  return {
    key: `lane-${specHash}`,
    registration: 'acme',
    host: 'github.com',
    scope: { kind: 'organization', organization: 'acme' },
    runnerGroup: 'default',
    labels: ['acme-runner'],
    wish: { architecture: 'x64', image: 'runner:1', spot: false, dockerInDocker: false },
    backends: ['first', 'second'],
    specHash,
  };
}

async function setUp(kept: Breaker[] = [], livedAgoMs: number | null = 0, listed = ['first', 'second']) {
  const clock = manualClock();
  const cursors = new Map<string, string>();
  if (livedAgoMs !== null) cursors.set('engine/lived-at-ms', String(clock.now() - livedAgoMs));
  const rows = new Map(kept.map((breaker) => [breaker.key, breaker]));
  const backends = new Backends(
    {
      breakers: async () => [...rows.values()],
      putBreaker: async (breaker) => void rows.set(breaker.key, breaker),
      deleteBreaker: async (key) => void rows.delete(key),
      cursor: async (name) => cursors.get(name),
      putCursor: async (name, value) => void cursors.set(name, value),
    },
    clock,
    quiet,
    8,
    new Map([['acme', ['first', 'second']]]),
  );
  await backends.load();
  for (const backend of listed) backends.listed('acme', backend);
  const fail = (kind: FailureKind, retryAfterMs?: number, specHash = 'spec1') =>
    backends.failed('acme', 'first', specHash, kind, `${kind}!`, retryAfterMs);
  return { clock, rows, backends, fail, open: (spec = lane()) => backends.usable(spec).open };
}

describe('the breakers of backends', () => {
  it('offers no backend before what runs there was listed, and the others meanwhile', async () => {
    const { open } = await setUp([], 0, ['second']);
    expect(open()).to.deep.equal(['second']);
  });

  it('offers none before all were listed when the ledger is new or old: caps count what it does not know', async () => {
    for (const livedAgoMs of [null, 15 * MINUTE]) {
      const { backends, open } = await setUp([], livedAgoMs, ['second']);
      expect(open()).to.deep.equal([]);
      expect(backends.usable(lane()).closed[0]?.reason).to.include('first');
      backends.listed('acme', 'first');
      expect(open()).to.deep.equal(['first', 'second']);
    }
  });

  it('skips a backend without stock for 30 s, then for twice as long', async () => {
    const { clock, fail, open } = await setUp();
    await fail('capacity');
    expect(open()).to.deep.equal(['second']);
    clock.move(30 * SECOND);
    expect(open()).to.deep.equal(['first', 'second']);
    await fail('capacity');
    clock.move(30 * SECOND);
    expect(open()).to.deep.equal(['second']);
    clock.move(30 * SECOND);
    expect(open()).to.deep.equal(['first', 'second']);
  });

  it('never backs off longer than the rule allows', async () => {
    const { clock, fail, open } = await setUp();
    for (let times = 0; times < 20; times += 1) {
      await fail('capacity');
      clock.move(10 * MINUTE);
      expect(open()).to.include('first');
    }
  });

  it('counts the failures of launches that were under way as one', async () => {
    const { clock, fail, open } = await setUp();
    await Promise.all([fail('capacity'), fail('capacity'), fail('capacity')]);
    clock.move(30 * SECOND);
    expect(open()).to.include('first');
  });

  it('holds a lack of stock against the shape, a quota against the backend', async () => {
    const shape = await setUp();
    await shape.fail('capacity');
    expect(shape.open(lane('spec2'))).to.include('first');
    const quota = await setUp();
    await quota.fail('quota');
    expect(quota.open(lane('spec2'))).to.not.include('first');
  });

  it('waits as long as a throttling service asks, and halves what may be in flight', async () => {
    const { clock, backends, fail, open } = await setUp();
    await fail('throttled', 42 * SECOND);
    expect(backends.launchRoom('acme', 'first')).to.equal(4);
    clock.move(41 * SECOND);
    expect(open()).to.not.include('first');
    clock.move(SECOND);
    expect(open()).to.include('first');
    await backends.accepted('acme', 'first', 'spec1');
    expect(backends.launchRoom('acme', 'first')).to.equal(5);
  });

  it('lets one launch try a backend again, not all at once', async () => {
    const { clock, backends, fail, open } = await setUp();
    await fail('quota');
    clock.move(MINUTE);
    backends.entered('acme', 'first');
    expect(open()).to.not.include('first');
    await backends.accepted('acme', 'first', 'spec1');
    expect(open()).to.include('first');
  });

  it('opens for failed starts after the third in a row', async () => {
    const { fail, open } = await setUp();
    await fail('start');
    await fail('start');
    expect(open()).to.include('first');
    await fail('start');
    expect(open()).to.not.include('first');
  });

  it('forgets failed starts once a container came online', async () => {
    const { backends, fail, open } = await setUp();
    await fail('start');
    await fail('start');
    await backends.cameOnline('acme', 'first', 'spec1');
    await fail('start');
    expect(open()).to.include('first');
  });

  it('refuses an image or shape for good only when every backend does, in the services’ words', async () => {
    const { backends, fail } = await setUp();
    await fail('invalid');
    expect(backends.refusal(lane())).to.equal(undefined);
    await backends.failed('acme', 'second', 'spec1', 'invalid', 'no such image');
    expect(backends.refusal(lane())).to.equal('first: invalid!; second: no such image');
    expect(backends.refusal(lane('spec2'))).to.equal(undefined);
  });

  it('keeps breakers over a restart, but tries again what was invalid', async () => {
    const before = await setUp();
    await before.fail('quota');
    await before.fail('invalid', undefined, 'spec2');
    const after = await setUp([...before.rows.values()]);
    expect(after.open()).to.not.include('first');
    after.clock.move(MINUTE);
    expect(after.open(lane('spec2'))).to.include('first');
    expect([...after.rows.values()].map(({ kind }) => kind)).to.deep.equal(['quota']);
  });

  it('names why a backend is closed, and until when', async () => {
    const { clock, backends, fail } = await setUp();
    await fail('unauthorized');
    expect(backends.usable(lane()).closed).to.deep.equal([
      { backend: 'first', reason: 'unauthorized: unauthorized!', untilMs: clock.now() + 5 * MINUTE },
    ]);
    expect(backends.nextOpeningMs()).to.equal(clock.now() + 5 * MINUTE);
  });
});
