import { expect } from 'chai';
import { RatedLog } from '../../dispatcher/failures/rated-log.ts';
import { LogLines } from '../intake/intake-fixture.ts';
import { manualClock } from '../lifecycle/manual-clock.ts';

describe('a log of what others can cause at will', () => {
  function world(lines: number) {
    const clock = manualClock(1_000_000);
    const written = new LogLines();
    const log = new RatedLog({ log: written, clock, lines, spanMs: 10_000 });
    const fault = (guid: number, endpoint = 'acme') => log.warn('fault', { endpoint }, { guid });
    return { clock, fault, log, written: () => written.lines.map(({ fields }) => fields) };
  }

  it('has one line of a thing in its span, and the next tells how many had none', () => {
    const { clock, fault, written } = world(1);
    for (let guid = 1; guid <= 1_000; guid += 1) fault(guid);
    clock.move(9_999);
    fault(1_001);
    expect(written()).to.deep.equal([{ endpoint: 'acme', guid: 1 }]);
    clock.move(1);
    fault(1_002);
    clock.move(10_000);
    fault(1_003);
    expect(written().slice(1)).to.deep.equal([
      { endpoint: 'acme', guid: 1_002, leftOut: 1_000 },
      { endpoint: 'acme', guid: 1_003 },
    ]);
  });

  it('has as many as it may at once, and no more until the span of the first is over', () => {
    const { clock, fault, written } = world(10);
    for (let guid = 1; guid <= 9; guid += 1) fault(guid);
    clock.move(9_999);
    for (let guid = 10; guid <= 25; guid += 1) fault(guid);
    expect(written()).to.have.length(10);
    clock.move(1);
    fault(26);
    fault(27);
    expect(written().slice(10)).to.deep.equal([
      { endpoint: 'acme', guid: 26, leftOut: 15 },
      { endpoint: 'acme', guid: 27 },
    ]);
  });

  it('counts each event and each thing alone', () => {
    const { fault, log, written } = world(1);
    for (const endpoint of ['acme', 'evil']) {
      fault(1, endpoint);
      log.warn('another', { endpoint }, {});
    }
    expect(written()).to.have.length(4);
  });

  it('is not silenced for longer by a clock that was set back', () => {
    const { clock, fault, written } = world(1);
    fault(1);
    clock.move(-500_000);
    fault(2);
    expect(written()).to.have.length(2);
  });
});
