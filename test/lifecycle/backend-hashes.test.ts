import { expect } from 'chai';
import { backendHashes } from '../../dispatcher/lifecycle/backend-hashes.ts';
import { type Registration, Secret } from '../../dispatcher/model/registration.ts';
import { registration } from '../registration-fixture.ts';

type Backend = Registration['backends'][number];

const main: Backend = { name: 'main', kind: 'docker', region: undefined, options: { network: 'ci' }, maxRunners: 5 };

function hashOf(backend: Partial<Backend> = {}, some: Partial<Registration> = {}): string {
  return backendHashes(registration({ ...some, backends: [{ ...main, ...backend }] })).get('main') ?? '';
}

describe('what a backend is made of', () => {
  it('is the same for the next version, which must not forget the breakers that it finds', () => {
    expect(hashOf()).to.equal('a7bb692b028eaf25a8f5573bc2a24283');
    expect(hashOf({ region: 'eu-central-1' })).to.equal('ac872d03aa7b0e525eb2d690e616dcd9');
  });

  it('is another with other options, another kind, region or credential, and the same with another cap', () => {
    const rotated = { credentials: { kind: 'token', token: new Secret('another') } } as const;
    const hashes = [
      hashOf(),
      hashOf({ kind: 'eci' }),
      hashOf({ region: 'eu-central-1' }),
      hashOf({ options: { network: 'other' } }),
      hashOf({}, rotated),
    ];
    expect(new Set(hashes).size).to.equal(hashes.length);
    expect(hashOf({ maxRunners: 50 })).to.equal(hashOf());
  });

  it('depends on the private key of an App', () => {
    const app = (key: string) => hashOf({}, { credentials: { kind: 'app', appId: '1', privateKey: new Secret(key) } });
    expect(app('one')).to.not.equal(app('two'));
  });
});
