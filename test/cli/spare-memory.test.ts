import { expect } from 'chai';
import { spareMemory, systemMemory } from '../../dispatcher/cli/spare-memory.ts';
import { VirtualClock } from '../github/virtual-clock.ts';

const MB = 1024 * 1024;

describe('memory that a service at rest does not need', () => {
  function process() {
    const clock = new VirtualClock();
    const state = { cpuMs: 5_000, heapBytes: 200 * MB, leanBytes: 60 * MB, collected: [] as number[] };
    const end = spareMemory({
      clock,
      cpuMs: () => state.cpuMs,
      heapBytes: () => state.heapBytes,
      async collect() {
        state.collected.push(clock.now());
        state.heapBytes = state.leanBytes;
      },
      failed(error) {
        throw error;
      },
    });
    const startedAtMs = clock.now();
    const collectedAt = () => state.collected.map((atMs) => (atMs - startedAtMs) / 1000);
    return { clock, state, end, collectedAt };
  }

  it('is given back once the work of the start is over', async () => {
    const { clock, state, collectedAt } = process();
    for (let second = 0; second < 12; second += 1) {
      state.cpuMs += 300;
      await clock.advance(1_000);
    }
    expect(collectedAt()).to.deep.equal([]);
    await clock.advance(8_000);
    expect(collectedAt()).to.deep.equal([20]);
  });

  it('is not looked for again until it has grown, after a minute, and then every five at the most', async () => {
    const { clock, state, collectedAt } = process();
    await clock.advance(5_000);
    expect(collectedAt()).to.deep.equal([5]);
    state.heapBytes += 7 * MB;
    await clock.advance(900_000);
    expect(collectedAt()).to.deep.equal([5]);
    state.heapBytes += 100 * MB;
    await clock.advance(59_000);
    expect(collectedAt()).to.deep.equal([5]);
    await clock.advance(1_000);
    expect(collectedAt()).to.deep.equal([5, 965]);
  });

  it('is left alone while the service works, and after its end', async () => {
    const { clock, state, end, collectedAt } = process();
    await clock.advance(5_000);
    state.heapBytes += 100 * MB;
    state.cpuMs += 60_000;
    await clock.advance(300_000);
    expect(collectedAt()).to.deep.equal([5]);
    end();
    await clock.advance(3_600_000);
    expect(collectedAt()).to.deep.equal([5]);
  });

  it('is kept, and told once, where it cannot be given back: the service goes on', async () => {
    const clock = new VirtualClock();
    const told: unknown[] = [];
    const failure = new Error('no inspector');
    spareMemory({
      clock,
      cpuMs: () => 0,
      heapBytes: () => 200 * MB,
      collect: () => Promise.reject(failure),
      failed: (error) => told.push(error),
    });
    await clock.advance(3_600_000);
    expect(told).to.deep.equal([failure]);
  });

  it('is really given back by Node', async () => {
    const { heapBytes, cpuMs, collect } = systemMemory();
    let kept: unknown[] = [];
    for (let index = 0; index < 1_000_000; index += 1) {
      kept.push({ index });
      if (kept.length > 300_000) kept = [];
    }
    kept = [];
    const before = heapBytes();
    await collect();
    expect(before - heapBytes()).to.be.greaterThan(8 * MB);
    expect(cpuMs()).to.be.greaterThan(0);
  });
});
