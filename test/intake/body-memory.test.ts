import { expect } from 'chai';
import { BodyMemory, type Unfinished } from '../../dispatcher/intake/body-memory.ts';

describe('the memory for bodies', () => {
  function world(maxBytes: number) {
    const memory = new BodyMemory(maxBytes);
    const gone: string[] = [];
    const open = (name: string) => {
      const allowance = memory.allowanceOf(() => body);
      let bytes = 0;
      const body: Unfinished = {
        giveWay: () => {
          gone.push(name);
          memory.delete(body);
          allowance.release(bytes);
          bytes = 0;
        },
      };
      memory.add(body);
      return {
        body,
        take: (more: number) => {
          const taken = allowance.reserve(more);
          if (taken) bytes += more;
          return taken;
        },
        free: () => {
          memory.delete(body);
          allowance.release(bytes);
          bytes = 0;
        },
      };
    };
    return { gone, open };
  }

  it('lets the oldest give way, as many as are needed and no more', () => {
    const { gone, open } = world(100);
    const [a, b, c] = [open('a'), open('b'), open('c')];
    expect([a.take(40), b.take(40), c.take(20)]).to.deep.equal([true, true, true]);
    expect(c.take(60)).to.equal(true);
    expect(gone).to.deep.equal(['a', 'b']);
  });

  it('refuses the one that asks where it is the oldest itself', () => {
    const { gone, open } = world(100);
    const a = open('a');
    expect([a.take(90), a.take(20)]).to.deep.equal([true, false]);
    expect(gone).to.deep.equal(['a']);
    expect(open('b').take(100), 'its memory is free').to.equal(true);
  });

  it('leaves alone what is complete', () => {
    const { gone, open } = world(100);
    const [a, b] = [open('a'), open('b')];
    expect([a.take(60), b.take(40)]).to.deep.equal([true, true]);
    a.free();
    expect(b.take(60)).to.equal(true);
    expect(gone).to.deep.equal([]);
  });

  it('takes nothing that is larger than all of it', () => {
    const { open } = world(100);
    expect(open('a').take(101)).to.equal(false);
  });
});
