import { expect } from 'chai';
import { pollAfresh } from '../../dispatcher/intake/fresh-poll.ts';
import { manualClock } from '../lifecycle/manual-clock.ts';

describe('a fresh poll', () => {
  /** Passes that begin at these times, one for each poll; `answers`: whether each listed GitHub completely. */
  function world(starts: readonly (number | null)[], answers: readonly boolean[] = [true, true]) {
    const polls: (readonly [string, string | undefined])[] = [];
    const poller = {
      pollNow: async (name: string, haste?: string) => {
        polls.push([name, haste]);
        return answers[polls.length - 1] ?? false;
      },
      statusOf: () => ({ lastStartedAtMs: starts[polls.length - 1] ?? null }),
    };
    return { polls, poll: () => pollAfresh({ poller, clock: manualClock(1_000) }, 'acme', 'urgent') };
  }

  it('is one pass where that began after it was asked for', async () => {
    const { poll, polls } = world([1_000]);
    expect(await poll()).to.equal(true);
    expect(polls).to.deep.equal([['acme', 'urgent']]);
  });

  it('is another pass where the one that it joined had begun before', async () => {
    const { poll, polls } = world([999], [true, false]);
    expect(await poll(), 'the answer of the second one').to.equal(false);
    expect(polls).to.deep.equal([
      ['acme', 'urgent'],
      ['acme', 'urgent'],
    ]);
  });

  it('is one pass where the poller does not say when it began', async () => {
    const { poll, polls } = world([null], [false]);
    expect(await poll()).to.equal(false);
    expect(polls).to.have.length(1);
  });
});
