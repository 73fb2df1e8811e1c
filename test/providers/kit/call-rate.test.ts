import { expect } from 'chai';
import { CallRate } from '../../../providers/kit/call-rate.ts';
import { ProviderError } from '../../../providers/provider.ts';
import { RateWindow } from '../../../time/rate-window.ts';

function fixture(most: number, longestWaitMs: number) {
  const clock = { nowMs: 1_000_000 };
  const slept: number[] = [];
  const host = {
    now: () => clock.nowMs,
    after: () => () => {},
    sleep: async (ms: number) => {
      slept.push(ms);
    },
    random: () => 0,
  };
  const rate = new CallRate(host, {
    limits: [new RateWindow(10_000, most), new RateWindow(60_000, 3 * most)],
    longestWaitMs,
    usedUp: (waitMs) => `used up for ${waitMs} ms`,
  });
  return { clock, slept, rate };
}

describe('the rate of calls', () => {
  it('gives turns in the order of the calls, below every limit', async () => {
    const { rate, slept } = fixture(1, 60_000);
    for (let count = 0; count < 4; count += 1) await rate.permit('x call');
    expect(slept).to.deep.equal([10_000, 20_000, 60_000]);
  });

  it('refuses what would wait too long, says until when, and takes no turn for it', async () => {
    const { rate, clock, slept } = fixture(1, 5_000);
    await rate.permit('x call');
    const error = await rate.permit('x call').catch((reason: unknown) => reason);
    expect(error).to.be.instanceOf(ProviderError);
    expect(error).to.include({
      kind: 'throttled',
      code: 'own-budget',
      operation: 'x call',
      message: 'x call: used up for 10000 ms',
      retryAfterMs: 10_000,
    });
    clock.nowMs += 10_000;
    await rate.permit('x call');
    expect(slept).to.deep.equal([]);
  });

  it('holds all back while the service wants none', async () => {
    const { rate, clock, slept } = fixture(9, 60_000);
    rate.close(4_000);
    rate.close(2_000);
    await rate.permit('x call');
    clock.nowMs += 4_000;
    await rate.permit('x call');
    expect(slept).to.deep.equal([4_000]);
  });

  it('holds none back for longer than ten minutes, whatever the service says', async () => {
    const { rate, slept } = fixture(9, 86_400_000);
    rate.close(Number.POSITIVE_INFINITY);
    await rate.permit('x call');
    expect(slept).to.deep.equal([600_000]);
  });

  it('waits for no time that a clock set back has made the future', async () => {
    const { rate, clock, slept } = fixture(3, 60_000);
    await rate.permit('x call');
    rate.close(1_000);
    clock.nowMs -= 3_600_000;
    await rate.permit('x call');
    expect(slept).to.deep.equal([1_000]);
  });
});
