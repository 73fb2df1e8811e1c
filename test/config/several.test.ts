import { expect } from 'chai';
import { stringify } from 'yaml';
import { inspectConfiguration } from '../../dispatcher/config/load.ts';
import { type EditedFiles, editedFiles } from '../live/live-fixture.ts';
import { dispatcherYaml, load, problemsOf, sourcesOf } from './files.ts';

const one = (organization: string, changes: object = {}) => ({
  organization,
  credentials: { token: '${env:TENANT_WEB_TOKEN}' },
  defaults: { image: 'ghcr.io/acme/runner:1' },
  backends: [{ kind: 'docker' }],
  ...changes,
});
const several = (registrations: object) => stringify({ registrations });
const environment = { ADMIN_TOKEN: 'an-admin-token-of-32-characters!', TENANT_WEB_TOKEN: 'ghp_of-web' };

async function namesOf(files: Readonly<Record<string, string>>): Promise<Readonly<Record<string, readonly string[]>>> {
  const loaded = await load(files, { environment });
  if (!loaded.ok) return { problems: loaded.problems.map(({ message }) => message) };
  const { registrations, quarantined } = loaded.configuration;
  return { serving: registrations.map(({ name }) => name), aside: quarantined.map(({ name }) => name) };
}

describe('a file of several registrations', () => {
  it('serves each as a file of its own would', async () => {
    const loaded = await load(
      {
        'registrations/web.yaml': several({ 'web-api': one('api'), 'web-site': one('site', { maxRunners: 3 }) }),
        'registrations/alone.yaml': stringify(one('alone')),
      },
      { environment },
    );
    if (!loaded.ok) throw new Error(JSON.stringify(loaded.problems));
    expect(loaded.problems).to.deep.equal([]);
    expect(loaded.configuration.registrations.map(({ name, maxRunners }) => [name, maxRunners])).to.deep.equal([
      ['alone', 10],
      ['web-api', 10],
      ['web-site', 3],
    ]);
  });

  it('sets aside the one that is wrong, at its line, and no other', async () => {
    const text = `registrations:
  web-api:
    organization: api
    credentials: { token: "\${env:TENANT_WEB_TOKEN}" }
    defaults: { image: a/b }
    maxRuners: 5
    backends: [{ kind: docker }]
  web-site:
    organization: site
    credentials: { token: "\${env:TENANT_WEB_TOKEN}" }
    defaults: { image: a/b }
    backends: [{ kind: docker }]
`;
    const files = { 'registrations/web.yaml': text };
    expect(await problemsOf(files, { environment })).to.deep.equal([
      'registrations/web.yaml:6:5: registrations.web-api.maxRuners: unknown key `maxRuners`. Did you mean `maxRunners`?',
    ]);
    expect(await namesOf(files)).to.deep.equal({ serving: ['web-site'], aside: ['web-api'] });
  });

  for (const [what, text, told] of [
    ['is empty', 'registrations: {}\n', 'it must be a mapping of names to registrations'],
    ['is a list', 'registrations:\n  - organization: acme\n', 'it must be a mapping of names to registrations'],
    ['has a name that is none', several({ Web_API: one('api') }), 'it is not a valid name'],
    [
      'has shared keys beside it',
      `labels: [x]\n${several({ web: one('api') })}`,
      '`labels` stands beside `registrations`',
    ],
  ] as const) {
    it(`is told where it ${what}`, async () => {
      const problems = await problemsOf({ 'registrations/web.yaml': text }, { environment });
      expect(problems).to.have.length(1);
      expect(problems[0])
        .to.include(told)
        .and.match(/^registrations\/web\.yaml:\d+:\d+: /);
    });
  }

  it('holds at most 100, and a tenant no more of them than it was granted', async () => {
    const names = Array.from({ length: 101 }, (_, index) => `web-${100 + index}`);
    const text = several(Object.fromEntries(names.map((name, index) => [name, one(`o${index}`)])));
    const [told, ...others] = await problemsOf({ 'registrations/web.yaml': text }, { environment });
    expect(others).to.deep.equal([]);
    expect(told).to.include('registrations.web-200: the file has more than 100 registrations');
    const tenant = { registrations: ['web', 'web-*'], hosts: ['github.com'], owners: ['*'], labels: ['*'] };
    const granted = { ...tenant, runnerGroups: ['Default'], backendKinds: ['eci'], limits: { maxRegistrations: 3 } };
    const cloud = (organization: string) => one(organization, { backends: [{ kind: 'eci' }] });
    const files = {
      'dispatcher.yaml': dispatcherYaml + stringify({ tenants: { web: granted } }),
      'registrations/web.yaml': several({ 'web-b': cloud('b'), 'web-c': cloud('c'), 'web-d': cloud('d') }),
      'registrations/web-a.yaml': stringify(cloud('a')),
    };
    expect(await namesOf(files)).to.deep.equal({ serving: ['web-a', 'web-b', 'web-c'], aside: ['web-d'] });
  });

  it('gives a name to the file that has it, or else to the first, and sets aside the other', async () => {
    const files = {
      'registrations/a.yaml': several({ 'web-api': one('a'), both: one('first') }),
      'registrations/b.yaml': several({ both: one('second') }),
      'registrations/web-api.yaml': stringify(one('b')),
    };
    const loaded = await load(files, { environment });
    if (!loaded.ok) throw new Error(JSON.stringify(loaded.problems));
    const { registrations, quarantined } = loaded.configuration;
    expect(registrations.map(({ name, claim }) => [name, claim])).to.deep.equal([
      ['both', { kind: 'organization', organization: 'first' }],
      ['web-api', { kind: 'organization', organization: 'b' }],
    ]);
    expect(quarantined.map(({ problems }) => problems[0]?.message)).to.deep.equal([
      'web-api.yaml has a registration of that name as well',
      'a.yaml has a registration of that name as well',
    ]);
  });

  describe('of a tenant', () => {
    const tenant = (registrations: readonly string[], owner: string) => ({
      ...{ registrations, hosts: ['github.com'], owners: [owner], labels: [owner] },
      ...{ runnerGroups: ['Default'], backendKinds: ['eci'] },
    });
    const cloud = (organization: string, alias: string) =>
      one(organization, {
        ...{ backends: [{ kind: 'eci' }], labels: [organization] },
        credentials: { token: `\${env:TENANT_${alias}_TOKEN}` },
      });
    const platform =
      dispatcherYaml +
      stringify({
        tenants: { web: tenant(['web', 'web-*'], 'web'), mobile: tenant(['mobile', 'mobile-*'], 'mobile') },
      });
    const mobile = stringify(cloud('mobile', 'MOBILE'));

    for (const name of ['mobile', 'mobile-x', 'nobody'] as const) {
      it(`cannot be the name of another, or of none: ${name}`, async () => {
        const files = {
          'dispatcher.yaml': platform,
          'registrations/web.yaml': several({ 'web-a': cloud('web', 'WEB'), [name]: cloud('mobile', 'WEB') }),
          'registrations/mobile.yaml': mobile,
        };
        const settings = { environment: { ...environment, TENANT_MOBILE_TOKEN: 'ghp_of-mobile' } };
        const loaded = await load(files, settings);
        if (!loaded.ok) throw new Error(JSON.stringify(loaded.problems));
        const { registrations, quarantined } = loaded.configuration;
        expect(registrations.map((found) => [found.name, found.grant?.tenant])).to.deep.equal([
          ['mobile', 'mobile'],
          ['web-a', 'web'],
        ]);
        expect(quarantined.map((found) => found.name)).to.deep.equal([`web.yaml ${name}`]);
        expect(quarantined[0]?.problems[0]?.message).to.equal(
          `dispatcher.yaml does not assign a registration \`${name}\` to tenant \`web\`, whose file this is`,
        );
      });
    }

    for (const [what, more] of [
      ['of none', {}],
      ['of two', { web: { registrations: ['web', 'web-*', 'x'] }, mobile: { registrations: ['mobile', 'x'] } }],
    ] as const) {
      it(`is refused whole where its file is one ${what}, whatever names it holds`, async () => {
        const own = { web: tenant(['web', 'web-*'], 'web'), mobile: tenant(['mobile', 'mobile-*'], 'mobile') };
        const tenants = Object.fromEntries(
          Object.entries(own).map(([name, grant]) => [
            name,
            { ...grant, ...Object.entries(more).find(([key]) => key === name)?.[1] },
          ]),
        );
        const loaded = await load(
          {
            'dispatcher.yaml': dispatcherYaml + stringify({ tenants }),
            'registrations/x.yaml': several({ 'web-a': cloud('web', 'WEB') }),
            'registrations/mobile.yaml': mobile,
          },
          { environment: { ...environment, TENANT_MOBILE_TOKEN: 'ghp_of-mobile' } },
        );
        if (!loaded.ok) throw new Error(JSON.stringify(loaded.problems));
        const { registrations, quarantined } = loaded.configuration;
        expect(registrations.map(({ name }) => name)).to.deep.equal(['mobile']);
        expect(quarantined.map(({ name }) => name)).to.deep.equal(['x.yaml web-a']);
        expect(quarantined[0]?.problems[0]?.message).to.match(/dispatcher\.yaml (?:does not assign|gives) this file/);
      });
    }

    it('tells of at most 20 that it may not have', async () => {
      const names = Array.from({ length: 90 }, (_, index) => [`other-${index}`, {}]);
      const problems = await problemsOf(
        { 'dispatcher.yaml': platform, 'registrations/web.yaml': several(Object.fromEntries(names)) },
        { environment },
      );
      expect(problems).to.have.length(21);
      expect(problems.join()).to.include('70 more names in this file cannot be its registrations');
    });

    it('refers to its own secrets alone, whatever it is called', async () => {
      const files = {
        'dispatcher.yaml': platform,
        'registrations/web.yaml': several({ 'web-a': cloud('web', 'MOBILE') }),
      };
      expect((await problemsOf(files, { environment }))[0]).to.include('TENANT_WEB_');
    });
  });

  describe('that changes', () => {
    let files: EditedFiles;
    const text = several({ 'web-api': one('api'), 'web-site': one('site') });
    const read = async () => {
      await files.live.stamps.look(true);
      const loaded = await files.live.read('changed');
      if (!loaded.ok) throw new Error(JSON.stringify(loaded.problems));
      return loaded.configuration;
    };
    beforeEach(async () => {
      files = editedFiles({
        'dispatcher.yaml': dispatcherYaml,
        'registrations/web.yaml': text.replaceAll('TENANT_WEB_TOKEN', 'GITHUB_TOKEN'),
        'registrations/other.yaml': stringify(one('other')).replaceAll('TENANT_WEB_TOKEN', 'GITHUB_TOKEN'),
      });
      await read();
    });
    const write = (changed: string) =>
      files.write('registrations/web.yaml', changed.replaceAll('TENANT_WEB_TOKEN', 'GITHUB_TOKEN'));

    it('is read by itself, and leaves those of its registrations as they are that say the same', async () => {
      const before = await read();
      files.reads();
      write(several({ 'web-api': one('api', { maxRunners: 2 }), 'web-site': one('site'), 'web-new': one('new') }));
      const after = await read();
      expect(files.reads().filter((path) => path.includes('other'))).to.deep.equal([]);
      expect(after.registrations.map(({ name, maxRunners }) => [name, maxRunners])).to.deep.equal([
        ['other', 10],
        ['web-api', 2],
        ['web-new', 10],
        ['web-site', 10],
      ]);
      const site = (all: typeof after) => all.registrations.find(({ name }) => name === 'web-site');
      expect(site(after)).to.equal(site(before));
    });

    for (const [what, broken] of [
      ['is no YAML any more', `${text}  web-bad: [\n`],
      ['is empty', ''],
      ['cannot be told to hold any', 'registrations: {'],
    ] as const) {
      it(`keeps all its registrations in force where it ${what}`, async () => {
        write(broken);
        const { registrations, kept, quarantined } = await read();
        expect(registrations.map(({ name }) => name)).to.deep.equal(['other', 'web-api', 'web-site']);
        expect(kept?.map(({ name }) => name)).to.deep.equal(['web-api', 'web-site']);
        expect(kept?.[0]?.problems).to.not.be.empty;
        expect(quarantined).to.deep.equal([]);
        write(several({ 'web-site': one('site') }));
        const later = await read();
        expect(later.registrations.map(({ name }) => name)).to.deep.equal(['other', 'web-site']);
        expect(later.kept).to.deep.equal([]);
      });
    }

    it('keeps them over a restart as well, by texts that need no other file', async () => {
      const good = new Map<string, string>();
      const first = await load({ 'registrations/web.yaml': text }, { environment });
      if (first.ok) for (const { name, text: kept } of first.good) good.set(name, kept);
      const broken = { 'dispatcher.yaml': dispatcherYaml, 'registrations/web.yaml': `${text}  web-bad: [\n` };
      const sources = sourcesOf(broken, { environment, lastGood: async (_dispatcher, name) => good.get(name) });
      const { kept, registrations } = await inspectConfiguration(sources, 'required');
      expect(registrations.map(({ name }) => name)).to.deep.equal(['web-api', 'web-site']);
      expect(kept.map(({ name }) => name)).to.deep.equal(['web-api', 'web-site']);
    });
  });
});
