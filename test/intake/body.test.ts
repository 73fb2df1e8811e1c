import { expect } from 'chai';
import { KeptBody } from '../../dispatcher/intake/body.ts';

/** A body whose sender brings it piece by piece, and what it holds of the room that all share. */
function receiving({ maxBytes = 100_000, room = Number.POSITIVE_INFINITY } = {}) {
  let held = 0;
  const allowance = {
    reserve: (bytes: number) => {
      if (held + bytes > room) return false;
      held += bytes;
      return true;
    },
    release: (bytes: number) => {
      held -= bytes;
    },
  };
  return { body: new KeptBody(allowance, maxBytes), held: () => held };
}

describe('a body that is being received', () => {
  it('takes exactly its own length where it comes in one piece, which is not copied', () => {
    const { body, held } = receiving();
    const whole = Buffer.alloc(20_000, 'x');
    expect(body.append(whole)).to.equal(true);
    expect(held()).to.equal(20_000);
    expect(body.content().buffer).to.equal(whole.buffer);
  });

  it('takes at most twice what has arrived, in pieces of any size, and is put together in order', () => {
    const { body, held } = receiving();
    const pieces = Array.from({ length: 300 }, (_, index) => Buffer.alloc(1 + (index % 97), 97 + (index % 26)));
    let arrived = 0;
    let growths = 0;
    for (const piece of pieces) {
      const before = held();
      expect(body.append(piece)).to.equal(true);
      arrived += piece.length;
      expect(held()).to.be.within(arrived, Math.max(1_024, 2 * arrived));
      if (held() > before) growths += 1;
    }
    expect(body.content().equals(Buffer.concat(pieces))).to.equal(true);
    expect(growths, 'copies').to.be.at.most(6);
  });

  it('takes no more than its announced length', () => {
    const { body, held } = receiving({ maxBytes: 3_000 });
    for (let index = 0; index < 30; index += 1) expect(body.append(Buffer.alloc(100))).to.equal(true);
    expect(held()).to.equal(3_000);
  });

  it('takes nothing when memory is used up', () => {
    const { body, held } = receiving({ room: 1_500 });
    expect(body.append(Buffer.alloc(1_000, 'a'))).to.equal(true);
    expect(body.append(Buffer.alloc(1_000, 'b'))).to.equal(false);
    expect(held()).to.equal(1_000);
    expect(body.content().equals(Buffer.alloc(1_000, 'a'))).to.equal(true);
  });

  it('gives all of its room back, once', () => {
    const { body, held } = receiving();
    for (let index = 0; index < 30; index += 1) body.append(Buffer.alloc(100));
    body.free();
    expect([held(), body.content().length]).to.deep.equal([0, 0]);
    body.free();
    expect(held()).to.equal(0);
  });
});
