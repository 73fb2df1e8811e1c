import { once } from 'node:events';
import { mock } from 'node:test';
import { Worker } from 'node:worker_threads';
import { expect } from 'chai';
import { stringify } from 'yaml';
import type { ReadBounds } from '../../dispatcher/config/files.ts';
import { EditedSource, editedFiles } from '../live/live-fixture.ts';
import { dispatcherYaml, load, problemsOf, registered, sourcesOf } from './files.ts';

/** Of the test runner's own start it takes a third. */
const MEGABYTES = 160;

const base = `
credentials: { token: "\${env:GITHUB_TOKEN}" }
defaults: { image: ghcr.io/acme/runner:1, cpu: 2 }
policy: { maxCpu: 4, images: ["ghcr.io/*"] }
backends: [{ kind: docker }, { kind: eci }]
`;

async function extended(own: string, others: Readonly<Record<string, string>> = {}) {
  const loaded = await load({ 'registrations/common.base.yaml': base, 'registrations/acme.yaml': own, ...others });
  if (!loaded.ok) throw new Error(JSON.stringify(loaded.problems));
  expect(loaded.problems).to.deep.equal([]);
  const [registration] = loaded.configuration.registrations;
  if (registration === undefined) throw new Error('no registration');
  return registration;
}

describe('a registration that extends a base', () => {
  it('merges mappings key by key; what else it says replaces what the base says, and null removes it', async () => {
    const found = await extended(
      'extends: common\norganization: acme\ndefaults: { cpu: 1 }\npolicy: { images: [a/b], maxCpu: ~ }\nbackends: [{ kind: eci }]\n',
    );
    expect(found.defaults).to.deep.equal({ image: 'ghcr.io/acme/runner:1', cpu: 1 });
    expect(found.policy).to.deep.include({ images: ['a/b'], maxCpu: undefined });
    expect(found.backends.map(({ kind }) => kind)).to.deep.equal(['eci']);
    expect(found.credentials.kind).to.equal('token');
  });

  it('may extend several, of which the last goes first, and those may extend others', async () => {
    const found = await extended('extends: [common, big]\norganization: acme\n', {
      'registrations/big.base.yaml': 'extends: deep\ndefaults: { cpu: 8 }\nmaxRunners: 30\n',
      'registrations/deep.base.yaml': 'maxRunners: 99\npriority: 3\n',
    });
    expect([found.defaults.cpu, found.maxRunners, found.priority]).to.deep.equal([8, 30, 3]);
    expect(found.defaults.image).to.equal('ghcr.io/acme/runner:1');
  });

  it('is told a mistake of the base at its line there, once', async () => {
    const files = {
      'registrations/common.base.yaml': base.replace('maxCpu: 4', 'maxCpus: 4'),
      'registrations/acme.yaml': 'extends: common\norganization: acme\n',
      'registrations/emca.yaml': 'extends: common\norganization: emca\n',
    };
    expect(await problemsOf(files)).to.deep.equal([
      'registrations/common.base.yaml:4:11: policy.maxCpus: unknown key `maxCpus`. Did you mean `maxCpu`?',
    ]);
  });

  it('is told what is its own at its own lines', async () => {
    const own = 'extends: common\norganization: acme\npolicy:\n  maxCpu: many\nbackends:\n  - kind: dokcer\n';
    const files = { 'registrations/common.base.yaml': base, 'registrations/acme.yaml': own };
    const problems = await problemsOf(files);
    expect(problems.map((problem) => /^\S+: \S+/.exec(problem)?.[0])).to.deep.equal([
      'registrations/acme.yaml:4:11: policy.maxCpu:',
      'registrations/acme.yaml:6:11: backends[0].kind:',
    ]);
  });

  for (const [what, files, told] of [
    ['none of that name', { 'acme.yaml': 'extends: comon\n' }, 'it has no base `comon`'],
    ['what is no name', { 'acme.yaml': 'extends: ../secrets/x\n' }, 'it does not name bases'],
    [
      'itself',
      { 'a.base.yaml': 'extends: b\n', 'b.base.yaml': 'extends: a\n', 'acme.yaml': 'extends: a\n' },
      'extends itself',
    ],
    [
      'too deep',
      {
        ...Object.fromEntries([1, 2, 3, 4, 5].map((n) => [`d${n}.base.yaml`, `extends: d${n + 1}\n`])),
        ...{ 'd6.base.yaml': 'priority: 1\n', 'acme.yaml': 'extends: d1\n' },
      },
      'more than 4 deep',
    ],
    [
      'too many',
      {
        ...Object.fromEntries(Array.from({ length: 15 }, (_, n) => [`m${n}.base.yaml`, 'priority: 1\n'])),
        ...Object.fromEntries(
          [0, 5, 10].map((n) => [`g${n}.base.yaml`, `extends: [m${n}, m${n + 1}, m${n + 2}, m${n + 3}, m${n + 4}]\n`]),
        ),
        'acme.yaml': 'extends: [g0, g5, g10]\n',
      },
      'more than 10 bases',
    ],
    [
      'too large',
      { 'big.base.yaml': `#${'x'.repeat(262_000)}\npriority: 1\n`, 'acme.yaml': `extends: big\n#${'x'.repeat(500)}` },
      'and 262144 is the limit',
    ],
    ['a text', { 'text.base.yaml': 'just text\n', 'acme.yaml': 'extends: text\n' }, 'a base must be a mapping'],
    ['what is no YAML', { 'broken.base.yaml': 'a: [\n', 'acme.yaml': 'extends: broken\n' }, 'broken.base.yaml:'],
    [
      'several registrations',
      { 's.base.yaml': 'registrations: {}\n', 'acme.yaml': 'extends: s\norganization: a\n' },
      'unknown key `registrations`',
    ],
  ] as const) {
    it(`is told that it cannot extend ${what}`, async () => {
      const all = Object.fromEntries(Object.entries(files).map(([name, text]) => [`registrations/${name}`, text]));
      expect((await problemsOf(all)).join('\n')).to.include(told);
    });
  }

  it('takes a base twice for one', async () => {
    const found = await extended('extends: [common, one, other]\norganization: acme\n', {
      'registrations/one.base.yaml': 'extends: common\n',
      'registrations/other.base.yaml': 'extends: common\n',
    });
    expect(found.defaults.cpu).to.equal(2);
  });

  it('is no other for a key that every object has', async () => {
    const own = 'extends: common\norganization: acme\n__proto__: { maxRunners: 5000 }\n';
    const files = { 'registrations/common.base.yaml': base, 'registrations/acme.yaml': own };
    expect((await problemsOf(files)).join()).to.include('unknown key `__proto__`');
    expect({}).to.not.have.property('maxRunners');
  });

  it('is never written out where its aliases stand for a hundred times its size', async () => {
    const aliases = `a: &a "${'x'.repeat(240_000)}"\nb: [${Array(99).fill('*a').join(', ')}]\n`;
    const several = `a: &a "${'x'.repeat(240_000)}"\nregistrations: { emca: { b: [${Array(99).fill('*a').join(', ')}] } }\n`;
    const written = mock.method(JSON, 'stringify');
    try {
      const problems = await problemsOf({
        'registrations/common.base.yaml': base,
        'registrations/acme.yaml': `extends: common\norganization: acme\n${aliases}`,
        'registrations/more.yaml': several,
      });
      expect(problems.join('\n')).to.include('unknown key `b`').and.include('stands beside `registrations`');
    } finally {
      written.mock.restore();
    }
    const lengths = written.mock.calls.map(({ result }) => result?.length ?? 0);
    expect(Math.max(...lengths)).to.be.below(1_000_000);
  });

  describe('with very many values', () => {
    const keys = (many: number) => Array.from({ length: many }, (_, n) => `"k${n.toString(36)}":1`).join(',');
    const aliases = (many: number) => Array.from({ length: many }, (_, n) => `b${n}: *a\n`).join('');
    const members = (more: string) =>
      `registrations:\n${Array.from({ length: 100 }, (_, n) => `  e${n}: { ${more}, organization: e${n} }\n`).join('')}`;
    const blown = `a: &a { ${keys(17_000)} }\n${aliases(99)}`;

    /** The problems, read with so little memory. */
    async function problemsWithin(maxOldGenerationSizeMb: number, files: Readonly<Record<string, string>>) {
      const script = `
        const { parentPort, workerData } = require('node:worker_threads');
        import(workerData.module).then(({ problemsOf }) => problemsOf(workerData.files))
          .then((problems) => parentPort.postMessage(problems));
      `;
      const module = new URL('./files.ts', import.meta.url).href;
      const worker = new Worker(script, {
        ...{ eval: true, workerData: { files, module }, resourceLimits: { maxOldGenerationSizeMb } },
      });
      try {
        const [problems] = await once(worker, 'message');
        return problems as readonly string[];
      } finally {
        await worker.terminate();
      }
    }

    it('is refused at the line that names the base whose aliases stand for too many, and takes no memory', async () => {
      const problems = await problemsWithin(MEGABYTES, {
        'registrations/common.base.yaml': blown,
        'registrations/e.yaml': members('extends: common'),
      });
      expect(problems).to.have.length(100);
      expect(problems[1]).to.equal(
        'registrations/e.yaml:3:18: registrations.e1.extends: with `common` it has more than 50000 values, aliases followed. Write out what is needed in that base, without aliases.',
      );
    }).timeout(20_000);

    it('is refused at its own line that passes the limit, also where it extends nothing', async () => {
      expect(await problemsOf({ 'registrations/acme.yaml': `extends: []\n${blown}` })).to.deep.equal([
        'registrations/acme.yaml:4:1: b1: from here on it has more than 50000 values, aliases followed. Write out what is needed, without aliases.',
      ]);
      const lists = `extends: []\na: &a [${Array(17_000).fill('1').join(',')}]\n${aliases(99)}`;
      expect((await problemsOf({ 'registrations/acme.yaml': lists })).join()).to.match(
        /^registrations\/acme.yaml:4:1: b1: from/,
      );
    });

    it('takes no memory once it is read, a hundred times, just below the limit', async () => {
      const problems = await problemsWithin(MEGABYTES, {
        'registrations/common.base.yaml': `a: { ${keys(12_000)} }\nb: { c: { ${keys(4_000)} } }\n`,
        'registrations/e.yaml': members('extends: common, a: { own: 1 }, b: { c: {}, d: ~ }'),
      });
      expect(problems.join()).to.include('unknown key `a`').and.not.include('values');
    }).timeout(20_000);

    it('counts what its bases have together, each once', async () => {
      const base = (key: string) => `${key}: [${Array(26_000).fill('1').join(',')}]\n`;
      const files = { 'registrations/one.base.yaml': base('one'), 'registrations/two.base.yaml': base('two') };
      const told = async (names: string) =>
        (await problemsOf({ ...files, 'registrations/acme.yaml': `extends: [${names}]\n` })).join('\n');
      expect(await told('one, two')).to.match(
        /^registrations\/acme.yaml:1:11: extends\.0: with `one` it has more than 50000/,
      );
      expect(await told('one, one')).to.not.include('50000');
    });
  });

  describe('of dispatcher.yaml', () => {
    const platform = `${dispatcherYaml}bases:\n  common:\n${base.trim().replace('credentials: { token: "${env:GITHUB_TOKEN}" }\n', '').replaceAll(/^/gm, '    ')}\n`;
    const own = 'extends: common\norganization: acme\ncredentials: { token: "${env:GITHUB_TOKEN}" }\n';

    it('is merged like a file', async () => {
      expect((await registered(own, platform)).defaults.cpu).to.equal(2);
    });

    it('has its mistakes told at its own lines', async () => {
      const text = platform.replace('maxCpu: 4', 'maxCpu: many');
      expect((await problemsOf({ 'dispatcher.yaml': text, 'registrations/acme.yaml': own }))[0]).to.match(
        /^dispatcher\.yaml:7:23: bases\.common\.policy\.maxCpu: /,
      );
    });

    it('holds no reference: it would have a value by the rules of the platform', async () => {
      const text = `${platform}    credentials: { token: "\${env:GITHUB_TOKEN}" }\n`;
      const problems = await problemsOf({ 'dispatcher.yaml': text, 'registrations/acme.yaml': own });
      expect(problems[0]).to.include('bases.common.credentials.token: it is a reference, and a base is for all');
      expect(problems.join()).to.not.include('ghp_');
    });
  });

  describe('of a tenant', () => {
    const tenant = (changes: object = {}) => ({
      ...{ hosts: ['github.com'], labels: ['*'], runnerGroups: ['Default'], backendKinds: ['eci'], ...changes },
    });
    const platform = (web: object = {}) =>
      dispatcherYaml +
      stringify({
        bases: { common: { labels: ['web'] }, large: { maxRunners: 500 } },
        tenants: {
          web: tenant({ registrations: ['web', 'web-*'], owners: ['web'], limits: { maxRunners: 20 }, ...web }),
          mobile: tenant({ owners: ['mobile'] }),
        },
      });
    const own = (name: string) =>
      stringify({
        ...{ extends: name, organization: 'web', credentials: { token: '${env:TENANT_WEB_TOKEN}' } },
        ...{ defaults: { image: 'a/b' }, backends: [{ kind: 'eci' }] },
      });
    const environment = {
      ADMIN_TOKEN: 'an-admin-token-of-32-characters!',
      TENANT_WEB_TOKEN: 'ghp_of-web',
      TENANT_MOBILE_TOKEN: 'ghp_of-mobile',
    };
    const problems = (files: Readonly<Record<string, string>>) => problemsOf(files, { environment });

    it('may extend its own, and what it was granted of the platform', async () => {
      const files = {
        'dispatcher.yaml': platform({ bases: ['com*'] }),
        'registrations/web-a.base.yaml': 'extends: common\nmaxRunners: 5\n',
        'registrations/web.yaml': own('web-a'),
      };
      const loaded = await load(files, { environment });
      expect(loaded.problems).to.deep.equal([]);
      expect(loaded.ok && loaded.configuration.registrations[0]).to.deep.include({ labels: ['web'], maxRunners: 5 });
    });

    it('cannot extend what it was not granted, and is told the line that would', async () => {
      const [told] = await problems({ 'dispatcher.yaml': platform(), 'registrations/web.yaml': own('common') });
      expect(told).to.match(
        /^registrations\/web\.yaml:1:10: extends: tenant `web` was not granted the base `common`\. To grant it, write `tenants\.web\.bases: \[common\]` \(dispatcher\.yaml:\d+:\d+\)/,
      );
    });

    it('cannot extend another’s, nor learn whether it is there', async () => {
      const files = { 'dispatcher.yaml': platform(), 'registrations/web.yaml': own('mobile') };
      const without = await problems(files);
      expect(without[0]).to.include('it has no base `mobile`');
      const reads: string[] = [];
      const { files: memory } = sourcesOf({
        ...{ ...files, 'dispatcher.yaml': platform() },
        'registrations/mobile.base.yaml': 'maxRunners: 7\n',
      });
      const watched = {
        ...memory,
        read: (path: string, bounds: ReadBounds) => {
          reads.push(path);
          return memory.read(path, bounds);
        },
      };
      expect(await problemsOf({}, { environment, files: watched })).to.deep.equal(without);
      expect(reads.filter((path) => path.includes('base'))).to.deep.equal([]);
    });

    it('is held to its own grant and its own secrets, whatever a base says', async () => {
      const [told] = await problems({
        'dispatcher.yaml': platform({ bases: ['*'] }),
        'registrations/web.yaml': own('large'),
      });
      expect(told).to.match(
        /^registrations\/web\.yaml:1:10: maxRunners: tenant `web` may not have 500 runners \(in the base `large`, dispatcher\.yaml:\d+:\d+\)/,
      );
      const [other] = await problems({
        'dispatcher.yaml': platform(),
        'registrations/web-a.base.yaml': 'webhook: { secrets: ["${env:TENANT_MOBILE_TOKEN}"] }\n',
        'registrations/web.yaml': own('web-a'),
      });
      expect(other).to.match(/^registrations\/web-a\.base\.yaml:1:\d+: webhook\.secrets\[0\]: .*TENANT_WEB_/);
    });
  });

  it('that is kept elsewhere extends what is beside it there, and several may be in a file there', async () => {
    const own = 'extends: common\norganization: acme\n';
    const source = new EditedSource('git');
    source.write(
      {
        'acme.yaml': own,
        'emca.yaml': 'registrations: { emca-a: { extends: common, organization: emca } }\n',
        'common.base.yaml': base.replace('cpu: 2', 'cpu: 7'),
      },
      { trusted: true },
    );
    const loaded = await load(
      { 'registrations/common.base.yaml': base, 'registrations/here.yaml': own.replace('acme', 'here') },
      { elsewhere: async () => [source] },
    );
    if (!loaded.ok) throw new Error(JSON.stringify(loaded.problems));
    expect(loaded.problems).to.deep.equal([]);
    const { origins, registrations } = loaded.configuration;
    expect(registrations.map(({ name, defaults }) => `${name} ${defaults.cpu}`)).to.deep.equal([
      'here 2',
      'acme 7',
      'emca-a 7',
    ]);
    expect([...(origins ?? [])].map(([name, { file }]) => [name, file.replace(/.*\//, '')])).to.deep.equal([
      ['acme', 'acme.yaml'],
      ['emca-a', 'emca.yaml'],
    ]);
  });

  it('that is kept elsewhere follows its base there, live, and is read again alone', async () => {
    const source = new EditedSource('git');
    const write = (texts: Readonly<Record<string, string>>) => source.write(texts, { trusted: true });
    const plain = `${base}organization: plain\n`;
    write({ 'acme.yaml': 'extends: common\norganization: acme\n', 'common.base.yaml': base, 'plain.yaml': plain });
    const files = editedFiles({ 'dispatcher.yaml': dispatcherYaml }, [source]);
    const cpus = async () => {
      await files.live.stamps.look();
      const loaded = await files.live.read('changed');
      if (!loaded.ok) throw new Error(JSON.stringify(loaded.problems));
      return loaded.configuration.registrations.map(({ name, defaults }) => `${name} ${defaults.cpu}`);
    };
    expect(await cpus()).to.deep.equal(['acme 2', 'plain 2']);
    source.reads.length = 0;
    write({ 'common.base.yaml': base.replace('cpu: 2', 'cpu: 3') });
    expect(await cpus()).to.deep.equal(['acme 3', 'plain 2']);
    expect(source.reads.filter((file) => file.includes('plain'))).to.deep.equal([]);
  });

  it('follows its base, live, and no other does; a broken one leaves what was in force', async () => {
    const plain =
      'organization: plain\ncredentials: { token: "${env:GITHUB_TOKEN}" }\ndefaults: { image: a/b }\nbackends: [{ kind: docker }]\n';
    const files = editedFiles({
      'dispatcher.yaml': dispatcherYaml,
      'registrations/common.base.yaml': base,
      'registrations/acme.yaml': 'extends: common\norganization: acme\n',
      'registrations/emca.yaml': 'registrations: { emca-a: { extends: common, organization: emca } }\n',
      'registrations/plain.yaml': plain,
    });
    const read = async () => {
      await files.live.stamps.look(true);
      const loaded = await files.live.read('changed');
      if (!loaded.ok) throw new Error(JSON.stringify(loaded.problems));
      return loaded.configuration;
    };
    const cpus = ({ registrations }: Awaited<ReturnType<typeof read>>) =>
      registrations.map(({ name, defaults }) => `${name} ${defaults.cpu}`);
    const before = await read();
    expect(cpus(before)).to.deep.equal(['acme 2', 'emca-a 2', 'plain undefined']);
    files.reads();
    files.write('registrations/common.base.yaml', base.replace('cpu: 2', 'cpu: 3'));
    const after = await read();
    expect(cpus(after)).to.deep.equal(['acme 3', 'emca-a 3', 'plain undefined']);
    expect(files.reads().some((path) => path.includes('plain'))).to.equal(false);
    expect(after.registrations[2]).to.equal(before.registrations[2]);
    for (const broken of [undefined, 'a: [\n']) {
      files.write('registrations/common.base.yaml', broken);
      const now = await read();
      expect(cpus(now)).to.deep.equal(['acme 3', 'emca-a 3', 'plain undefined']);
      expect(now.kept?.map(({ name }) => name)).to.deep.equal(['acme', 'emca-a']);
    }
    files.write('registrations/common.base.yaml', base);
    expect(cpus(await read())).to.deep.equal(['acme 2', 'emca-a 2', 'plain undefined']);
  });
});
