import { expect } from 'chai';
import fc from 'fast-check';
import { globsOverlap, isWithin, MAX_GLOB_CHARACTERS, matchesAny, matchesGlob } from '../../dispatcher/labels/glob.ts';
import { MAX_LABEL_LENGTH } from '../../dispatcher/labels/grammar.ts';

describe('globs', () => {
  for (const [pattern, text, expected] of [
    ['ghcr.io/acme/*', 'ghcr.io/acme/runner:2', true],
    ['ghcr.io/acme/*', 'ghcr.io/acme/deep/er:2', true],
    ['ghcr.io/acme/*', 'ghcr.io/acmes/runner:2', false],
    ['ghcr.io/acme/*', 'evil.example/ghcr.io/acme/runner', false],
    ['*:2.?', 'acme/runner:2.3', true],
    ['*:2.?', 'acme/runner:2.33', false],
    ['*', '', true],
    ['', '', true],
    ['', 'a', false],
    ['a.c', 'abc', false],
    ['vsw-*', 'VSW-1', false],
  ] as const) {
    it(`says ${expected} of "${pattern}" and "${text}"`, () => {
      expect(matchesGlob(pattern, text)).to.equal(expected);
    });
  }

  it('agrees with the regular expression that means the same', () => {
    const letters = fc.string({ unit: fc.constantFrom('a', 'b'), maxLength: 8 });
    const patterns = fc.string({ unit: fc.constantFrom('a', 'b', '*', '?'), maxLength: 8 });
    fc.assert(
      fc.property(patterns, letters, (pattern, text) => {
        const same = new RegExp(`^${pattern.replaceAll('*', '.*').replaceAll('?', '.')}$`);
        expect(matchesGlob(pattern, text)).to.equal(same.test(text));
      }),
      { numRuns: 500 },
    );
  });

  // W8
  it('cost at most a million steps for all of a policy and the longest label', () => {
    expect(MAX_GLOB_CHARACTERS * MAX_LABEL_LENGTH).to.be.within(2 ** 18, 2 ** 20);
  });

  it('ends soon on a pattern made to take long', () => {
    expect(matchesAny([`${'*a'.repeat(100)}b`], 'a'.repeat(5000))).to.equal(false);
  });

  const text = fc.string({ unit: fc.constantFrom('a', 'b', '?'), maxLength: 6 });
  const glob = fc.string({ unit: fc.constantFrom('a', 'b', '*', '?'), maxLength: 5 });

  it('overlap when some text matches both', () => {
    let met = 0;
    fc.assert(
      fc.property(glob, glob, text, (one, other, common) => {
        expect(globsOverlap(one, other)).to.equal(globsOverlap(other, one));
        if (!matchesGlob(one, common) || !matchesGlob(other, common)) return;
        met += 1;
        expect(globsOverlap(one, other)).to.equal(true);
      }),
      { numRuns: 5000 },
    );
    expect(met).to.be.at.least(50);
    // Of two characters each they meet in a text of at most four, if at all.
    const texts = textsUpTo(4);
    const short = fc.string({ unit: fc.constantFrom('a', 'b', '*', '?'), maxLength: 2 });
    fc.assert(
      fc.property(short, short, (one, other) => {
        const meet = texts.some((common) => matchesGlob(one, common) && matchesGlob(other, common));
        expect(globsOverlap(one, other), `${one} and ${other}`).to.equal(meet);
      }),
      { numRuns: 1000 },
    );
  });

  it('are within one another when nothing matches the narrow one alone', () => {
    let within = 0;
    fc.assert(
      fc.property(glob, glob, text, (wide, narrow, common) => {
        if (!isWithin([wide], narrow)) return;
        within += 1;
        if (matchesGlob(narrow, common)) expect(matchesGlob(wide, common), `${narrow} in ${wide}`).to.equal(true);
      }),
      { numRuns: 5000 },
    );
    expect(within).to.be.at.least(50);
    for (const [wide, narrow, expected] of [
      ['ghcr.io/acme/*', 'ghcr.io/acme/web-*', true],
      ['ghcr.io/acme/*', 'ghcr.io/acme/runner', true],
      ['ghcr.io/acme/*', 'ghcr.io/*', false],
      ['a?', 'a*', false],
      ['a?', 'ab', true],
      ['*', '*', true],
      ['a', '?', false],
    ] as const) {
      expect(isWithin([wide], narrow), `${narrow} in ${wide}`).to.equal(expected);
    }
  });
});

function textsUpTo(length: number): readonly string[] {
  if (length === 0) return [''];
  const shorter = textsUpTo(length - 1);
  return ['', ...shorter.flatMap((text) => [`a${text}`, `b${text}`])];
}
