import { expect } from 'chai';
import { pause, withDeadline } from '../../time/deadline.ts';
import { settled, VirtualClock } from '../github/virtual-clock.ts';

const wordsOf = (work: Promise<unknown>) =>
  work.then(
    () => 'done',
    (error: unknown) => (error instanceof Error ? error.message : String(error)),
  );

describe('work with a deadline', () => {
  const late = () => new Error('late');

  it('ends at its deadline or with its caller, though it heeds no signal, and leaves no timer', async () => {
    for (const [end, words] of [
      ['deadline', 'late'],
      ['caller', 'gone'],
    ] as const) {
      const clock = new VirtualClock();
      const caller = new AbortController();
      let heard: AbortSignal | undefined;
      const work = wordsOf(
        withDeadline(clock, 1_000, late, caller.signal, (signal) => {
          heard = signal;
          return new Promise(() => {});
        }),
      );
      await clock.advance(999);
      expect(heard?.aborted).to.equal(false);
      if (end === 'caller') caller.abort(new Error('gone'));
      await clock.advance(1);
      expect(await work).to.equal(words);
      expect(heard?.aborted).to.equal(true);
      expect(clock.timers).to.equal(0);
    }
  });

  it('is not begun for a caller that has gone already: it could still take effect', async () => {
    const clock = new VirtualClock();
    let begun = false;
    const work = withDeadline(clock, 1_000, late, AbortSignal.abort(new Error('gone')), async () => {
      begun = true;
    });
    expect(await wordsOf(work)).to.equal('gone');
    expect([begun, clock.timers]).to.deep.equal([false, 0]);
  });

  it('pauses until its time or until it is called off', async () => {
    const clock = new VirtualClock();
    const caller = new AbortController();
    const [whole, cut] = [wordsOf(pause(clock, 500, caller.signal)), wordsOf(pause(clock, 5_000, caller.signal))];
    expect(await wordsOf(pause(clock, 0, caller.signal))).to.equal('done');
    await clock.advance(500);
    expect(await whole).to.equal('done');
    caller.abort(new Error('called off'));
    await settled();
    expect(clock.timers).to.equal(0);
    expect(await cut).to.equal('called off');
    expect(await wordsOf(pause(clock, 0, caller.signal))).to.equal('called off');
  });
});
