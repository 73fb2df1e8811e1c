import { expect } from 'chai';
import { tokenCreatedSchema, tokenListSchema, viewerSchema } from '../../dispatcher/http/admin-shapes.ts';
import { newToken } from '../../dispatcher/http/api-token.ts';
import { systemClock, systemRandom } from '../../time/clock.ts';
import { type Fixture, MINUTE, NOW, openFixture, TOKEN } from './admin-fixture.ts';
import { as, issue, openTenants, problemOf, tokenOf } from './tenants-fixture.ts';

const DAY = 24 * 60 * MINUTE;

describe('tokens of the admin API', () => {
  let fixture: Fixture;
  let nowMs: number;
  beforeEach(async () => {
    nowMs = NOW;
    fixture = await openTenants({ clock: { now: () => nowMs, after: systemClock.after } });
  });
  afterEach(() => fixture.close());

  const create = async (query: string, by = TOKEN) =>
    await fixture.ask(`/api/tokens?${query}`, { method: 'POST', ...as(by) });
  const created = async (query: string, by = TOKEN) => {
    const response = await create(query, by);
    expect(response.status).to.equal(201);
    return tokenCreatedSchema.parse(await response.json());
  };
  const listed = async (by = TOKEN) => tokenListSchema.parse(await (await fixture.ask('/api/tokens', as(by))).json());

  it('are shown once, and only a hash of each is kept or logged', async () => {
    const { token, of } = await created('name=ci&role=operator&tenants=team-a&expires=30d');
    expect(of).to.deep.equal({
      id: of.id,
      name: 'ci',
      role: 'operator',
      tenants: ['team-a'],
      state: 'in-force',
      createdAt: new Date(NOW).toISOString(),
      createdBy: 'adminToken',
      expiresAt: new Date(NOW + 30 * DAY).toISOString(),
      revokedAt: null,
      revokedBy: null,
    });
    const told = JSON.stringify([
      await listed(),
      await fixture.ledger.tokens(),
      await fixture.ledger.audits({ limit: 9 }),
    ]);
    expect(told).to.include('"ci"');
    expect(`${told}${fixture.logged.join('')}`).to.not.include(token.slice(4, 30));
  });

  it('open what they are for, and say who asks', async () => {
    const { token } = await created('name=ci&role=viewer&tenants=team-a');
    const me = await fixture.ask('/api/me', as(token));
    expect(viewerSchema.parse(await me.json())).to.deep.include({ name: 'ci', role: 'viewer', tenants: ['team-a'] });
  });

  it('end after 90 days where nothing else is said', async () => {
    expect((await created('name=ci&role=viewer')).of.expiresAt).to.equal(new Date(NOW + 90 * DAY).toISOString());
    expect((await created('name=cd&role=viewer&expires=never')).of.expiresAt).to.equal(null);
    for (const wrong of ['0s', '5', '9000d', '']) {
      expect((await create(`name=x&role=viewer&expires=${wrong}`)).status, wrong).to.equal(400);
    }
  });

  it('are refused from the moment on when they are revoked, with words', async () => {
    const { token, of } = await created('name=ci&role=viewer');
    expect((await fixture.ask('/api/jobs', as(token))).status).to.equal(200);
    const revoked = await fixture.ask(`/api/tokens/${of.id}/revoke`, { method: 'POST', ...as(TOKEN) });
    expect(revoked.status).to.equal(200);
    const refused = await fixture.ask('/api/jobs', as(token));
    expect([refused.status, (await problemOf(refused)).error]).to.deep.equal([
      401,
      'the token ci was revoked at 2026-03-04T12:00:00.000Z by adminToken',
    ]);
  });

  it('are refused from the moment on when they expire, with words', async () => {
    const { token } = await created('name=ci&role=viewer&expires=1h');
    nowMs = NOW + 60 * MINUTE - 1;
    expect((await fixture.ask('/api/jobs', as(token))).status).to.equal(200);
    nowMs += 1;
    const refused = await fixture.ask('/api/jobs', as(token));
    expect([refused.status, (await problemOf(refused)).error]).to.deep.equal([
      401,
      'the token ci expired at 2026-03-04T13:00:00.000Z',
    ]);
  });

  it('that are cut or mistyped are told from those that are not known', async () => {
    const { token } = await created('name=ci&role=viewer');
    expect((await problemOf(await fixture.ask('/api/jobs', as(token.slice(0, -1))))).error).to.equal(
      'the token is not whole',
    );
    expect((await problemOf(await fixture.ask('/api/jobs', as(newToken(systemRandom))))).error).to.equal('wrong token');
  });

  it('that are wrong are slowed down, and logged once', async () => {
    for (let index = 0; index < 5; index += 1) {
      expect((await fixture.ask('/api/jobs', as(newToken(systemRandom)))).status).to.equal(401);
    }
    expect(fixture.logged.filter((line) => line.includes('admin.wrong-token'))).to.have.length(1);
    const startMs = performance.now();
    expect((await fixture.ask('/api/jobs', as(newToken(systemRandom)))).status).to.equal(401);
    expect(performance.now() - startMs).to.be.greaterThan(200);
  });

  it('have names of their own while they are in force', async () => {
    await created('name=ci&role=viewer');
    expect((await create('name=ci&role=viewer')).status).to.equal(409);
    for (const name of ['admintoken', 'local', 'With%20space', '-x', '', '01kbwt0000000000000000000a']) {
      expect((await create(`name=${name}&role=viewer`)).status, name).to.equal(400);
    }
  });

  it('of tenants tell nothing of the names that others have', async () => {
    const admin = await issue(fixture.ledger, { role: 'admin', tenants: ['team-a'] });
    await created('name=ci&role=viewer&tenants=team-g');
    expect((await create('name=ci&role=viewer&tenants=team-a', admin)).status).to.equal(201);
    expect((await create('name=ci&role=viewer&tenants=team-a', admin)).status).to.equal(409);
  });

  it('are for tenants that there are', async () => {
    expect((await problemOf(await create('name=x&role=viewer&tenants=team-x'))).error).to.equal(
      'there is no tenant team-x',
    );
  });

  it('of tenants make tokens of their own tenants alone, which end no later than they do', async () => {
    const admin = await issue(fixture.ledger, { role: 'admin', tenants: ['team-a'], expiresAtMs: NOW + DAY });
    expect((await create('name=x&role=viewer', admin)).status).to.equal(403);
    expect((await create('name=x&role=viewer&tenants=team-g', admin)).status).to.equal(403);
    expect((await create('name=x&role=viewer&tenants=team-a,team-g', admin)).status).to.equal(403);
    const { of } = await created('name=own&role=admin&tenants=team-a&expires=never', admin);
    expect(of.expiresAt).to.equal(new Date(NOW + DAY).toISOString());
  });

  it('of tenants see and revoke those of their own tenants alone', async () => {
    const admin = await tokenOf(fixture.ledger, 'admin', ['team-a']);
    const own = await created('name=own&role=viewer&tenants=team-a');
    const others = [
      await created('name=wide&role=viewer'),
      await created('name=both&role=viewer&tenants=team-a,team-g'),
      await created('name=other&role=viewer&tenants=team-g'),
    ];
    expect((await listed(admin)).tokens.map(({ name }) => name))
      .to.include('own')
      .and.to.have.length(2);
    for (const { of } of others) {
      const response = await fixture.ask(`/api/tokens/${of.id}/revoke`, { method: 'POST', ...as(admin) });
      expect([response.status, (await fixture.ledger.token(of.id))?.revokedAtMs]).to.deep.equal([404, null]);
    }
    const revoked = await fixture.ask(`/api/tokens/${own.of.id}/revoke`, { method: 'POST', ...as(admin) });
    expect(revoked.status).to.equal(200);
  });

  it('work beside no admin token too, where this machine is trusted', async () => {
    const open = await openFixture({ token: undefined });
    try {
      const token = await issue(open.ledger, { role: 'viewer' });
      const status = async (init: RequestInit) => (await open.ask('/api/tokens', init)).status;
      expect(await status({ headers: {} })).to.equal(200);
      expect(await status(as(token))).to.equal(403);
      expect(await status(as(newToken(systemRandom)))).to.equal(401);
      expect(await status(as('whatever a scraper sends'.replaceAll(' ', '-')))).to.equal(200);
    } finally {
      await open.close();
    }
  });
});
