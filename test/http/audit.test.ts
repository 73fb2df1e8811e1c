import { expect } from 'chai';
import { auditListSchema } from '../../dispatcher/http/admin-shapes.ts';
import { LedgerError } from '../../dispatcher/ledger/ledger.ts';
import { type Fixture, openFixture, TOKEN } from './admin-fixture.ts';
import { as, issue, openTenants } from './tenants-fixture.ts';

describe('the audit trail', () => {
  let fixture: Fixture;
  beforeEach(async () => {
    fixture = await openTenants();
  });
  afterEach(() => fixture.close());

  const post = async (path: string, token = TOKEN) =>
    await fixture.ask(`/api/${path}`, { method: 'POST', ...as(token) });
  const entries = async (token = TOKEN, query = '') =>
    auditListSchema.parse(await (await fixture.ask(`/api/audit${query}`, as(token))).json()).entries;

  it('has who did what, when and how it ended, of each write', async () => {
    const ops = await issue(fixture.ledger, { id: '0000000000000000000000000a', name: 'ops', role: 'operator' });
    await post('runners/shr-acme/forget', ops);
    await post('backends/globex/main/reset');
    await post('tokens?name=ci&role=viewer&tenants=team-a');
    const seen = (await entries()).toSorted((one, other) => one.action.localeCompare(other.action));
    expect(seen.map(({ id, ...rest }) => rest)).to.deep.equal([
      {
        at: '2026-03-04T12:00:00.000Z',
        actor: { id: 'adminToken', name: 'adminToken' },
        action: 'backends.reset',
        subject: 'backend globex/main',
        tenant: 'team-g',
        status: 200,
        outcome: null,
      },
      {
        at: '2026-03-04T12:00:00.000Z',
        actor: { id: '0000000000000000000000000a', name: 'ops' },
        action: 'runner.forget',
        subject: 'runner shr-acme',
        tenant: 'team-a',
        status: 202,
        outcome: null,
      },
      {
        at: '2026-03-04T12:00:00.000Z',
        actor: { id: 'adminToken', name: 'adminToken' },
        action: 'token.create',
        subject: 'token ci',
        tenant: 'team-a',
        status: 201,
        outcome: seen[2]?.outcome ?? '',
      },
    ]);
    expect(seen[2]?.outcome).to.match(/^viewer of team-a, until 2026-06-02T12:00:00\.000Z, id [0-9a-z]{26}$/);
  });

  it('has what was refused, with the reason', async () => {
    const viewer = await issue(fixture.ledger, { name: 'looker', role: 'viewer', tenants: ['team-a'] });
    const operator = await issue(fixture.ledger, { name: 'ops-a', role: 'operator', tenants: ['team-a'] });
    await post('runners/shr-acme/forget', viewer);
    await post('runners/shr-globex/forget', operator);
    const seen = (await entries()).map(({ actor, status, outcome, tenant }) => [actor.name, status, tenant, outcome]);
    expect(seen).to.have.deep.members([
      ['looker', 403, 'team-a', 'the token looker has the role viewer, and this needs operator'],
      ['ops-a', 404, 'team-a', 'no runner shr-globex'],
    ]);
    expect(fixture.forgotten).to.deep.equal([]);
  });

  it('shows a tenant what was done to what is its own, by whomever, and nothing else', async () => {
    const operator = await issue(fixture.ledger, { name: 'ops-a', role: 'operator', tenants: ['team-a'] });
    await post('runners/shr-acme/forget');
    await post('runners/shr-globex/forget');
    await post('tokens?name=wide&role=viewer');
    expect((await entries(operator)).map(({ subject, actor }) => [subject, actor.name])).to.deep.equal([
      ['runner shr-acme', 'adminToken'],
    ]);
  });

  it('tells no tenant what another asked for in its name', async () => {
    const other = await issue(fixture.ledger, { name: 'a-admin', role: 'admin', tenants: ['team-a'] });
    const path = '/api/tokens?name=mine&role=viewer&tenants=team-g';
    expect((await fixture.ask(path, { method: 'POST', ...as(other) })).status).to.equal(403);
    const [own, theirs] = await Promise.all(
      ['team-a', 'team-g'].map(async (tenant) => {
        const token = await issue(fixture.ledger, { role: 'operator', tenants: [tenant] });
        return await (await fixture.ask('/api/audit', as(token))).text();
      }),
    );
    expect(own).to.include('token mine');
    expect(theirs).to.not.include('token mine');
  });

  it('comes in pages, and by actor and action', async () => {
    for (const name of ['one', 'two', 'three']) await post(`tokens?name=${name}&role=viewer`);
    await post('runners/shr-acme/forget');
    expect(await entries(TOKEN, '?action=runner.forget')).to.have.length(1);
    expect(await entries(TOKEN, '?actor=nobody')).to.have.length(0);
    const read: string[] = [];
    let query = '?limit=2';
    for (;;) {
      const page = auditListSchema.parse(await (await fixture.ask(`/api/audit${query}`)).json());
      read.push(...page.entries.map(({ id }) => id));
      if (page.next === null) break;
      query = `?limit=2&cursor=${page.next}`;
    }
    expect(read)
      .to.deep.equal((await entries()).map(({ id }) => id))
      .and.to.have.length(4);
  });

  it('comes first: what cannot be recorded is not done', async () => {
    const { ledger } = fixture;
    const broken = await openFixture({
      ledger: {
        ...ledger,
        beginAudit: async () => {
          throw new LedgerError('full', 'make room');
        },
      },
    });
    try {
      const answer = await broken.ask('/api/backends/acme/reset', { method: 'POST', ...as(TOKEN) });
      expect([answer.status, broken.resets]).to.deep.equal([503, []]);
    } finally {
      await broken.close();
    }
  });

  it('says of what failed that it did, and keeps an entry without an end where the dispatcher ended', async () => {
    const failing = await openFixture({
      ledger: fixture.ledger,
      resetBackends: async () => {
        throw new TypeError('a defect');
      },
    });
    try {
      await failing.ask('/api/backends/acme/reset', { method: 'POST', ...as(TOKEN) });
    } finally {
      await failing.close();
    }
    expect((await entries()).map(({ status, outcome }) => [status, outcome])).to.deep.equal([
      [500, 'a defect, or the ledger failed: see the log'],
    ]);
  });
});
