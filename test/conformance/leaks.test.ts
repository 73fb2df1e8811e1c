import { randomBytes } from 'node:crypto';
import { expect } from 'chai';
import { leaksOf } from './leaks.ts';

describe('the search for a secret', () => {
  const secret = `eyIuc2VjcmV0Ijo${randomBytes(600).toString('base64')}"\\ $ü`;

  for (let before = 0; before < 6; before += 1) {
    it(`finds it after ${before} bytes, however the whole was encoded`, () => {
      const whole = `${'x'.repeat(before)}${secret}}`;
      expect(leaksOf(Buffer.from(whole).toString('base64'), secret)).to.deep.equal(['in base64']);
      expect(leaksOf(Buffer.from(whole).toString('base64url'), secret)).to.deep.equal(['in base64']);
      expect(leaksOf(Buffer.from(whole).toString('hex').toUpperCase(), secret)).to.deep.equal(['in hex']);
      expect(leaksOf(whole, secret)).to.include('as it is');
      expect(leaksOf(encodeURIComponent(whole), secret)).to.include('percent-encoded');
    });
  }

  it('finds it in base32, as tags of narrow alphabets are written', () => {
    // RFC 4648: "foobar" is MZXW6YTBOI.
    expect(leaksOf('mzxw6ytbmzxw6ytbmzxw6ytbmzxw6ytbmzxw6ytb', 'foobafoobafoobafoobafoobafooba')).to.include(
      'in base32',
    );
  });

  it('finds what is left of it where the text was cut', () => {
    expect(leaksOf(`…${secret.slice(300, 420)}`, secret)).to.include('as it is');
    expect(leaksOf(secret.slice(0, 40), secret)).to.include('as it is');
  });

  it('finds nothing where there is nothing', () => {
    expect(leaksOf(randomBytes(4000).toString('base64'), secret)).to.deep.equal([]);
    expect(leaksOf('', secret)).to.deep.equal([]);
  });
});
