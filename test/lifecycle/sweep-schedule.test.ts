import { expect } from 'chai';
import { SweepSchedule } from '../../dispatcher/lifecycle/sweep-schedule.ts';
import { manualClock } from './manual-clock.ts';

const MINUTE = 60_000;

function schedule(count: number) {
  const clock = manualClock();
  const names = Array.from({ length: count }, (_, index) => `r${index}`);
  return { clock, names, sweeps: new SweepSchedule(names, clock, () => 0.5) };
}

describe('the schedule of sweeps', () => {
  it('sweeps every registration at the start, a few at a time', () => {
    const { sweeps, names } = schedule(20);
    const seen: string[] = [];
    for (let taken = sweeps.take(); taken.length > 0; taken = sweeps.take()) {
      expect(taken.length).to.be.at.most(8);
      expect(sweeps.take()).to.deep.equal([]);
      for (const name of taken) sweeps.done(name, []);
      seen.push(...taken);
    }
    expect(seen).to.have.members(names);
  });

  it('comes back after five minutes, or after 15 seconds when something failed', () => {
    const { clock, sweeps } = schedule(2);
    sweeps.take();
    sweeps.done('r0', []);
    sweeps.done('r1', ['docker: refused']);
    expect([...sweeps.failures]).to.deep.equal([['r1', ['docker: refused']]]);
    expect(sweeps.nextMs).to.equal(clock.now() + 15_000);
    clock.move(15_000);
    expect(sweeps.take()).to.deep.equal(['r1']);
    sweeps.done('r1', []);
    clock.move(5 * MINUTE);
    expect(sweeps.take()).to.have.members(['r0', 'r1']);
  });

  it('asks for no time while all places are taken', () => {
    const { sweeps } = schedule(9);
    expect(sweeps.take().length).to.equal(8);
    expect(sweeps.nextMs).to.equal(undefined);
    sweeps.done('r0', []);
    expect(sweeps.take()).to.deep.equal(['r8']);
  });
});
