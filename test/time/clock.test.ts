import { expect } from 'chai';
import { systemRandom, ulid, ulidTime } from '../../time/clock.ts';

// W2: from three names that were seen, the random part of the next two was computed.
describe('the names of runners', () => {
  it('do not follow from Math.random, whatever that answers', () => {
    const original = Math.random;
    Math.random = () => 0.5;
    try {
      const names = new Set(Array.from({ length: 1000 }, () => ulid(0, systemRandom)));
      expect(names.size).to.equal(1000);
    } finally {
      Math.random = original;
    }
  });

  it('end in 16 characters of which each is any of 32, as often as the others: 80 bits', () => {
    const draws = 20_000;
    const seen = Array.from({ length: 16 }, () => new Map<string, number>());
    for (let index = 0; index < draws; index += 1) {
      for (const [place, character] of [...ulid(0, systemRandom).slice(10)].entries()) {
        const counts = seen[place];
        counts?.set(character, (counts.get(character) ?? 0) + 1);
      }
    }
    for (const counts of seen) {
      expect(counts.size).to.equal(32);
      const expected = draws / 32;
      const chiSquare = [...counts.values()].reduce((sum, count) => sum + (count - expected) ** 2 / expected, 0);
      // 31 degrees of freedom: beyond 100 once in 10^8 draws of the test.
      expect(chiSquare).to.be.below(100);
    }
  });

  it('begin with their time, in an order that follows it', () => {
    const times = [0, 1, 1_795_872_119_036, 1_795_872_119_037, 2 ** 48 - 1];
    const names = times.map((time) => ulid(time, systemRandom));
    expect(names.map(ulidTime)).to.deep.equal(times);
    expect([...names].sort()).to.deep.equal(names);
  });

  it('are uniform draws from [0, 1)', () => {
    const draws = Array.from({ length: 10_000 }, systemRandom);
    expect(Math.min(...draws)).to.be.within(0, 0.01);
    expect(Math.max(...draws))
      .to.be.within(0.99, 1)
      .and.below(1);
    expect(draws.reduce((sum, draw) => sum + draw, 0) / draws.length).to.be.within(0.47, 0.53);
  });
});
