import { expect } from 'chai';
import { Territory } from '../../dispatcher/admission/territory.ts';
import { type Grant, Secret, type TenantEntry, type WebhookEndpoint } from '../../dispatcher/model/registration.ts';
import { grantOf, registration } from '../registration-fixture.ts';

const entry = (grant: Grant): TenantEntry => ({ name: grant.tenant, registrations: [grant.tenant], grant });
const owner = grantOf('owner', { owners: ['acme'] });
const partner = grantOf('partner', { owners: ['acme', 'partner'] });
const glob = grantOf('glob', { owners: [], repositories: ['acme/mobile-*'] });
const exact = grantOf('exact', {
  owners: [],
  repositories: ['acme/mobile-app'],
  hosts: ['github.com', 'ghes.example'],
});
const rest = grantOf('rest', { owners: ['*'] });
const ops = registration({ name: 'ops', claim: { kind: 'organization', organization: 'Operations' } });
const tools = registration({
  name: 'tools',
  claim: { kind: 'repositories', repositories: [{ owner: 'Elsewhere', repository: 'Tools' }] },
});
const trusted: TenantEntry = { name: 'ops', registrations: ['ops', 'tools'], grant: undefined };
const territory = new Territory([owner, partner, glob, exact, rest].map(entry).concat(trusted), [ops, tools]);

describe('whose a repository is', () => {
  for (const [name, by, tenants] of [
    ['acme/web', 'owner', ['owner', 'partner']],
    ['ACME/Web', 'owner', ['owner', 'partner']],
    ['partner/web', 'owner', ['partner']],
    ['acme/mobile-web', 'glob', ['glob']],
    ['Acme/Mobile-App', 'repository', ['exact']],
    ['acme/mobile', 'owner', ['owner', 'partner']],
    ['stranger/web', 'everyone', ['rest']],
    ['operations/web', undefined, []],
    ['elsewhere/tools', undefined, []],
    ['elsewhere/other', 'everyone', ['rest']],
  ] as const) {
    it(`says ${tenants.join(' and ') || 'the platform'} of ${name}`, () => {
      const [of = '', repository = ''] = name.split('/');
      const holding = territory.whose('GitHub.com', of, repository);
      expect(holding?.by).to.equal(by);
      expect((holding?.grants ?? []).map(({ tenant }) => tenant)).to.deep.equal(tenants);
    });
  }

  it('keeps hosts apart', () => {
    expect(territory.whose('ghes.example', 'acme', 'mobile-app')?.grants).to.deep.equal([exact]);
    expect(territory.whose('ghes.example', 'acme', 'web')).to.equal(undefined);
  });

  it('asks of an owner who may have it as a whole', () => {
    expect(territory.whoseOwner('github.com', 'Acme')?.grants).to.deep.equal([owner, partner]);
    expect(territory.whoseOwner('github.com', 'stranger')?.by).to.equal('everyone');
    expect(territory.whoseOwner('github.com', 'operations')).to.equal(undefined);
    // Only a repository of it is the platform's.
    expect(territory.whoseOwner('github.com', 'elsewhere')?.by).to.equal('everyone');
  });

  it('names what others have of an owner', () => {
    const names = (tenant: string | undefined) =>
      territory
        .othersWithin('github.com', 'ACME', tenant)
        .map(({ repository, grant }) => `${grant.tenant} ${repository}`);
    expect(names('owner')).to.deep.equal(['glob acme/mobile-*', 'exact acme/mobile-app']);
    expect(names('glob')).to.deep.equal(['exact acme/mobile-app']);
    expect(names(undefined)).to.have.length(2);
  });

  it('takes the grant of dispatcher.yaml, not one that a registration still has', () => {
    const stale = registration({ name: 'owner', grant: { ...owner, owners: ['acme', 'more'] } });
    expect(new Territory([entry(owner)], [stale]).whose('github.com', 'more', 'web')).to.equal(undefined);
    expect(new Territory(undefined, [stale]).whose('github.com', 'more', 'web')?.by).to.equal('owner');
  });

  it('has no answer where there are no tenants', () => {
    expect(new Territory(undefined, [ops]).whose('github.com', 'operations', 'web')).to.equal(undefined);
  });
});

describe('the reach of a webhook', () => {
  const endpoint = (changes: Partial<WebhookEndpoint>): WebhookEndpoint => ({
    host: 'github.com',
    appId: undefined,
    secrets: [new Secret('of the endpoint')],
    owners: ['*'],
    ...changes,
  });

  for (const [what, changes, name, reaches] of [
    ['an owner that it names, without case', { owners: ['ACME'] }, 'acme/mobile-app', true],
    ['another owner', { owners: ['acme'] }, 'partner/web', false],
    ['through "*" what no tenant was granted', {}, 'operations/web', true],
    ['through "*" what a tenant was granted', {}, 'partner/web', false],
    ['through "*" what everybody was granted', {}, 'stranger/web', false],
    ['what a tenant that it names was granted', { tenants: ['partner'] }, 'partner/web', true],
    ['what such a tenant shares with another', { tenants: ['partner'] }, 'acme/web', false],
    ['what both that it names share', { tenants: ['partner', 'owner'] }, 'acme/web', true],
    ['what any tenant was granted', { tenants: ['*'] }, 'acme/mobile-app', true],
    ['what a tenant was granted, without "*"', { owners: ['other'], tenants: ['*'] }, 'partner/web', false],
  ] as const) {
    it(`${reaches ? 'holds' : 'does not hold'} ${what}`, () => {
      const [of = '', repository = ''] = name.split('/');
      expect(territory.reaches(endpoint(changes), of, repository)).to.equal(reaches);
    });
  }

  for (const [what, grant, name, alone] of [
    ['the platform’s own, everywhere', undefined, 'acme/web', true],
    ['a tenant, where it is alone', partner, 'partner/web', true],
    ['a tenant, where it shares an owner', partner, 'acme/web', false],
    ['a tenant, in another’s repository', owner, 'acme/mobile-app', false],
    ['a tenant, where it was granted nothing', owner, 'operations/web', false],
  ] as const) {
    it(`of its own is ${alone ? 'whole' : 'none'} for ${what}`, () => {
      const [of = '', repository = ''] = name.split('/');
      const { grant: _, ...own } = registration();
      const from = grant === undefined ? own : { ...own, grant };
      expect(territory.isAlone(from, of, repository)).to.equal(alone);
    });
  }
});
