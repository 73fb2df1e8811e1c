/** Tokens and the audit trail, on every store. */
import { expect } from 'chai';
import {
  type AuditRow,
  type Ledger,
  MAX_TOKENS,
  MAX_TOKENS_OF_TENANT,
  type TokenRow,
} from '../../dispatcher/ledger/ledger.ts';
import type { Place } from './opened-ledger.ts';

const token = (name: string, change: Partial<TokenRow> = {}): TokenRow => ({
  id: `id-${name}`,
  name,
  hash: `hash of ${name}`,
  role: 'viewer',
  tenants: null,
  createdAtMs: 1_000,
  createdBy: 'adminToken',
  sessionId: null,
  expiresAtMs: null,
  revokedAtMs: null,
  revokedBy: null,
  ...change,
});

const entry = (id: string, change: Partial<AuditRow> = {}): AuditRow => ({
  id,
  atMs: 1_000,
  actorId: 'id-ops',
  actorName: 'ops',
  action: 'runner.forget',
  subject: 'runner r1',
  tenant: null,
  share: '',
  status: null,
  outcome: null,
  ...change,
});

export function describeAccess(name: string, newPlace: () => Promise<Place>): void {
  describe(`access to the API, in the ledger on ${name}`, () => {
    let place: Place;
    let ledger: Ledger;
    let nowMs: number;
    beforeEach(async () => {
      nowMs = 50_000;
      place = await newPlace();
      ledger = await place.open(() => nowMs);
    });
    afterEach(async () => {
      await ledger.close();
      await place.discard();
    });

    it('keeps a token with its scope, and finds it by its hash after a restart', async () => {
      const row = token('ci', { role: 'operator', tenants: ['acme', 'globex'], expiresAtMs: 90_000 });
      expect(await ledger.createToken(row)).to.equal('created');
      await ledger.close();
      ledger = await place.open(() => nowMs);
      expect(await ledger.tokenByHash('hash of ci')).to.deep.equal(row);
      expect(await ledger.token('id-ci')).to.deep.equal(row);
      expect(await ledger.tokenByHash('hash of another')).to.equal(undefined);
    });

    it('gives a name to one token in force, and again once it is over', async () => {
      await ledger.createToken(token('ci', { expiresAtMs: 60_000 }));
      const next = token('ci', { id: 'two', hash: 'two' });
      expect(await ledger.createToken(next)).to.equal('taken');
      nowMs = 60_000;
      expect(await ledger.createToken(next)).to.equal('created');
      expect((await ledger.tokens()).map(({ id }) => id)).to.deep.equal(['two', 'id-ci']);
    });

    it('gives a name once to the tokens of the same tenants, and a tenant a hundred places', async () => {
      await ledger.createToken(token('ci', { tenants: ['acme', 'globex'] }));
      const other = (id: string, tenants: readonly string[] | null) =>
        ledger.createToken(token('ci', { id, hash: id, tenants }));
      expect(await other('two', ['globex', 'acme'])).to.equal('taken');
      expect(await other('three', ['acme'])).to.equal('created');
      expect(await other('four', null)).to.equal('created');
      for (let index = 2; index < MAX_TOKENS_OF_TENANT; index += 1) {
        expect(await ledger.createToken(token(`t${index}`, { tenants: ['acme'] }))).to.equal('created');
      }
      expect(await ledger.createToken(token('more', { tenants: ['acme'] }))).to.equal('full');
      expect(await ledger.createToken(token('more', { tenants: ['globex'] }))).to.equal('created');
    });

    it('gives each tenant places of its own, in which its tokens that are over make room for its next ones', async () => {
      for (let tenant = 0; tenant < 11; tenant += 1) {
        for (let index = 0; index < MAX_TOKENS_OF_TENANT; index += 1) {
          await ledger.createToken(token(`a${tenant}-${index}`, { tenants: [`team-${tenant}`] }));
        }
      }
      expect(await ledger.createToken(token('ci', { tenants: ['quiet'] }))).to.equal('created');
      expect(await ledger.createToken(token('platforms'))).to.equal('created');
      for (let index = 0; index < 2 * MAX_TOKENS_OF_TENANT; index += 1) {
        const name = `b${index}`;
        expect(await ledger.createToken(token(name, { tenants: ['busy'] }))).to.equal('created');
        await ledger.revokeToken(`id-${name}`, 'ops', 40_000 + index);
      }
      await ledger.revokeToken('id-ci', 'ops', 1);
      expect(await ledger.createToken(token('next', { tenants: ['busy'] }))).to.equal('created');
      const of = async (name: string) => await ledger.token(`id-${name}`);
      expect([await of('b0'), (await of('b1'))?.name, (await of('ci'))?.name]).to.deep.equal([undefined, 'b1', 'ci']);
    });

    it('revokes once: who did it first, and when, stays', async () => {
      await ledger.createToken(token('ci'));
      expect(await ledger.revokeToken('id-ci', 'ops', 51_000)).to.include({ revokedAtMs: 51_000, revokedBy: 'ops' });
      expect(await ledger.revokeToken('id-ci', 'later', 52_000)).to.include({ revokedAtMs: 51_000, revokedBy: 'ops' });
      expect(await ledger.revokeToken('none', 'ops', 51_000)).to.equal(undefined);
    });

    it('holds a thousand tokens, and gives up the one that has been over the longest', async () => {
      for (let index = 0; index < MAX_TOKENS; index += 1) await ledger.createToken(token(`t${index}`));
      expect(await ledger.createToken(token('more'))).to.equal('full');
      await ledger.revokeToken('id-t7', 'ops', 49_000);
      await ledger.revokeToken('id-t3', 'ops', 48_000);
      expect(await ledger.createToken(token('more'))).to.equal('created');
      expect(await ledger.token('id-t3')).to.equal(undefined);
      expect(await ledger.token('id-t7')).to.not.equal(undefined);
    });

    it('shows the audit trail newest first, by tenant, actor and action, in pages', async () => {
      await ledger.beginAudit(entry('01'));
      await ledger.beginAudit(entry('02', { tenant: 'acme', actorName: 'ci' }));
      await ledger.beginAudit(entry('03', { tenant: 'globex', action: 'token.create' }));
      await ledger.endAudit('02', 403, 'not allowed');
      const ids = async (filter: Partial<Parameters<Ledger['audits']>[0]>) =>
        (await ledger.audits({ limit: 10, ...filter })).map(({ id }) => id);
      expect(await ids({})).to.deep.equal(['03', '02', '01']);
      expect(await ids({ tenants: ['acme'] })).to.deep.equal(['02']);
      expect(await ids({ tenants: [] })).to.deep.equal([]);
      expect(await ids({ actor: 'ops' })).to.deep.equal(['03', '01']);
      expect(await ids({ action: 'token.create' })).to.deep.equal(['03']);
      expect(await ids({ limit: 1, before: '03' })).to.deep.equal(['02']);
      expect(await ledger.audits({ tenants: ['acme'], limit: 1 })).to.deep.equal([
        entry('02', { tenant: 'acme', actorName: 'ci', status: 403, outcome: 'not allowed' }),
      ]);
    });

    it('prunes the trail by age, and beyond its number that of the one who did the most', async () => {
      const days = (count: number) => count * 24 * 3_600_000;
      nowMs = days(1_000);
      await ledger.beginAudit(entry('00', { atMs: days(1_000 - 401) }));
      for (const id of ['01', '02', '03', '04']) await ledger.beginAudit(entry(id, { atMs: nowMs }));
      await ledger.beginAudit(entry('05', { actorId: 'id-quiet', atMs: nowMs }));
      const none = { deliveriesMs: 1, jobsMs: 1, runnersMs: 1, maxDeliveries: 1, maxJobs: 1, maxRunners: 1 };
      const prune = () => ledger.prune(nowMs, { ...none, maxAudit: 3 }, 100);
      let pruned = 0;
      for (let changed = await prune(); changed > 0; changed = await prune()) pruned += changed;
      expect(pruned).to.equal(3);
      expect((await ledger.audits({ limit: 10 })).map(({ id }) => id)).to.deep.equal(['05', '04', '03']);
    });

    it('prunes the trail of the tenant that did the most, however many tokens it did it with', async () => {
      for (let index = 10; index < 18; index += 1) {
        await ledger.beginAudit(entry(`${index}`, { actorId: `id-${index}`, share: 'busy', atMs: nowMs }));
      }
      for (const id of ['20', '21', '22']) await ledger.beginAudit(entry(id, { share: 'quiet', atMs: nowMs }));
      await ledger.beginAudit(entry('30', { atMs: nowMs }));
      const none = { deliveriesMs: 1, jobsMs: 1, runnersMs: 1, maxDeliveries: 1, maxJobs: 1, maxRunners: 1 };
      const prune = () => ledger.prune(nowMs, { ...none, maxAudit: 7 }, 100);
      for (let changed = await prune(); changed > 0; ) changed = await prune();
      const left = (await ledger.audits({ limit: 20 })).map(({ share }) => share);
      expect(left.filter((share) => share === 'quiet')).to.have.length(3);
      expect(left.filter((share) => share === 'busy')).to.have.length(3);
      expect(left.filter((share) => share === '')).to.have.length(1);
    });
  });
}
