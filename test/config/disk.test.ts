import { execFile } from 'node:child_process';
import { chmod, link, mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { expect } from 'chai';
import { systemFiles } from '../../dispatcher/config/files.ts';
import { type ConfigurationSources, loadConfiguration } from '../../dispatcher/config/load.ts';
import { formatProblem } from '../../dispatcher/model/problem.ts';
import { provider } from './files.ts';

const run = promisify(execFile);

const dispatcherYaml = `
id: acme-ci
adminToken: \${env:ADMIN_TOKEN}
tenants:
  a: { hosts: [github.com], owners: [a], labels: ["*"], runnerGroups: [Default], backendKinds: [docker] }
  b: { hosts: [github.com], owners: [b], labels: ["*"], runnerGroups: [Default], backendKinds: [docker] }
  ops: { trusted: true }
`;

const registrationOf = (tenant: string): string => `
organization: ${tenant}
labels: [${tenant}]
credentials: { token: "\${file:secrets/${tenant}/token}" }
defaults: { image: ghcr.io/acme/runner:1 }
backends: [{ kind: docker }]
`;

// W10
describe('files on a disk', () => {
  let folder: string;

  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'shr-disk-'));
    await mkdir(join(folder, 'registrations'));
    for (const tenant of ['a', 'b']) {
      await mkdir(join(folder, 'secrets', tenant), { recursive: true });
      await writeFile(join(folder, 'secrets', tenant, 'token'), `token-of-tenant-${tenant}\n`, { mode: 0o600 });
      await writeFile(join(folder, 'registrations', `${tenant}.yaml`), registrationOf(tenant));
    }
    await writeFile(join(folder, 'dispatcher.yaml'), dispatcherYaml);
  });

  afterEach(() => rm(folder, { recursive: true }));

  async function load(changes: Partial<ConfigurationSources> = {}) {
    const loaded = await loadConfiguration({
      dispatcherFile: join(folder, 'dispatcher.yaml'),
      registrationsFolder: join(folder, 'registrations'),
      environment: { ADMIN_TOKEN: 'an-admin-token-of-32-characters!' },
      files: systemFiles,
      provider,
      ...changes,
    });
    if (!loaded.ok) throw new Error(loaded.problems.map(formatProblem).join('\n'));
    const { registrations, quarantined } = loaded.configuration;
    const lines = (list: readonly Parameters<typeof formatProblem>[0][]) =>
      list.map((problem) => formatProblem(problem).replace(`${folder}/`, ''));
    return {
      served: registrations.map(({ name }) => name),
      setAside: quarantined.map(({ name }) => name),
      problems: lines(loaded.problems),
      notes: lines(loaded.notes),
    };
  }

  it('are read when they are as they should be', async () => {
    expect(await load()).to.deep.equal({ served: ['a', 'b'], setAside: [], problems: [], notes: [] });
  });

  const token = 'registrations/b.yaml:4:23: credentials.token: secrets/b/token: ';

  for (const [what, prepare, expected] of [
    [
      'a link to another tenant’s secret',
      () => symlink('../a/token', join(folder, 'secrets/b/token')),
      `${token}a link leads out of its folder. Put the file itself there.`,
    ],
    [
      'a link to anywhere',
      () => symlink('/etc/hostname', join(folder, 'secrets/b/token')),
      `${token}a link leads out of its folder. Put the file itself there.`,
    ],
    [
      'its folder being a link to another’s',
      async () => {
        await rm(join(folder, 'secrets/b'), { recursive: true });
        await symlink('a', join(folder, 'secrets/b'));
      },
      `${token}a link leads out of its folder. Put the file itself there.`,
    ],
    [
      'a link to itself',
      () => symlink('token', join(folder, 'secrets/b/token')),
      `${token}it is a link that leads back to itself. Put the file itself there.`,
    ],
    [
      'a named pipe',
      () => run('mkfifo', [join(folder, 'secrets/b/token')]),
      `${token}it is a device, pipe or socket. Name a regular file.`,
    ],
    [
      'a device',
      () => symlink('/dev/zero', join(folder, 'secrets/b/token')),
      `${token}a link leads out of its folder. Put the file itself there.`,
    ],
    [
      'a link to where nothing is',
      () => symlink('/nowhere/at/all', join(folder, 'secrets/b/token')),
      `${token}a link leads out of its folder. Put the file itself there.`,
    ],
    [
      'behind a link to another’s folder, in which there is no such file',
      async () => {
        await symlink('../a', join(folder, 'secrets/b/more'));
        await symlink('more/none', join(folder, 'secrets/b/token'));
      },
      `${token}a link leads out of its folder. Put the file itself there.`,
    ],
    ['a folder', () => mkdir(join(folder, 'secrets/b/token')), `${token}it is a folder. Name a file.`],
    [
      'a large file',
      () => writeFile(join(folder, 'secrets/b/token'), 'x'.repeat(65_537), { mode: 0o600 }),
      `${token}it has 65537 bytes, and 65536 is the limit. Check that it is the right file, and leave out what is not needed.`,
    ],
    [
      'bytes that are not text',
      () => writeFile(join(folder, 'secrets/b/token'), Buffer.from([0xff, 0xfe, 0x41]), { mode: 0o600 }),
      `${token}it is not text in UTF-8. Save it as UTF-8, or name the right file.`,
    ],
    ['nothing', async () => {}, `${token}there is no such file. Create it, or correct the path.`],
  ] as const) {
    it(`set aside the tenant whose secret is ${what}, and no other`, async () => {
      await rm(join(folder, 'secrets/b/token'));
      await prepare();
      expect(await load()).to.deep.equal({ served: ['a'], setAside: ['b'], problems: [expected], notes: [] });
      // Only what is not there yet is a note to `shr validate`, which may run where no secrets are.
      const without = await load({ secrets: 'optional' });
      if (what === 'nothing') expect(without.notes).to.deep.equal([expected]);
      else expect(without.problems).to.deep.equal([expected]);
    });
  }

  it('set aside the tenant whose secret is a socket', async () => {
    await rm(join(folder, 'secrets/b/token'));
    const server = createServer();
    await new Promise<void>((resolve) => server.listen(join(folder, 'secrets/b/token'), resolve));
    try {
      expect((await load()).problems).to.deep.equal([`${token}it is a device, pipe or socket. Name a regular file.`]);
    } finally {
      server.close();
    }
  });

  it('may be links within the tenant’s own folder, as Kubernetes makes them', async () => {
    await rm(join(folder, 'secrets/b/token'));
    await mkdir(join(folder, 'secrets/b/..2026_11_28'));
    await writeFile(join(folder, 'secrets/b/..2026_11_28/token'), 'token-of-tenant-b', { mode: 0o600 });
    await symlink('..2026_11_28', join(folder, 'secrets/b/..data'));
    await symlink('..data/token', join(folder, 'secrets/b/token'));
    expect((await load()).problems).to.deep.equal([]);
  });

  it('may lie behind a link that the platform made of the whole folder of secrets', async () => {
    await run('mv', [join(folder, 'secrets'), join(folder, 'elsewhere')]);
    await symlink('elsewhere', join(folder, 'secrets'));
    expect((await load()).problems).to.deep.equal([]);
  });

  it('of the platform’s own registrations may be links to anywhere', async () => {
    await symlink('../secrets/a/token', join(folder, 'secrets/ops-token'));
    const yaml = registrationOf('ops').replace('secrets/ops/token', 'secrets/ops-token');
    await writeFile(join(folder, 'ops-elsewhere.yaml'), yaml);
    await symlink('../ops-elsewhere.yaml', join(folder, 'registrations/ops.yaml'));
    await link(join(folder, 'secrets/a/token'), join(folder, 'secrets/ops-hard'));
    await rm(join(folder, 'secrets/ops-token'));
    await symlink('a/token', join(folder, 'secrets/ops-token'));
    expect((await load()).served).to.deep.equal(['a', 'b', 'ops']);
  });

  for (const [what, prepare, expected] of [
    [
      'a link to the platform’s file',
      () => symlink('../dispatcher.yaml', join(folder, 'registrations/b.yaml')),
      'a link leads out of its folder',
    ],
    [
      'a link to another tenant’s secret',
      () => symlink('../secrets/a/token', join(folder, 'registrations/b.yaml')),
      'a link leads out of its folder',
    ],
    ['a link to nothing', () => symlink('nowhere', join(folder, 'registrations/b.yaml')), 'there is no such file'],
    ['a named pipe', () => run('mkfifo', [join(folder, 'registrations/b.yaml')]), 'it is a device, pipe or socket'],
    ['a folder', () => mkdir(join(folder, 'registrations/b.yaml')), 'it is a folder'],
    [
      'larger than any registration',
      () => writeFile(join(folder, 'registrations/b.yaml'), `# ${'x'.repeat(256 * 1024)}`),
      'it has 262146 bytes, and 262144 is the limit',
    ],
    [
      '30,000 images',
      () =>
        writeFile(
          join(folder, 'registrations/b.yaml'),
          `images:\n${Array.from({ length: 30_000 }, (_, index) => `  image-${index}: ghcr.io/acme/image:${index}\n`).join('')}`,
        ),
      'is the limit',
    ],
    [
      '10,000 short images',
      () =>
        writeFile(
          join(folder, 'registrations/b.yaml'),
          `images:\n${Array.from({ length: 10_000 }, (_, index) => `  i${index}: a\n`).join('')}`,
        ),
      'images: it has more than 500 entries',
    ],
  ] as const) {
    it(`set aside the registration that is ${what}, and no other`, async () => {
      await rm(join(folder, 'registrations/b.yaml'));
      await prepare();
      const { served, setAside, problems } = await load();
      expect({ served, setAside }).to.deep.equal({ served: ['a'], setAside: ['b'] });
      expect(problems.join('\n'))
        .to.match(/^registrations\/b\.yaml:/)
        .and.to.include(expected);
    });
  }

  // W9
  it('that hold secrets and that others may read are named, with the command', async () => {
    await chmod(join(folder, 'secrets/a/token'), 0o644);
    await chmod(join(folder, 'secrets/b/token'), 0o640);
    expect(await load()).to.deep.equal({
      served: ['a', 'b'],
      setAside: [],
      problems: [],
      notes: [
        'registrations/a.yaml:4:23: credentials.token: every user of this machine may read or change the secret file secrets/a/token. Run `chmod 600 secrets/a/token` (in Kubernetes: `defaultMode: 0400` at the volume).',
        "registrations/b.yaml:4:23: credentials.token: every member of the file's group may read or change the secret file secrets/b/token. Run `chmod 600 secrets/b/token` (in Kubernetes: `defaultMode: 0400` at the volume).",
      ],
    });
  });

  it('that grow while they are read, or say no size, are bounded all the same', async () => {
    // Files in /proc have a size of 0.
    const content = await systemFiles.read('/proc/self/status', { mostBytes: 100_000 });
    expect(content.text).to.match(/^Name:/);
    let refused = '';
    await systemFiles.read('/proc/self/status', { mostBytes: 100 }).catch((error: Error) => {
      refused = error.message;
    });
    expect(refused).to.equal('it has more than 100 bytes, and 100 is the limit');
  });

  it('of a platform without tenants are read as they always were', async () => {
    await writeFile(join(folder, 'dispatcher.yaml'), 'id: a\nadminToken: ${env:ADMIN_TOKEN}\n');
    await rm(join(folder, 'secrets/b/token'));
    await symlink('../a/token', join(folder, 'secrets/b/token'));
    await writeFile(join(folder, 'c-elsewhere.yaml'), registrationOf('c').replace('secrets/c', 'secrets/b'));
    await symlink('../c-elsewhere.yaml', join(folder, 'registrations/c.yaml'));
    expect((await load()).problems).to.deep.equal([]);
  });
});
