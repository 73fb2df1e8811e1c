/** People before the whole admin API, beside its tokens. */
import { expect } from 'chai';
import { tokenCreatedSchema } from '../../../dispatcher/http/admin-shapes.ts';
import type { GroupAccess } from '../../../dispatcher/model/registration.ts';
import { Secret } from '../../../dispatcher/model/registration.ts';
import { type SimulatedIssuer, startIssuer } from '../../../simulators/oidc/index.ts';
import { systemClock } from '../../../time/clock.ts';
import { type Fixture, TOKEN } from '../admin-fixture.ts';
import { as, openTenants, problemOf, tokenOf } from '../tenants-fixture.ts';
import { Browser, type Seen } from './login-fixture.ts';

const ORIGIN = 'https://shr.example.com';
const ACCESS: readonly GroupAccess[] = [
  { group: 'a-viewers', role: 'viewer', tenants: ['team-a'] },
  { group: 'a-operators', role: 'operator', tenants: ['team-a'] },
  { group: 'a-admins', role: 'admin', tenants: ['team-a'] },
  { group: 'g-viewers', role: 'viewer', tenants: ['team-g'] },
  { group: 'watchers', role: 'viewer', tenants: null },
  { group: 'platform', role: 'admin', tenants: null },
];
const WRITES = [
  '/api/backends/acme/reset',
  '/api/backends/acme/main/reset',
  '/api/runners/shr-acme/forget',
  '/api/tokens?name=mine&role=viewer&tenants=team-a',
  '/api/tokens/0000000000000000000000000a/revoke',
  '/api/sessions/0123456789abcdef/revoke',
  '/logout',
];

describe('people before the admin API', () => {
  let fixture: Fixture;
  let issuer: SimulatedIssuer;
  let access: readonly GroupAccess[];
  beforeEach(async () => {
    access = ACCESS;
    issuer = await startIssuer(
      { clientId: 'shr', clientSecret: 'secret', redirectUri: `${ORIGIN}/login/callback`, clock: systemClock },
      { sub: 'nobody' },
    );
    fixture = await openTenants({
      people: {
        config: {
          issuer: issuer.issuer,
          clientId: 'shr',
          clientSecret: new Secret('secret'),
          url: ORIGIN,
          scopes: ['openid'],
          groupsClaim: 'groups',
          access: ACCESS,
        },
        access: () => access,
      },
    });
  });
  afterEach(async () => {
    await fixture.close();
    await issuer.close();
  });

  type Person = Awaited<ReturnType<typeof loggedIn>>;
  /** Somebody of these groups, whose page sends what a page of ours sends along. */
  async function loggedIn(name: string, ...groups: readonly string[]) {
    issuer.person = { sub: `id-of-${name}`, email: name, groups };
    const browser = new Browser(fixture.url, ORIGIN);
    expect((await browser.login()).status).to.equal(303);
    const me = await browser.send('GET', '/api/me');
    const session = me.body['session'];
    const csrf = typeof session === 'object' && session !== null && 'csrfToken' in session ? session.csrfToken : '';
    return {
      browser,
      me: me.body,
      get: (path: string) => browser.send('GET', path),
      post: (path: string): Promise<Seen> =>
        browser.send('POST', path, { origin: ORIGIN, 'x-csrf-token': String(csrf) }),
    };
  }

  it('are told who they are, what they may do and until when; so is the holder of a token', async () => {
    const ada = await loggedIn('ada@example.com', 'a-operators', 'g-viewers');
    const { session, expiresAt, ...me } = ada.me;
    expect(me).to.deep.equal({
      id: 'person:id-of-ada@example.com',
      name: 'person:ada@example.com',
      role: 'viewer',
      tenants: ['team-a', 'team-g'],
    });
    expect(session)
      .to.have.property('rights')
      .that.deep.equals({ viewer: ['team-a', 'team-g'], operator: ['team-a'], admin: [] });
    expect(expiresAt).to.match(/^2026-03-0[45]T/);
    const token: unknown = await (await fixture.ask('/api/me')).json();
    expect(token).to.deep.equal({
      ...{ id: 'adminToken', name: 'adminToken', role: 'admin', tenants: null, expiresAt: null, session: null },
    });
  });

  it('have each role in those tenants where a group has it, and see the others with less', async () => {
    const ada = await loggedIn('ada', 'a-operators', 'g-viewers');
    const runners = JSON.stringify((await ada.get('/api/runners')).body);
    expect(runners).to.include('shr-acme').and.include('shr-globex');
    expect((await ada.get('/api/runners/shr-globex')).status).to.equal(200);
    expect((await ada.post('/api/runners/shr-acme/forget')).status).to.equal(202);
    expect((await ada.post('/api/runners/shr-globex/forget')).status).to.equal(404);
    expect((await ada.post('/api/backends/globex/reset')).status).to.equal(404);
    expect((await ada.get('/api/tokens')).status).to.equal(403);
    expect(fixture.forgotten).to.deep.equal(['shr-acme']);
  });

  it('do nothing beyond a role that none of their groups has', async () => {
    const eve = await loggedIn('eve', 'a-viewers', 'watchers');
    expect((await eve.get('/api/runners/shr-globex')).status).to.equal(200);
    for (const path of WRITES.slice(0, 5)) {
      const { status, body } = await eve.post(path);
      expect(status, path).to.equal(403);
      expect(body['error']).to.match(/^person:eve has the role viewer, and this needs (operator|admin)$/);
    }
    expect(fixture.forgotten).to.deep.equal([]);
  });

  it('make tokens for the tenants of which they are administrators, and none that outlives the session', async () => {
    const ada = await loggedIn('ada', 'a-admins', 'watchers');
    const made = await ada.post('/api/tokens?name=mine&role=admin&tenants=team-a&expires=never');
    expect(made.status).to.equal(201);
    expect(made.body['of']).to.have.property('expiresAt').that.equals(ada.me['expiresAt']);
    expect((await ada.post('/api/tokens?name=theirs&role=viewer&tenants=team-g')).status).to.equal(403);
    expect((await ada.post('/api/tokens?name=all&role=viewer')).status).to.equal(403);
  });

  for (const [how, end] of [
    ['a logout', async (ada: Person) => void (await ada.post('/logout'))],
    [
      'the loss of the role',
      async () => {
        access = ACCESS.filter(({ group }) => group !== 'a-admins');
      },
    ],
    [
      'an administrator who ends it',
      async () => {
        const root = await loggedIn('root', 'platform');
        const all = JSON.stringify((await root.get('/api/sessions')).body);
        const [, id] = /"id":"([0-9a-f]{16})","person":\{"id":"person:id-of-ada"/.exec(all) ?? [];
        expect((await root.post(`/api/sessions/${id}/revoke`)).status).to.equal(200);
      },
    ],
  ] as const) {
    it(`make tokens that end with ${how}, and so do those that such tokens make`, async () => {
      const ada = await loggedIn('ada', 'a-admins', 'watchers');
      const made = await ada.post('/api/tokens?name=one&role=admin&tenants=team-a&expires=never');
      const one = String(made.body['token']);
      const path = '/api/tokens?name=two&role=viewer&tenants=team-a';
      const next = tokenCreatedSchema.parse(await (await fixture.ask(path, { method: 'POST', ...as(one) })).json());
      const lasting = await tokenOf(fixture.ledger, 'admin', ['team-a']);
      for (const token of [one, next.token]) expect((await fixture.ask('/api/me', as(token))).status).to.equal(200);
      await end(ada);
      for (const token of [one, next.token]) {
        const refused = await fixture.ask('/api/me', as(token));
        expect(refused.status).to.equal(401);
        expect((await problemOf(refused)).error).to.match(/ended with the session/);
      }
      expect((await fixture.ask('/api/me', as(lasting))).status).to.equal(200);
    });
  }

  it('are in the audit trail by a name that no token can have', async () => {
    const ada = await loggedIn('adminToken', 'platform');
    await ada.post('/api/runners/shr-acme/forget');
    const { body } = await ada.get('/api/audit');
    const entries = body['entries'];
    const shown = Array.isArray(entries) ? entries.map(({ actor, action }) => [actor.name, action]) : [];
    expect(shown).to.have.deep.members([
      ['person:adminToken', 'runner.forget'],
      ['person:adminToken', 'session.begin'],
    ]);
  });

  it('write with no endpoint from a page of another origin, or without what such a page cannot know', async () => {
    const ada = await loggedIn('ada', 'platform');
    for (const path of WRITES) {
      for (const headers of [{}, { origin: ORIGIN }, { origin: 'https://evil.example', 'x-csrf-token': 'x' }]) {
        const { status } = await ada.browser.send('POST', path, headers);
        expect(status, path).to.equal(403);
      }
    }
    expect(fixture.forgotten).to.deep.equal([]);
    expect(fixture.resets).to.deep.equal([]);
    expect((await ada.get('/api/me')).status).to.equal(200);
  });

  it('change nothing for tokens: no origin, no CSRF token, and a token beside a session counts alone', async () => {
    const ada = await loggedIn('ada', 'platform');
    const token = await tokenOf(fixture.ledger, 'operator', ['team-a']);
    const forget = (bearer: string) =>
      ada.browser.send('POST', '/api/runners/shr-acme/forget', {
        authorization: `Bearer ${bearer}`,
        origin: 'https://a-tool.example',
      });
    expect((await forget(token)).status).to.equal(202);
    expect((await forget(TOKEN)).status).to.equal(202);
    expect((await forget('wrong')).status).to.equal(401);
  });

  it('without a session get what anyone gets: nothing', async () => {
    const stranger = new Browser(fixture.url, ORIGIN);
    for (const path of ['/api/me', '/api/jobs', '/api/sessions', '/metrics']) {
      expect((await stranger.send('GET', path)).status, path).to.equal(401);
    }
    expect((await stranger.send('POST', '/logout', { origin: ORIGIN })).status).to.equal(401);
    stranger.cookies.set('__Host-shr-session', 'x'.repeat(43));
    expect((await stranger.send('GET', '/api/me')).status).to.equal(401);
  });

  it('are logged out by an administrator of all that they may see, everywhere and at once', async () => {
    const ada = await loggedIn('ada', 'a-viewers');
    const elsewhere = await loggedIn('ada', 'a-viewers');
    const boss = await loggedIn('boss', 'a-admins');
    const watcher = await loggedIn('watcher', 'watchers');
    const { body } = await boss.get('/api/sessions');
    const listed = body['sessions'];
    const sessions: readonly { readonly id: string; readonly person: { readonly name: string } }[] = Array.isArray(
      listed,
    )
      ? listed
      : [];
    expect(sessions.map(({ person }) => person.name).toSorted()).to.deep.equal([
      ...['person:ada', 'person:ada', 'person:boss'],
    ]);
    expect(JSON.stringify(body)).not.to.match(/csrf/i);
    const platform = await loggedIn('root', 'platform');
    const all = JSON.stringify((await platform.get('/api/sessions')).body);
    const [, idOfWatcher = ''] = /"id":"([0-9a-f]{16})","person":\{"id":"person:id-of-watcher"/.exec(all) ?? [];
    expect(idOfWatcher).to.have.length(16);
    expect((await boss.post(`/api/sessions/${idOfWatcher}/revoke`)).status).to.equal(404);
    expect((await watcher.get('/api/me')).status).to.equal(200);
    const id = sessions.find(({ person }) => person.name === 'person:ada')?.id;
    const revoked = await boss.post(`/api/sessions/${id}/revoke`);
    expect(revoked).to.deep.include({
      status: 200,
      body: { person: { id: 'person:id-of-ada', name: 'person:ada' }, ended: 2 },
    });
    for (const one of [ada, elsewhere]) expect((await one.get('/api/me')).status).to.equal(401);
    expect((await boss.get('/api/me')).status).to.equal(200);
  });

  it('who have lost all access are there for the platform alone', async () => {
    const boss = await loggedIn('boss', 'a-admins');
    const root = await loggedIn('root', 'platform');
    await loggedIn('watcher', 'watchers');
    access = ACCESS.filter(({ group }) => group !== 'watchers');
    const names = async (one: typeof boss) => JSON.stringify((await one.get('/api/sessions')).body);
    expect(await names(boss)).to.not.include('watcher');
    expect(await names(root)).to.include('watcher');
  });

  it('have the headers of every answer on those of the login too, and no referrer leaves with the code', async () => {
    const browser = new Browser(fixture.url, ORIGIN);
    const response = await fetch(`${fixture.url}${await browser.ask()}`, { redirect: 'manual' });
    expect(response.headers.get('referrer-policy')).to.equal('no-referrer');
    expect(response.headers.get('cache-control')).to.equal('no-store');
    expect(response.headers.get('x-frame-options')).to.equal('DENY');
  });
});
