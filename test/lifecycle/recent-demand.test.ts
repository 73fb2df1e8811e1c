import { expect } from 'chai';
import fc from 'fast-check';
import { mostWithin, sizeByDemand } from '../../dispatcher/lifecycle/standby/recent-demand.ts';

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;

describe('the size of a standby pool by recent demand', () => {
  it('is the largest number of starts within any span', () => {
    expect(mostWithin([], 10)).to.equal(0);
    expect(mostWithin([5], 0)).to.equal(1);
    expect(mostWithin([0, 10, 20], 10), 'both ends count').to.equal(2);
    expect(mostWithin([0, 1, 2, 50, 51, 52, 53], 10)).to.equal(4);
    fc.assert(
      fc.property(fc.array(fc.nat(200)), fc.nat(50), (times, span) => {
        const sorted = times.toSorted((a, b) => a - b);
        const counts = sorted.map((from) => sorted.filter((at) => at >= from && at <= from + span).length);
        expect(mostWithin(sorted, span)).to.equal(Math.max(0, ...counts));
      }),
    );
  });

  const aims = (starts: readonly number[]) => {
    const asked: (readonly [string, string, number])[] = [];
    const aim = sizeByDemand({
      ledger: {
        jobStarts: async (...asks) => {
          asked.push(asks);
          return starts;
        },
      },
      ...{ registration: 'acme', specHash: 'spec', least: 1 },
      demand: { max: 3, withinMs: 10 * MINUTE, overMs: 24 * HOUR },
    });
    return { aim, asked };
  };

  it('stays between its bounds, and says why it is what it is', async () => {
    const why = (count: string) => `at most ${count} started within 10m in the last 1d`;
    expect(await aims([]).aim(0)).to.deep.equal({ size: 1, why: `its \`min\`: ${why('0 jobs')}` });
    expect(await aims([1]).aim(0)).to.deep.equal({ size: 1, why: why('1 job') });
    expect(await aims([1, 2, HOUR]).aim(0)).to.deep.equal({ size: 2, why: why('2 jobs') });
    expect(await aims([1, 2, 3, 4, 5]).aim(0)).to.deep.equal({ size: 3, why: `its \`max\`: ${why('5 jobs')}` });
  });

  it('reads the ledger once in five minutes, whoever asks', async () => {
    const { aim, asked } = aims([1, 2]);
    await Promise.all([aim(24 * HOUR), aim(24 * HOUR), aim(24 * HOUR + 4 * MINUTE)]);
    expect(asked).to.deep.equal([['acme', 'spec', 0]]);
    await aim(24 * HOUR + 5 * MINUTE);
    expect(asked).to.have.length(2);
  });

  it('asks again at once where the ledger did not answer', async () => {
    let fails = true;
    const aim = sizeByDemand({
      ledger: {
        jobStarts: async () => {
          if (fails) throw new Error('disk');
          return [];
        },
      },
      ...{ registration: 'acme', specHash: 'spec', least: 2 },
      demand: { max: 3, withinMs: 1, overMs: 2 },
    });
    const refused = await aim(0).catch((error: unknown) => error);
    expect(refused).to.be.instanceOf(Error);
    fails = false;
    expect((await aim(1)).size).to.equal(2);
  });
});
