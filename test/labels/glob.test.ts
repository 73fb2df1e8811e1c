import { expect } from 'chai';
import fc from 'fast-check';
import { matchesAny, matchesGlob } from '../../dispatcher/labels/glob.ts';

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

  it('ends soon on a pattern made to take long', () => {
    expect(matchesAny([`${'*a'.repeat(100)}b`], 'a'.repeat(5000))).to.equal(false);
  });
});
