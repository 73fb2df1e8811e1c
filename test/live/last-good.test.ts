import { expect } from 'chai';
import { inspectConfiguration, loadConfiguration } from '../../dispatcher/config/load.ts';
import type { Ledger } from '../../dispatcher/ledger/ledger.ts';
import { openSqliteLedger } from '../../dispatcher/ledger/sqlite.ts';
import { LastGoodVersions } from '../../dispatcher/live/last-good.ts';
import { Secret } from '../../dispatcher/model/registration.ts';
import { dispatcherYaml, registrationYaml, sourcesOf } from '../config/files.ts';

const TOKEN = { adminToken: new Secret('an-admin-token-of-32-characters!') };

describe('the last versions of registrations without problems', () => {
  let ledger: Ledger;

  beforeEach(async () => {
    ledger = await openSqliteLedger({ path: ':memory:', now: () => 1 });
  });
  afterEach(() => ledger.close());

  it('are found again by the next process, and by no other token', async () => {
    await new LastGoodVersions(ledger, TOKEN).keep([{ name: 'acme', text: registrationYaml }]);
    expect(await new LastGoodVersions(ledger, TOKEN).of('acme')).to.equal(registrationYaml);
    expect(await new LastGoodVersions(ledger, TOKEN).of('emca')).to.equal(undefined);
    const other = { adminToken: new Secret('another-admin-token-of-32-chars!') };
    expect(await new LastGoodVersions(ledger, other).of('acme')).to.equal(undefined);
  });

  it('are not readable in the ledger, and not of use under another name', async () => {
    await new LastGoodVersions(ledger, TOKEN).keep([{ name: 'acme', text: registrationYaml }]);
    const row = await ledger.registrationVersion('acme');
    expect(row?.sealed).to.not.include('organization');
    expect(Buffer.from(row?.sealed ?? '', 'base64').toString()).to.not.include('organization');
    if (row !== undefined) await ledger.putRegistrationVersions([{ ...row, name: 'emca' }]);
    expect(await new LastGoodVersions(ledger, TOKEN).of('emca')).to.equal(undefined);
  });

  it('do not go over to another tenant with their name', async () => {
    const owned = (tenant: string) => `${dispatcherYaml}tenants:
  ${tenant}: { registrations: [shared], hosts: [github.com], owners: [acme], labels: ["*"], runnerGroups: [Default], backendKinds: [docker], credentials: [app] }
credentials: { app: { token: "\${env:GITHUB_TOKEN}" } }
`;
    const good = registrationYaml.replace('token: ${env:GITHUB_TOKEN}', 'use: app');
    const files = (tenant: string, text: string) => ({
      'dispatcher.yaml': owned(tenant),
      'registrations/shared.yaml': text,
    });
    const before = await loadConfiguration(sourcesOf(files('acme', good)));
    if (!before.ok) throw new Error(JSON.stringify(before.problems));
    await new LastGoodVersions(ledger, TOKEN).keep(before.good);
    const inForce = async (tenant: string) => {
      const versions = new LastGoodVersions(ledger, TOKEN);
      const loaded = await inspectConfiguration(
        sourcesOf(files(tenant, 'nonsense: 1'), { lastGood: (_dispatcher, name, owner) => versions.of(name, owner) }),
        'required',
      );
      return loaded.kept.map(({ name }) => name);
    };
    expect(await inForce('acme')).to.deep.equal(['shared']);
    expect(await inForce('emca')).to.deep.equal([]);
  });

  it('are written where they are others than before, and deleted with their registration', async () => {
    let written = 0;
    const counting: Ledger = {
      ...ledger,
      putRegistrationVersions: (some) => {
        written += some.length;
        return ledger.putRegistrationVersions(some);
      },
    };
    const all = ['a', 'b', 'c'].map((name) => ({ name, text: `text of ${name}` }));
    await new LastGoodVersions(counting, TOKEN).keep(all);
    const again = new LastGoodVersions(counting, TOKEN);
    await again.keep(all);
    expect(written).to.equal(3);
    await again.keep([{ name: 'b', text: 'another' }]);
    expect(written).to.equal(4);
    await again.keepOnly(new Set(['b']), true);
    expect([...(await ledger.registrationHashes()).keys()]).to.deep.equal(['b']);
    expect(await again.of('b')).to.equal('another');
  });

  it('are those of registrations that are set aside, too, and the next process knows which', async () => {
    const asideNext = async () => [...(await new LastGoodVersions(ledger, TOKEN).aside())];
    expect(await asideNext()).to.deep.equal([]);
    const versions = new LastGoodVersions(ledger, TOKEN);
    const all = ['a', 'b', 'c'];
    await versions.keep(all.map((name) => ({ name, text: name })));
    await versions.keepAside(new Set(['b', 'a', 'unknown']), new Set([...all, 'unknown']), true);
    expect(await asideNext()).to.deep.equal(['a', 'b']);
    await versions.keepOnly(new Set(all), true);
    expect(await versions.of('a')).to.equal('a');
    const later = new LastGoodVersions(ledger, TOKEN);
    await later.keepAside(new Set(['c']), new Set(['b', 'c']), false);
    expect(await asideNext(), 'a was not read yet').to.deep.equal(['a', 'c']);
    await later.keepAside(new Set(), new Set(all), true);
    expect(await asideNext()).to.deep.equal([]);
    expect((await ledger.registrationHashes()).size).to.equal(3);
  });

  it('stay where not all registrations are known, but not all that one process gave names to', async () => {
    await new LastGoodVersions(ledger, TOKEN).keep(['y', 'z'].map((name) => ({ name, text: name })));
    const versions = new LastGoodVersions(ledger, TOKEN);
    for (let from = 0; from < 1_000; from += 100) {
      const some = Array.from({ length: 100 }, (_, index) => ({ name: `a-${from + index}`, text: 'x' }));
      await versions.keep([...some, { name: 'present', text: 'x' }]);
      await versions.keepOnly(new Set(['present', ...some.map(({ name }) => name)]), false);
    }
    await versions.keepOnly(new Set(['present']), false);
    const left = [...(await ledger.registrationHashes()).keys()];
    expect(left).to.have.length(503).and.include.members(['y', 'z', 'present', 'a-0', 'a-499']);
    await versions.keepOnly(new Set(['present']), true);
    expect([...(await ledger.registrationHashes()).keys()]).to.deep.equal(['present']);
  });

  it('are in force at a start with a broken file, with their references resolved anew', async () => {
    const sources = sourcesOf(
      { 'dispatcher.yaml': dispatcherYaml, 'registrations/acme.yaml': `${registrationYaml}nonsense: 1\n` },
      { lastGood: async (_dispatcher, name) => (name === 'acme' ? registrationYaml : undefined) },
    );
    const loaded = await loadConfiguration(sources);
    if (!loaded.ok) throw new Error('it is served');
    expect(loaded.configuration.registrations.map(({ name }) => name)).to.deep.equal(['acme']);
    expect(loaded.configuration.quarantined).to.deep.equal([]);
    expect(loaded.configuration.kept?.map(({ name }) => name)).to.deep.equal(['acme']);
    expect(loaded.problems.map(({ message }) => message)).to.deep.equal(['unknown key `nonsense`']);
    expect(loaded.good).to.deep.equal([]);

    const without = await loadConfiguration({
      ...sources,
      environment: { ADMIN_TOKEN: 'an-admin-token-of-32-characters!' },
    });
    expect(without.ok, 'its secret is gone').to.equal(false);
  });
});
