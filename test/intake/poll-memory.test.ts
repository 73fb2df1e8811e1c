import { expect } from 'chai';
import { bounded, countRuns, readOpenRuns, writeOpenRuns } from '../../dispatcher/intake/poll-memory.ts';

const runsFrom = (first: number, count: number) =>
  new Map(Array.from({ length: count }, (_, index) => [first + index, 0] as const));

describe('what the poller remembers of open runs', () => {
  it('is read back as it was written, in the same text whatever the order of the looks', () => {
    const web = new Map([
      [16_123_456_789, 0],
      [16_123_456_790, 2],
    ]);
    // The first run of a fresh server.
    const api = runsFrom(1, 1);
    const text = writeOpenRuns(new Map([['acme/web', web] as const, ['acme/api', api] as const]));
    expect(text).to.equal(writeOpenRuns(new Map([['acme/api', api] as const, ['acme/web', web] as const])));
    expect([...readOpenRuns(text)]).to.deep.equal([
      ['acme/api', api],
      ['acme/web', web],
    ]);
  });

  it('is empty where nothing is stored, another version wrote it, or a part of it is invalid', () => {
    expect(readOpenRuns(undefined).size).to.equal(0);
    for (const text of [
      '{"version":2,"runs":{"acme/web":[[1,0]]}}',
      '{"version":1,"runs":{"acme/web":[[0,0]]}}',
      '{"version":1,"runs":{"acme/web":[[1,-1]]}}',
    ]) {
      expect(readOpenRuns(text).size, text).to.equal(0);
    }
  });

  it('ends with the run that fills it', () => {
    const sizes = [4_999, 1, 10];
    const kept = bounded(new Map(sizes.map((size, index) => [`acme/${index}`, runsFrom(1, size)])));
    expect([...kept.values()].map(({ size }) => size)).to.deep.equal([4_999, 1]);
  });

  it('is bounded at 5,000 runs of a registration: the first repositories whole, then as many as there is room for', () => {
    const kept = bounded(
      new Map([
        ['acme/web', runsFrom(1, 4_000)],
        ['acme/idle', runsFrom(1, 0)],
        ['acme/api', runsFrom(10_001, 1_500)],
        ['acme/docs', runsFrom(20_001, 10)],
      ]),
    );
    expect([...kept].map(([repository, ids]) => [repository, ids.size])).to.deep.equal([
      ['acme/web', 4_000],
      ['acme/api', 1_000],
    ]);
    expect([...(kept.get('acme/api') ?? [])].at(-1)).to.deep.equal([11_000, 0]);
    expect(countRuns(kept)).to.equal(5_000);
  });
});
