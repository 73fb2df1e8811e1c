import { expect } from 'chai';
import { configured, dispatcherYaml, problemsOf, registrationYaml } from './files.ts';

const LOGIN = `
oidc:
  issuer: https://login.example.com/realms/acme
  clientId: shr
  clientSecret: \${env:GITHUB_TOKEN}
  url: https://shr.example.com/
  access:
    - { group: platform, role: admin, platform: true }
    - { group: mobile-developers, role: operator, tenants: [mobile, mobile] }
tenants: { mobile: {} }
`;

async function problems(yaml: string): Promise<readonly string[]> {
  const found = await problemsOf({ 'dispatcher.yaml': dispatcherYaml + yaml });
  return found.map((problem) => problem.replace(/^dispatcher\.yaml:\d+:\d+: /, ''));
}

describe('people’s login in dispatcher.yaml', () => {
  it('is read with its defaults, the issuer to the letter and the URL as an origin', async () => {
    const { dispatcher } = await configured({ 'dispatcher.yaml': dispatcherYaml + LOGIN });
    const { clientSecret, ...oidc } = dispatcher.oidc ?? {};
    expect(clientSecret?.reveal()).to.equal('ghp_of-the-platform');
    expect(oidc).to.deep.equal({
      issuer: 'https://login.example.com/realms/acme',
      clientId: 'shr',
      url: 'https://shr.example.com',
      scopes: ['openid', 'profile', 'email'],
      groupsClaim: 'groups',
      access: [
        { group: 'platform', role: 'admin', tenants: null },
        { group: 'mobile-developers', role: 'operator', tenants: ['mobile'] },
      ],
    });
  });

  it('lets nobody in where it names no group, and is not there where the file says nothing', async () => {
    const nobody = LOGIN.replace(/ {2}access:\n.*\n.*\n/, '');
    const { dispatcher } = await configured({ 'dispatcher.yaml': dispatcherYaml + nobody });
    expect(dispatcher.oidc?.access).to.deep.equal([]);
    const without = await configured({ 'registrations/acme.yaml': registrationYaml });
    expect(without.dispatcher).not.to.have.property('oidc');
  });

  it('always asks for openid, and for the scopes that are written in place of the usual ones', async () => {
    const { dispatcher } = await configured({
      'dispatcher.yaml': dispatcherYaml + LOGIN.replace('  clientId', '  scopes: [groups, openid]\n  clientId'),
    });
    expect(dispatcher.oidc?.scopes).to.deep.equal(['openid', 'groups']);
  });

  for (const [what, from, to, problem] of [
    [
      'an issuer over plain http',
      'https://login.example.com/realms/acme',
      'http://login.example.com',
      'oidc.issuer: over plain http, logins can be read on the way. Write `https://`.',
    ],
    [
      'an issuer with a query',
      'https://login.example.com/realms/acme',
      'https://login.example.com/?realm=acme',
      'oidc.issuer: a URL is written https://HOST, with a port or path where it has one',
    ],
    [
      'an issuer with a login',
      'https://login.example.com/realms/acme',
      'https://me:secret@login.example.com',
      'oidc.issuer: a URL is written https://HOST, with a port or path where it has one',
    ],
    [
      'a URL over plain http',
      'https://shr.example.com/',
      'http://shr.example.com/',
      'oidc.url: over plain http, logins can be read on the way. Write `https://`.',
    ],
    [
      'a URL with a path',
      'https://shr.example.com/',
      'https://shr.example.com/dispatcher',
      'oidc.url: it has a path. Give the admin listener a host name or port of its own: `https://shr.example.com`.',
    ],
    [
      'a client secret in plain text',
      '${env:GITHUB_TOKEN}',
      'hunter2',
      'oidc.clientSecret: it is a secret in plain text.',
    ],
    [
      'a tenant that does not exist',
      '[mobile, mobile]',
      '[mobil]',
      'oidc.access[1].tenants[0]: there is no tenant `mobil`. Correct the name, or remove it.',
    ],
    [
      'a group without a place',
      ', tenants: [mobile, mobile]',
      '',
      'oidc.access[1]: it does not say where the role holds. Write either `tenants: [NAME]` or `platform: true`.',
    ],
    [
      'a group with two places',
      'platform: true',
      'platform: true, tenants: [mobile]',
      'oidc.access[0]: `platform` covers all tenants. Write either `tenants: [NAME]` or `platform: true`.',
    ],
    [
      'tenants where there are none',
      'tenants: { mobile: {} }',
      '',
      'oidc.access[1].tenants[0]: there is no tenant `mobile`. This file has no `tenants`: write `platform: true`.',
    ],
  ] as const) {
    it(`refuses ${what}`, async () => {
      const found = await problems(LOGIN.replace(from, to));
      expect(found.join('\n')).to.include(problem);
    });
  }

  it('takes plain http on this machine, where nobody else can listen', async () => {
    for (const host of ['127.0.0.1:9090', 'localhost:9090', '[::1]:9090']) {
      expect(await problems(LOGIN.replace('https://shr.example.com/', `http://${host}`)), host).to.deep.equal([]);
    }
  });
});
