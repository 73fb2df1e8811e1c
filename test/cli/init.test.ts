import { execFile } from 'node:child_process';
import { copyFile, mkdir, mkdtemp, readdir, readFile, realpath, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { expect } from 'chai';
import { parse } from 'yaml';
import { shr } from './process.ts';

const execute = promisify(execFile);
const ROOT = new URL('../../', import.meta.url).pathname;

// Section 5: secrets never visible to git, registrations never hidden from it.
describe('shr init in a clone', () => {
  let folder: string;

  beforeEach(async () => {
    folder = await realpath(await mkdtemp(join(tmpdir(), 'shr-init-')));
    await execute('git', ['init', '--quiet', folder]);
  });

  afterEach(() => rm(folder, { recursive: true }));

  async function seenByGit(): Promise<readonly string[]> {
    const { stdout } = await execute('git', ['-C', folder, 'ls-files', '--others', '--exclude-standard']);
    return stdout.split('\n').filter((path) => path !== '');
  }

  const init = (...args: string[]) => shr(['init', ...args], folder);

  /** What is put there later must not show either. */
  async function fillIn(under = '.'): Promise<void> {
    await writeFile(join(folder, under, 'secrets/acme/github-token'), 'ghp_secret');
    await writeFile(join(folder, under, 'secrets/app.pem'), 'key');
    await writeFile(join(folder, under, 'data/ledger.db-wal'), 'jobs');
  }

  const shared = [
    '.gitignore',
    'dispatcher.yaml',
    'registrations/acme.yaml',
    'registrations/dispatcher.schema.json',
    'registrations/registration.schema.json',
  ];

  it('shows git what is shared, and no secret', async () => {
    expect(await init('--organization', 'acme')).to.include({ code: 0, error: '' });
    await fillIn();
    expect(await seenByGit()).to.have.members(shared);
  });

  it('does so with the .gitignore of the project itself', async () => {
    await copyFile(join(ROOT, '.gitignore'), join(folder, '.gitignore'));
    expect(await init('--organization', 'acme')).to.include({ code: 0, error: '' });
    await fillIn();
    await writeFile(join(folder, '.env'), 'SECRET=1');
    expect(await seenByGit()).to.have.members(shared);
    expect(await readFile(join(folder, '.gitignore'), 'utf8')).to.equal(
      await readFile(join(ROOT, '.gitignore'), 'utf8'),
    );
  });

  it('does so with a .gitignore that says nothing of secrets, and in a folder of its own', async () => {
    await writeFile(join(folder, '.gitignore'), 'node_modules/\n');
    expect(await init('deploy', '--organization', 'acme')).to.include({ code: 0, error: '' });
    await fillIn('deploy');
    expect(await seenByGit()).to.have.members(['.gitignore', ...shared.map((path) => `deploy/${path}`)]);
  });

  it('says which rule hides a registration, and exits with 1', async () => {
    await writeFile(join(folder, '.gitignore'), 'node_modules/\n/registrations/*.yaml\n/dispatcher.yaml\n');
    const { code, error } = await init('--organization', 'acme');
    expect(code).to.equal(1);
    expect(error).to.equal(
      'shr: git does not see dispatcher.yaml, because of .gitignore:3 (/dispatcher.yaml): remove that line to share the file\n' +
        'shr: git does not see registrations/acme.yaml, because of .gitignore:2 (/registrations/*.yaml): remove that line to share the file\n',
    );
    const { warnings } = JSON.parse((await init('--json', '--organization', 'acme')).out);
    expect(warnings).to.have.length(2);
  });

  it('says when git would commit a secret all the same, and exits with 1', async () => {
    await mkdir(join(folder, 'secrets'));
    await writeFile(join(folder, 'secrets/.gitignore'), '!*\n');
    await writeFile(join(folder, '.gitignore'), '!secrets/\n');
    const { code, error } = await init('--organization', 'acme');
    expect(code).to.equal(1);
    expect(error).to.include(
      'shr: git would commit secrets/admin-token, which is secret: put `secrets/` and `data/` into .gitignore\n',
    );
    expect(error).to.include('git would commit secrets/github-token');
  });

  it('works where there is no clone, and no git', async () => {
    await rm(join(folder, '.git'), { recursive: true });
    expect(await init('--organization', 'acme')).to.include({ code: 0, error: '' });
    const without = await shr(['init', 'other'], folder, { PATH: '/nowhere' });
    expect(without).to.include({ code: 0, error: '' });
  });

  it('keeps what others must not read from them', async () => {
    await init('--organization', 'acme');
    for (const [path, mode] of [
      ['secrets', 0o700],
      ['secrets/acme', 0o700],
      ['data', 0o700],
      ['secrets/admin-token', 0o600],
      ['secrets/acme/webhook-secret', 0o600],
    ] as const) {
      expect((await stat(join(folder, path))).mode & 0o777, path).to.equal(mode);
    }
  });
});

describe('shr init agrees with itself', () => {
  let folder: string;

  beforeEach(async () => {
    folder = await realpath(await mkdtemp(join(tmpdir(), 'shr-init-')));
  });

  afterEach(() => rm(folder, { recursive: true }));

  for (const [what, args, name, serves, webhook] of [
    ['nothing', [], 'acme', { organization: 'acme' }, true],
    ['an organization', ['--organization', 'Acme-Labs'], 'acme-labs', { organization: 'Acme-Labs' }, true],
    ['an organization that is a number', ['--organization', '123'], '123', { organization: '123' }, true],
    [
      'an organization with a name of its own',
      ['--organization', 'acme', '--name', 'ci'],
      'ci',
      { organization: 'acme' },
      true,
    ],
    [
      'an organization whose name no registration can have',
      ['--organization', 'foo_bar'],
      'first',
      { organization: 'foo_bar' },
      true,
    ],
    ['a repository', ['--repo', 'octo/cat.js'], 'octo', { repositories: ['octo/cat.js'] }, false],
    [
      'a repository with a name of its own',
      ['--repo', 'octo/cat', '--name', 'cats'],
      'cats',
      { repositories: ['octo/cat'] },
      false,
    ],
  ] as const) {
    it(`with ${what}: what it prints fits what it wrote`, async () => {
      const { code, out, error } = await shr(['init', ...args], folder);
      expect({ code, error }).to.deep.equal({ code: 0, error: '' });
      const text = await readFile(join(folder, 'registrations', `${name}.yaml`), 'utf8');
      const registration: unknown = parse(text);
      expect(registration).to.deep.include(serves);
      // Its own endpoint answers only where the file has its secret.
      expect(Object.hasOwn(Object(registration), 'webhook')).to.equal(webhook);
      expect(text).to.include(`secrets/${name}/webhook-secret`).and.include(`secrets/${name}/github-token`);
      const without = `remove \`webhook\` from registrations/${name}.yaml instead:`;
      expect(out.includes(without)).to.equal(webhook);
      if (webhook) expect(out).to.not.include('It polls GitHub');
      else
        expect(out)
          .to.include('It polls GitHub every 30 s')
          .and.include(`\`webhook\` in registrations/${name}.yaml first. At GitHub, add a webhook`);
      expect(out).to.include(`https://YOUR-HOST/webhooks/github/${name},`);

      // Every command that it prints, as it is printed.
      await writeFile(join(folder, 'secrets', name, 'github-token'), 'ghp_token\n', { mode: 0o600 });
      expect(await shr(['validate', '--secrets'], folder)).to.include({
        code: 0,
        out: 'The platform: dispatcher.yaml\n2 files, 0 problems, 0 notes\n',
      });
      const explain = /^ {2}shr (explain .*)$/m.exec(out)?.[1]?.split(' ') ?? [];
      const explained = await shr(explain, folder);
      expect(explained.code, explained.out + explained.error).to.equal(0);
      expect(explained.out).to.match(new RegExp(`^registration +${name}$`, 'm'));
    });
  }

  it('with a webhook taken into the file of a repository, as it says', async () => {
    await shr(['init', '--repo', 'octo/cat'], folder);
    const file = join(folder, 'registrations/octo.yaml');
    const text = await readFile(file, 'utf8');
    const block = text.replace(/^# (webhook:|\s+secrets:|\s+- \$\{file:.*webhook-secret\})/gm, '$1');
    expect(block).to.not.equal(text);
    await writeFile(file, block);
    await writeFile(join(folder, 'secrets/octo/github-token'), 'ghp_token\n', { mode: 0o600 });
    expect(Object(parse(block)).webhook).to.deep.equal({ secrets: ['${file:secrets/octo/webhook-secret}'] });
    expect(await shr(['validate', '--secrets'], folder)).to.include({
      code: 0,
      out: 'The platform: dispatcher.yaml\n2 files, 0 problems, 0 notes\n',
    });
  });

  it('names files outside the working folder in full', async () => {
    await mkdir(join(folder, 'here'));
    const { out } = await shr(['init', '../there'], join(folder, 'here'));
    expect(out).to.match(new RegExp(`^wrote ${join(folder, 'there')}/dispatcher\\.yaml$`, 'm'));
  });

  it('prints a folder so that a shell takes it', async () => {
    const { out } = await shr(['init', "it's mine"], folder);
    expect(out).to.include(`shr serve 'it'\\''s mine'\n`);
  });

  for (const [where, args] of [
    ['it', []],
    ['it, with options', ['--organization', 'acme', '--name', 'web']],
    ['its folder of registrations', ['registrations']],
  ] as const) {
    it(`leaves a tenants’ repository as it is, in ${where}`, async () => {
      await mkdir(join(folder, 'registrations'));
      await writeFile(join(folder, 'platform.json'), '{}');
      const { code, out, error } = await shr(['init', ...args], folder);
      expect({ code, out }).to.deep.equal({ code: 1, out: '' });
      expect(error).to.match(/^shr: platform\.json is there, .*To register, write registrations\/NAME\.yaml: /);
      expect(await readdir(folder, { recursive: true })).to.have.members(['platform.json', 'registrations']);
    });
  }

  it('writes beside a tenants’ repository, and where a dispatcher.yaml counts already', async () => {
    await writeFile(join(folder, 'platform.json'), '{}');
    expect(await shr(['init', 'own'], folder)).to.include({ code: 0 });
    await writeFile(join(folder, 'dispatcher.yaml'), 'id: shr\n');
    const { code, out } = await shr(['init'], folder);
    expect(code).to.equal(0);
    expect(out).to.include('kept dispatcher.yaml, it was there\n');
  });

  for (const args of [
    ['--organization', 'no such name'],
    ['--organization', '-acme'],
    ['--organization', ''],
    ['--repo', 'acme'],
    ['--repo', '-acme/web'],
    ['--repo', 'acme/we b'],
    ['--repo', 'acme/web/x'],
    ['--name', 'Not_Good'],
    ['--repo', 'a/b', '--organization', 'a'],
  ]) {
    it(`refuses what \`shr validate\` would refuse: ${args.join(' ')}`, async () => {
      expect((await shr(['init', ...args], folder)).code).to.equal(2);
      expect((await shr(['validate'], folder)).code).to.equal(1);
    });
  }
});
