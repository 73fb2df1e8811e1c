import { expect } from 'chai';
import { AdminProblem } from '../../dispatcher/http/admin-problem.ts';
import { WRITES_OF_A_TENANT, WRITES_OF_A_TOKEN, WriteRates } from '../../dispatcher/http/write-rates.ts';
import { type Fixture, TOKEN } from './admin-fixture.ts';
import { as, issue, openTenants } from './tenants-fixture.ts';

describe('writes of the admin API', () => {
  describe('in the audit trail', () => {
    let fixture: Fixture;
    beforeEach(async () => {
      fixture = await openTenants();
    });
    afterEach(() => fixture.close());

    const write = (path: string, token: string, method = 'POST') =>
      fixture.ask(`/api/${path}`, { method, ...as(token) });
    const rows = async () => (await fixture.ledger.audits({ limit: 1_000 })).length;

    it('are bounded for a token, refused ones too: beyond the bound 429 with Retry-After, and nothing is recorded', async () => {
      const viewer = await issue(fixture.ledger, { name: 'looker', role: 'viewer', tenants: ['team-a'] });
      for (let count = 0; count < WRITES_OF_A_TOKEN; count += 1) {
        const [method, path] =
          count % 2 === 0
            ? (['POST', 'runners/shr-acme/forget'] as const)
            : (['DELETE', 'registrations/acme'] as const);
        expect((await write(path, viewer, method)).status).to.equal(403);
      }
      expect(await rows()).to.equal(WRITES_OF_A_TOKEN);
      for (const [method, path] of [
        ['POST', 'registrations/acme/pause'],
        ['PUT', 'registrations/acme'],
        ['DELETE', 'registrations/acme'],
      ] as const) {
        const refused = await write(path, viewer, method);
        expect(refused.status, path).to.equal(429);
        expect(refused.headers.get('retry-after'), path).to.equal('60');
        const text = await refused.text();
        expect(text).to.include('the limit is 120 for looker').and.include('Try again in 60 s');
      }
      expect(await rows()).to.equal(WRITES_OF_A_TOKEN);
      expect((await fixture.ask('/api/lanes', as(viewer))).status, 'reads go on').to.equal(200);
      const other = await issue(fixture.ledger, { name: 'ops-a', role: 'operator', tenants: ['team-a'] });
      expect((await write('runners/shr-acme/forget', other)).status, 'another token').to.equal(202);
      expect((await write('runners/shr-acme/forget', TOKEN)).status, 'the platform').to.not.equal(429);
      const lines = fixture.logged.filter((line) => line.includes('admin.too-many-writes'));
      expect(lines).to.have.length(3);
      expect(JSON.parse(lines[0] ?? '')).to.include({ by: 'looker' });
    });
  });

  describe('in a minute', () => {
    let now: number;
    let logged: unknown[];
    let rates: WriteRates;
    beforeEach(() => {
      now = 1_000_000;
      logged = [];
      rates = new WriteRates({ now: () => now }, { warn: (_event, fields) => void logged.push(fields) });
    });
    const taken = (id: string, tenants: readonly string[] | null, times = 1) => {
      let fitting = 0;
      for (let count = 0; count < times; count += 1) {
        try {
          rates.spend({ id, name: id, tenants });
          fitting += 1;
        } catch (error) {
          if (!(error instanceof AdminProblem)) throw error;
        }
      }
      return fitting;
    };

    it('fit again when the first of them is a minute old, and those that were refused do not count', () => {
      expect(taken('a', ['t'], 500)).to.equal(WRITES_OF_A_TOKEN);
      now += 59_999;
      expect(taken('a', ['t'], 500)).to.equal(0);
      now += 1;
      expect(taken('a', ['t'], 500)).to.equal(WRITES_OF_A_TOKEN);
      expect(logged).to.deep.include({ by: 'a', leftOut: 877 });
    });

    it('are bounded for all tokens of a tenant, however many it makes, and take none of another’s', () => {
      const all = Array.from({ length: 50 }, (_, token) => taken(`t-${token}`, ['t', 'u'], 100));
      expect(all.reduce((sum, one) => sum + one, 0)).to.equal(WRITES_OF_A_TENANT);
      expect(taken('u-1', ['u'], 100)).to.equal(100);
      for (let token = 0; token < 50; token += 1) expect(taken(`platform-${token}`, null, 100)).to.equal(100);
    });
  });
});
