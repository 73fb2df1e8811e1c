/** shr doctor, about logins: before an issuer on a real socket. */
import { createServer, type Server } from 'node:http';
import { expect } from 'chai';
import { checkOidc } from '../../dispatcher/cli/doctor/oidc.ts';
import { type OidcConfig, Secret } from '../../dispatcher/model/registration.ts';
import { type SimulatedIssuer, startIssuer } from '../../simulators/oidc/index.ts';
import { systemClock } from '../../time/clock.ts';

describe('shr doctor, about logins', () => {
  let issuer: SimulatedIssuer;
  let admin: Server;
  let port: number;
  let answer: { status: number; body: string };

  beforeEach(async () => {
    answer = { status: 200, body: '{"alive":true}' };
    admin = createServer((_request, response) => {
      response.writeHead(answer.status, { 'content-type': 'application/json' });
      response.end(answer.body);
    });
    await new Promise<void>((resolve) => admin.listen(0, '127.0.0.1', resolve));
    const address = admin.address();
    port = typeof address === 'object' && address !== null ? address.port : 0;
    const options = {
      clientId: 'shr',
      clientSecret: 'secret',
      redirectUri: `${own()}/login/callback`,
      clock: systemClock,
    };
    issuer = await startIssuer(options, { sub: 'nobody' });
  });
  afterEach(async () => {
    await issuer.close();
    await new Promise((resolve) => admin.close(resolve));
  });

  const own = () => `http://127.0.0.1:${port}`;
  const section = (change: Partial<OidcConfig> = {}): OidcConfig => ({
    ...{ issuer: issuer.issuer, clientId: 'shr', clientSecret: new Secret('secret'), url: own() },
    ...{ scopes: ['openid', 'profile'], groupsClaim: 'groups', access: [] },
    ...change,
  });
  const check = (change: Partial<OidcConfig> = {}, { aheadMs = 0, adminPort = port } = {}) =>
    checkOidc(
      { adminListen: { host: '127.0.0.1', port: adminPort }, oidc: section(change) },
      { ...systemClock, now: () => systemClock.now() + aheadMs },
    );
  const finding = async (subject: string, ...asked: Parameters<typeof check>) =>
    (await check(...asked)).find((one) => one.subject === subject);

  it('says nothing where nobody logs in', async () => {
    expect(await checkOidc({ adminListen: { host: '127.0.0.1', port } }, systemClock)).to.deep.equal([]);
    expect(issuer.asked).to.deep.equal([]);
  });

  it('finds everything in place, and sends no secret', async () => {
    const findings = await check();
    expect(findings.map(({ about, subject, ok, note = false }) => [about, subject, ok, note])).to.deep.equal([
      ['oidc', 'issuer', true, false],
      ['oidc', 'endpoints', true, false],
      ['oidc', 'keys', true, false],
      ['oidc', 'clock', true, false],
      ['oidc', 'redirect', true, false],
    ]);
    expect(findings.at(-1)?.message).to.include(`${own()}/login/callback has to be registered at the issuer`);
    expect(issuer.asked).to.deep.equal(['GET /.well-known/openid-configuration', 'GET /jwks']);
  });

  it('says how the issuer writes itself', async () => {
    issuer.faults = { discovery: { issuer: `${issuer.issuer}/` } };
    const wrong = await finding('issuer');
    expect(wrong?.ok).to.equal(false);
    expect(wrong?.cure).to.include(`issuer: ${issuer.issuer}/`);
  });

  it('says that there is no issuer, or another thing', async () => {
    const nothing = await finding('issuer', { issuer: 'http://127.0.0.1:1' });
    expect(nothing).to.include({ ok: false }).and.not.have.property('note');
    expect(nothing?.cure).to.include('oidc.issuer');
    answer = { status: 404, body: '{}' };
    expect((await finding('issuer', { issuer: own() }))?.message).to.include('answers with status 404');
    answer = { status: 200, body: '<html>' };
    expect((await finding('issuer', { issuer: own() }))?.message).to.include('answers with something else');
    issuer.faults = { padding: 300_000 };
    expect((await finding('issuer'))?.ok, 'an answer without end').to.equal(false);
  });

  for (const [what, changed, words] of [
    ['no token endpoint', { token_endpoint: undefined }, 'no valid token_endpoint'],
    ['one over plain http', { token_endpoint: 'http://issuer.example/token' }, 'no valid token_endpoint'],
    ['no code flow', { response_types_supported: ['id_token'] }, 'authorization code flow'],
    ['no PKCE', { code_challenge_methods_supported: ['plain'] }, 'PKCE with S256'],
    ['no client secret', { token_endpoint_auth_methods_supported: ['private_key_jwt'] }, 'takes no client secret'],
    ['weak signatures alone', { id_token_signing_alg_values_supported: ['HS256', 'none'] }, 'no algorithm'],
  ] as const) {
    it(`finds ${what}`, async () => {
      issuer.faults = { discovery: changed };
      const found = await finding('endpoints');
      expect(found?.ok).to.equal(false);
      expect(found?.message).to.include(words);
    });
  }

  it('notes what a login may miss', async () => {
    issuer.faults = { discovery: { scopes_supported: ['openid'], end_session_endpoint: undefined } };
    expect(await finding('scopes')).to.include({ ok: true, note: true });
    expect((await finding('scopes'))?.message).to.include('profile');
    expect(await finding('logout')).to.include({ ok: true, note: true });
  });

  it('finds keys that are not there', async () => {
    issuer.faults = { discovery: { jwks_uri: `${own()}/keys` } };
    expect((await finding('keys'))?.ok).to.equal(false);
  });

  it('finds clocks that differ by more than tokens may', async () => {
    const wrong = await finding('clock', {}, { aheadMs: 120_000 });
    expect(wrong?.ok).to.equal(false);
    expect(wrong?.message).to.match(/clock is 1[12]\d s ahead of the issuer's/);
    expect((await finding('clock', {}, { aheadMs: 30_000 }))?.ok).to.equal(true);
  });

  it('finds an address that leads elsewhere than to the admin listener', async () => {
    const other = await finding('redirect', {}, { adminPort: 9090 });
    expect(other?.ok).to.equal(false);
    expect(other?.message).to.include(`leads to port ${port}, and the admin listener is at 127.0.0.1:9090`);
    answer = { status: 404, body: 'not here' };
    expect((await finding('redirect'))?.ok).to.equal(false);
    answer = { status: 502, body: 'Bad Gateway' };
    expect(await finding('redirect')).to.include({ ok: true, note: true });
    const unreached = await finding('redirect', { url: 'https://shr-admin.invalid' });
    expect(unreached).to.include({ ok: true, note: true });
    expect(unreached?.message).to.include('browsers may reach it');
  });
});
