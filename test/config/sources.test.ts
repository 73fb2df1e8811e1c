import { expect } from 'chai';
import { parse, stringify } from 'yaml';
import type { RegistrationSource } from '../../dispatcher/config/registration-source.ts';
import { formatProblem } from '../../dispatcher/model/problem.ts';
import type { DispatcherConfig } from '../../dispatcher/model/registration.ts';
import { Documents } from '../../dispatcher/sources/documents.ts';
import { DocumentLedger, EditedSource } from '../live/live-fixture.ts';
import { configured, dispatcherYaml, load, problemsOf, registrationYaml } from './files.ts';

const granted = (tenant: string) => `
  ${tenant}:
    registrations: ["${tenant}", "${tenant}-*"]
    hosts: [github.com]
    owners: [${tenant}]
    labels: ["*"]
    runnerGroups: [Default]
    backendKinds: [docker]`;

const withTenants = `${dispatcherYaml}
tenants:
  platform: { trusted: true, registrations: [platform] }${granted('acme')}${granted('emca')}
`;

const registrationOf = (tenant: string) =>
  registrationYaml
    .replace('organization: acme', `organization: ${tenant}`)
    .replace('GITHUB_TOKEN', tenant === 'platform' ? 'GITHUB_TOKEN' : `TENANT_${tenant.toUpperCase()}_TOKEN`);

describe('sources in dispatcher.yaml', () => {
  const sourcesIn = async (yaml: string, tenants = 'tenants: {}'): Promise<DispatcherConfig['sources']> =>
    (await configured({ 'dispatcher.yaml': `${dispatcherYaml}\n${tenants}\n${yaml}` })).dispatcher.sources;
  const wrong = async (yaml: string, tenants = 'tenants: {}') =>
    (await problemsOf({ 'dispatcher.yaml': `${dispatcherYaml}\n${tenants}\n${yaml}` })).map((line) =>
      line.replace(/^dispatcher\.yaml:\d+:\d+: /, ''),
    );

  it('are a repository and a branch, with the folder registrations, asked every minute', async () => {
    expect(await sourcesIn('sources: [{ name: tenants, git: "https://github.com/acme/runners.git" }]')).to.deep.equal([
      {
        name: 'tenants',
        url: 'https://github.com/acme/runners.git',
        branch: 'main',
        folders: [{ path: 'registrations', trusted: false }],
        intervalMs: 60_000,
        webhookSecrets: [],
      },
    ]);
  });

  for (const url of [
    'http://github.com/acme/runners.git',
    'git://github.com/acme/runners.git',
    'file:///etc',
    '/srv/git/runners.git',
    'ext::sh -c id',
    'git@github.com:acme/runners.git',
    '--upload-pack=id',
    'https://me:password@github.com/acme/runners.git',
    'https://token@github.com/acme/runners.git',
  ]) {
    it(`are not at ${url}`, async () => {
      const found = await wrong(`sources: [{ name: tenants, git: "${url}" }]`);
      expect(found).to.have.length(1);
      expect(found[0]).to.match(
        /^sources\[0\]\.git: it (?:is neither https nor ssh|is written in the short form|holds more than a place)/,
      );
    });
  }

  for (const branch of ['-x', '../x', 'a..b', 'a b', 'a:b', 'x.lock', '+refs', 'a~1']) {
    it(`have no branch ${branch}`, async () => {
      const found = await wrong(`sources: [{ name: t, git: "https://h/x", branch: "${branch}" }]`);
      expect(found.join()).to.include('sources[0].branch: ');
    });
  }

  for (const path of ['../x', '/x', 'a/../b', '.', ':(glob)x', '*', 'a/*/b']) {
    it(`have no folder ${path}`, async () => {
      const found = await wrong(`sources: [{ name: t, git: "https://h/x", folders: [{ path: "${path}" }] }]`);
      expect(found.join()).to.include('sources[0].folders[0].path: ');
    });
  }

  it('need a key and the keys of the host for ssh', async () => {
    const found = await wrong(
      'sources: [{ name: t, git: "ssh://git@github.com/acme/x.git", token: "${env:GITHUB_TOKEN}" }]',
    );
    expect(found).to.have.length(2);
    expect(found.join('\n')).to.include('token: it has no effect with ssh').and.include('ssh needs a key');
    const [source] =
      (await sourcesIn(
        'sources: [{ name: t, git: "ssh://git@github.com/acme/x.git", key: secrets/key, knownHosts: /etc/known }]',
      )) ?? [];
    expect(source?.credentials).to.deep.equal({ kind: 'ssh', key: '/etc/shr/secrets/key', knownHosts: '/etc/known' });
  });

  it('hold tokens and webhook secrets by reference alone', async () => {
    const found = await wrong(
      'sources: [{ name: t, git: "https://h/x", token: abc, webhook: { secrets: [abcdefghijklmnopqrst] } }]',
    );
    expect(found.filter((line) => line.includes('it is a secret in plain text'))).to.have.length(2);
  });

  it('hold what is the platform’s own where that is said alone', async () => {
    const found = await wrong('sources: [{ name: t, git: "https://h/x" }]', '');
    expect(found.join()).to.include("without `tenants`, all registrations are the platform's own");
    const yaml = 'sources: [{ name: t, git: "https://h/x", folders: [{ path: registrations, trusted: true }] }]';
    expect(await wrong(yaml, '')).to.deep.equal([]);
  });

  it('name tenants that there are', async () => {
    const found = await wrong('sources: [{ name: t, git: "https://h/x", folders: [{ path: a, tenants: [nobody] }] }]');
    expect(found.join()).to.include('there is no tenant `nobody`');
  });
});

describe('registrations beside the folder', () => {
  const environment = {
    ADMIN_TOKEN: 'an-admin-token-of-32-characters!',
    GITHUB_TOKEN: 'ghp_of-the-platform',
    TENANT_ACME_TOKEN: 'ghp_of-acme',
    TENANT_EMCA_TOKEN: 'ghp_of-emca',
  };
  const first = () => new EditedSource('first');
  const loadWith = async (
    sources: readonly RegistrationSource[],
    files: Readonly<Record<string, string>> = {},
    yaml = withTenants,
  ) => {
    const loaded = await load({ 'dispatcher.yaml': yaml, ...files }, { elsewhere: async () => sources, environment });
    if (!loaded.ok) throw new Error(loaded.problems.map(formatProblem).join('\n'));
    return loaded;
  };
  const wordsOf = ({ problems }: Awaited<ReturnType<typeof loadWith>>) => problems.map(formatProblem);

  it('are those of the tenant of their names, with its grant', async () => {
    const source = first();
    source.write({ 'acme.yaml': registrationOf('acme'), 'emca.yaml': registrationOf('acme') });
    const loaded = await loadWith([source]);
    expect(loaded.configuration.registrations.map(({ name, grant }) => [name, grant?.tenant])).to.deep.equal([
      ['acme', 'acme'],
    ]);
    expect(loaded.configuration.quarantined.map(({ name }) => name)).to.deep.equal(['emca']);
    expect(wordsOf(loaded).join('\n')).to.match(/git:first\/emca\.yaml:\d+:\d+: organization: .*tenants\.emca/s);
  });

  it('need no folder', async () => {
    const source = first();
    source.write({ 'acme.yaml': registrationOf('acme') });
    const missing = () => Promise.reject(Object.assign(new Error('ENOENT'), { code: 'ENOENT' }));
    const { files } = (await import('./files.ts')).sourcesOf({ 'dispatcher.yaml': withTenants });
    const loaded = await load({}, { elsewhere: async () => [source], files: { ...files, list: missing } });
    expect(loaded.problems).to.deep.equal([]);
  });

  it('need no folder where they are not read either', async () => {
    const yaml = `${withTenants}sources: [{ name: tenants, git: "https://github.com/acme/runners.git" }]\n`;
    const { files } = (await import('./files.ts')).sourcesOf({ 'dispatcher.yaml': yaml });
    const missing = () => Promise.reject(Object.assign(new Error('ENOENT'), { code: 'ENOENT' }));
    const loaded = await load({}, { files: { ...files, list: missing } });
    expect(loaded.problems).to.deep.equal([]);
    expect(loaded.notes.map(({ path }) => path)).to.deep.equal(['sources']);
    const empty = await load({ 'dispatcher.yaml': yaml });
    expect(empty.notes.map(({ path }) => path)).to.deep.equal(['sources']);
  });

  it('are in force from the folder first, then from each source in its order', async () => {
    const [one, two] = [first(), new EditedSource('second')];
    one.write({ 'acme.yaml': registrationOf('acme'), 'emca.yaml': `${registrationOf('emca')}maxRunners: 1\n` });
    two.write({
      'emca.yaml': `${registrationOf('emca')}maxRunners: 2\n`,
      'acme-b.yaml': `${registrationOf('acme')}labels: [b]\n`,
    });
    const loaded = await loadWith([one, two], {
      'registrations/acme.yaml': `${registrationOf('acme')}maxRunners: 7\n`,
    });
    const { doubles, origins, registrations } = loaded.configuration;
    expect(registrations.find(({ name }) => name === 'acme')?.maxRunners).to.equal(7);
    expect(registrations.find(({ name }) => name === 'emca')?.maxRunners).to.equal(1);
    expect([...(origins ?? [])].map(([name, { source }]) => [name, source])).to.deep.equal([
      ['emca', 'first'],
      ['acme-b', 'second'],
    ]);
    expect(doubles?.map(({ name, problem }) => `${name}: ${formatProblem(problem)}`)).to.deep.equal([
      'acme: git:first/acme.yaml: it is not in force: /etc/shr/registrations/acme.yaml has the same name and comes first. Remove one of the two; or give one of them another name.',
      'emca: git:second/emca.yaml: it is not in force: git:first/emca.yaml has the same name and comes first. Remove one of the two; or give one of them another name.',
    ]);
  });

  it('come after those of a file of several in an earlier source, and before those in a later one', async () => {
    const [one, two] = [first(), new EditedSource('second')];
    const several = (some: Readonly<Record<string, string>>) =>
      stringify({ registrations: Object.fromEntries(Object.entries(some).map(([name, text]) => [name, parse(text)])) });
    const text = (maxRunners: number, more = '') => `${registrationOf('acme')}maxRunners: ${maxRunners}\n${more}`;
    one.write({ 'acme-a.yaml': text(2, 'labels: [a]\n'), 'acme-b.yaml': text(2, 'labels: [b]\n') });
    two.write({ 'acme-team.yaml': several({ 'acme-b': text(3, 'labels: [b]\n') }) });
    const loaded = await loadWith([one, two], {
      'registrations/acme-all.yaml': several({ 'acme-a': text(1, 'labels: [a]\n'), acme: text(1) }),
    });
    const { doubles, origins, quarantined, registrations } = loaded.configuration;
    expect(registrations.map(({ name, maxRunners }) => [name, maxRunners])).to.deep.equal([
      ['acme', 1],
      ['acme-a', 1],
      ['acme-b', 2],
    ]);
    expect([...(origins ?? [])].map(([name, { source }]) => [name, source])).to.deep.equal([['acme-b', 'first']]);
    expect(doubles?.map(({ name, problem }) => `${name}: ${problem.file}: ${problem.message}`)).to.deep.equal([
      'acme-a: git:first/acme-a.yaml: it is not in force: /etc/shr/registrations/acme-all.yaml has a registration of the same name and comes first',
    ]);
    expect(quarantined.map(({ problems }) => problems[0]?.message)).to.deep.equal([
      'acme-b.yaml has a registration of that name as well',
    ]);
  });

  it('are not displaced by a file of several of their name that does not hold them', async () => {
    const [one, two] = [first(), new EditedSource('second')];
    const text = (label: string, maxRunners: number) =>
      `${registrationOf('acme')}labels: [${label}]\nmaxRunners: ${maxRunners}\n`;
    const several = (some: Readonly<Record<string, string>>) =>
      stringify({ registrations: Object.fromEntries(Object.entries(some).map(([name, of]) => [name, parse(of)])) });
    one.write({ 'acme.yaml': text('x', 2) });
    two.write({ 'acme.yaml': text('x', 3), 'acme-all.yaml': several({ acme: text('x', 4) }) });
    const inForce = async (sources: readonly RegistrationSource[], held: Readonly<Record<string, string>>) => {
      const { configuration } = await loadWith(sources, { 'registrations/acme.yaml': several(held) });
      const { doubles = [], origins, registrations } = configuration;
      return [
        registrations.map(({ name, maxRunners }) => `${name} ${maxRunners} ${origins?.get(name)?.file}`),
        doubles.map(({ problem }) => `${problem.file}: ${problem.message}`),
      ];
    };
    expect(await inForce([one, two], { 'acme-a': text('a', 1) })).to.deep.equal([
      ['acme-a 1 undefined', 'acme 2 git:first/acme.yaml'],
      ['git:second/acme.yaml: it is not in force: git:first/acme.yaml has the same name and comes first'],
    ]);
    const bySource = two.files;
    two.files = bySource.filter(({ entry }) => entry !== 'acme-all.yaml');
    expect(await inForce([two, one], { 'acme-a': text('a', 1) })).to.deep.equal([
      ['acme-a 1 undefined', 'acme 3 git:second/acme.yaml'],
      ['git:first/acme.yaml: it is not in force: git:second/acme.yaml has the same name and comes first'],
    ]);
    two.files = bySource.filter(({ entry }) => entry === 'acme-all.yaml');
    const [names] = await inForce([one, two], { 'acme-a': text('a', 1) });
    expect(names, 'its source comes before a file of several').to.include('acme 2 git:first/acme.yaml');
    two.files = [];
    expect((await inForce([one, two], { 'acme-a': text('a', 1), acme: text('x', 1) }))[0]).to.deep.equal([
      'acme 1 undefined',
      'acme-a 1 undefined',
    ]);
  });

  it('that another displaces take no room of those that their tenant may have', async () => {
    const [git, api] = [first(), new EditedSource('second')];
    const text = (label: string) => `${registrationOf('acme')}labels: [${label}]\n`;
    const several = (...labels: readonly string[]) =>
      stringify({ registrations: Object.fromEntries(labels.map((label) => [`acme-${label}`, parse(text(label))])) });
    git.write({ 'acme-a.yaml': text('a'), 'acme-b.yaml': text('b'), 'acme-c.yaml': text('c') });
    api.write({ 'acme-c.yaml': text('c'), 'acme-d.yaml': text('d'), 'acme-e.yaml': text('e') });
    const limited = (most: number) =>
      withTenants.replace(
        'backendKinds: [docker]',
        `backendKinds: [docker]\n    limits: { maxRegistrations: ${most} }`,
      );
    const inForce = async (most: number) => {
      const { registrations, quarantined } = (
        await loadWith([git, api], { 'registrations/acme-all.yaml': several('a', 'b') }, limited(most))
      ).configuration;
      return [registrations.map(({ name }) => name), quarantined.map(({ problems }) => problems[0]?.message)];
    };
    expect(await inForce(4)).to.deep.equal([
      ['acme-a', 'acme-b', 'acme-c', 'acme-d'],
      ['tenant `acme` has 5 registrations, and the limit is 4'],
    ]);
    expect((await inForce(5))[1]).to.deep.equal([]);
  });

  it('are not displaced by a file of several that may not hold their names', async () => {
    const source = first();
    source.write({ 'acme.yaml': registrationOf('acme') });
    const loaded = await loadWith([source], {
      'registrations/emca.yaml': stringify({ registrations: { acme: parse(registrationOf('emca')) } }),
    });
    expect(loaded.configuration.registrations.map(({ name, grant }) => [name, grant?.tenant])).to.deep.equal([
      ['acme', 'acme'],
    ]);
    expect(loaded.configuration.doubles).to.deep.equal([]);
  });

  it('of one name stay with their tenant, wherever the first of them is kept', async () => {
    const [git, api] = [first(), new Documents()];
    const ledger = new DocumentLedger();
    await api.open(ledger);
    const text = (maxRunners: number) => `${registrationOf('acme')}maxRunners: ${maxRunners}\n`;
    const own = { 'registrations/acme.yaml': text(1) };
    git.write({ 'acme.yaml': text(2) });
    await api.put({ name: 'acme', document: text(3), tenant: 'acme', putBy: 'portal', putAtMs: 1 }, undefined);
    const inForce = async (sources: readonly RegistrationSource[], files: Readonly<Record<string, string>> = {}) => {
      const { configuration } = await loadWith(sources, files);
      const { doubles = [], registrations } = configuration;
      return [
        registrations.map(({ grant, maxRunners }) => [grant?.tenant, maxRunners]),
        doubles.map(({ problem }) => problem.file),
      ];
    };
    expect(await inForce([git, api], own)).to.deep.equal([[['acme', 1]], ['git:first/acme.yaml', 'api:acme']]);
    expect(await inForce([git, api])).to.deep.equal([[['acme', 2]], ['api:acme']]);
    git.write({ 'acme.yaml': undefined });
    expect(await inForce([git, api])).to.deep.equal([[['acme', 3]], []]);
  });

  it('do not step in for one of the same name that is set aside', async () => {
    const source = first();
    source.write({ 'acme.yaml': registrationOf('acme') });
    const loaded = await loadWith([source], {
      'registrations/acme.yaml': 'nonsense: 1',
      'registrations/emca.yaml': registrationOf('emca'),
    }).catch((error: Error) => error.message);
    if (typeof loaded !== 'string')
      expect(loaded.configuration.registrations.map(({ name }) => name)).to.not.include('acme');
    else expect(loaded).to.include('nonsense');
  });

  it('do not count in a folder of another tenant, and displace nothing there', async () => {
    const [hostile, rightful] = [first(), new EditedSource('second')];
    hostile.write(
      { 'emca.yaml': registrationOf('acme'), 'platform.yaml': registrationOf('acme') },
      { tenants: ['acme'] },
    );
    rightful.write({ 'acme.yaml': registrationOf('acme') });
    const loaded = await loadWith([hostile, rightful]);
    expect(loaded.configuration.registrations.map(({ name }) => name)).to.deep.equal(['acme']);
    expect(loaded.configuration.quarantined).to.deep.equal([]);
    expect(loaded.configuration.doubles).to.deep.equal([]);
    const words = loaded.configuration.platformProblems?.map(formatProblem).join('\n');
    expect(words).to.include(
      'git:first/emca.yaml: it has the name of a registration of tenant `emca`, which may not be in this folder',
    );
    expect(words).to.include('git:first/platform.yaml: it has the name of a registration of the platform itself');
  });

  it('are the platform’s own in a trusted folder alone', async () => {
    const source = first();
    source.write({ 'platform.yaml': registrationOf('platform') }, { trusted: true });
    expect((await loadWith([source])).configuration.registrations).to.have.length(1);
  });

  it('that cannot count do not fill the lists', async () => {
    const source = first();
    source.write(Object.fromEntries(Array.from({ length: 500 }, (_, index) => [`NO-${index}.yaml`, ''])));
    source.write({ 'acme.yaml': registrationOf('acme') });
    const { platformProblems = [] } = (await loadWith([source])).configuration;
    expect(platformProblems).to.have.length(21);
    expect(platformProblems.at(-1)?.message).to.equal('there are 480 more files that do not count');
  });

  it('are not known to be all while a source could not be read', async () => {
    const source = first();
    source.isKnown = false;
    expect(await loadWith([source])).to.have.property('isComplete', false);
    source.isKnown = true;
    expect(await loadWith([source])).to.have.property('isComplete', true);
  });
});
