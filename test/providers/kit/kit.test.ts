import { expect } from 'chai';
import fc from 'fast-check';
import { Deadlines } from '../../../providers/kit/deadlines.ts';
import { decodeTags, encodeTags } from '../../../providers/kit/tags.ts';
import { Tail, tailText } from '../../../providers/kit/tail.ts';
import { roundUp } from '../../../providers/kit/wish.ts';
import { type InstanceTags, ProviderError } from '../../../providers/provider.ts';

/** A host whose time stands still until `advance` is called. */
function handClock() {
  let sleepers: (() => void)[] = [];
  return {
    host: {
      now: () => 0,
      random: () => 0,
      sleep: () =>
        new Promise<void>((resolve) => {
          sleepers.push(resolve);
        }),
    },
    sleeping: () => sleepers.length,
    /** One tick, and all that follows from it. */
    async advance(): Promise<void> {
      const due = sleepers;
      sleepers = [];
      for (const wake of due) wake();
      await new Promise(setImmediate);
    },
  };
}

describe('deadlines', () => {
  it('reject as transient when the time is over, and abort the call', async () => {
    const clock = handClock();
    const deadlines = new Deadlines(clock.host, 100);
    let aborted = false;
    const call = deadlines.run('x call', 250, (signal) => {
      signal.addEventListener('abort', () => {
        aborted = true;
      });
      return new Promise(() => {});
    });
    let error: unknown;
    call.catch((reason: unknown) => {
      error = reason;
    });
    await clock.advance();
    await clock.advance();
    expect(error).to.equal(undefined);
    await clock.advance();
    expect(error).to.be.instanceOf(ProviderError);
    expect(error).to.include({ kind: 'transient', code: 'timeout', operation: 'x call' });
    expect(aborted).to.equal(true);
  });

  it('let a call in time through, and stop ticking after the last one', async () => {
    const clock = handClock();
    const deadlines = new Deadlines(clock.host, 100);
    expect(await deadlines.run('x call', 1000, async () => 42)).to.equal(42);
    await clock.advance();
    expect(clock.sleeping(), 'timers left').to.equal(0);
    expect(await deadlines.run('x call', 1000, async () => 43)).to.equal(43);
  });

  it('share one timer between all calls in flight', async () => {
    const clock = handClock();
    const deadlines = new Deadlines(clock.host, 100);
    const endings: (() => void)[] = [];
    const calls = Array.from({ length: 50 }, () =>
      deadlines.run(
        'x call',
        1000,
        () =>
          new Promise<void>((resolve) => {
            endings.push(resolve);
          }),
      ),
    );
    expect(clock.sleeping()).to.equal(1);
    for (const end of endings) end();
    await Promise.all(calls);
  });

  it('pass on the error of the call itself', async () => {
    const deadlines = new Deadlines(handClock().host);
    const error = await deadlines
      .run('x call', 1000, () => Promise.reject(new Error('no such thing')))
      .catch((reason: unknown) => reason);
    expect(error).to.have.property('message', 'no such thing');
  });
});

describe('tags', () => {
  const tags = fc.record({
    dispatcher: fc.string(),
    registration: fc.string(),
    lane: fc.string(),
    scope: fc.string(),
    runner: fc.string(),
    createdAtMs: fc.integer({ min: 0, max: 8_640_000_000_000_000 }),
    deadlineAtMs: fc.integer({ min: 0, max: 8_640_000_000_000_000 }),
    charge: fc.dictionary(fc.string({ unit: 'grapheme' }), fc.string({ unit: 'grapheme' })),
  });

  it('come back as they went, whatever is in them', () => {
    fc.assert(
      fc.property(tags, (given: InstanceTags) => {
        const back = decodeTags(JSON.parse(JSON.stringify(encodeTags(given))));
        expect({ ...back, charge: { ...back?.charge } }).to.deep.equal({ ...given, charge: { ...given.charge } });
      }),
    );
  });

  it('are not read from labels of somebody else', () => {
    expect(decodeTags({})).to.equal(undefined);
    expect(decodeTags({ owner: 'somebody', 'shr.dispatcher': 'd' })).to.equal(undefined);
  });

  it('are not read where a time is no number', () => {
    const labels = encodeTags({
      dispatcher: 'd',
      registration: 'r',
      lane: 'l',
      scope: 'orgs/acme',
      runner: 'n',
      createdAtMs: 1,
      deadlineAtMs: 2,
      charge: {},
    });
    expect(decodeTags(labels)).to.not.equal(undefined);
    expect(decodeTags({ ...labels, 'shr.deadline-at-ms': 'soon' })).to.equal(undefined);
  });
});

describe('the tail of an output', () => {
  it('is the end of what came, in any cut, within the bound', () => {
    fc.assert(
      fc.property(
        fc.array(fc.string({ unit: 'grapheme', maxLength: 40 }), { maxLength: 40 }),
        fc.integer({ min: 8, max: 300 }),
        (pieces, limit) => {
          const tail = new Tail(limit);
          for (const piece of pieces) tail.push(Buffer.from(piece));
          const all = Buffer.from(pieces.join('')).toString();
          expect(all.endsWith(tail.text())).to.equal(true);
          expect(Buffer.byteLength(tail.text())).to.be.at.most(limit);
          expect(Buffer.byteLength(tail.text())).to.be.at.least(Math.min(limit - 3, Buffer.byteLength(all)));
        },
      ),
    );
  });

  it('stays within the bound for bytes that are no text', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 500 }), fc.integer({ min: 8, max: 200 }), (bytes, limit) => {
        expect(Buffer.byteLength(tailText(Buffer.from(bytes), limit))).to.be.at.most(limit);
      }),
    );
  });
});

describe('rounding up', () => {
  it('takes the next step, and not one too far for what is a step already', () => {
    expect(roundUp(0.1 + 0.2, 100)).to.equal(0.3);
    expect(roundUp(0.301, 100)).to.equal(0.31);
    expect(roundUp(1e-12, 100)).to.equal(0.01);
    expect(roundUp(2, 1)).to.equal(2);
    expect(roundUp(2.1, 1)).to.equal(3);
  });
});
