import { expect } from 'chai';
import fc from 'fast-check';
import { Deadlines } from '../../../providers/kit/deadlines.ts';
import { decodeTags, encodeTags } from '../../../providers/kit/tags.ts';
import { Tail, tailText } from '../../../providers/kit/tail.ts';
import { roundUp } from '../../../providers/kit/wish.ts';
import { type InstanceTags, ProviderError } from '../../../providers/provider.ts';
import { VirtualClock } from '../../github/virtual-clock.ts';

describe('deadlines', () => {
  it('reject as transient when the time is over, and abort the call', async () => {
    const clock = new VirtualClock();
    let aborted = false;
    const call = new Deadlines(clock).run('x call', 250, (signal) => {
      signal.addEventListener('abort', () => {
        aborted = true;
      });
      return new Promise(() => {});
    });
    let error: unknown;
    call.catch((reason: unknown) => {
      error = reason;
    });
    await clock.advance(249);
    expect(error).to.equal(undefined);
    expect(aborted).to.equal(false);
    await clock.advance(1);
    expect(error).to.be.instanceOf(ProviderError);
    expect(error).to.include({ kind: 'transient', code: 'timeout', operation: 'x call' });
    expect(aborted).to.equal(true);
  });

  it('let a call in time through, and leave no timer that would keep the process alive', async () => {
    const clock = new VirtualClock();
    const deadlines = new Deadlines(clock);
    const endings: (() => void)[] = [];
    const calls = Array.from({ length: 50 }, (_, index) =>
      deadlines.run('x call', 1000, async () => {
        await new Promise<void>((resolve) => {
          endings.push(resolve);
        });
        return index;
      }),
    );
    for (const end of endings) end();
    expect(await Promise.all(calls)).to.deep.equal(Array.from({ length: 50 }, (_, index) => index));
    expect(clock.timers).to.equal(0);
  });

  it('pass on the error of the call itself, and leave no timer', async () => {
    const clock = new VirtualClock();
    const error = await new Deadlines(clock)
      .run('x call', 1000, () => Promise.reject(new Error('no such thing')))
      .catch((reason: unknown) => reason);
    expect(error).to.have.property('message', 'no such thing');
    expect(clock.timers).to.equal(0);
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

  it('survive encoding and decoding with any content', () => {
    fc.assert(
      fc.property(tags, (given: InstanceTags) => {
        const back = decodeTags(JSON.parse(JSON.stringify(encodeTags(given))));
        expect({ ...back, charge: { ...back?.charge } }).to.deep.equal({ ...given, charge: { ...given.charge } });
      }),
    );
  });

  it('are not read from labels that are not ours', () => {
    expect(decodeTags({})).to.equal(undefined);
    expect(decodeTags({ owner: 'somebody', 'shr.dispatcher': 'd' })).to.equal(undefined);
  });

  it('are not read where a time is not a number', () => {
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

  it('stays within the limit for bytes that are not UTF-8', () => {
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
