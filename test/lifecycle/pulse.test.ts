import { expect } from 'chai';
import { Pulse } from '../../dispatcher/lifecycle/pulse.ts';
import { settled, VirtualClock } from '../github/virtual-clock.ts';

describe('the engine’s pulse', () => {
  let clock: VirtualClock;
  let passes: number;
  let next: () => Promise<number | undefined>;
  let pulse: Pulse;

  beforeEach(() => {
    clock = new VirtualClock();
    passes = 0;
    next = async () => undefined;
    pulse = new Pulse({
      clock,
      pass: () => {
        passes += 1;
        return next();
      },
      failed: () => undefined,
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
