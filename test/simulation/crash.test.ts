import { expect } from 'chai';
import { Life, type LifeOptions } from './crash.ts';
import { Stream } from './random.ts';
import { eventLoopTurn, VirtualClock } from './virtual-clock.ts';

class Counter {
  count = 0;
  async add(): Promise<number> {
    this.count += 1;
    return this.count;
  }
  async fail(): Promise<never> {
    throw new Error('as asked');
  }
}

/** A stream whose first draw lies below, or not below, one half. */
function luckThatDies(before: boolean): Stream {
  for (let seed = 1; ; seed += 1) {
    if (new Stream(seed, 'luck').chance(0.5) === before) return new Stream(seed, 'luck');
  }
}

function lifeWith(options: Partial<LifeOptions>): { life: Life; clock: VirtualClock; deaths: string[] } {
  const clock = new VirtualClock(0);
  const deaths: string[] = [];
  const life = new Life({
    clock,
    diesAtCall: undefined,
    luck: luckThatDies(true),
    pending: { count: 0 },
    onDeath: (where) => deaths.push(where),
    onSpin: (where) => deaths.push(`spin ${where}`),
    ...options,
  });
  return { life, clock, deaths };
}

async function settles(promise: Promise<unknown>): Promise<boolean> {
  let settled = false;
  const done = (): void => {
    settled = true;
  };
  promise.then(done, done);
  await eventLoopTurn();
  return settled;
}

describe('a life of the dispatcher', () => {
  it('passes results and errors on while it lasts', async () => {
    const { life } = lifeWith({});
    const port = life.port('counter', new Counter());
    expect(await port.add()).to.equal(1);
    const failure = await port.fail().catch((error: unknown) => error);
    expect(failure).to.be.instanceOf(Error).with.property('message', 'as asked');
    expect(life.calls).to.equal(2);
  });

  it('dies before the effect of a call: nothing happened, and nobody is told', async () => {
    const { life, deaths } = lifeWith({ diesAtCall: 2, luck: luckThatDies(true) });
    const counter = new Counter();
    const port = life.port('counter', counter);
    await port.add();
    expect(await settles(port.add())).to.equal(false);
    expect(counter.count).to.equal(1);
    expect(deaths).to.deep.equal(['before counter.add']);
  });

  it('dies after the effect of a call: it happened, and nobody is told', async () => {
    const { life, deaths } = lifeWith({ diesAtCall: 2, luck: luckThatDies(false) });
    const counter = new Counter();
    const port = life.port('counter', counter);
    await port.add();
    expect(await settles(port.add())).to.equal(false);
    expect(counter.count).to.equal(2);
    expect(deaths).to.deep.equal(['after counter.add']);
  });

  it('neither starts a call nor fires a timer once it is dead', async () => {
    const { life, clock } = lifeWith({});
    const counter = new Counter();
    const port = life.port('counter', counter);
    let fired = 0;
    life.clock().after(10, () => {
      fired += 1;
    });
    life.end('killed');
    life.clock().after(10, () => {
      fired += 1;
    });
    expect(await settles(port.add())).to.equal(false);
    await clock.advance(100);
    expect({ fired, count: counter.count }).to.deep.equal({ fired: 0, count: 0 });
  });

  it('is ended when it turns on the spot', async () => {
    const { life, deaths } = lifeWith({});
    const port = life.port('counter', new Counter());
    const turning = (async () => {
      for (;;) await port.add();
    })();
    for (let turn = 0; turn < 50 && life.alive; turn += 1) await eventLoopTurn();
    expect(await settles(turning)).to.equal(false);
    expect(deaths).to.deep.equal(['turning on the spot at counter.add', 'spin counter.add']);
  });
});
