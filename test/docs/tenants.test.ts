/** docs/platform.md and docs/tenants.md, followed word for word in one folder, as two teams would. */
import { execFile } from 'node:child_process';
import { chmod, mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { expect } from 'chai';

const ROOT = join(import.meta.dirname, '..', '..');
const PROGRAM = join(ROOT, 'dispatcher', 'cli', 'shr.mjs');

describe('docs/platform.md and docs/tenants.md', function () {
  this.timeout(120_000);
  let folder: string;

  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'shr-docs-'));
    await mkdir(join(folder, 'bin'));
    await writeFile(join(folder, 'bin', 'shr'), `#!/bin/sh\nexec '${process.execPath}' '${PROGRAM}' "$@"\n`);
    await chmod(join(folder, 'bin', 'shr'), 0o755);
  });
  afterEach(() => rm(folder, { recursive: true }));

  async function follow(page: string, atLeast = 3): Promise<string> {
    const text = await readFile(join(ROOT, 'docs', page), 'utf8');
    const blocks = [...text.matchAll(/^```sh\n([\s\S]*?)^```/gm)].map(([, block = '']) => block);
    expect(blocks.length).to.be.at.least(atLeast);
    const { stdout } = await promisify(execFile)('bash', ['--norc', '-euo', 'pipefail', '-c', blocks.join('\n')], {
      cwd: folder,
      env: { PATH: `${join(folder, 'bin')}:${process.env['PATH'] ?? ''}`, HOME: folder },
    });
    return stdout;
  }

  it('set up a repository in which a tenant is served', async () => {
    const platform = await follow('platform.md');
    expect(platform).to.include('wrote platform.json').and.include('wrote runners/README.md');
    expect(platform.match(/0 problems/g)).to.have.length.at.least(3);
    const [, schema = 'none'] =
      /\$schema=(\S+)/.exec(await readFile(join(folder, 'platform', 'dispatcher.yaml'), 'utf8')) ?? [];
    expect(JSON.parse(await readFile(join(folder, 'platform', schema), 'utf8'))).to.have.property('$schema');
    expect(await readdir(join(folder, 'platform', 'secrets'))).to.not.include('acme');
    const tenant = await follow('tenants.md');
    expect(tenant.match(/2 files, 0 problems/g)).to.have.length(2);
    expect(tenant).to.include('Nothing has to be done here: the dispatcher opens it.').and.include('build-host');
    // Where the platform's private key is, it opens.
    const { stdout } = await promisify(execFile)(process.execPath, [PROGRAM, 'validate', 'platform', '--secrets'], {
      cwd: folder,
    });
    expect(stdout).to.match(/2 files, 0 problems, 0 notes\n$/);
  });

  it('say what `shr` is, as README does', async () => {
    const read = (page: string) => readFile(join(ROOT, page), 'utf8');
    const definition = /^make deps && clone=\$PWD && shr\(\) \{.*\}$/m.exec(await read('README.md'))?.[0] ?? 'none';
    for (const page of ['docs/platform.md', 'docs/tenants.md']) expect(await read(page)).to.include(definition);
  });
});
