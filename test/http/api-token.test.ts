import { expect } from 'chai';
import { hashOfToken, isWholeToken, looksLikeToken, newToken } from '../../dispatcher/http/api-token.ts';
import { systemRandom } from '../../time/clock.ts';

describe('a token of the admin API', () => {
  it('has a prefix, 200 random bits and a checksum', () => {
    const tokens = new Set(Array.from({ length: 1000 }, () => newToken(systemRandom)));
    expect(tokens.size).to.equal(1000);
    for (const token of tokens) {
      expect(token).to.match(/^shr_[a-z2-7]{47}$/);
      expect(isWholeToken(token)).to.equal(true);
    }
    const letters = [...tokens].map((token) => token.slice(4, 44)).join('');
    for (const letter of 'abcdefghijklmnopqrstuvwxyz234567') {
      expect(letters.split(letter).length - 1, letter).to.be.within(1000, 1500);
    }
  });

  it('is told from one that was cut, mistyped or is something else', () => {
    const token = newToken(systemRandom);
    const other = (letter: string) => (letter === 'a' ? 'b' : 'a');
    const mistyped = `${token.slice(0, 10)}${other(token.charAt(10))}${token.slice(11)}`;
    for (const text of [mistyped, token.slice(0, -1), `${token}a`, token.toUpperCase(), 'shr_', '', `x${token}`]) {
      expect(isWholeToken(text), text).to.equal(false);
    }
    expect([looksLikeToken(mistyped), looksLikeToken('ghp_x')]).to.deep.equal([true, false]);
  });

  it('is kept as a hash that is the same each time', () => {
    expect(hashOfToken('shr_x')).to.equal(hashOfToken('shr_x'));
    expect(hashOfToken('shr_x')).to.match(/^[0-9a-f]{64}$/);
  });
});
