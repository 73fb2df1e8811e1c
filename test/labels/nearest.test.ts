import { expect } from 'chai';
import fc from 'fast-check';
import { nearest } from '../../dispatcher/labels/nearest.ts';

describe('did you mean', () => {
  const known = ['runnerGroup', 'labels', 'spot', 'dind'];

  it('finds a word with one typing error, in any case', () => {
    expect(nearest('runergroup', known)).to.equal('runnerGroup');
    expect(nearest('lables', known)).to.equal('labels');
    expect(nearest('psot', known)).to.equal('spot');
  });

  it('guesses nothing far away', () => {
    expect(nearest('priority', known)).to.equal(undefined);
    expect(nearest('x'.repeat(1000), known)).to.equal(undefined);
  });

  it('allows one slip in a word of four letters, and two in a longer one', () => {
    expect(nearest('dinx', known)).to.equal('dind');
    expect(nearest('dixx', known)).to.equal(undefined);
    expect(nearest('mylabels', known)).to.equal('labels');
    expect(nearest('labes', ['labxx'])).to.equal('labxx');
    expect(nearest('labxxx', known)).to.equal(undefined);
  });

  it('prefers the word with the fewest slips, wherever it stands', () => {
    expect(nearest('labels', ['lapelx', 'label', 'labels'])).to.equal('labels');
    expect(nearest('labels', ['labels', 'label', 'lapelx'])).to.equal('labels');
  });

  it('looks at words of up to 64 letters', () => {
    expect(nearest('x'.repeat(64), ['x'.repeat(63)])).to.equal('x'.repeat(63));
    expect(nearest('x'.repeat(65), ['x'.repeat(64)])).to.equal(undefined);
  });

  it('agrees with the plain distance, of which it looks only at what is near', () => {
    const word = fc.string({ unit: fc.constantFrom('a', 'b', 'c'), minLength: 5, maxLength: 9 });
    fc.assert(
      fc.property(word, word, (written, known) => {
        expect(nearest(written, [known])).to.equal(plainDistance(written, known) <= 2 ? known : undefined);
      }),
      { numRuns: 3000 },
    );
  });
});

/** By its definition: the whole table. */
function plainDistance(a: string, b: string): number {
  const table: number[][] = Array.from({ length: a.length + 1 }, (_, i) => [i]);
  const at = (i: number, j: number) => table[i]?.[j] ?? Number.POSITIVE_INFINITY;
  for (let i = 0; i <= a.length; i += 1) {
    for (let j = i === 0 ? 0 : 1; j <= b.length; j += 1) {
      const row = table[i];
      if (row === undefined) continue;
      if (i === 0) row[j] = j;
      else {
        const same = a[i - 1] === b[j - 1] ? 0 : 1;
        const swap = i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1];
        row[j] = Math.min(
          at(i - 1, j) + 1,
          at(i, j - 1) + 1,
          at(i - 1, j - 1) + same,
          swap ? at(i - 2, j - 2) + 1 : 99,
        );
      }
    }
  }
  return at(a.length, b.length);
}
