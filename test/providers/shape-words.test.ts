import { expect } from 'chai';
import { coresInWords, roundingInWords, sizeInWords } from '../../providers/shape-words.ts';

describe('a size in words', () => {
  it('has one core, and several or a part of one as cores', () => {
    expect([1, 2, 0.5].map(coresInWords)).to.deep.equal(['1 core', '2 cores', '0.5 cores']);
  });

  it('names what is given', () => {
    expect(sizeInWords({ cpu: 2, memoryGiB: 4 })).to.deep.equal(['2 cores', '4 GiB']);
    expect(sizeInWords({ memoryGiB: 4 })).to.deep.equal(['4 GiB']);
    expect(sizeInWords({})).to.deep.equal([]);
  });

  it('tells what a service rounds, and nothing of what it sells as wished', () => {
    const sold = { cpu: 2, memoryGiB: 4 };
    expect(roundingInWords({ cpu: 1, memoryGiB: 3 }, sold)).to.deep.equal(['1 core becomes 2', '3 GiB become 4']);
    expect(roundingInWords({ cpu: 1.5, memoryGiB: 1 }, sold)).to.deep.equal(['1.5 cores become 2', '1 GiB becomes 4']);
    expect(roundingInWords({ cpu: 2 }, sold)).to.deep.equal([]);
  });
});
