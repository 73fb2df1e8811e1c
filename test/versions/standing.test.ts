import { expect } from 'chai';
import { standingOf } from '../../dispatcher/versions/standing.ts';
import { DAY } from '../../time/units.ts';

const NOW = Date.UTC(2026, 10, 29);

describe('how a version of the runner stands', () => {
  const table: [string | undefined, string | undefined, number | undefined, string][] = [
    ['2.338.1', '2.338.1', undefined, 'newest'],
    ['2.339.0', '2.338.1', undefined, 'newest'],
    ['2.338.0', '2.338.1', NOW + 20 * DAY, 'behind'],
    ['2.338.0', '2.338.1', NOW + 14 * DAY, 'behind'],
    ['2.338.0', '2.338.1', NOW + 14 * DAY - 1, 'near'],
    ['2.338.0', '2.338.1', undefined, 'near'],
    ['2.338.0', '2.338.1', NOW, 'below'],
    ['2.338.0', '2.338.1', NOW - 1, 'below'],
    ['2.328.9', '2.338.1', NOW + 20 * DAY, 'below'],
    // An old server, on which the rule of github.com does not hold.
    ['2.320.0', '2.320.0', undefined, 'newest'],
    ['2.319.0', '2.320.0', NOW + 20 * DAY, 'behind'],
    [undefined, '2.338.1', undefined, 'unknown'],
    ['2.338.1', undefined, undefined, 'unknown'],
  ];
  for (const [version, newest, endsAtMs, expected] of table) {
    const end = endsAtMs === undefined ? 'no end' : `${(endsAtMs - NOW) / DAY} days left`;
    it(`${version} beside ${newest}, ${end}: ${expected}`, () => {
      expect(standingOf(version, { newest, endsAtMs }, NOW)).to.equal(expected);
    });
  }
});
