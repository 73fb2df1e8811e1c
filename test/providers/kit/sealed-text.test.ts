import { expect } from 'chai';
import { seal, unseal } from '../../../providers/kit/sealed-text.ts';

describe('a sealed text', () => {
  it('is opened by its key alone', () => {
    const text = 'a token, and ünïcödé';
    const one = seal(text);
    expect(unseal(one.sealed, one.key)).to.equal(text);
    expect(Buffer.from(one.sealed, 'base64').toString('latin1')).to.not.include('a token');
    const other = seal(text);
    expect(other.sealed).to.not.equal(one.sealed);
    expect(unseal(one.sealed, other.key)).to.equal(undefined);
  });

  it('is not opened when it was changed, cut, or the key is none', () => {
    const { sealed, key } = seal('a token');
    const bytes = Buffer.from(sealed, 'base64');
    for (const index of [0, 15, bytes.length - 1]) {
      const changed = Buffer.from(bytes);
      changed[index] = (changed[index] ?? 0) ^ 1;
      expect(unseal(changed.toString('base64'), key), String(index)).to.equal(undefined);
    }
    expect(unseal(bytes.subarray(0, 20).toString('base64'), key)).to.equal(undefined);
    expect(unseal('', key)).to.equal(undefined);
    expect(unseal(sealed, 'short')).to.equal(undefined);
  });
});
