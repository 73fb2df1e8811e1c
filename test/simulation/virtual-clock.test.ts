import { expect } from 'chai';
import { sleep } from '../../time/clock.ts';
import { VirtualClock } from './virtual-clock.ts';

describe('the virtual clock', () => {
  it('runs timers in the order of their time, and of their arming where the time is the same', async () => {
    const clock = new VirtualClock(1000);
    const seen: string[] = [];
    clock.after(50, () => seen.push(`late at ${clock.now()}`));
    clock.after(10, () => seen.push(`first at ${clock.now()}`));
    clock.after(10, () => seen.push(`second at ${clock.now()}`));
    for (let index = 0; index < 20; index += 1) clock.after(30, () => seen.push(`${index}`));
    await clock.advance(100);
    const middle = Array.from({ length: 20 }, (_, index) => `${index}`);
    expect(seen).to.deep.equal(['first at 1010', 'second at 1010', ...middle, 'late at 1050']);
    expect(clock.now()).to.equal(1100);
  });

  it('does not run a cancelled timer', async () => {
    const clock = new VirtualClock(0);
    let ran = false;
    clock.after(10, () => {
      ran = true;
    })();
    await clock.advance(20);
    expect(ran).to.equal(false);
    expect(clock.armed).to.equal(0);
  });

  it('lets a chain of promises end before it moves on', async () => {
    const clock = new VirtualClock(0);
    const seen: number[] = [];
    const chain = async (): Promise<void> => {
      for (let step = 0; step < 100; step += 1) await Promise.resolve();
      seen.push(clock.now());
      await sleep(clock, 5);
      seen.push(clock.now());
    };
    const running = chain();
    clock.after(1, () => seen.push(-1));
    await clock.advance(10);
    await running;
    expect(seen).to.deep.equal([0, -1, 5]);
  });

  it('runs a timer that another one armed for the same millisecond', async () => {
    const clock = new VirtualClock(0);
    const seen: number[] = [];
    clock.after(5, () => clock.after(0, () => seen.push(clock.now())));
    await clock.advance(5);
    expect(seen).to.deep.equal([5]);
  });
});
