import { expect } from 'chai';
import { SharedMemory } from '../../dispatcher/lifecycle/shared-memory.ts';

describe('a memory that owners share', () => {
  it('forgets the oldest of an owner that has too many, and none of another', () => {
    const memory = new SharedMemory<number>(2);
    memory.set('acme', 'a', 1);
    for (const [index, key] of ['b', 'c', 'd'].entries()) memory.set('evil', key, index);
    expect([...memory.entries()]).to.deep.equal([
      ['a', 1],
      ['c', 1],
      ['d', 2],
    ]);
    expect(memory.has('b')).to.equal(false);
  });

  it('counts what is set again as new, and once', () => {
    const memory = new SharedMemory<number>(2);
    memory.set('acme', 'a', 1);
    memory.set('acme', 'b', 2);
    memory.set('acme', 'a', 3);
    memory.set('acme', 'c', 4);
    expect([...memory.entries()]).to.deep.equal([
      ['a', 3],
      ['c', 4],
    ]);
  });

  it('has room again for what is deleted, and for what another owner took over', () => {
    const memory = new SharedMemory<number>(1);
    memory.set('acme', 'a', 1);
    memory.set('evil', 'a', 2);
    memory.set('acme', 'b', 3);
    memory.delete('b');
    memory.delete('b');
    memory.set('acme', 'c', 4);
    expect([...memory.entries()]).to.deep.equal([
      ['a', 2],
      ['c', 4],
    ]);
  });
});
