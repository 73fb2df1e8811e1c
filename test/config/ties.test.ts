import { expect } from 'chai';
import { findTies } from '../../dispatcher/config/ties.ts';
import type { JobClaims } from '../../dispatcher/model/registration.ts';
import { grantOf } from '../registration-fixture.ts';

const claims = (name: string, some: Partial<JobClaims> = {}): JobClaims => ({
  name,
  host: 'github.com',
  claim: { kind: 'organization', organization: 'acme' },
  labels: ['runner', 'big'],
  priority: 0,
  ...some,
});

const told = (...registrations: readonly JobClaims[]) =>
  findTies(registrations).map(({ first, second, label }) => `${first.name} ${second.name} ${label}`);

describe('two registrations with the same right to a job', () => {
  it('are reported once, by name, with the first label that both have', () => {
    const b = claims('b', { labels: ['small', 'BIG', 'runner'] });
    expect(told(b, claims('a'))).to.deep.equal(['a b BIG']);
    expect(told(claims('a'), b)).to.deep.equal(['a b BIG']);
  });

  it('are each told with the first by name where there are three', () => {
    expect(told(claims('c'), claims('a'), claims('b'))).to.deep.equal(['a b runner', 'a c runner']);
  });

  it('are reported within one tenant, not between two: their grants decide', () => {
    const [red, blue] = [{ grant: grantOf('red') }, { grant: grantOf('blue') }];
    expect(told(claims('a', red), claims('b', red))).to.deep.equal(['a b runner']);
    expect(told(claims('a', red), claims('b', blue))).to.deep.equal([]);
    expect(told(claims('a'), claims('b', blue))).to.deep.equal([]);
  });

  it('never consist of one registration twice', () => {
    const twice = { owner: 'acme', repository: 'web' };
    expect(
      told(claims('a', { labels: ['big', 'BIG'], claim: { kind: 'repositories', repositories: [twice, twice] } })),
    ).to.deep.equal([]);
  });

  it('are none at another priority, place or host', () => {
    for (const other of [
      { priority: 1 },
      { claim: { kind: 'organization', organization: 'bee' } },
      { host: 'ghes.acme.example' },
      { labels: ['other'] },
    ] as const) {
      expect(told(claims('a'), claims('b', other))).to.deep.equal([]);
    }
  });
});
