import { expect } from 'chai';
import { EndpointIndex } from '../../dispatcher/intake/endpoints.ts';
import {
  type Grant,
  type Registration,
  Secret,
  type TenantEntry,
  type WebhookEndpoint,
} from '../../dispatcher/model/registration.ts';
import { grantOf } from '../registration-fixture.ts';
import { exampleBody, type Fixture, openFixture, plainEndpoint, tenant } from './intake-fixture.ts';

/** The example is about Codertocat/Hello-World. */
const owner = 'codertocat';

function fromApp(id: string, more: Record<string, string> = {}): Record<string, string> {
  return {
    'x-github-hook-installation-target-type': 'integration',
    'x-github-hook-installation-target-id': id,
    ...more,
  };
}

describe('the endpoint of a webhook', () => {
  let fixture: Fixture;
  let endpoints: readonly WebhookEndpoint[];
  let registrations: readonly Registration[];
  let tenants: readonly TenantEntry[];

  beforeEach(async () => {
    endpoints = [];
    registrations = [];
    tenants = [];
    fixture = await openFixture({
      endpoints: () => endpoints,
      registrations: () => registrations,
      tenants: () => tenants,
      setAside: (registration) => registration === 'broken',
    });
  });
  afterEach(() => fixture.close());

  const written = () => fixture.recorder.recorded.map(({ delivery, fact }) => [delivery.endpoint, fact?.host]);

  describe('shared', () => {
    it('picks an App’s secret by the App’s id', async () => {
      endpoints = [
        plainEndpoint({ appId: '11', secrets: [new Secret('of 11')] }),
        plainEndpoint({ appId: '22', secrets: [new Secret('of 22')] }),
      ];
      expect((await fixture.send({ secret: 'of 22', headers: fromApp('22') })).status).to.equal(202);
      expect((await fixture.send({ secret: 'of 22', headers: fromApp('11') })).status).to.equal(401);
      expect(written()).to.deep.equal([['github.com/app/22', 'github.com']]);
    });

    it('takes a repository’s own hook for no App, though their ids be the same', async () => {
      endpoints = [plainEndpoint({ appId: '11', secrets: [new Secret('of 11')] }), plainEndpoint()];
      const reply = await fixture.send({
        headers: { ...fromApp('11'), 'x-github-hook-installation-target-type': 'repository' },
      });
      expect(reply.status).to.equal(202);
      expect(written()).to.deep.equal([['github.com/webhook', 'github.com']]);
    });

    it('tries the plain entry for an App that has none of its own', async () => {
      endpoints = [plainEndpoint()];
      expect((await fixture.send({ headers: fromApp('33') })).status).to.equal(202);
    });

    it('says so when no entry fits', async () => {
      endpoints = [plainEndpoint({ appId: '11' })];
      const reply = await fixture.send({ headers: fromApp('33') });
      expect(reply.status).to.equal(401);
      expect(reply.outcome).to.equal('no-secret');
      expect(reply.message).to.contain('dispatcher.yaml');
    });

    it('tells two hosts with the same App id apart', async () => {
      endpoints = [
        plainEndpoint({ appId: '5', secrets: [new Secret('dot com')] }),
        plainEndpoint({ appId: '5', host: 'GHES.acme.example', secrets: [new Secret('ghes')] }),
      ];
      const enterprise = fromApp('5', { 'x-github-enterprise-host': 'ghes.acme.example' });
      expect((await fixture.send({ secret: 'ghes', headers: enterprise })).status).to.equal(202);
      expect((await fixture.send({ secret: 'ghes', headers: fromApp('5') })).status).to.equal(401);
      expect((await fixture.send({ secret: 'dot com', headers: fromApp('5') })).status).to.equal(202);
      expect(written()).to.deep.equal([
        ['ghes.acme.example/app/5', 'ghes.acme.example'],
        ['github.com/app/5', 'github.com'],
      ]);
    });

    it('has its host from the secret, whatever header and payload claim', async () => {
      endpoints = [plainEndpoint({ host: 'acme.ghe.com' })];
      const reply = await fixture.send({ headers: { 'x-github-enterprise-host': 'github.com' } });
      expect(reply.status).to.equal(202);
      expect(written()).to.deep.equal([['acme.ghe.com/webhook', 'acme.ghe.com']]);
    });

    it('may report for the owners of its entry, without case', async () => {
      endpoints = [plainEndpoint({ owners: ['CODERTOCAT'] })];
      expect((await fixture.send({})).status).to.equal(202);
      expect(fixture.answered).to.deep.equal([]);
    });

    it('may report for no other owner: records nothing, and says why', async () => {
      endpoints = [plainEndpoint({ owners: ['acme', 'codertoca'] })];
      const reply = await fixture.send({});
      expect(reply.status).to.equal(403);
      expect(reply.outcome).to.equal('foreign');
      expect(reply.message).to.contain('Codertocat/Hello-World');
      expect(fixture.recorder.batches).to.deep.equal([]);
      expect(fixture.answered, 'for good: it is not asked for again').to.have.length(1);
      expect(fixture.answered[0]).to.match(/^github\.com\/webhook \S+$/);
    });
  });

  describe('of a registration', () => {
    const path = '/webhooks/github/acme';
    const sent = { path, secret: 'a secret of acme' };

    it('takes that registration’s secret', async () => {
      registrations = [
        tenant('acme', { claim: { kind: 'organization', organization: 'Codertocat' } }),
        tenant('other'),
      ];
      expect((await fixture.send(sent)).status).to.equal(202);
      expect(written()).to.deep.equal([['registration/acme', 'github.com']]);
    });

    it('takes neither the platform’s secret nor another tenant’s', async () => {
      endpoints = [plainEndpoint()];
      registrations = [tenant('acme', { claim: { kind: 'user', user: owner } }), tenant('other')];
      expect((await fixture.send({ path })).status).to.equal(401);
      expect((await fixture.send({ path, secret: 'a secret of other' })).status).to.equal(401);
      expect(fixture.recorder.batches).to.deep.equal([]);
    });

    it('is none when the registration has no secret or does not exist', async () => {
      endpoints = [plainEndpoint()];
      registrations = [tenant('acme', { webhookSecrets: [] })];
      for (const nowhere of [path, '/webhooks/github/nobody']) {
        const reply = await fixture.send({ path: nowhere });
        expect(reply.status).to.equal(404);
        expect(reply.outcome).to.equal('no-endpoint');
      }
    });

    it('of a registration that is set aside says where its problems are named, and takes nothing', async () => {
      const reply = await fixture.send({ path: '/webhooks/github/broken' });
      expect([reply.status, reply.outcome]).to.deep.equal([503, 'set-aside']);
      expect(reply.message).to.include('shr validate');
      expect(written()).to.deep.equal([]);
    });

    for (const [claim, status] of [
      [{ kind: 'organization', organization: 'acme' }, 403],
      [{ kind: 'user', user: 'acme' }, 403],
      [{ kind: 'user', user: 'Codertocat' }, 202],
      [{ kind: 'repositories', repositories: [{ owner, repository: 'other' }] }, 403],
      [{ kind: 'repositories', repositories: [{ owner, repository: 'hello-world' }] }, 202],
      [{ kind: 'enterprise', enterprise: 'cats', organizations: ['acme'] }, 403],
      [{ kind: 'enterprise', enterprise: 'cats', organizations: ['acme', 'codertocat'] }, 202],
    ] as const) {
      it(`answers ${status} where the claim is ${JSON.stringify(claim)}`, async () => {
        registrations = [tenant('acme', { claim })];
        expect((await fixture.send(sent)).status).to.equal(status);
        expect(fixture.recorder.recorded).to.have.length(status === 202 ? 1 : 0);
      });
    }

    it('follows the configuration while running', async () => {
      expect((await fixture.send(sent)).status).to.equal(404);
      registrations = [tenant('acme', { claim: { kind: 'user', user: owner } })];
      expect((await fixture.send(sent)).status).to.equal(202);
      registrations = [tenant('acme', { claim: { kind: 'user', user: 'somebody-else' } })];
      expect((await fixture.send(sent)).status).to.equal(403);
    });
  });

  it('tries two secrets at most, whatever a sender claims: each costs a pass over its body', () => {
    const secrets = ['1', '2', '3'].map((one) => new Secret(one));
    const hosts = ['a.example', 'b.example', 'c.example'];
    const index = new EndpointIndex(
      [
        ...hosts.map((host) => plainEndpoint({ host, secrets })),
        ...hosts.map((host) => plainEndpoint({ host, appId: '11', secrets })),
      ],
      [tenant('acme', { webhookSecrets: secrets })],
    );
    for (const enterpriseHost of [undefined, 'a.example', 'unknown.example']) {
      for (const targetId of [undefined, '11', '12']) {
        const targetType = targetId === undefined ? undefined : 'integration';
        const tried = index.shared({ targetType, targetId, enterpriseHost });
        expect(tried, `${enterpriseHost} ${targetId}`).to.have.length(2);
      }
    }
    expect(index.registration('acme')).to.have.length(2);
  });

  it('keeps the GUIDs of two endpoints apart', async () => {
    endpoints = [
      plainEndpoint({ appId: '11', secrets: [new Secret('of 11')] }),
      plainEndpoint({ appId: '22', secrets: [new Secret('of 22')] }),
    ];
    const body = exampleBody();
    const guid = { 'x-github-delivery': '0b989ba4-242f-11e5-81e1-c7b6966d2516' };
    expect((await fixture.send({ body, secret: 'of 11', headers: { ...fromApp('11'), ...guid } })).status).to.equal(
      202,
    );
    expect((await fixture.send({ body, secret: 'of 22', headers: { ...fromApp('22'), ...guid } })).status).to.equal(
      202,
    );
    const again = await fixture.send({ body, secret: 'of 11', headers: { ...fromApp('11'), ...guid } });
    expect([again.status, again.outcome]).to.deep.equal([200, 'duplicate']);
  });

  describe('with tenants', () => {
    const entry = (grant: Grant): TenantEntry => ({ name: grant.tenant, registrations: [grant.tenant], grant });
    const cats = grantOf('cats', { owners: [owner] });
    const path = '/webhooks/github/cats';
    const sent = { path, secret: 'a secret of cats' };
    const claim = { kind: 'organization', organization: owner } as const;

    it('does not reach through "*" what a tenant was granted, unless the platform names the tenant', async () => {
      tenants = [entry(cats)];
      endpoints = [plainEndpoint()];
      expect((await fixture.send({})).status).to.equal(403);
      for (const named of [['dogs'], ['cats'], ['*']]) {
        endpoints = [plainEndpoint({ tenants: named })];
        expect((await fixture.send({})).status, String(named)).to.equal(named[0] === 'dogs' ? 403 : 202);
      }
      endpoints = [plainEndpoint({ owners: ['Codertocat'] })];
      expect((await fixture.send({})).status).to.equal(202);
    });

    it('reaches through "*" what no tenant was granted', async () => {
      tenants = [entry(grantOf('dogs', { owners: ['dogs'] })), entry({ ...cats, hosts: ['ghes.example'] })];
      endpoints = [plainEndpoint()];
      expect((await fixture.send({})).status).to.equal(202);
    });

    it('takes the change of a grant with the next delivery', async () => {
      endpoints = [plainEndpoint()];
      expect((await fixture.send({})).status).to.equal(202);
      tenants = [entry(cats)];
      expect((await fixture.send({})).status).to.equal(403);
    });

    it('lets a registration’s own secret speak for what its tenant has alone', async () => {
      tenants = [entry(cats)];
      registrations = [tenant('cats', { claim, grant: cats })];
      expect((await fixture.send(sent)).status).to.equal(202);
    });

    for (const [what, others] of [
      ['was granted to another by name', grantOf('dogs', { owners: [], repositories: [`${owner}/hello-*`] })],
      ['is of an owner that another has as well', grantOf('dogs', { owners: [owner], labels: ['dog'] })],
    ] as const) {
      it(`does not let it speak for a repository that ${what}`, async () => {
        tenants = [entry(cats), entry(others)];
        registrations = [tenant('cats', { claim, grant: cats })];
        const reply = await fixture.send(sent);
        expect(reply.status).to.equal(403);
        expect(fixture.recorder.batches).to.deep.equal([]);
      });
    }

    it('does not let it speak for what was never granted', async () => {
      const narrow = { ...cats, owners: ['other'] };
      tenants = [entry(narrow)];
      registrations = [tenant('cats', { claim, grant: narrow })];
      expect((await fixture.send(sent)).status).to.equal(403);
    });
  });
});
