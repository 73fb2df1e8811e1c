import { expect } from 'chai';
import fc from 'fast-check';
import { formatDuration, parseDuration } from '../../dispatcher/labels/duration.ts';

describe('durations', () => {
  for (const [text, ms] of [
    ['90m', 5_400_000],
    ['2h', 7_200_000],
    ['1h30m', 5_400_000],
    ['1D', 86_400_000],
    ['45s', 45_000],
    ['500ms', 500],
    ['0s', 0],
  ] as const) {
    it(`reads ${text}`, () => {
      expect(parseDuration(text)).to.equal(ms);
    });
  }

  for (const text of ['', '90', 'm', '30m1h', '1h1h', '-5m', '1.5h', '5 m', '5min', ' 5m']) {
    it(`does not read "${text}"`, () => {
      expect(parseDuration(text)).to.equal(undefined);
    });
  }

  it('reads back what it wrote', () => {
    fc.assert(
      fc.property(fc.nat({ max: 10_000_000_000 }), (ms) => {
        expect(parseDuration(formatDuration(ms))).to.equal(ms);
      }),
    );
  });
});
