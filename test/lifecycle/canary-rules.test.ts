import { expect } from 'chai';
import fc from 'fast-check';
import {
  afterFailedStart,
  afterStart,
  type CanaryState,
  failedOf,
  isDrawn,
  isOfImage,
  newCanary,
} from '../../dispatcher/lifecycle/canary-rules.ts';
import { ulid } from '../../time/clock.ts';
import { failure } from '../failures/examples.ts';
import { Stream } from '../simulation/random.ts';

const NOW = Date.UTC(2026, 10, 1);
const PULL = failure({ source: 'acme/main', kind: 'image-pull-failed' });

function history(starts: string): CanaryState {
  let state = newCanary({ image: 'runner:2', percent: 10 });
  for (const start of starts) state = start === '+' ? afterStart(state) : afterFailedStart(state, PULL, NOW);
  return state;
}

describe('the launches on a candidate image', () => {
  const names = (seed: number, count: number) => {
    const random = new Stream(seed, 'names').next;
    return Array.from({ length: count }, () => `d1-${ulid(NOW, random)}`);
  };

  it('are as many of a hundred as the registration says, however the names fall', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 50 }), fc.integer({ min: 0, max: 1_000_000 }), (percent, seed) => {
        const count = 2000;
        const share = names(seed, count).filter((name) => isDrawn(percent, name)).length / count;
        const sigma = Math.sqrt(((percent / 100) * (1 - percent / 100)) / count);
        expect(Math.abs(share - percent / 100)).to.be.lessThan(6 * sigma);
      }),
      { seed: 930_000, numRuns: 50 },
    );
  });

  it('are the same for the same name, and a larger share holds all of a smaller one', () => {
    for (const name of names(1, 500)) {
      expect(isDrawn(20, name)).to.equal(isDrawn(20, name));
      if (isDrawn(5, name)) expect(isDrawn(50, name)).to.equal(true);
    }
  });
});

describe('a candidate image', () => {
  it('is stopped by three failed starts in a row', () => {
    expect(history('--').stopped).to.equal(null);
    expect(history('+--+--').stopped).to.equal(null);
    expect(history('+---').stopped).to.deep.equal({ atMs: NOW, reason: '3 starts in a row failed', failure: PULL });
  });

  it('is stopped by a fifth of at least ten starts', () => {
    expect(history('-+++++++-').stopped).to.equal(null);
    expect(history('-++++++++-').stopped?.reason).to.equal('2 of its last 10 starts failed');
    expect(history('-+++++++++-').stopped).to.equal(null);
  });

  it('is judged by its last starts: many good ones before hide nothing', () => {
    const long = history(`${'+'.repeat(500)}-+-+-+`);
    expect(long.stopped).to.equal(null);
    expect(afterFailedStart(long, PULL, NOW).stopped?.reason).to.equal('4 of its last 20 starts failed');
    expect(failedOf(long)).to.equal(3);
    expect(long.starts).to.have.length(20);
  });

  it('answers for what may be its fault, and not for quotas, stock, credentials or GitHub', () => {
    for (const kind of [
      'image-pull-failed',
      'invalid',
      'exited',
      'launch-timeout',
      'runner-outdated',
      'unfit',
    ] as const)
      expect(isOfImage(failure({ source: 'acme/main', kind })), kind).to.equal(true);
    for (const kind of ['quota', 'capacity', 'throttled', 'transient', 'unauthorized', 'no-work', 'defect'] as const)
      expect(isOfImage(failure({ source: 'acme/main', kind })), kind).to.equal(false);
    expect(isOfImage(failure({ source: 'github', kind: 'invalid' }))).to.equal(false);
  });
});
