import { createPublicKey, generateKeyPairSync, verify } from 'node:crypto';
import { expect } from 'chai';
import { appJwt, readAppKey } from '../../dispatcher/github/app-jwt.ts';
import { GithubError } from '../../dispatcher/github/github.ts';
import { Secret } from '../../dispatcher/model/registration.ts';

const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });

describe("an App's JWT", () => {
  it('is issued a minute ago in whole seconds, valid for nine, and signed', async () => {
    const jwt = await appJwt('12', privateKey, 1_700_000_000_999, 'an-id');
    const [head = '', claims = '', signature = ''] = jwt.split('.');
    const read = (part: string) => JSON.parse(Buffer.from(part, 'base64url').toString());
    expect(read(head)).to.deep.equal({ alg: 'RS256', typ: 'JWT' });
    expect(read(claims)).to.deep.equal({ iat: 1_699_999_940, exp: 1_700_000_480, iss: '12', jti: 'an-id' });
    const signed = Buffer.from(`${head}.${claims}`);
    const isGenuine = verify('RSA-SHA256', signed, createPublicKey(privateKey), Buffer.from(signature, 'base64url'));
    expect(isGenuine).to.equal(true);
  });
});

describe("an App's private key", () => {
  for (const [form, text] of [
    ['PKCS#1', privateKey.export({ format: 'pem', type: 'pkcs1' })],
    ['PKCS#8', privateKey.export({ format: 'pem', type: 'pkcs8' })],
    [
      'one line with \\n for each line feed',
      String(privateKey.export({ format: 'pem', type: 'pkcs1' })).replaceAll('\n', '\\n'),
    ],
  ] as const) {
    it(`is read as ${form}`, () => {
      expect(readAppKey(new Secret(String(text))).equals(privateKey)).to.equal(true);
    });
  }

  for (const [what, text] of [
    ['of another kind', generateKeyPairSync('ed25519').privateKey.export({ format: 'pem', type: 'pkcs8' })],
    ['cut short', String(privateKey.export({ format: 'pem', type: 'pkcs1' })).slice(0, 400)],
    [
      'that is too short',
      generateKeyPairSync('rsa', { modulusLength: 1024 }).privateKey.export({ format: 'pem', type: 'pkcs1' }),
    ],
    ['that is none', 'hello'],
  ] as const) {
    it(`${what} is refused, without a word of it`, () => {
      const middle = String(text).split('\n')[1]?.slice(0, 20) ?? String(text);
      expect(() => readAppKey(new Secret(String(text))))
        .to.throw(GithubError, 'must be the whole RSA key in PEM')
        .and.satisfy((error: Error) => !error.message.includes(middle));
    });
  }
});
