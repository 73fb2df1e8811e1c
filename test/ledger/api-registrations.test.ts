import { expect } from 'chai';
import type { ApiRegistration, Ledger } from '../../dispatcher/ledger/ledger.ts';
import { openSqliteLedger } from '../../dispatcher/ledger/sqlite.ts';
import { systemClock } from '../../time/clock.ts';

const acme: ApiRegistration = {
  ...{ name: 'acme', document: 'organization: acme\n', hash: 'one', tenant: 'team-a' },
  ...{ putBy: 'portal', putAtMs: 1_000 },
};

describe('registrations that the admin API was given', () => {
  let ledger: Ledger;
  beforeEach(async () => {
    ledger = await openSqliteLedger({
      ...{ path: ':memory:', now: systemClock.now, areStrangers: () => false, gather: setImmediate },
      after: systemClock.after,
    });
  });
  afterEach(() => ledger.close());

  it('are what was put last, and listed by name without what they say', async () => {
    expect(await ledger.putApiRegistration({ ...acme, name: 'zeta', tenant: null }, undefined)).to.equal('put');
    expect(await ledger.putApiRegistration(acme, undefined)).to.equal('put');
    const changed = { ...acme, document: 'organization: emca\n', hash: 'two', putAtMs: 2_000, putBy: 'another' };
    expect(await ledger.putApiRegistration(changed, undefined)).to.equal('put');
    expect(await ledger.apiRegistration('acme')).to.deep.equal(changed);
    const { document: _, ...entry } = changed;
    expect(await ledger.apiRegistrations()).to.deep.equal([
      entry,
      { name: 'zeta', hash: 'one', tenant: null, putBy: 'portal', putAtMs: 1_000 },
    ]);
  });

  it('are written where they are as the writer knows them alone', async () => {
    expect(await ledger.putApiRegistration(acme, 'one')).to.equal('other');
    expect(await ledger.apiRegistration('acme')).to.equal(undefined);
    expect(await ledger.putApiRegistration(acme, null)).to.equal('put');
    expect(await ledger.putApiRegistration({ ...acme, hash: 'two' }, null)).to.equal('other');
    expect(await ledger.putApiRegistration({ ...acme, hash: 'two' }, 'zero')).to.equal('other');
    expect(await ledger.putApiRegistration({ ...acme, hash: 'two' }, 'one')).to.equal('put');
  });

  it('are deleted in the same way', async () => {
    expect(await ledger.deleteApiRegistration('acme', undefined)).to.equal('absent');
    await ledger.putApiRegistration(acme, undefined);
    expect(await ledger.deleteApiRegistration('acme', 'two')).to.equal('other');
    expect(await ledger.deleteApiRegistration('acme', 'one')).to.equal('deleted');
    expect(await ledger.apiRegistrations()).to.deep.equal([]);
  });
});
