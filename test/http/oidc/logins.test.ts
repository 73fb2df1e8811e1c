import { expect } from 'chai';
import { type Browser, type Fixed, type LoginFixture, openLogins } from './login-fixture.ts';

const HOUR = 3_600_000;
const PROXIED = 'https://shr.example.com';

describe('people log in', () => {
  let fixture: LoginFixture;
  let close: (() => Promise<void>) | undefined;

  async function open(fixed: Fixed = {}): Promise<Browser> {
    fixture = await openLogins(fixed);
    close = () => fixture.close();
    return fixture.browser();
  }
  afterEach(async () => {
    await close?.();
    close = undefined;
  });

  async function csrfOf(browser: Browser): Promise<string> {
    return String((await browser.send('GET', '/who')).body['csrfToken']);
  }

  it('at the issuer, and come back as who they are, with the rights of their groups', async () => {
    const browser = await open();
    const back = await browser.login();
    expect(back).to.deep.include({ status: 303, location: `${fixture.origin}/api/me` });
    expect((await browser.send('GET', '/who')).body).to.deep.include({
      name: 'person:ada@example.com',
      rights: { viewer: null, operator: null, admin: null },
    });
    const [entry] = fixture.audit;
    expect(entry).to.deep.include({
      ...{ action: 'session.begin', actorId: 'person:u-1', actorName: 'person:ada@example.com', status: 200 },
      ...{ subject: fixture.issuer.issuer, tenant: null },
    });
  });

  it('with PKCE, a state and a nonce, each of them new each time', async () => {
    const browser = await open();
    const questions: URLSearchParams[] = [];
    for (const _ of [1, 2]) {
      await browser.login();
      questions.push(fixture.issuer.lastQuestion());
    }
    const [one, other] = questions;
    expect(one?.get('code_challenge_method')).to.equal('S256');
    expect(one?.get('scope')).to.equal('openid profile email');
    for (const name of ['code_challenge', 'state', 'nonce']) {
      expect(one?.get(name), name).to.have.length.greaterThan(40);
      expect(one?.get(name), name).not.to.equal(other?.get(name));
    }
  });

  it('at an issuer that takes the client’s secret in the form alone', async () => {
    const browser = await open({ issuer: { authentication: 'client_secret_post' } });
    expect((await browser.login()).status).to.equal(303);
  });

  it('by groups that only the user info lists, of the same account', async () => {
    const browser = await open({ issuer: { smallTokens: true } });
    expect((await browser.login()).status).to.equal(303);
    fixture.issuer.faults = { userInfoSubject: 'u-2' };
    expect((await browser.login()).status).to.equal(403);
  });

  it('and get in nowhere in no listed group, whatever the issuer says of them', async () => {
    const browser = await open();
    for (const groups of [
      undefined,
      [],
      ['everyone'],
      ['Platform'],
      'platforms',
      ['platform '],
      { platform: true },
      7,
    ]) {
      fixture.issuer.person = { sub: 'u-1', groups, role: 'admin', tenants: ['*'] };
      const { status } = await fixture.browser().login();
      expect(status, JSON.stringify(groups)).to.be.oneOf([403, 502]);
    }
    expect(browser.cookies.size).to.equal(0);
    expect(fixture.audit).to.deep.equal([]);
  }).timeout(20_000);

  it('have in each tenant the widest role of their groups there, and nothing that is not listed', async () => {
    const browser = await open({
      access: [
        { group: 'mobile', role: 'viewer', tenants: ['mobile', 'web'] },
        { group: 'mobile-leads', role: 'admin', tenants: ['mobile'] },
        { group: 'web-leads', role: 'operator', tenants: ['web'] },
        { group: 'platform', role: 'admin', tenants: null },
      ],
    });
    fixture.issuer.person = { sub: 'u-2', groups: ['web-leads', 'mobile-leads', 'mobile'] };
    await browser.login();
    expect((await browser.send('GET', '/who')).body['rights']).to.deep.equal({
      viewer: ['mobile', 'web'],
      operator: ['mobile', 'web'],
      admin: ['mobile'],
    });
  });

  describe('the answer of the issuer is not believed', () => {
    for (const [what, claims] of [
      ['of another issuer', () => ({ iss: 'https://elsewhere.example' })],
      ['for another client', () => ({ aud: 'another' })],
      ['for several clients without saying which', () => ({ aud: ['shr', 'another'] })],
      ['that was made for another client, beside ours', () => ({ aud: ['shr', 'another'], azp: 'another' })],
      ['that was made for another client, although it is for ours', () => ({ azp: 'another' })],
      ['with the nonce of another login', () => ({ nonce: 'another' })],
      ['without a nonce', () => ({ nonce: undefined })],
      ['that has expired', () => ({ exp: Math.floor(Date.now() / 1000) - 300 })],
      ['that expired within the tolerance', () => ({ exp: Math.floor(Date.now() / 1000) - 5 })],
      ['that is not valid yet', () => ({ nbf: Math.floor(Date.now() / 1000) + 300 })],
      ['without an account', () => ({ sub: undefined })],
      ['without an end', () => ({ exp: undefined })],
    ] as const) {
      it(`with a token ${what}`, async () => {
        const browser = await open();
        fixture.issuer.faults = { claims: claims() };
        expect((await browser.login()).status).to.equal(403);
        expect(browser.cookies.size).to.equal(0);
        fixture.issuer.faults = {};
        expect((await browser.login()).status).to.equal(303);
      });
    }

    for (const [what, faults] of [
      ['that nobody signed (alg none)', { algorithm: 'none' }],
      ['that is signed with the public key (HS256)', { algorithm: 'HS256' }],
      ['that is signed with a key of somebody else', { foreignKey: true }],
      ['that names a key which does not exist', { kid: 'unknown' }],
    ] as const) {
      it(`with a token ${what}`, async () => {
        const browser = await open();
        fixture.issuer.faults = faults;
        expect((await browser.login()).status).to.equal(403);
        expect(browser.cookies.size).to.equal(0);
      });
    }

    it('without a token', async () => {
      const browser = await open();
      fixture.issuer.faults = { withoutIdToken: true };
      expect((await browser.login()).status).to.equal(403);
    });

    it('from another issuer (mix-up), or without the name that it always sends', async () => {
      const browser = await open();
      for (const answerIssuer of ['https://elsewhere.example', null]) {
        fixture.issuer.faults = { answerIssuer };
        expect((await browser.login()).status).to.equal(403);
      }
      expect(fixture.issuer.asked).not.to.include('POST /token');
    });

    it('that has another name than the one that was asked for', async () => {
      await open();
      fixture.issuer.faults = { discovery: { issuer: 'https://elsewhere.example' } };
      expect((await fixture.browser().send('GET', '/login')).status).to.equal(403);
    });
  });

  describe('an issuer that does not answer as it should', () => {
    for (const [what, faults] of [
      ['sends too much', { padding: 300_000 }],
      ['sends people to plain http', { discovery: { authorization_endpoint: 'http://login.example/authorize' } }],
      ['sends people nowhere', { discovery: { authorization_endpoint: undefined } }],
      ['sends people to a script', { discovery: { authorization_endpoint: 'javascript:alert(1)' } }],
    ] as const) {
      it(`${what}`, async () => {
        await open();
        fixture.issuer.faults = faults;
        const { status, body, location } = await fixture.browser().send('GET', '/login');
        expect({ status, location }).to.deep.equal({ status: 502, location: undefined });
        expect(body['error']).to.equal('the issuer did not answer as it should');
      });
    }

    it('wants the code over plain http', async () => {
      const browser = await open();
      fixture.issuer.faults = { discovery: { token_endpoint: 'http://192.0.2.1/token' } };
      expect((await browser.login()).status).to.equal(502);
      expect(fixture.reason()).to.equal('http://192.0.2.1 is plain http, and not on this machine');
    });

    it('lets nobody in, and is told by a word of OAuth alone', async () => {
      const browser = await open();
      fixture.issuer.faults = { error: 'access_denied' };
      const { status, body } = await browser.login();
      expect({ status, error: body['error'] }).to.deep.equal({
        status: 403,
        error: 'the issuer has refused the login',
      });
      expect(fixture.reason()).to.equal('the issuer let nobody in: access_denied');
      fixture.issuer.faults = { error: 'Call +1 555 now' };
      await browser.login();
      expect(fixture.reason()).to.equal('the issuer let nobody in: an unknown error');
    });

    it('cannot be reached, and is not asked again by each who tries', async () => {
      await open({ issuerUrl: 'http://127.0.0.1:9' });
      for (const _ of [1, 2, 3]) expect((await fixture.browser().send('GET', '/login')).status).to.equal(502);
      expect(String(fixture.reason())).to.include('fetch failed');
    });

    it('is slow: the login ends, and it is asked again later', async () => {
      const browser = await open({ haste: 30 });
      fixture.issuer.faults = { slow: { '/.well-known/openid-configuration': 60_000 } };
      const { status } = await browser.send('GET', '/login');
      expect(status).to.equal(502);
      expect(fixture.reason()).to.equal('the issuer did not answer within 15 s');
      fixture.issuer.faults = {};
      fixture.time.aheadMs += 6_000;
      expect((await browser.login()).status).to.equal(303);
    });
  });

  describe('the keys of the issuer', () => {
    const now = Date.now;
    afterEach(() => {
      Date.now = now;
    });

    it('change: a login with the new one is let in, once a minute has passed', async () => {
      const browser = await open();
      expect((await browser.login()).status).to.equal(303);
      await fixture.issuer.rotate();
      expect((await browser.login()).status).to.equal(403);
      Date.now = () => now() + 61_000;
      expect((await browser.login()).status).to.equal(303);
    });

    it('are asked for once, however many tokens name one that does not exist', async () => {
      await open();
      fixture.issuer.faults = { kid: 'unknown' };
      await Promise.all(Array.from({ length: 5 }, () => fixture.browser().login()));
      await Promise.all(Array.from({ length: 5 }, () => fixture.browser().login()));
      expect(fixture.issuer.asked.filter((call) => call === 'GET /jwks')).to.have.length.at.most(5);
      expect(fixture.issuer.asked.filter((call) => call.endsWith('openid-configuration'))).to.have.length(1);
    }).timeout(30_000);
  });

  describe('a login belongs to the browser that began it', () => {
    it('and brings no other one in: a stranger’s answer logs nobody in as that stranger (login CSRF)', async () => {
      const stranger = await open();
      const victim = fixture.browser();
      const back = await stranger.ask();
      expect((await victim.send('GET', back)).status).to.equal(400);
      // Also while the victim has a login of its own under way.
      await victim.send('GET', '/login');
      expect((await victim.send('GET', back)).status).to.equal(400);
      const [, own = ''] = /state=([^&]+)/.exec(await victim.ask()) ?? [];
      expect((await victim.send('GET', back.replace(/state=[^&]+/, `state=${own}`))).status).to.equal(502);
      expect(fixture.reason()).to.equal('the issuer refused the code: invalid_grant');
      expect((await victim.send('GET', '/who')).body['name']).to.equal(null);
    });

    it('and ends it once: the same code and state again are refused, with the same cookie too', async () => {
      const browser = await open();
      const back = await browser.ask();
      const cookies = [...browser.cookies];
      expect((await browser.send('GET', back)).status).to.equal(303);
      const again = fixture.browser();
      for (const [name, value] of cookies) again.cookies.set(name, value);
      expect((await again.send('GET', back)).status).to.equal(400);
      expect(fixture.issuer.asked.filter((call) => call === 'POST /token')).to.have.length(1);
    });

    it('and takes ten minutes at most', async () => {
      const browser = await open();
      const back = await browser.ask();
      fixture.time.aheadMs += 600_001;
      expect((await browser.send('GET', back)).status).to.equal(400);
    });

    it('and is not made up: a cookie that was not sealed here is none', async () => {
      const browser = await open();
      const back = await browser.ask();
      const [[name = '', sealed = ''] = []] = [...browser.cookies];
      for (const forged of ['', 'x', sealed.slice(1), `${sealed}AAAA`, 'A'.repeat(200), 'A'.repeat(5_000)]) {
        const other = fixture.browser();
        other.cookies.set(name, forged);
        expect((await other.send('GET', back)).status, forged.slice(0, 20)).to.equal(400);
      }
    }).timeout(20_000);

    it('and says nothing of itself: state, nonce and verifier are sealed in the cookie', async () => {
      const browser = await open();
      await browser.ask();
      const sealed = Buffer.from([...browser.cookies.values()].join(''), 'base64url').toString('latin1');
      expect(sealed).not.to.include(fixture.issuer.lastQuestion().get('state') ?? '?');
      expect(sealed).not.to.include('verifier');
    });
  });

  describe('go back after the login', () => {
    it('to a path of the dispatcher', async () => {
      const browser = await open();
      const { location } = await browser.login(`/login?to=${encodeURIComponent('/jobs?state=queued#last')}`);
      expect(location).to.equal(`${fixture.origin}/jobs?state=queued#last`);
    });

    it('and nowhere else, whatever the address says (open redirect)', async () => {
      const browser = await open();
      for (const to of [
        ...['https://evil.example', '//evil.example', '/\\evil.example', '\\\\evil.example', '/\t/evil.example'],
        ...['/%09/evil.example\n', 'evil.example', '@evil.example', '.evil.example', ':8080/x', 'javascript:alert(1)'],
        ...['/ok\r\nSet-Cookie: a=b', '/login', '/login/callback', '/logout', `/${'x'.repeat(600)}`, ''],
      ]) {
        const { location } = await browser.login(`/login?to=${encodeURIComponent(to)}`);
        expect(location, to).to.equal(`${fixture.origin}/api/me`);
      }
      const twice = await browser.login('/login?to=/a&to=//evil.example');
      expect(twice.location).to.equal(`${fixture.origin}/api/me`);
      const odd = await browser.login(`/login?to=${encodeURIComponent('/.//evil.example')}`);
      expect(new URL(odd.location ?? '').origin).to.equal(fixture.origin);
    }).timeout(20_000);
  });

  describe('the session', () => {
    it('is a cookie for this host alone, over TLS alone, that no script reads', async () => {
      const browser = await open({ origin: PROXIED });
      const { setCookies } = await browser.login();
      const set = setCookies.find((cookie) => cookie.startsWith('__Host-shr-session='));
      expect(set).to.match(/^__Host-shr-session=[\w-]{43}; Path=\/; Max-Age=\d+; HttpOnly; SameSite=Lax; Secure$/);
    });

    it('over plain http, on this machine, is one without that protection', async () => {
      const browser = await open();
      const { setCookies } = await browser.login();
      const set = setCookies.find((cookie) => cookie.startsWith('shr-session='));
      expect(set).to.match(/; HttpOnly; SameSite=Lax$/);
    });

    it('is not taken from a cookie that another host can set', async () => {
      const browser = await open({ origin: PROXIED });
      await browser.login();
      const [[, secret = ''] = []] = [...browser.cookies];
      for (const name of ['shr-session', '__host-shr-session', '__Secure-shr-session']) {
        const other = fixture.browser();
        other.cookies.set(name, secret);
        expect((await other.send('GET', '/who')).body['name'], name).to.equal(null);
      }
      // Two of one name: one of them is not ours.
      const cookie = `__Host-shr-session=${secret}; __Host-shr-session=${'x'.repeat(43)}`;
      expect((await fixture.browser().send('GET', '/who', { cookie })).body['name']).to.equal(null);
    });

    it('is a new one after each login, and what the browser had before is over (fixation)', async () => {
      const browser = await open();
      await browser.login();
      const planted = browser.cookies.get('shr-session') ?? '';
      const victim = fixture.browser();
      victim.cookies.set('shr-session', planted);
      await victim.login();
      expect(victim.cookies.get('shr-session')).not.to.equal(planted);
      expect((await browser.send('GET', '/who')).status).to.equal(401);
      expect((await victim.send('GET', '/who')).status).to.equal(200);
    });

    it('ends with the token', async () => {
      const browser = await open({ issuer: { tokenS: 600 } });
      await browser.login();
      fixture.time.aheadMs += 590_000;
      expect((await browser.send('GET', '/who')).status).to.equal(200);
      fixture.time.aheadMs += 11_000;
      const { status, body } = await browser.send('GET', '/who');
      expect({ status, error: body['error'] }).to.deep.equal({ status: 401, error: 'the session has ended' });
      expect(browser.cookies.has('shr-session')).to.equal(false);
    });

    it('ends after 12 hours, however long the token holds', async () => {
      const browser = await open({ issuer: { tokenS: 30 * 86_400 } });
      await browser.login();
      fixture.time.aheadMs += 12 * HOUR - 1_000;
      expect((await browser.send('GET', '/who')).status).to.equal(200);
      fixture.time.aheadMs += 2_000;
      expect((await browser.send('GET', '/who')).status).to.equal(401);
    });

    it('ends with a logout, which says where the issuer’s own ends', async () => {
      const browser = await open();
      await browser.login();
      const before = [...browser.cookies];
      const csrf = await csrfOf(browser);
      const { status, body } = await browser.send('POST', '/logout', { origin: fixture.origin, 'x-csrf-token': csrf });
      expect(status).to.equal(200);
      const after = encodeURIComponent(`${fixture.origin}/`);
      expect(body).to.deep.equal({
        loggedOut: true,
        issuerLogout: `${fixture.issuer.issuer}/end?client_id=shr&post_logout_redirect_uri=${after}`,
      });
      expect(browser.cookies.size).to.equal(0);
      for (const [name, value] of before) browser.cookies.set(name, value);
      expect((await browser.send('GET', '/who')).status).to.equal(401);
      expect(fixture.audit.map(({ action }) => action)).to.deep.equal(['session.begin', 'session.end']);
    });

    it('loses at once what is taken from its group, and is over with the last of it', async () => {
      const browser = await open();
      await browser.login();
      fixture.say.access = [{ group: 'platform', role: 'viewer', tenants: ['web'] }];
      expect((await browser.send('GET', '/who')).body['rights']).to.deep.equal({
        viewer: ['web'],
        operator: [],
        admin: [],
      });
      fixture.say.access = [];
      expect((await browser.send('GET', '/who')).status).to.equal(401);
    });

    it('holds in ten browsers of a person at most: the oldest is logged out', async () => {
      await open();
      const browsers: Browser[] = [];
      for (let index = 0; index < 11; index += 1) {
        const browser = fixture.browser();
        await browser.login();
        browsers.push(browser);
      }
      const statuses = await Promise.all(browsers.map(async (one) => (await one.send('GET', '/who')).status));
      expect(statuses).to.deep.equal([401, ...Array.from({ length: 10 }, () => 200)]);
    }).timeout(20_000);
  });

  describe('a write with a session', () => {
    it('comes from a page of the dispatcher, with the token that only such a page can read', async () => {
      const browser = await open();
      await browser.login();
      const { origin } = fixture;
      const csrf = await csrfOf(browser);
      const statuses: Record<string, number> = {};
      for (const [what, headers] of [
        ['right', { origin, 'x-csrf-token': csrf }],
        ['no origin', { 'x-csrf-token': csrf }],
        ['another origin', { origin: 'https://evil.example', 'x-csrf-token': csrf }],
        ['a sandboxed page', { origin: 'null', 'x-csrf-token': csrf }],
        ['another port', { origin: 'http://127.0.0.1:1', 'x-csrf-token': csrf }],
        ['no token', { origin }],
        ['another token', { origin, 'x-csrf-token': 'x'.repeat(43) }],
      ] as const) {
        statuses[what] = (await browser.send('POST', '/who', headers)).status;
      }
      expect(statuses).to.deep.equal({
        ...{ right: 200, 'no origin': 403, 'another origin': 403, 'a sandboxed page': 403, 'another port': 403 },
        ...{ 'no token': 403, 'another token': 403 },
      });
      const other = fixture.browser();
      await other.login();
      const stolen = { origin, 'x-csrf-token': csrf };
      expect((await other.send('POST', '/who', stolen)).status).to.equal(403);
    });

    it('is also the logout: no page of others logs anybody out', async () => {
      const browser = await open();
      await browser.login();
      expect((await browser.send('POST', '/logout', { origin: 'https://evil.example' })).status).to.equal(403);
      expect((await browser.send('GET', '/who')).status).to.equal(200);
    });
  });

  it('that fail are slowed down, and fill no log', async () => {
    await open();
    const began = Date.now();
    for (let index = 0; index < 7; index += 1) await fixture.browser().send('GET', '/login/callback?code=x&state=y');
    // Five at once, then 250 ms and 500 ms.
    expect(Date.now() - began).to.be.greaterThan(700);
    const statuses = await Promise.all(
      Array.from({ length: 12 }, async () => (await fixture.browser().send('GET', '/login/callback?state=y')).status),
    );
    expect(statuses.filter((status) => status === 429)).to.have.length.greaterThan(2);
    expect(fixture.logged.filter(([event]) => event === 'admin.login-failed')).to.have.length(3);
    // Who logs in rightly is not slowed down.
    const right = Date.now();
    expect((await fixture.browser().login()).status).to.equal(303);
    expect(Date.now() - right).to.be.lessThan(1_000);
  }).timeout(30_000);

  it('leave no code, token or secret in the log', async () => {
    const browser = await open();
    const back = await browser.ask();
    await browser.send('GET', back);
    fixture.issuer.faults = { claims: { aud: 'another' } };
    const wrong = await browser.ask();
    await browser.send('GET', wrong);
    const shown = JSON.stringify(fixture.logged);
    for (const secret of [
      ...[back, wrong].map((url) => /code=([^&]+)/.exec(url)?.[1]),
      browser.cookies.get('shr-session'),
    ]) {
      expect(shown).not.to.include(secret ?? '?');
    }
    expect(shown).not.to.match(/eyJ/);
  });
});
