import { createPublicKey, generateKeyPairSync } from 'node:crypto';
import { expect } from 'chai';
import fc from 'fast-check';
import {
  fieldOf,
  keyIdIn,
  MAX_SEALED_VALUE_BYTES,
  newKeyPair,
  open,
  parsePrivateKey,
  parsePublicKey,
  publicKeyText,
  seal,
} from '../../dispatcher/config/sealing.ts';

function pair() {
  const { key, privateKeyPem } = newKeyPair();
  const parsed = parsePrivateKey(privateKeyPem);
  if (parsed === undefined) throw new Error('not a key');
  return { key, privateKey: parsed.privateKey };
}

const place = { registration: 'acme', field: ['credentials', 'token'] };

describe('a sealed value', () => {
  const keys = pair();

  it('opens where it was sealed for, whatever it holds', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'grapheme', minLength: 1 }), (value) => {
        expect(open(seal(value, place, keys.key), place, keys)).to.deep.equal({ ok: true, value });
      }),
      { numRuns: 30 },
    );
    const long = 'x'.repeat(MAX_SEALED_VALUE_BYTES);
    expect(open(seal(long, place, keys.key), place, keys)).to.deep.equal({ ok: true, value: long });
  });

  for (const [what, other] of [
    ['another registration', { ...place, registration: 'labs' }],
    ['another field', { ...place, field: ['webhook', 'secrets'] }],
    ['a field whose parts read the same together', { ...place, field: ['credentials.token'] }],
    [
      'a registration whose name reads the same with the field',
      { registration: 'acme","credentials', field: ['token'] },
    ],
  ] as const) {
    it(`does not open for ${what}`, () => {
      expect(open(seal('ghp_1', place, keys.key), other, keys)).to.deep.equal({ ok: false, why: 'elsewhere' });
    });
  }

  it('does not open with another private key, also under its name', () => {
    const others = pair();
    const text = seal('ghp_1', place, keys.key);
    expect(open(text, place, others)).to.include({ ok: false });
    expect(open(text.replace(keys.key.id, others.key.id), place, others)).to.include({ ok: false });
  });

  it('does not open when any part of it was changed, or cut off', () => {
    const text = seal('ghp_1', place, keys.key);
    const start = text.lastIndexOf('.') + 1;
    const bytes = Buffer.from(text.slice(start), 'base64url');
    for (let at = 0; at < bytes.length; at += 1) {
      const changed = Buffer.from(bytes);
      // The highest bit of an X25519 key does not count.
      changed[at] = (changed[at] ?? 0) ^ 1;
      expect(open(`${text.slice(0, start)}${changed.toString('base64url')}`, place, keys), `byte ${at}`).to.include({
        ok: false,
      });
      const cut = bytes.subarray(0, at).toString('base64url');
      expect(open(`${text.slice(0, start)}${cut}`, place, keys), `cut at ${at}`).to.include({ ok: false });
    }
  });

  it('does not open with a key of low order in it, whose shared secret everybody knows', () => {
    const zero = Buffer.concat([Buffer.alloc(32), Buffer.alloc(40)]).toString('base64url');
    expect(open(`1.${keys.key.id}.${zero}`, place, keys)).to.deep.equal({ ok: false, why: 'elsewhere' });
  });

  it('is never the same twice', () => {
    expect(seal('ghp_1', place, keys.key)).not.to.equal(seal('ghp_1', place, keys.key));
  });

  it('names the key that opens it', () => {
    expect(keyIdIn(seal('ghp_1', place, keys.key))).to.equal(keys.key.id);
    for (const text of [
      '',
      '1',
      '1.abc.def',
      `2.${keys.key.id}.AAAA`,
      `1.${keys.key.id}.`,
      `1.${keys.key.id}.A.A`,
      `1.${keys.key.id}.+`,
    ]) {
      expect(keyIdIn(text), text).to.equal(undefined);
    }
  });
});

describe('the keys of the platform', () => {
  it('are written and read back, with the id following from the public one', () => {
    const { key, privateKeyPem } = newKeyPair();
    expect(parsePublicKey(publicKeyText(key))).to.deep.equal(key);
    expect(parsePrivateKey(privateKeyPem)?.key).to.deep.equal(key);
    expect(privateKeyPem).to.match(/^-----BEGIN PRIVATE KEY-----\n/);
  });

  it('are of X25519 alone', () => {
    const { privateKey } = generateKeyPairSync('ed25519');
    expect(parsePrivateKey(privateKey.export({ type: 'pkcs8', format: 'pem' }).toString())).to.equal(undefined);
    expect(parsePrivateKey('-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n')).to.equal(undefined);
    const raw = createPublicKey(privateKey).export({ format: 'jwk' }).x;
    for (const text of ['', 'x25519:', 'x25519:AAAA', `x25519:${raw}A`, `ed25519:${raw}`]) {
      expect(parsePublicKey(text), text).to.equal(undefined);
    }
  });
});

describe('a field for which something is sealed', () => {
  it('has no index of a list, so that a new secret may stand before the old one', () => {
    expect(fieldOf(['webhook', 'secrets', 0])).to.deep.equal(fieldOf(['webhook', 'secrets', 1]));
    expect(fieldOf(['backends', 2, 'options', 'accessKeySecret'])).to.deep.equal([
      'backends',
      'options',
      'accessKeySecret',
    ]);
  });
});
