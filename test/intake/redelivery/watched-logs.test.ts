import { expect } from 'chai';
import { EndpointIndex } from '../../../dispatcher/intake/endpoints.ts';
import { ownHook, watchedLogs } from '../../../dispatcher/intake/redelivery/watched-logs.ts';
import { type Registration, Secret, type WebhookEndpoint } from '../../../dispatcher/model/registration.ts';
import { grantOf } from '../../registration-fixture.ts';
import { plainEndpoint, tenant } from '../intake-fixture.ts';

describe('which logs of deliveries are read', () => {
  const app = { kind: 'app', appId: '12', privateKey: new Secret('x') } as const;
  const logsOf = (registrations: readonly Registration[], endpoints: readonly WebhookEndpoint[] = []) =>
    watchedLogs(registrations, new EndpointIndex(endpoints, registrations)).map(
      ({ log, path, holders }) => `${log} ${path} ${holders.map(({ name }) => name).join()}`,
    );
  const repositories = [
    { owner: 'Acme', repository: 'Web' },
    { owner: 'acme', repository: 'api' },
  ];

  it("are those of a registration's own endpoint, by its own credentials alone", () => {
    const own = tenant('acme');
    expect(logsOf([own, tenant('other', { claim: own.claim })])).to.deep.equal([
      'github.com orgs/acme registration/acme /webhooks/github/acme acme',
      'github.com orgs/acme registration/other /webhooks/github/other other',
    ]);
    expect(logsOf([tenant('acme', { credentials: app, claim: { kind: 'repositories', repositories } })])).to.deep.equal(
      [
        'github.com app/12 registration/acme /webhooks/github/acme acme',
        'github.com repos/acme/web registration/acme /webhooks/github/acme acme',
        'github.com repos/acme/api registration/acme /webhooks/github/acme acme',
      ],
    );
    expect(logsOf([tenant('acme', { redelivery: false })]), 'switched off').to.deep.equal([]);
    const enterprise = { kind: 'enterprise', enterprise: 'big', organizations: ['acme', 'globex'] } as const;
    expect(logsOf([tenant('acme', { claim: enterprise })])).to.have.length(2);
    expect(logsOf([tenant('ada', { claim: { kind: 'user', user: 'ada' } })])).to.deep.equal([]);
  });

  it("are those of the shared endpoint for all that it covers, the platform's credentials first", () => {
    const shared = { webhookSecrets: [] };
    const claim = { kind: 'organization', organization: 'acme' } as const;
    const all = [
      tenant('tenant', { ...shared, claim, grant: grantOf('acme') }),
      tenant('platform', { ...shared, claim }),
      tenant('elsewhere', shared),
    ];
    expect(logsOf(all, [plainEndpoint({ owners: ['acme'] })])).to.deep.equal([
      'github.com orgs/acme github.com/webhook /webhooks/github platform,tenant',
    ]);
    expect(logsOf(all)).to.deep.equal([]);
    const withApp = [tenant('acme', { ...shared, credentials: app })];
    expect(logsOf(withApp, [plainEndpoint({ appId: '12', owners: ['acme'] })])).to.deep.equal([
      'github.com app/12 github.com/app/12 /webhooks/github acme',
    ]);
    expect(logsOf(withApp, [plainEndpoint({ host: 'ghe.example', owners: ['acme'] })])).to.deep.equal([]);
  });

  it('have a line of their own where several tenants hold them, one of each tried in turn', () => {
    const of = (name: string, holder: string) =>
      tenant(name, {
        ...{ webhookSecrets: [], grant: grantOf(holder) },
        claim: { kind: 'organization', organization: 'acme' },
      });
    const all = [of('a-1', 'a'), of('a-2', 'a'), of('a-3', 'a'), of('b-1', 'b'), of('b-2', 'b')];
    const endpoints = new EndpointIndex([plainEndpoint({ owners: ['acme'] })], all);
    const [log] = watchedLogs(all, endpoints);
    expect(log?.holders.map(({ name }) => name)).to.deep.equal(['a-1', 'b-1', 'a-2', 'b-2', 'a-3']);
    expect(log).to.include({ line: 'tenant a, tenant b', isShared: true });
    expect(watchedLogs(all.slice(0, 3), endpoints)[0]).to.include({ line: 'tenant a', isShared: false });
  });

  it('are of the webhook with our address, or of the only one with our path', () => {
    const path = '/webhooks/github/acme';
    const hook = (id: number, url: string) => ({ id, url });
    const hooks = [
      hook(1, 'https://ci.example/x'),
      hook(2, `https://other.example${path}`),
      hook(3, `https://shr.example${path}/`),
    ];
    expect(ownHook(hooks, path, 'https://shr.example')).to.include({ id: 3, isCertain: true });
    expect(ownHook(hooks.slice(0, 2), path, 'https://shr.example')).to.include({ id: 2, isCertain: false });
    expect(ownHook(hooks, path, undefined)).to.equal('several');
    expect(ownHook(hooks.slice(0, 1), path, undefined)).to.equal('none');
    expect(ownHook([hook(1, 'https://shr.example/webhooks/github/acme-2')], path, undefined)).to.equal('none');
    expect(ownHook([hook(1, 'not an address')], path, undefined)).to.equal('none');
  });
});
