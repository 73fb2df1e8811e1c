import { expect } from 'chai';
import { compare, sortedByKey } from '../../dispatcher/ledger/steps/order.ts';

describe('the order in which the ledger writes', () => {
  it('is that of the keys, whatever came first: writers that lock rows in it do not wait for each other', () => {
    const map = new Map([
      ['b', 1],
      ['a', 2],
      ['c', 3],
    ]);
    expect(sortedByKey(map)).to.deep.equal([
      ['a', 2],
      ['b', 1],
      ['c', 3],
    ]);
    expect([...map.keys()], 'the map stays as it is').to.deep.equal(['b', 'a', 'c']);
  });

  it('is that of the code units, as in the database', () => {
    expect(['a', 'B', 'ä', 'Z', 'b'].sort(compare)).to.deep.equal(['B', 'Z', 'a', 'b', 'ä']);
    expect([compare('a', 'b'), compare('a', 'a'), compare('b', 'a')].map(Math.sign)).to.deep.equal([-1, 0, 1]);
  });
});
