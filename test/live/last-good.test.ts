import { expect } from 'chai';
import { parse, stringify } from 'yaml';
import { inspectConfiguration, loadConfiguration } from '../../dispatcher/config/load.ts';
import type { Ledger } from '../../dispatcher/ledger/ledger.ts';
import { openSqliteLedger } from '../../dispatcher/ledger/sqlite.ts';
import { LastGoodVersions } from '../../dispatcher/live/last-good.ts';
import { Secret } from '../../dispatcher/model/registration.ts';
import { dispatcherYaml, registrationYaml, sourcesOf } from '../config/files.ts';
import { EditedSource } from './live-fixture.ts';

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

  describe('of a file of several that is broken at a start', () => {
    const one = (label: string) => `${registrationYaml.replace(/labels: .*\n/, '')}labels: [${label}]\n`;
    const held = { x: parse(one('held')), y: parse(one('y')) };
    const whole = stringify({ registrations: held });
    const others = (places: Readonly<Record<string, string>>) => {
      const source = new EditedSource('others');
      source.write(places, { trusted: true });
      return source;
    };
    const tenants = `
tenants:
  acme: { registrations: [all, x, y], hosts: [github.com], owners: [acme], labels: ["*"], runnerGroups: [Default], backendKinds: [docker] }
  other: { registrations: [z], hosts: [github.com], owners: [other], labels: [z], runnerGroups: [Default], backendKinds: [docker] }
`;

    async function started(
      all: string | Error,
      places: Readonly<Record<string, string>>,
      changes: { readonly isFirst?: boolean; readonly platform?: string } = {},
    ) {
      const versions = new LastGoodVersions(changes.isFirst === true ? await emptyLedger() : ledger, TOKEN);
      const base = sourcesOf(
        {
          'dispatcher.yaml': changes.platform ?? dispatcherYaml,
          'registrations/all.yaml': typeof all === 'string' ? all : '',
        },
        {
          lastGood: (_dispatcher, name, tenant) => versions.of(name, tenant),
          severalBefore: () => versions.several(),
          elsewhere: async () => [others(places)],
        },
      );
      const read = await inspectConfiguration(
        {
          ...base,
          files: {
            ...base.files,
            read: async (path, how) => {
              if (typeof all !== 'string' && path.endsWith('all.yaml')) throw all;
              return await base.files.read(path, how);
            },
          },
        },
        'required',
      );
      const aside = new Set(read.quarantined.map(({ name }) => name));
      return {
        read,
        inForce: read.registrations
          .filter(({ name }) => !aside.has(name))
          .map(({ labels, name }) => `${name} ${labels[0]}`),
        kept: read.kept.map(({ name }) => name),
        told: read.problems.map(({ file, message }) => `${file}: ${message}`).join('\n'),
        keep: async () => {
          await versions.keep(read.good);
          await versions.keepSeveral(read.several, read.isComplete);
        },
      };
    }
    const emptyLedger = () => openSqliteLedger({ path: ':memory:', now: () => 1 });

    for (const [what, broken] of [
      ['lacks a brace', `registrations: { x: { organization: acme, labels: [held] }, y: { labels: [y] }`],
      ['is empty', ''],
      ['cannot be read', Object.assign(new Error('EACCES'), { code: 'EACCES' })],
      ['names some of them', `registrations:\n  y:\n    labels: [y\n  new: 1\n`],
    ] as const) {
      for (const [where, places] of [
        ['a file of its own', { 'x.yaml': one('other') }],
        ['another file of several', { 'more.yaml': stringify({ registrations: { x: parse(one('other')) } }) }],
      ] as const) {
        it(`keep their place before ${where} in a later source where it ${what}`, async () => {
          await (await started(whole, {})).keep();
          const after = await started(broken, places);
          expect(after.inForce).to.deep.equal(['x held', 'y y']);
          expect(after.kept).to.deep.equal(['x', 'y']);
          await after.keep();
          const again = await started(broken, places);
          expect(again.inForce, 'at the next start, too').to.deep.equal(['x held', 'y y']);
        });
      }

      if (broken === '') continue;
      it(`are not displaced without a word where none was read before and it ${what}`, async () => {
        const { inForce, told } = await started(broken, { 'x.yaml': one('other') }, { isFirst: true });
        expect(inForce).to.deep.equal(['x other']);
        expect(told).to.match(/all\.yaml: not all that it holds is known: .*: `x` of git:others\/x\.yaml$/m);
        const mine = one('other').replace('env:GITHUB_TOKEN', 'env:TENANT_OTHER_TOKEN');
        const foreign = { 'z.yaml': mine.replace(/organization: .*/, 'organization: other') };
        const apart = await started(broken, foreign, { isFirst: true, platform: dispatcherYaml + tenants });
        expect(apart.told, 'of another tenant').to.not.include('not all that it holds is known');
      });
    }

    it('are those of the file that it is now, where it is one registration', async () => {
      await (await started(whole, {})).keep();
      const after = await started(one('all'), { 'x.yaml': one('other') });
      expect(after.inForce).to.deep.equal(['all all', 'x other']);
    });

    it('are no longer known once the file holds others, and not forgotten while a source is away', async () => {
      await (await started(whole, {})).keep();
      const several = async () => [...(await new LastGoodVersions(ledger, TOKEN).several())];
      const file = (await several())[0]?.[0] ?? '';
      expect(await several()).to.deep.equal([[file, ['x', 'y']]]);
      await new LastGoodVersions(ledger, TOKEN).keepSeveral(new Map([['git:a/b.yaml', ['b']]]), false);
      expect(await several()).to.have.length(2);
      const away = new LastGoodVersions(ledger, TOKEN);
      await away.keepSeveral(new Map([[file, []]]), false);
      expect(await several(), 'while a source is away, too').to.deep.equal([['git:a/b.yaml', ['b']]]);
      for (let at = 0; at < 510; at += 1) await away.keepSeveral(new Map([[`git:c/${at}.yaml`, ['c']]]), false);
      expect((await several()).length, 'one name after the other').to.be.within(501, 502);
      await (await started(stringify({ registrations: { y: held.y } }), {})).keep();
      expect(await several()).to.deep.equal([[file, ['y']]]);
      await (await started(one('all'), {})).keep();
      expect(await several()).to.deep.equal([]);
    });
  });
});
