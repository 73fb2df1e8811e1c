import { expect } from 'chai';
import { isStrangersWord, jobKey, neverStrangers, shareOf } from '../../dispatcher/jobs/facts.ts';

describe('a word on a job of the registration `acme`', () => {
  const byMallory = (_registration: string, other: string) => other === 'mallory';

  it('is a claim alone where another tenant’s webhook says it', () => {
    expect(isStrangersWord('acme', { source: 'webhook', toldBy: 'mallory' }, byMallory)).to.equal(true);
  });

  it('counts from its own webhook, from another one of its tenant, and from the platform’s', () => {
    for (const toldBy of ['acme', 'acme-spot', null]) {
      expect(isStrangersWord('acme', { source: 'webhook', toldBy }, byMallory), String(toldBy)).to.equal(false);
    }
    expect(isStrangersWord('acme', { source: 'webhook', toldBy: 'acme' }, () => true)).to.equal(false);
  });

  it('counts where GitHub itself answered, whoever asked', () => {
    for (const source of ['poll', 'read'] as const) {
      expect(isStrangersWord('acme', { source, toldBy: 'mallory' }, byMallory)).to.equal(false);
    }
  });

  it('is no stranger’s as long as the job is no registration’s, nor where there are no tenants', () => {
    const word = { source: 'webhook', toldBy: 'mallory' } as const;
    expect(isStrangersWord(null, word, () => true)).to.equal(false);
    expect(isStrangersWord('acme', word, neverStrangers)).to.equal(false);
  });
});

describe('the names of a job', () => {
  it('are equal in upper and lower case', () => {
    const names = { host: 'github.com', owner: 'Acme', repository: 'Web', jobId: 1 };
    expect(jobKey(names)).to.equal('github.com/acme/web/1');
    expect(shareOf({ ...names, toldBy: null })).to.equal('github.com/acme');
    expect(shareOf({ ...names, toldBy: 'acme-spot' })).to.equal('acme-spot');
  });
});
