import { expect } from 'chai';
import { StateLog } from '../../dispatcher/failures/state-log.ts';
import { type Loop, Pass } from '../../dispatcher/lifecycle/pass.ts';
import { manualClock } from './manual-clock.ts';

const SECOND = 1000;

describe('a pass of the engine', () => {
  const clock = manualClock();
  let ran: string[];
  let logged: string[];
  let broken: ReadonlySet<string>;
  let working: boolean;
  let loops: readonly Loop[];

  beforeEach(() => {
    ran = [];
    logged = [];
    broken = new Set();
    working = true;
    loops = ['settle', 'visit', 'sweep'].map((name) => ({
      name,
      run: async () => {
        ran.push(name);
        if (broken.has(name)) throw new TypeError(`${name} is broken`);
      },
    }));
  });

  function pass(some: readonly Loop[] = loops): Pass {
    const line = (event: string, fields: Readonly<Record<string, unknown>> = {}) =>
      void logged.push(`${event} ${String(fields['loop'])}`);
    return new Pass({
      clock,
      loops: some,
      states: new StateLog({ warn: line, info: line }, clock),
      working: () => working,
      ledgerFailed: (error) => error instanceof RangeError,
    });
  }

  it('runs its loops in their order, the others also where one fails', async () => {
    broken = new Set(['settle']);
    await pass().run();
    expect(ran).to.deep.equal(['settle', 'visit', 'sweep']);
  });

  it('lets a loop that failed rest for a second, twice as long each time and a minute at most, whatever the news', async () => {
    broken = new Set(['settle']);
    const one = pass();
    for (const restMs of [1, 2, 4, 8, 16, 32, 60, 60].map((seconds) => seconds * SECOND)) {
      ran = [];
      expect(await one.run(), 'it asks to be run when the rest is over').to.equal(clock.now() + restMs);
      expect(ran).to.include('settle');
      clock.move(restMs - 1);
      ran = [];
      await one.run();
      expect(ran).to.deep.equal(['visit', 'sweep']);
      clock.move(1);
    }
  });

  it('says once that a loop fails, and once that it works again', async () => {
    broken = new Set(['settle']);
    const one = pass();
    for (let again = 0; again < 3; again += 1) {
      await one.run();
      clock.move(60 * SECOND);
    }
    expect(logged).to.deep.equal(['cycle-failed settle']);
    broken = new Set();
    await one.run();
    expect(logged).to.deep.equal(['cycle-failed settle', 'cycle-failed-over settle']);
    broken = new Set(['settle']);
    expect(await one.run(), 'the rest begins anew').to.equal(clock.now() + SECOND);
  });

  it('does not let a rest last longer because the clock was set back', async () => {
    broken = new Set(['settle']);
    const one = pass();
    await one.run();
    clock.move(-3_600 * SECOND);
    ran = [];
    await one.run();
    expect(ran).to.include('settle');
  });

  it('begins no further loop once the engine stops', async () => {
    const stopping: Loop = {
      name: 'stop',
      run: async () => {
        working = false;
      },
    };
    expect(await pass([stopping, ...loops]).run()).to.equal(undefined);
    expect(ran).to.deep.equal([]);
  });

  it('ends where nothing can be recorded: every loop would fail', async () => {
    const full: Loop = { name: 'full', run: () => Promise.reject(new RangeError('the disk is full')) };
    const outcome = await pass([full, ...loops])
      .run()
      .catch((error: unknown) => error);
    expect(outcome).to.be.instanceOf(RangeError);
    expect(ran).to.deep.equal([]);
    expect(logged).to.deep.equal([]);
  });

  it('is due again at the earliest time that a loop names', async () => {
    const at = (ms: number | null | undefined): Loop => ({
      name: String(ms),
      run: async () => {},
      nextMs: async () => ms,
    });
    expect(await pass([at(null), at(undefined)]).run()).to.equal(undefined);
    expect(await pass([at(70), at(null), at(50), at(60)]).run()).to.equal(50);
  });

  it('lets a loop rest too that cannot say when it is due', async () => {
    const mute: Loop = {
      name: 'mute',
      run: async () => void ran.push('mute'),
      nextMs: () => Promise.reject(new TypeError('no time')),
    };
    const one = pass([mute]);
    expect(await one.run()).to.equal(clock.now() + SECOND);
    await one.run();
    expect(ran).to.deep.equal(['mute']);
  });
});
