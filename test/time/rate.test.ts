import { expect } from 'chai';
import fc from 'fast-check';
import { RateWindow } from '../../time/rate-window.ts';
import { TokenBucket } from '../../time/token-bucket.ts';

const most = fc.integer({ min: 1, max: 9 });
const arrivals = fc.array(fc.integer({ min: 0, max: 700 }), { maxLength: 80 });

/** When each of those who arrive goes: at its turn, never before one who came earlier. */
function turnsOf(limit: Pick<RateWindow, 'spend'> & { fitsAt(nowMs: number): number }, gaps: readonly number[]) {
  const turns: number[] = [];
  let nowMs = 0;
  for (const gap of gaps) {
    nowMs += gap;
    const turn = limit.fitsAt(Math.max(nowMs, turns.at(-1) ?? 0));
    limit.spend(turn);
    turns.push(turn);
  }
  return turns;
}

/** The most in any span of this length, its end excluded. */
function mostIn(turns: readonly number[], spanMs: number): number {
  return Math.max(0, ...turns.map((from) => turns.filter((at) => at >= from && at < from + spanMs).length));
}

describe('a rate window', () => {
  it('lets no more than its limit into any span, and nobody wait longer than that needs', () => {
    fc.assert(
      fc.property(most, arrivals, (limit, gaps) => {
        const turns = turnsOf(new RateWindow(1_000, limit), gaps);
        expect(mostIn(turns, 1_000)).to.be.at.most(limit);
        let nowMs = 0;
        for (const [index, turn] of turns.entries()) {
          nowMs += gaps[index] ?? 0;
          const earlier = turns[index - limit];
          expect(turn).to.equal(Math.max(nowMs, turns[index - 1] ?? 0, earlier === undefined ? 0 : earlier + 1_000));
        }
      }),
    );
  });

  it('counts amounts by rank, each rank with all less urgent ones', () => {
    const window = new RateWindow(1_000, 10);
    window.spend(0, 4, 0);
    window.spend(100, 5, 2);
    expect([0, 1, 2, 3].map((rank) => window.used(100, rank))).to.deep.equal([9, 5, 5, 0]);
    expect(window.fitsAt(100)).to.equal(100);
    expect(window.fitsAt(100, 2)).to.equal(1_000);
    expect(window.fitsAt(100, 2, 6, 1)).to.equal(1_100);
    expect(window.fitsAt(100, 11)).to.equal(Number.POSITIVE_INFINITY);
    expect(window.used(1_000)).to.equal(5);
    expect(window.used(1_100)).to.equal(0);
  });
});

describe('a token bucket', () => {
  it('lets its burst go at once, and then one each step', () => {
    const bucket = new TokenBucket(100, 250);
    expect(turnsOf(bucket, [0, 0, 0, 0, 0])).to.deep.equal([0, 0, 0, 50, 150]);
    expect(turnsOf(bucket, [10_000, 0, 0, 0]), 'after a rest').to.deep.equal([10_000, 10_000, 10_000, 10_050]);
  });

  it('counts a burst in full where a step is no whole number of milliseconds', () => {
    for (let perMinute = 1; perMinute <= 700; perMinute += 1) {
      const bucket = new TokenBucket(60_000 / perMinute, 60_000 - 60_000 / perMinute);
      let atOnce = 0;
      for (; bucket.fitsAt(0) <= 0; atOnce += 1) bucket.spend(0);
      expect(atOnce).to.equal(perMinute);
    }
  });

  it('keeps to its pace whenever they come', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 400 }),
        fc.integer({ min: 0, max: 2_000 }),
        arrivals,
        (step, burst, gaps) => {
          const turns = turnsOf(new TokenBucket(step, burst), gaps);
          expect(mostIn(turns, 1_000)).to.be.at.most((1_000 + burst) / step + 1);
        },
      ),
    );
  });
});
