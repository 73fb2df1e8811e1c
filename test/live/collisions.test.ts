import { expect } from 'chai';
import { parse, stringify } from 'yaml';
import { type Loaded, loadConfiguration } from '../../dispatcher/config/load.ts';
import type { Ledger } from '../../dispatcher/ledger/ledger.ts';
import { openSqliteLedger } from '../../dispatcher/ledger/sqlite.ts';
import { LastGoodVersions } from '../../dispatcher/live/last-good.ts';
import { VersionKeeping } from '../../dispatcher/live/version-keeping.ts';
import { type Configuration, Secret } from '../../dispatcher/model/registration.ts';
import { dispatcherYaml, registrationYaml } from '../config/files.ts';
import { VirtualClock } from '../simulation/virtual-clock.ts';
import { EditedSource, editedFiles } from './live-fixture.ts';

/** The tenant may have 30 runners in all of its registrations. */
const platform = `${dispatcherYaml}
tenants:
  acme:
    { hosts: [github.com], labels: ["*"], owners: [acme], backendKinds: [docker], runnerGroups: [Default],
      registrations: [a, b, c], limits: { maxRunners: 30 } }
`;
const own = (label: string, maxRunners: number): string =>
  `${registrationYaml.replace('env:GITHUB_TOKEN', 'env:TENANT_ACME_TOKEN')}labels: [${label}]\nmaxRunners: ${maxRunners}\n`;

for (const place of ['a folder', 'git']) {
  describe(`a registration in ${place} that collided with another`, () => {
    async function start() {
      const git = new EditedSource('tenants');
      const first = { 'a.yaml': own('a', 10), 'b.yaml': own('b', 10), 'c.yaml': own('c', 10) };
      const files = editedFiles({ 'dispatcher.yaml': platform, 'registrations/README': '' }, [git]);
      const write = (texts: Readonly<Record<string, string | undefined>>): void => {
        if (place === 'git') {
          git.write(texts);
          // As git lists them.
          git.files = git.files.toSorted((one, other) => (one.entry < other.entry ? -1 : 1));
        } else for (const [name, text] of Object.entries(texts)) files.write(`registrations/${name}`, text);
      };
      write(first);
      const loaded = await loadConfiguration({ ...files.sources, memory: files.live.memory });
      if (!loaded.ok) throw new Error(JSON.stringify(loaded.problems));
      expect(loaded.problems).to.deep.equal([]);
      return async (texts: Readonly<Record<string, string | undefined>>) => {
        write(texts);
        await files.live.stamps.look();
        await files.live.stamps.look();
        const read = await files.live.read('changed');
        if (!read.ok) throw new Error(JSON.stringify(read.problems));
        const { kept = [], quarantined, registrations } = read.configuration;
        return {
          inForce: registrations.map(({ name, labels, maxRunners }) => `${name} ${labels[0]} ${maxRunners}`),
          kept: kept.map(({ name }) => name),
          aside: quarantined.map(({ name }) => name),
        };
      };
    }

    for (const [what, text] of [
      ['is deleted', undefined],
      ['takes less', own('a', 5)],
    ] as const) {
      it(`is in force as it is with the change by which the other ${what}`, async () => {
        const edit = await start();
        const before = await edit({ 'c.yaml': own('new', 15) });
        expect(before).to.deep.equal({ inForce: ['a a 10', 'b b 10', 'c c 10'], kept: ['c'], aside: [] });
        const after = await edit({ 'a.yaml': text });
        expect(after.inForce).to.include('c new 15');
        expect(after.kept).to.deep.equal([]);
      });
    }

    it('is in force as it is where the other falls back to its last version in the same reading', async () => {
      const edit = await start();
      const both = await edit({ 'b.yaml': own('more', 25), 'c.yaml': own('new', 10) });
      expect(both).to.deep.equal({ inForce: ['a a 10', 'b b 10', 'c new 10'], kept: ['b'], aside: [] });
      const later = await edit({ 'a.yaml': own('other', 10) });
      expect(later).to.deep.equal({ inForce: ['a other 10', 'b b 10', 'c new 10'], kept: ['b'], aside: [] });
      const settled = await edit({ 'b.yaml': own('more', 10) });
      expect(settled).to.deep.equal({ inForce: ['a other 10', 'b more 10', 'c new 10'], kept: [], aside: [] });
    });

    it('stays at its last version where it collides with what is in force', async () => {
      const edit = await start();
      const both = await edit({ 'b.yaml': own('more', 25), 'c.yaml': own('new', 11) });
      expect(both).to.deep.equal({ inForce: ['a a 10', 'b b 10', 'c c 10'], kept: ['b', 'c'], aside: [] });
    });
  });
}

describe('registrations that reserve more than their tenant has', () => {
  const reserving = platform.replace('limits:', 'reservedRunners: 4, limits:');
  const asks = (label: string, reservedRunners: number): string =>
    `${own(label, 10)}reservedRunners: ${reservedRunners}\n`;
  const first = { 'registrations/a.yaml': asks('a', 2), 'registrations/c.yaml': asks('c', 2) };
  const summary = ({ kept = [], quarantined, registrations }: Configuration) => ({
    inForce: registrations.map(({ name, reservedRunners }) => `${name} ${reservedRunners}`),
    kept: kept.map(({ name }) => name),
    aside: quarantined.map(({ name }) => name),
  });

  async function start() {
    const files = editedFiles({ 'dispatcher.yaml': reserving, ...first });
    const loaded = await loadConfiguration({ ...files.sources, memory: files.live.memory });
    if (!loaded.ok) throw new Error(JSON.stringify(loaded.problems));
    expect(loaded.problems).to.deep.equal([]);
    const edit = async (texts: Readonly<Record<string, string | undefined>>) => {
      for (const [name, text] of Object.entries(texts)) files.write(`registrations/${name}`, text);
      await files.live.stamps.look();
      await files.live.stamps.look();
      const read = await files.live.read('changed');
      if (!read.ok) throw new Error(JSON.stringify(read.problems));
      return summary(read.configuration);
    };
    return { edit, good: new Map(loaded.good.map(({ name, text }) => [name, text])) };
  }

  it('take nothing from one that asks for what it had, whichever comes first', async () => {
    const { edit } = await start();
    const held = { inForce: ['a 2', 'c 2'], kept: ['a'], aside: [] };
    expect(await edit({ 'a.yaml': asks('a', 4) })).to.deep.equal(held);
    expect(await edit({ 'c.yaml': asks('other', 2) })).to.deep.equal(held);
    expect(await edit({ 'c.yaml': asks('other', 3) })).to.deep.equal({ ...held, kept: ['a', 'c'] });
    expect(await edit({ 'a.yaml': asks('a', 1) })).to.deep.equal({ inForce: ['a 1', 'c 3'], kept: [], aside: [] });
  });

  it('are set aside where they are new, before those that were there', async () => {
    const { edit } = await start();
    await edit({ 'a.yaml': undefined, 'b.yaml': asks('b', 2) });
    const after = await edit({ 'a.yaml': asks('a', 2) });
    expect(after).to.deep.equal({ inForce: ['b 2', 'c 2'], kept: [], aside: ['a'] });
  });

  for (const [whose, granting] of [
    ['a tenant', (runners: number) => platform.replace('limits:', `reservedRunners: ${runners}, limits:`)],
    ['the platform itself', (runners: number) => `${dispatcherYaml}limits: { maxRunners: ${runners} }\n`],
  ] as const) {
    for (const [aside, fresh] of [
      ['c', 'b'],
      ['b', 'c'],
    ] as const) {
      it(`hold nothing while they are set aside, of ${whose}: ${fresh} beside ${aside}`, async () => {
        const files = editedFiles({
          'dispatcher.yaml': granting(4),
          'registrations/a.yaml': asks('a', 2),
          [`registrations/${aside}.yaml`]: asks(aside, 2),
        });
        const loaded = await loadConfiguration({ ...files.sources, memory: files.live.memory });
        if (!loaded.ok) throw new Error(JSON.stringify(loaded.problems));
        const versions = new Map(loaded.good.map(({ name, text }) => [name, text]));
        const edit = async (name: string, text: string | undefined) => {
          files.write(name, text);
          await files.live.stamps.look();
          await files.live.stamps.look();
          const read = await files.live.read('changed', { of: async (one) => versions.get(one) });
          if (!read.ok) throw new Error(JSON.stringify(read.problems));
          const { aside: away, inForce } = summary(read.configuration);
          return { inForce: inForce.toSorted(), aside: away };
        };
        const lowered = await edit('dispatcher.yaml', granting(3));
        expect(lowered).to.deep.equal({ inForce: ['a 2'], aside: [aside] });
        const beside = { inForce: ['a 2', `${fresh} 1`], aside: [aside] };
        expect(await edit(`registrations/${fresh}.yaml`, asks(fresh, 1))).to.deep.equal(beside);
        const broken = `${asks(aside, 2)}nonsense: 1\n`;
        expect(await edit(`registrations/${aside}.yaml`, broken), 'broken meanwhile').to.deep.equal(beside);
        await edit(`registrations/${aside}.yaml`, asks(aside, 2));
        const room = await edit('registrations/a.yaml', undefined);
        versions.delete('a');
        expect(room).to.deep.equal({ inForce: [`${aside} 2`, `${fresh} 1`].toSorted(), aside: [] });
        const again = await edit('registrations/a.yaml', asks('a', 2));
        expect(again, 'in force again').to.deep.equal({ inForce: room.inForce, aside: ['a'] });
      });
    }
  }

  it('have what they had after a start, too', async () => {
    const { good } = await start();
    const files = editedFiles({ 'dispatcher.yaml': reserving, ...first, 'registrations/a.yaml': asks('a', 4) });
    const lastGood = async (_dispatcher: unknown, name: string) => good.get(name);
    const loaded = await loadConfiguration({ ...files.sources, lastGood, memory: files.live.memory });
    if (!loaded.ok) throw new Error(JSON.stringify(loaded.problems));
    expect(summary(loaded.configuration)).to.deep.equal({ inForce: ['a 2', 'c 2'], kept: ['a'], aside: [] });
  });

  for (const [what, a, c, after] of [
    ['with another label', 4, asks('other', 2), { inForce: ['c 2'], kept: [], aside: ['a'] }],
    ['asking for less', 4, asks('c', 1), { inForce: ['c 1'], kept: [], aside: ['a'] }],
    ['asking for more', 2, asks('c', 4), { inForce: ['a 2', 'c 2'], kept: ['c'], aside: [] }],
  ] as const) {
    it(`have what they had after a start beside a new one, ${what}`, async () => {
      const { good } = await start();
      const files = editedFiles({
        ...{ 'dispatcher.yaml': reserving, 'registrations/a.yaml': asks('a', a), 'registrations/c.yaml': c },
      });
      const lastGood = async (_dispatcher: unknown, name: string) => (name === 'c' ? good.get(name) : undefined);
      const loaded = await loadConfiguration({ ...files.sources, lastGood, memory: files.live.memory });
      if (!loaded.ok) throw new Error(JSON.stringify(loaded.problems));
      expect(summary(loaded.configuration)).to.deep.equal(after);
    });
  }
});

describe('registrations that have more runners together than their tenant', () => {
  const summary = ({ kept = [], quarantined, registrations }: Configuration) => ({
    inForce: registrations.map(({ name, labels, maxRunners }) => `${name} ${labels[0]} ${maxRunners}`),
    kept: kept.map(({ name }) => name),
    aside: quarantined.map(({ name }) => name),
  });

  async function start(first: Readonly<Record<string, string>>) {
    const texts = Object.fromEntries(Object.entries(first).map(([name, text]) => [`registrations/${name}`, text]));
    const files = editedFiles({ 'dispatcher.yaml': platform, ...texts });
    const loaded = await loadConfiguration({ ...files.sources, memory: files.live.memory });
    if (!loaded.ok) throw new Error(JSON.stringify(loaded.problems));
    expect(loaded.problems).to.deep.equal([]);
    const edit = async (changed: Readonly<Record<string, string | undefined>>) => {
      for (const [name, text] of Object.entries(changed))
        files.write(name.includes('/') || name === 'dispatcher.yaml' ? name : `registrations/${name}`, text);
      await files.live.stamps.look();
      await files.live.stamps.look();
      const read = await files.live.read('changed');
      if (!read.ok) throw new Error(JSON.stringify(read.problems));
      return { ...summary(read.configuration), words: read.problems.map(({ file, message }) => `${file}: ${message}`) };
    };
    return { edit, good: new Map(loaded.good.map(({ name, text }) => [name, text])) };
  }
  const all = { 'a.yaml': own('a', 10), 'b.yaml': own('b', 10), 'c.yaml': own('c', 10) };

  it('put none out of force by asking for more, whichever comes first', async () => {
    const { edit } = await start(all);
    const held = { inForce: ['a a 10', 'b b 10', 'c c 10'], kept: ['a'], aside: [] };
    const { words, ...raised } = await edit({ 'a.yaml': own('a', 15) });
    expect(raised).to.deep.equal(held);
    expect(words).to.deep.equal([
      '/etc/shr/registrations/a.yaml: the registrations of tenant `acme` together have 35 runners, and the limit is 30',
    ]);
    const other = await edit({ 'c.yaml': own('other', 10) });
    expect(other).to.deep.include({ inForce: ['a a 10', 'b b 10', 'c other 10'], kept: ['a'], aside: [] });
    const both = await edit({ 'c.yaml': own('more', 11) });
    expect(both).to.deep.include({ inForce: ['a a 10', 'b b 10', 'c other 10'], kept: ['a', 'c'], aside: [] });
    const room = await edit({ 'b.yaml': own('b', 4) });
    expect(room).to.deep.include({ inForce: ['a a 15', 'b b 4', 'c more 11'], kept: [], aside: [] });
  });

  it('are set aside where they are new, before those that were there', async () => {
    const { edit } = await start({ 'b.yaml': own('b', 10), 'c.yaml': own('c', 20) });
    const fresh = { inForce: ['b b 10', 'c c 20'], kept: [], aside: ['a'] };
    expect(await edit({ 'a.yaml': own('a', 5) })).to.deep.include(fresh);
    expect(await edit({ 'c.yaml': own('c', 15) })).to.deep.include({
      ...{ inForce: ['a a 5', 'b b 10', 'c c 15'], kept: [], aside: [] },
    });
    const lowered = platform.replace('maxRunners: 30', 'maxRunners: 20');
    expect(await edit({ 'dispatcher.yaml': lowered }), 'the platform lowers the limit').to.deep.include({
      ...{ inForce: ['a a 5', 'b b 10'], kept: [], aside: ['c'] },
    });
    expect(await edit({ 'a.yaml': own('a', 7) }), 'what is set aside holds nothing').to.deep.include({
      ...{ inForce: ['a a 7', 'b b 10'], kept: [], aside: ['c'] },
    });
  });

  it('put none out of force where they cannot be in force themselves', async () => {
    const { edit } = await start({ 'b.yaml': own('b', 10) });
    const broken = `${own('a', 25)}nonsense: 1\n`;
    const after = await edit({ 'a.yaml': broken, 'c.yaml': own('c', 20) });
    expect(after).to.deep.include({ inForce: ['b b 10', 'c c 20'], kept: [], aside: ['a'] });
    const files = editedFiles({
      ...{ 'dispatcher.yaml': platform, 'registrations/a.yaml': broken, 'registrations/b.yaml': own('b', 10) },
    });
    const loaded = await loadConfiguration({ ...files.sources, memory: files.live.memory });
    if (!loaded.ok) throw new Error(JSON.stringify(loaded.problems));
    expect(summary(loaded.configuration), 'at a start').to.deep.equal({ inForce: ['b b 10'], kept: [], aside: ['a'] });
  });

  for (const [what, texts, after] of [
    [
      'where one asks for more',
      { 'a.yaml': own('a', 15), 'b.yaml': own('b', 10), 'c.yaml': own('other', 10) },
      { inForce: ['a a 10', 'b b 10', 'c other 10'], kept: ['a'], aside: [] },
    ],
    [
      'beside a new one',
      { 'a.yaml': own('a', 5), 'b.yaml': own('b', 10), 'c.yaml': own('c', 20) },
      { inForce: ['b b 10', 'c c 20'], kept: [], aside: ['a'] },
    ],
  ] as const) {
    it(`have what they had after a start, ${what}`, async () => {
      const { good } = await start(
        what === 'beside a new one' ? { 'b.yaml': own('b', 10), 'c.yaml': own('c', 20) } : all,
      );
      const files = editedFiles({
        'dispatcher.yaml': platform,
        ...Object.fromEntries(Object.entries(texts).map(([name, text]) => [`registrations/${name}`, text])),
      });
      const lastGood = async (_dispatcher: unknown, name: string) => good.get(name);
      const loaded = await loadConfiguration({ ...files.sources, lastGood, memory: files.live.memory });
      if (!loaded.ok) throw new Error(JSON.stringify(loaded.problems));
      expect(summary(loaded.configuration)).to.deep.equal(after);
    });
  }
});

describe('a registration that is set aside', () => {
  const owners = '["*"], backendKinds: [docker], runnerGroups: [Default]';
  const granting = (labels: string, limits: string): string => `${dispatcherYaml}
tenants:
  emca: { hosts: [github.com], labels: [z], owners: [emca], registrations: [z] }
  acme:
    { hosts: [github.com], labels: ${labels}, owners: ${owners}, registrations: [a, b, c], ${limits} }
`;
  type Edits = Readonly<Record<string, string | undefined>>;
  const clock = new VirtualClock(0);
  let ledger: Ledger;

  beforeEach(async () => {
    ledger = await openSqliteLedger({ path: ':memory:', now: () => 1 });
  });
  afterEach(() => ledger.close());

  /** One process after the other, with the same ledger. */
  function processes(first: Readonly<Record<string, string>>, elsewhere: readonly EditedSource[] = []) {
    const contents = new Map(Object.entries(first));
    const summary = async (read: Loaded, versions: LastGoodVersions) => {
      if (!read.ok) throw new Error(JSON.stringify(read.problems));
      const { quarantined, registrations } = read.configuration;
      const keeping = new VersionKeeping({ clock, log: { info: () => {}, warn: () => {} }, versions });
      await keeping.keep(read, read.configuration);
      return {
        inForce: registrations.map(({ name, maxRunners }) => `${name} ${maxRunners}`),
        aside: quarantined.map(({ name }) => name),
      };
    };
    return async () => {
      const versions = new LastGoodVersions(ledger, { adminToken: new Secret('an-admin-token-of-32-characters!') });
      const files = editedFiles(Object.fromEntries(contents), elsewhere);
      const lastGood = (_dispatcher: unknown, name: string, tenant?: string) => versions.of(name, tenant);
      const sources = {
        ...files.sources,
        ...{ lastGood, asideBefore: () => versions.aside(), memory: files.live.memory },
      };
      const started = await summary(await loadConfiguration(sources), versions);
      const read = async (edits: Edits = {}) => {
        for (const [name, text] of Object.entries(edits)) {
          files.write(name, text);
          if (text === undefined) contents.delete(name);
          else contents.set(name, text);
        }
        await files.live.stamps.look();
        await files.live.stamps.look();
        return await files.live.read('changed', versions);
      };
      return { files, started, read, edit: async (edits: Edits) => await summary(await read(edits), versions) };
    };
  }
  const all = { 'registrations/a.yaml': own('a', 10), 'registrations/b.yaml': own('b', 10) };

  for (const [what, limits, asks] of [
    ['runners', 'limits: { maxRunners: 30 }', own],
    [
      'reserved runners',
      'reservedRunners: 30, limits: { maxRunners: 99 }',
      (label: string, runners: number) => `${own(label, 30)}reservedRunners: ${runners}\n`,
    ],
  ] as const) {
    const aside = { inForce: ['b 10', 'c 20'], aside: ['a'] };
    const ofRunners = ({ inForce, aside: away }: typeof aside) =>
      what === 'runners' ? { inForce, aside: away } : { inForce: inForce.map((one) => one.slice(0, 1)), aside: away };

    it(`comes after those in force, over a restart too: ${what}`, async () => {
      const start = processes({
        'dispatcher.yaml': granting('["*"]', limits),
        ...Object.fromEntries(['a', 'b', 'c'].map((name) => [`registrations/${name}.yaml`, asks(name, 10)])),
      });
      const { edit } = await start();
      await edit({ 'dispatcher.yaml': granting('[b, c]', limits) });
      await edit({ 'registrations/c.yaml': asks('c', 20) });
      expect(ofRunners(await edit({ 'dispatcher.yaml': granting('["*"]', limits) }))).to.deep.equal(ofRunners(aside));
      const again = await start();
      expect(ofRunners(again.started)).to.deep.equal(ofRunners(aside));
      await again.edit({ 'registrations/b.yaml': asks('b', 1) });
      const later = await start();
      expect(ofRunners(later.started).aside).to.deep.equal(['a']);
      const room = await later.edit({ 'registrations/c.yaml': asks('c', 10) });
      expect(room.aside).to.deep.equal([]);
    });
  }

  it('comes after those in force where its source is read only after a start', async () => {
    const git = new EditedSource('tenants');
    git.write({ 'a.yaml': own('a', 10), 'c.yaml': own('c', 10) });
    const narrow = granting('[b, c]', 'limits: { maxRunners: 30 }');
    const whole = granting('["*"]', 'limits: { maxRunners: 30 }');
    const start = processes({ 'dispatcher.yaml': whole, 'registrations/b.yaml': own('b', 10) }, [git]);
    const { edit } = await start();
    await edit({ 'dispatcher.yaml': narrow });
    git.write({ 'c.yaml': own('c', 20) });
    await edit({});
    const aside = { inForce: ['b 10', 'c 20'], aside: ['a'] };
    expect(await edit({ 'dispatcher.yaml': whole })).to.deep.equal(aside);
    const { files } = git;
    Object.assign(git, { files: [], isKnown: false });
    const again = await start();
    expect(again.started).to.deep.equal({ inForce: ['b 10'], aside: [] });
    Object.assign(git, { files, isKnown: true });
    expect(await again.edit({})).to.deep.equal(aside);
  });

  it('comes after those in force although the folder could not be listed meanwhile', async () => {
    const start = processes({
      'dispatcher.yaml': granting('["*"]', 'limits: { maxRunners: 30 }'),
      ...{ ...all, 'registrations/c.yaml': own('c', 10) },
    });
    const { edit, files, read } = await start();
    await edit({ 'dispatcher.yaml': granting('[b, c]', 'limits: { maxRunners: 30 }') });
    await edit({ 'registrations/c.yaml': own('c', 20) });
    const aside = { inForce: ['b 10', 'c 20'], aside: ['a'] };
    const whole = granting('["*"]', 'limits: { maxRunners: 30 }');
    expect(await edit({ 'dispatcher.yaml': whole })).to.deep.equal(aside);
    const names = files.live.memory.names;
    files.live.memory.names = async () => {
      throw Object.assign(new Error('EACCES'), { code: 'EACCES' });
    };
    const unlisted = await read();
    expect(unlisted.ok).to.equal(false);
    files.live.memory.names = names;
    expect(await edit({ 'registrations/b.yaml': own('other', 10) })).to.deep.equal(aside);
  });

  it('is not the one that asks for no more, where another one takes back what it gave away', async () => {
    const start = processes({
      'dispatcher.yaml': granting('["*"]', 'limits: { maxRunners: 30 }'),
      ...{ ...all, 'registrations/c.yaml': own('c', 10) },
    });
    const { edit } = await start();
    const foreign = own('a', 5).replace(/organization: .*/, 'organization: emca');
    const after = await edit({ 'registrations/a.yaml': foreign, 'registrations/b.yaml': own('b', 15) });
    expect(after).to.deep.equal({ inForce: ['a 10', 'b 10', 'c 10'], aside: [] });
  });
});

describe('registrations of which one collides only with what another falls back to', () => {
  const reserving = (names: readonly string[], reserved: number): string =>
    platform
      .replace('registrations: [a, b, c]', `registrations: [${names.join(', ')}]`)
      .replace(
        'limits: { maxRunners: 30 }',
        `reservedRunners: ${reserved}, limits: { maxRunners: ${10 * names.length} }`,
      );
  const asks = (name: string, maxRunners: number, reservedRunners = 0): string =>
    `${own(name, maxRunners)}${reservedRunners === 0 ? '' : `reservedRunners: ${reservedRunners}\n`}`;

  async function start(
    first: Readonly<Record<string, string>>,
    names: readonly string[],
    { reserved = names.length, others = '' } = {},
  ) {
    const texts = Object.fromEntries(Object.entries(first).map(([name, text]) => [`registrations/${name}`, text]));
    const files = editedFiles({ 'dispatcher.yaml': `${reserving(names, reserved)}${others}`, ...texts });
    const loaded = await loadConfiguration({ ...files.sources, memory: files.live.memory });
    if (!loaded.ok) throw new Error(JSON.stringify(loaded.problems));
    expect(loaded.problems).to.deep.equal([]);
    return async (changed: Readonly<Record<string, string>>) => {
      for (const [name, text] of Object.entries(changed)) files.write(`registrations/${name}`, text);
      await files.live.stamps.look();
      await files.live.stamps.look();
      const read = await files.live.read('changed');
      if (!read.ok) throw new Error(JSON.stringify(read.problems));
      const { kept = [], quarantined, registrations } = read.configuration;
      return {
        inForce: registrations.map(({ name, maxRunners }) => `${name} ${maxRunners}`),
        kept: kept.map(({ name }) => name),
        aside: quarantined.map(({ name }) => name),
        problems: read.problems.length,
      };
    };
  }

  it('keep what they had, and are in force as they are once there is room', async () => {
    const first = { 'a.yaml': asks('a', 10, 1), 'b.yaml': asks('b', 10), 'c.yaml': asks('c', 10, 1) };
    const edit = await start(first, ['a', 'b', 'c'], { reserved: 2 });
    const both = await edit({ 'a.yaml': asks('a', 5, 2), 'b.yaml': asks('b', 15) });
    expect(both).to.deep.equal({ inForce: ['a 10', 'b 10', 'c 10'], kept: ['a', 'b'], aside: [], problems: 2 });
    const after = await edit({ 'a.yaml': asks('a', 5, 1) });
    expect(after).to.deep.equal({ inForce: ['a 5', 'b 15', 'c 10'], kept: [], aside: [], problems: 0 });
  });

  /** Each falls back only once the one after it has, as it asks for what that one gives away. */
  const chained = (all: readonly string[]): Readonly<Record<string, string>> =>
    Object.fromEntries(
      all.map((name, index) => {
        if (index === 0) return [`${name}.yaml`, asks(name, 10, 2)];
        return [`${name}.yaml`, index % 2 === 1 ? asks(name, 15, 0) : asks(name, 5, 2)];
      }),
    );

  it('keep nothing of another tenant from coming into force', async () => {
    const all = Array.from({ length: 25 }, (_, index) => `n${String(index).padStart(2, '0')}`);
    const theirs = Array.from({ length: 30 }, (_, index) => `x${String(index).padStart(2, '0')}`);
    const others = `  acme-labs:
    { hosts: [github.com], labels: ["*"], owners: [emca], backendKinds: [docker], runnerGroups: [Default],
      registrations: [${[...theirs, 'z'].join(', ')}], limits: { maxRunners: 300 } }
`;
    const foreign = (name: string, maxRunners: number) => [
      `${name}.yaml`,
      own(name, maxRunners)
        .replace(/organization: .*/, 'organization: emca')
        .replace('TENANT_ACME', 'TENANT_ACME_LABS'),
    ];
    const first = Object.fromEntries([
      ...all.map((name) => [`${name}.yaml`, asks(name, 10, 1)]),
      ...theirs.map((name) => foreign(name, 10)),
    ]);
    const edit = await start(first, all, { others });
    const edited = Object.fromEntries([...theirs.map((name) => foreign(name, 9)), foreign('z', 100)]);
    const after = await edit({ ...chained(all), ...edited });
    expect(after.inForce).to.deep.equal([...all.map((name) => `${name} 10`), ...theirs.map((name) => `${name} 9`)]);
    expect(after.kept).to.deep.equal(all);
    expect(after.aside).to.deep.equal(['z']);
  });

  for (const pairs of [2, 12]) {
    it(`keep what they had, however many fall back one after the other: ${2 * pairs + 1}`, async () => {
      const all = Array.from({ length: 2 * pairs + 1 }, (_, index) => `n${String(index).padStart(2, '0')}`);
      const edit = await start(Object.fromEntries(all.map((name) => [`${name}.yaml`, asks(name, 10, 1)])), all);
      const chain = await edit(chained(all));
      expect(chain).to.deep.include({ inForce: all.map((name) => `${name} 10`), kept: all, aside: [] });
      const room = await edit({ 'n00.yaml': asks('n00', 10, 1) });
      expect(room).to.deep.equal({
        ...{ kept: [], aside: [], problems: 0 },
        inForce: all.map((name, index) => `${name} ${index === 0 ? 10 : index % 2 === 1 ? 15 : 5}`),
      });
    });
  }
});

describe('registrations that are more than their tenant may have', () => {
  const limited = (most: number) => platform.replace('maxRunners: 30', `maxRegistrations: ${most}`);
  const summary = ({ quarantined, registrations }: Configuration) => ({
    inForce: registrations.map(({ name }) => name).toSorted(),
    aside: quarantined.map(({ name }) => name),
  });

  async function start(first: Readonly<Record<string, string>>) {
    const texts = Object.fromEntries(Object.entries(first).map(([name, text]) => [`registrations/${name}`, text]));
    const files = editedFiles({ 'dispatcher.yaml': limited(2), ...texts });
    const loaded = await loadConfiguration({ ...files.sources, memory: files.live.memory });
    if (!loaded.ok) throw new Error(JSON.stringify(loaded.problems));
    expect(summary(loaded.configuration)).to.deep.equal({ inForce: ['b', 'c'], aside: [] });
    const edit = async (name: string, text: string | undefined) => {
      files.write(name, text);
      await files.live.stamps.look();
      await files.live.stamps.look();
      const read = await files.live.read('changed');
      if (!read.ok) throw new Error(JSON.stringify(read.problems));
      return summary(read.configuration);
    };
    return { edit, files, good: new Map(loaded.good.map(({ name, text }) => [name, text])) };
  }
  const apart = { 'b.yaml': own('b', 1), 'c.yaml': own('c', 1) };
  const together = { 'c.yaml': stringify({ registrations: { b: parse(own('b', 1)), c: parse(own('c', 1)) } }) };

  for (const [what, first] of [
    ['in files of their own', apart],
    ['in one file', together],
  ] as const) {
    it(`put none out of force that was there before, ${what}`, async () => {
      const { edit, files } = await start(first);
      files.reads();
      const beyond = { inForce: ['b', 'c'], aside: ['a'] };
      expect(await edit('registrations/a.yaml', own('a', 1))).to.deep.equal(beyond);
      // A file counts as one until it was looked into.
      if (first === apart) expect(files.reads()).to.not.include('/etc/shr/registrations/a.yaml');
      expect(await edit('registrations/a.yaml', own('other', 1))).to.deep.equal(beyond);
      expect(await edit('dispatcher.yaml', limited(3))).to.deep.equal({ inForce: ['a', 'b', 'c'], aside: [] });
      expect(await edit('dispatcher.yaml', limited(2)), 'the last of them').to.deep.equal({
        ...{ inForce: ['a', 'b'], aside: ['c'] },
      });
      expect(await edit('registrations/a.yaml', undefined)).to.deep.equal({ inForce: ['b', 'c'], aside: [] });
    });
  }

  it('put none out of force over a restart', async () => {
    const { good } = await start(apart);
    const files = editedFiles({
      ...{ 'dispatcher.yaml': limited(2), 'registrations/a.yaml': own('a', 1) },
      ...{ 'registrations/b.yaml': own('b', 1), 'registrations/c.yaml': own('other', 1) },
    });
    const lastGood = async (_dispatcher: unknown, name: string) => good.get(name);
    const loaded = await loadConfiguration({ ...files.sources, lastGood, memory: files.live.memory });
    if (!loaded.ok) throw new Error(JSON.stringify(loaded.problems));
    expect(summary(loaded.configuration)).to.deep.equal({ inForce: ['b', 'c'], aside: ['a'] });
  });
});
