import { expect } from 'chai';
import { Pulse } from '../../dispatcher/lifecycle/pulse.ts';
import { settled, VirtualClock } from '../github/virtual-clock.ts';

describe('the engine’s pulse', () => {
  let clock: VirtualClock;
  let passes: number;
  let next: () => Promise<number | undefined>;
  let pulse: Pulse;
  let retryAtMs: number | undefined;

  beforeEach(() => {
    clock = new VirtualClock();
    passes = 0;
    retryAtMs = undefined;
    next = async () => undefined;
    pulse = new Pulse({
      clock,
      pass: () => {
        passes += 1;
        return next();
      },
      failed: () => retryAtMs,
    });
  });

  it('runs nothing before its start, and one pass with it', async () => {
    pulse.wake();
    await settled();
    expect(passes).to.equal(0);
    pulse.start();
    await settled();
    expect(passes).to.equal(1);
  });

  it('lets one pass follow for all the news of a pass, never two at a time', async () => {
    const waiting: (() => void)[] = [];
    next = () => new Promise((resolve) => waiting.push(() => resolve(undefined)));
    pulse.start();
    for (let news = 0; news < 5; news += 1) pulse.wake();
    await settled();
    expect(passes).to.equal(1);
    waiting.shift()?.();
    await settled();
    expect(passes).to.equal(2);
    waiting.shift()?.();
    await settled();
    expect(passes).to.equal(2);
    expect(pulse.underWay).to.equal(undefined);
  });

  it('runs again when a pass said that something is due', async () => {
    next = async () => (passes === 1 ? clock.now() + 5_000 : undefined);
    pulse.start();
    await clock.advance(4_999);
    expect(passes).to.equal(1);
    await clock.advance(1);
    expect(passes).to.equal(2);
  });

  it('rests for a second after a pass that failed, even where there was news in it', async () => {
    next = async () => {
      pulse.wake();
      throw new Error('broken');
    };
    pulse.start();
    await clock.advance(999);
    expect(passes).to.equal(1);
    await clock.advance(1);
    expect(passes).to.equal(2);
  });

  it('rests after a pass that failed for as long as it is told to', async () => {
    retryAtMs = clock.now() + 5_000;
    next = () => Promise.reject(new Error('broken'));
    pulse.start();
    await clock.advance(4_999);
    expect(passes).to.equal(1);
    retryAtMs = undefined;
    await clock.advance(1);
    expect(passes).to.equal(2);
  });

  it('runs at the earliest time that its passes asked for, with one timer', async () => {
    const startMs = clock.now();
    const dueMs = [5_000, 8_000, 3_000];
    next = async () => {
      const [due] = dueMs.splice(0, 1);
      return due === undefined ? undefined : startMs + due;
    };
    pulse.start();
    await clock.advance(1_000);
    pulse.wake();
    await clock.advance(1_000);
    pulse.wake();
    await clock.advance(0);
    expect([passes, clock.timers]).to.deep.equal([3, 1]);
    await clock.advance(999);
    expect(passes).to.equal(3);
    await clock.advance(1);
    expect([passes, clock.timers]).to.deep.equal([4, 0]);
  });

  it('keeps to the time of an earlier pass when a later one asked for a later time', async () => {
    const startMs = clock.now();
    next = async () => (passes === 1 ? startMs + 5_000 : passes === 2 ? startMs + 8_000 : undefined);
    pulse.start();
    await clock.advance(1_000);
    pulse.wake();
    await clock.advance(3_999);
    expect(passes).to.equal(2);
    await clock.advance(1);
    expect(passes).to.equal(3);
  });

  it('runs at once what was due in the past', async () => {
    next = async () => (passes === 1 ? clock.now() - 5_000 : undefined);
    pulse.start();
    await clock.advance(0);
    expect(passes).to.equal(2);
  });

  it('sets no timer for what a pass asks for that ends after its stop', async () => {
    next = async () => {
      pulse.stop();
      return clock.now() + 1_000;
    };
    pulse.start();
    await clock.advance(10_000);
    expect([passes, clock.timers]).to.deep.equal([1, 0]);
  });

  it('rests whatever news comes meanwhile: a pass that always fails must not turn on the spot', async () => {
    next = async () => {
      throw new Error('broken');
    };
    pulse.start();
    await settled();
    for (let news = 0; news < 50; news += 1) {
      pulse.wake();
      await settled();
    }
    expect(passes).to.equal(1);
    await clock.advance(1_000);
    expect(passes).to.equal(2);
  });

  it('begins no pass after its stop, and leaves no timer', async () => {
    next = async () => clock.now() + 1_000;
    pulse.start();
    await settled();
    pulse.stop();
    pulse.wake();
    await clock.advance(10_000);
    expect(passes).to.equal(1);
    expect(clock.timers).to.equal(0);
  });
});
