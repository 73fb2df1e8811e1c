import { expect } from 'chai';
import { UnauthenticatedLog } from '../../dispatcher/intake/unauthenticated-log.ts';
import { manualClock } from '../lifecycle/manual-clock.ts';
import { LogLines } from './intake-fixture.ts';

describe('the log of senders that prove nothing', () => {
  function world(startMs: number) {
    const clock = manualClock(startMs);
    const lines = new LogLines();
    const log = new UnauthenticatedLog(clock, lines);
    return { clock, log, told: () => lines.lines.map(({ fields }) => fields) };
  }

  it('has one line in ten seconds, and the next as soon as they are over', () => {
    const { clock, log, told } = world(1_000_000);
    log.warn('bad-signature', 'acme', '192.0.2.1');
    clock.move(9_999);
    log.warn('bad-signature', 'acme', '192.0.2.2');
    expect(told()).to.deep.equal([{ outcome: 'bad-signature', registration: 'acme', from: '192.0.2.1' }]);
    clock.move(1);
    log.warn('bad-signature', undefined, '192.0.2.3');
    log.warn('bad-signature', undefined, '192.0.2.4');
    expect(told().slice(1)).to.deep.equal([{ outcome: 'bad-signature', registration: null, from: '192.0.2.3' }]);
  });

  it('counts the ten seconds for each kind alone', () => {
    const { log, told } = world(0);
    for (const outcome of ['unsigned', 'no-secret', 'bad-signature'] as const) log.warn(outcome, 'acme', '192.0.2.1');
    expect(told()).to.have.length(3);
  });
});
