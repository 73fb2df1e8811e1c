import { expect } from 'chai';
import { NOT_LISTED, SweepSchedule } from '../../dispatcher/lifecycle/sweep-schedule.ts';
import { manualClock } from './manual-clock.ts';

const MINUTE = 60_000;

function schedule(count: number, lineOf?: (name: string) => string) {
  const clock = manualClock();
  const names = Array.from({ length: count }, (_, index) => `r${index}`);
  return { clock, names, sweeps: new SweepSchedule(names, clock, () => 0.5, lineOf) };
}

describe('the schedule of sweeps', () => {
  it('sweeps every registration at the start, a few at a time', () => {
    const { sweeps, names } = schedule(20);
    const seen: string[] = [];
    for (let taken = sweeps.take(); taken.length > 0; taken = sweeps.take()) {
      expect(taken.length).to.be.at.most(8);
      expect(sweeps.take()).to.deep.equal([]);
      for (const name of taken) sweeps.finish(name, []);
      seen.push(...taken);
    }
    expect(seen).to.have.members(names);
  });

  it('comes back after five minutes, or after 15 seconds when something failed', () => {
    const { clock, sweeps } = schedule(2);
    sweeps.take();
    sweeps.finish('r0', []);
    sweeps.finish('r1', ['docker: refused']);
    expect([...sweeps.failures]).to.deep.equal([['r1', ['docker: refused']]]);
    expect(sweeps.nextMs).to.equal(clock.now() + 15_000);
    clock.move(15_000);
    expect(sweeps.take()).to.deep.equal(['r1']);
    sweeps.finish('r1', []);
    clock.move(5 * MINUTE);
    expect(sweeps.take()).to.have.members(['r0', 'r1']);
  });

  it('tells those that a change added from those that were not listed since the start', () => {
    const { sweeps } = schedule(2);
    sweeps.add('r1');
    expect([...sweeps.failures.values()].flat()).to.deep.equal([NOT_LISTED, NOT_LISTED]);
    sweeps.take();
    for (const name of ['r0', 'r1']) sweeps.finish(name, []);
    expect(sweeps.failures.size).to.equal(0);
    for (const name of ['r0', 'new']) sweeps.add(name);
    expect([...sweeps.failures.keys()]).to.deep.equal(['r0', 'new']);
    expect([...sweeps.failures.values()].flat()).to.not.include(NOT_LISTED);
    sweeps.markActive('new');
    expect(sweeps.take()).to.deep.equal(['new', 'r0']);
  });

  it('asks for no time before a place can be free', () => {
    const { clock, sweeps } = schedule(9);
    expect(sweeps.take().length).to.equal(8);
    expect(sweeps.nextMs).to.equal(clock.now() + 5_000);
    sweeps.finish('r0', []);
    expect(sweeps.take()).to.deep.equal(['r8']);
  });

  describe('beside services that accept a call and do not answer', () => {
    const hangs = (name: string) => Number(name.slice(1)) < 40;

    /** Those of `hangs` never end; answers when each of the others was first taken. */
    function turns({ sweeps, clock }: ReturnType<typeof schedule>, ms: number): ReadonlyMap<string, number> {
      const startedMs = clock.now();
      const taken = new Map<string, number>();
      while (clock.now() < startedMs + ms) {
        for (const name of sweeps.take()) {
          if (hangs(name)) continue;
          if (!taken.has(name)) taken.set(name, clock.now() - startedMs);
          sweeps.finish(name, []);
        }
        const { nextMs } = sweeps;
        clock.move(Math.max(1, Math.min(nextMs ?? 1_000, clock.now() + 1_000) - clock.now()));
      }
      return taken;
    }

    it('gives the places of those that hang to the others', () => {
      const some = schedule(60);
      expect(turns(some, 30_000).size).to.equal(20);
    });

    it('says when a place becomes free by that', () => {
      const { clock, sweeps } = schedule(60);
      sweeps.take();
      const { nextMs = Number.POSITIVE_INFINITY } = sweeps;
      expect(nextMs - clock.now()).to.be.within(1, 5_000);
      clock.move(nextMs - clock.now());
      expect(sweeps.take()).to.have.length(8);
    });

    it('takes the one that a job waits for, however many hang', () => {
      const some = schedule(60);
      turns(some, 30_000);
      for (let index = 0; index < 40; index += 1) some.sweeps.markActive(`r${index}`);
      some.sweeps.markActive('r59');
      expect(turns(some, 10 * MINUTE).has('r59')).to.equal(true);
    });

    it('has no more than so many that were slow before under way, and asks for no time for the others', () => {
      const { clock, sweeps } = schedule(40);
      const running = new Set<string>();
      for (let passed = 0; passed < 60_000; passed += 1_000) {
        for (const name of sweeps.take()) running.add(name);
        clock.move(1_000);
      }
      expect(running.size).to.equal(40);
      for (const name of running) sweeps.finish(name, ['no answer within 30 s']);
      running.clear();
      for (let passed = 0; passed < 60_000; passed += 1_000) {
        for (const name of sweeps.take()) running.add(name);
        clock.move(1_000);
      }
      expect(running.size).to.equal(16);
      expect(sweeps.nextMs ?? Number.POSITIVE_INFINITY).to.be.greaterThan(clock.now());
      const [first = ''] = running;
      sweeps.finish(first, ['no answer within 30 s']);
      expect(sweeps.take()).to.have.length(1);
    });
  });

  it('gives one tenant four of the places for slow sweeps, however many of its services do not answer', () => {
    const { clock, sweeps } = schedule(40, (name) => (Number(name.slice(1)) < 30 ? 'hanging' : name));
    const running = new Set<string>();
    const take = (ms: number): void => {
      for (let passed = 0; passed < ms; passed += 1_000) {
        for (const name of sweeps.take()) running.add(name);
        clock.move(1_000);
      }
    };
    take(60_000);
    expect(running.size).to.equal(40);
    for (const name of running) sweeps.finish(name, ['no answer within 30 s']);
    running.clear();
    take(60_000);
    const ofTenant = [...running].filter((name) => Number(name.slice(1)) < 30);
    expect(ofTenant).to.have.length(4);
    expect(running.size, 'and all ten of the others').to.equal(14);
    expect(sweeps.nextMs ?? Number.POSITIVE_INFINITY, 'it does not turn on the spot').to.be.greaterThan(clock.now());
    const [first = ''] = ofTenant;
    sweeps.finish(first, ['no answer within 30 s']);
    const [next = '', ...more] = sweeps.take();
    expect(Number(next.slice(1))).to.be.below(30);
    expect(more).to.deep.equal([]);
  });

  // X2
  describe('with thousands of registrations', () => {
    /** Takes and ends sweeps for so long; answers how many were taken. */
    function run({ sweeps, clock }: ReturnType<typeof schedule>, ms: number): number {
      let count = 0;
      for (let passed = 0; passed < ms; passed += 100) {
        for (let taken = sweeps.take(); taken.length > 0; taken = sweeps.take()) {
          for (const name of taken) sweeps.finish(name, []);
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
      many.sweeps.markActive('r1999');
      for (const name of first) many.sweeps.finish(name, []);
      expect(many.sweeps.take()[0]).to.equal('r1999');
      many.sweeps.finish('r1999', []);
      run(many, 4 * MINUTE);
      many.clock.move(2 * MINUTE);
      expect(many.sweeps.take()).to.include('r1999');
    });

    it("leaves GitHub's side of the others to their second sweep", () => {
      const many = schedule(2_000);
      const [name = ''] = many.sweeps.take();
      expect(many.sweeps.includesGithub(name)).to.equal(false);
      many.sweeps.markActive('r1999');
      expect(many.sweeps.includesGithub('r1999')).to.equal(true);
      many.sweeps.finish(name, []);
      expect(many.sweeps.includesGithub(name)).to.equal(true);
      expect(schedule(20).sweeps.includesGithub('r1')).to.equal(true);
    });

    it('does not try thousands that fail every 15 seconds', () => {
      const many = schedule(1_000);
      for (let passed = 0; passed < 60_000; passed += 100) {
        for (const name of many.sweeps.take()) many.sweeps.finish(name, ['GitHub answers 503']);
        many.clock.move(100);
      }
      let tries = 0;
      for (let passed = 0; passed < 60_000; passed += 100) {
        for (const name of many.sweeps.take()) {
          many.sweeps.finish(name, ['GitHub answers 503']);
          tries += 1;
        }
        many.clock.move(100);
      }
      expect(tries).to.be.at.most(800);
      const again = new Set<string>();
      for (let passed = 0; passed < 6 * MINUTE; passed += 100) {
        for (const name of many.sweeps.take()) {
          many.sweeps.finish(name, ['GitHub answers 503']);
          again.add(name);
        }
        many.clock.move(100);
      }
      expect(again.size, 'each after five minutes').to.equal(1_000);
    });
  });
});
