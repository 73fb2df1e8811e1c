import { expect } from 'chai';
import { brakeOf, rateReport } from '../../dispatcher/github/rate-report.ts';

const NOW_MS = Date.UTC(2026, 0, 5, 12);
const hour = (remaining: number | string, more: Readonly<Record<string, string>> = {}) => ({
  'x-ratelimit-limit': '5000',
  'x-ratelimit-remaining': String(remaining),
  'x-ratelimit-reset': '1767616200',
  ...more,
});

describe('what an answer of GitHub says about its limits', () => {
  it('is read from all three headers, or not at all', () => {
    const told = { resource: undefined, limit: 5_000, remaining: 17, resetAtMs: 1_767_616_200_000 };
    expect(rateReport(hour(17))).to.deep.equal(told);
    expect(rateReport(hour(' 17 '))).to.deep.equal(told);
    expect(rateReport(hour(17, { 'x-ratelimit-resource': 'core' }))?.resource).to.equal('core');
    expect(rateReport(hour(17, { 'x-ratelimit-resource': 'No such thing' }))?.resource).to.equal(undefined);
    for (const name of Object.keys(hour(17))) {
      expect(rateReport({ ...hour(17), [name]: undefined }), name).to.equal(undefined);
      expect(rateReport({ ...hour(17), [name]: 'many' }), name).to.equal(undefined);
    }
  });

  const date = (ms: number) => new Date(NOW_MS + ms).toUTCString();
  for (const [what, status, headers, message, brake] of [
    ['seconds to wait', 403, { 'retry-after': '120' }, 'no', { kind: 'wait', ms: 120_000 }],
    ['a date to wait for', 429, { 'retry-after': date(90_000) }, 'no', { kind: 'wait', ms: 90_000 }],
    ['a date that has passed', 503, { 'retry-after': date(-90_000) }, 'no', { kind: 'wait', ms: 0 }],
    ['a wait of a server in trouble', 500, { 'retry-after': '5' }, 'no', { kind: 'wait', ms: 5_000 }],
    ['a wait that is none', 403, { 'retry-after': 'soon' }, 'no', undefined],
    ['a wait beside an hour used up', 403, hour(0, { 'retry-after': '5' }), 'no', { kind: 'wait', ms: 5_000 }],
    ['an hour used up', 403, hour(0), 'no', { kind: 'exhausted' }],
    ['too many requests in an hour used up', 429, hour(0), 'no', { kind: 'exhausted' }],
    ['too many requests', 429, hour(17), 'no', { kind: 'secondary' }],
    ['a secondary limit', 403, hour(17), 'You have exceeded a secondary rate limit', { kind: 'secondary' }],
    ['abuse', 403, {}, 'You have triggered an abuse detection mechanism', { kind: 'secondary' }],
    ['a refusal', 403, hour(17), 'Resource not accessible', undefined],
    ['a server in trouble', 502, hour(0), 'rate limit', undefined],
    ['what is not found', 404, { 'retry-after': '5' }, 'rate limit', undefined],
    ['an answer', 200, hour(0, { 'retry-after': '5' }), '', undefined],
  ] as const) {
    it(`is ${brake === undefined ? 'nothing' : brake.kind} for ${what} (${status})`, () => {
      expect(brakeOf(status, headers, message, NOW_MS)).to.deep.equal(brake);
    });
  }
});
