import { expect } from 'chai';
import { VerifiedLog } from '../../dispatcher/intake/verified-log.ts';
import { manualClock } from '../lifecycle/manual-clock.ts';
import { LogLines } from './intake-fixture.ts';

describe('the log of signed deliveries that are not taken', () => {
  function world(startMs: number) {
    const clock = manualClock(startMs);
    const lines = new LogLines();
    return { clock, log: new VerifiedLog(clock, lines), told: () => lines.lines.map(({ fields }) => fields) };
  }

  it('has one line of an endpoint in ten seconds, and the next tells how many had none', () => {
    const { clock, log, told } = world(1_000_000);
    for (let guid = 1; guid <= 1_000; guid += 1) log.warn('intake.foreign', 'acme', { guid });
    clock.move(9_999);
    log.warn('intake.foreign', 'acme', { guid: 1_001 });
    expect(told()).to.deep.equal([{ endpoint: 'acme', guid: 1 }]);
    clock.move(1);
    log.warn('intake.foreign', 'acme', { guid: 1_002 });
    clock.move(10_000);
    log.warn('intake.foreign', 'acme', { guid: 1_003 });
    expect(told().slice(1)).to.deep.equal([
      { endpoint: 'acme', guid: 1_002, unsaid: 1_000 },
      { endpoint: 'acme', guid: 1_003 },
    ]);
  });

  it('counts the ten seconds for each endpoint and each event alone', () => {
    const { log, told } = world(0);
    for (const endpoint of ['acme', 'evil']) {
      for (const event of ['intake.foreign', 'intake.malformed'] as const) log.warn(event, endpoint, {});
    }
    expect(told()).to.have.length(4);
  });

  it('is not silenced for longer by a clock that was set back', () => {
    const { clock, log, told } = world(1_000_000);
    log.warn('intake.foreign', 'acme', {});
    clock.move(-500_000);
    log.warn('intake.foreign', 'acme', {});
    expect(told()).to.have.length(2);
  });
});
