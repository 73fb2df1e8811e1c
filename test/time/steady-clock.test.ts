import { expect } from 'chai';
import fc from 'fast-check';
import { systemClock } from '../../time/clock.ts';
import { steadyClock } from '../../time/steady-clock.ts';

const START = Date.parse('2026-11-28T12:00:00Z');
const SECOND = 1_000;
const HOUR = 3_600_000;

/** A machine whose clock can be set, apart from the time that passes. */
function machine(withElapsed = true) {
  let wallMs = START;
  let elapsedMs = 5_000;
  const said: number[] = [];
  const steady = steadyClock(
    {
      now: () => wallMs,
      after: () => () => {},
      ...(withElapsed ? { elapsed: () => elapsedMs } : {}),
    },
    { onSet: (byMs) => said.push(byMs) },
  );
  return {
    said,
    now: () => steady.now() - START,
    pass(ms: number, stepMs = SECOND): number {
      for (let left = ms; left > 0; left -= stepMs) {
        wallMs += Math.min(stepMs, left);
        elapsedMs += Math.min(stepMs, left);
        steady.now();
      }
      return steady.now() - START;
    },
    set(byMs: number): number {
      wallMs += byMs;
      return steady.now() - START;
    },
  };
}

// X1
describe('the steady clock', () => {
  it('tells the time of a clock that is never set', () => {
    const { pass, said } = machine();
    expect(pass(10 * SECOND)).to.equal(10 * SECOND);
    expect(pass(HOUR)).to.equal(HOUR + 10 * SECOND);
    expect(said).to.deep.equal([]);
  });

  it('does not jump when the clock is set an hour ahead for half a minute, and says so both times', () => {
    const { pass, set, said } = machine();
    pass(10 * SECOND);
    expect(set(HOUR)).to.equal(10 * SECOND);
    const ahead = pass(30 * SECOND);
    expect(ahead).to.be.within(40 * SECOND, 41.5 * SECOND);
    expect(set(-HOUR)).to.equal(ahead);
    expect(pass(60 * SECOND)).to.be.within(100 * SECOND - 2, 101.5 * SECOND);
    expect(said.map((byMs) => Math.round(byMs / HOUR))).to.deep.equal([1, -1]);
  });

  it('follows a clock that was set, until both agree', () => {
    for (const byMs of [60 * SECOND, -60 * SECOND]) {
      const { pass, set } = machine();
      set(byMs);
      pass(HOUR);
      expect(pass(SECOND)).to.equal(HOUR + SECOND + byMs);
    }
  });

  it('notices a clock that is set back, where nothing tells what time has passed', () => {
    const { pass, set, said } = machine(false);
    pass(10 * SECOND);
    expect(set(-HOUR)).to.equal(10 * SECOND);
    expect(pass(60 * SECOND)).to.be.within(67 * SECOND, 70 * SECOND);
    expect(said).to.deep.equal([-HOUR]);
  });

  it('never goes backwards, and is never further from the time that passed than the slew allows', () => {
    const event = fc.oneof(
      fc.record({ pass: fc.integer({ min: 1, max: HOUR }) }),
      fc.record({ set: fc.integer({ min: -2 * HOUR, max: 2 * HOUR }) }),
    );
    fc.assert(
      fc.property(fc.array(event, { maxLength: 30 }), (events) => {
        const { pass, set } = machine();
        let passedMs = 0;
        let lastMs = 0;
        for (const one of events) {
          const now = 'pass' in one ? pass(one.pass, 60 * SECOND) : set(one.set);
          if ('pass' in one) passedMs += one.pass;
          expect(now).to.be.at.least(lastMs);
          expect(now).to.be.within(passedMs * 0.95 - 31, passedMs * 1.05 + 31);
          lastMs = now;
        }
      }),
    );
  });

  it('has a source of real time in the system clock', () => {
    const before = systemClock.elapsed?.() ?? Number.NaN;
    const after = systemClock.elapsed?.() ?? Number.NaN;
    expect(after).to.be.at.least(before);
  });
});
