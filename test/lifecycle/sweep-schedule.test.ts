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

  // X2
  describe('with thousands of registrations', () => {
    /** Takes and ends sweeps for so long; answers how many were taken. */
    function run({ sweeps, clock }: ReturnType<typeof schedule>, ms: number): number {
      let count = 0;
      for (let passed = 0; passed < ms; passed += 100) {
        for (let taken = sweeps.take(); taken.length > 0; taken = sweeps.take()) {
          for (const name of taken) sweeps.done(name, []);
          count += taken.length;
        }
        clock.move(100);
      }
      return count;
    }

    it('lists them at a pace that leaves the machine to the jobs', () => {
      const many = schedule(2_000);
      expect(run(many, 1_000)).to.be.within(200, 220);
      expect(run(many, 10_000)).to.be.within(190, 210);
      run(many, 100_000);
      expect(many.sweeps.failures.size).to.equal(0);
    });

    it('sweeps those in which nothing happens in 100 minutes once', () => {
      const many = schedule(2_000);
      run(many, 120_000);
      expect(run(many, 60 * MINUTE)).to.be.at.most(20);
      expect(run(many, 60 * MINUTE)).to.be.within(1_900, 2_000);
    });

    it('takes the one that a job waits for before all others, and sweeps it every five minutes', () => {
      const many = schedule(2_000);
      const first = many.sweeps.take();
      many.sweeps.isActive('r1999');
      for (const name of first) many.sweeps.done(name, []);
      expect(many.sweeps.take()[0]).to.equal('r1999');
      many.sweeps.done('r1999', []);
      run(many, 4 * MINUTE);
      many.clock.move(2 * MINUTE);
      expect(many.sweeps.take()).to.include('r1999');
    });

    it("leaves GitHub's side of the others to their second sweep", () => {
      const many = schedule(2_000);
      const [name = ''] = many.sweeps.take();
      expect(many.sweeps.withGithub(name)).to.equal(false);
      many.sweeps.isActive('r1999');
      expect(many.sweeps.withGithub('r1999')).to.equal(true);
      many.sweeps.done(name, []);
      expect(many.sweeps.withGithub(name)).to.equal(true);
      expect(schedule(20).sweeps.withGithub('r1')).to.equal(true);
    });

    it('does not try thousands that fail every 15 seconds', () => {
      const many = schedule(1_000);
      for (let passed = 0; passed < 60_000; passed += 100) {
        for (const name of many.sweeps.take()) many.sweeps.done(name, ['GitHub answers 503']);
        many.clock.move(100);
      }
      let tries = 0;
      for (let passed = 0; passed < 60_000; passed += 100) {
        for (const name of many.sweeps.take()) {
          many.sweeps.done(name, ['GitHub answers 503']);
          tries += 1;
        }
        many.clock.move(100);
      }
      expect(tries).to.be.at.most(800);
    });
  });
});
