import { expect } from 'chai';
import { reachOf } from '../../dispatcher/lifecycle/reach.ts';
import type { Claim } from '../../dispatcher/model/registration.ts';
import { runnerRow } from './runner-fixture.ts';

const organization: Claim = { kind: 'organization', organization: 'Acme' };
const enterprise: Claim = { kind: 'enterprise', enterprise: 'Big', organizations: ['acme', 'globex'] };
const repositories: Claim = { kind: 'repositories', repositories: [{ owner: 'Acme', repository: 'Web' }] };

const job = (some: object = {}) => ({ host: 'github.com', owner: 'acme', repository: 'web', runnerId: 7, ...some });

// W1, W3
describe('the reach of a fact', () => {
  const reach = (runner: object, claim: Claim | undefined, told: object = {}) =>
    reachOf(runnerRow({ scope: 'orgs/acme', githubRunnerId: 7, ...runner }), claim, job(told));

  it('covers the repositories of the scope that the runner is registered at, whatever their case', () => {
    expect(reach({}, organization, { owner: 'ACME' })).to.equal('covered');
    expect(reach({ scope: 'repos/acme/web' }, repositories, { owner: 'Acme', repository: 'WEB' })).to.equal('covered');
    expect(reach({ scope: 'enterprises/Big' }, enterprise, { owner: 'globex' })).to.equal('covered');
  });

  it('does not cover another owner, another repository, another host', () => {
    expect(reach({}, organization, { owner: 'evil' })).to.equal('outside');
    expect(reach({}, organization, { owner: 'acme-evil' })).to.equal('outside');
    expect(reach({ scope: 'repos/acme/web' }, repositories, { repository: 'web2' })).to.equal('outside');
    expect(reach({ scope: 'repos/acme/web' }, repositories, { owner: 'evil' })).to.equal('outside');
    expect(reach({}, organization, { host: 'ghes.evil.example' })).to.equal('outside');
  });

  it('covers of an enterprise the organizations that the registration claims, and none without it', () => {
    expect(reach({ scope: 'enterprises/big' }, enterprise, { owner: 'evil' })).to.equal('outside');
    expect(reach({ scope: 'enterprises/other' }, enterprise)).to.equal('outside');
    expect(reach({ scope: 'enterprises/big' }, undefined)).to.equal('outside');
  });

  it('knows another runner of the same name by its id: names are unique in one scope only', () => {
    expect(reach({}, organization, { runnerId: 8 })).to.equal('namesake');
    expect(reach({ githubRunnerId: null }, organization, { runnerId: 8 })).to.equal('covered');
    expect(reach({}, organization, { runnerId: null })).to.equal('covered');
    expect(reach({ scope: 'enterprises/big' }, enterprise, { runnerId: 8 })).to.equal('covered');
  });

  it('is empty where the scope is not one that GitHub has', () => {
    expect(reach({ scope: 'teams/acme' }, organization)).to.equal('outside');
  });
});
