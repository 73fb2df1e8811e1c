import { execFile } from 'node:child_process';
import { cp, mkdir, mkdtemp, readdir, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { promisify } from 'node:util';
import { expect } from 'chai';
import manifest from '../../package.json' with { type: 'json' };
import { engineProblem } from '../docker/engine.ts';
import { path, type Unpacked, unpacked } from './unpacked.ts';

const ROOT = join(import.meta.dirname, '..', '..');
/** The package's name in an import of one; not of a file, which begins with a dot. */
const BARE_IMPORT = /\b(?:from|import\(|require\() ?'((?:@[\w-]+\/)?[a-z][\w:-]*)/g;

interface Ended {
  readonly code: number;
  readonly out: string;
  readonly error: string;
}

describe('the published package', () => {
  let shr: Unpacked;

  before(async function () {
    this.timeout(240_000);
    shr = await unpacked();
  });

  after(async () => {
    await shr.remove();
  });

  /** `npx`, as a user calls it: the package is in the folder's node_modules, and nothing of the clone is known. */
  function npx(words: readonly string[], folder = shr.folder): Promise<Ended> {
    const environment = {
      PATH: path,
      HOME: shr.folder,
      npm_config_offline: 'true',
      npm_config_update_notifier: 'false',
    };
    const command = ['--no-install', 'shr', ...words];
    return new Promise((resolve) => {
      execFile('npx', command, { cwd: folder, env: environment, timeout: 120_000 }, (error, out, words) => {
        resolve({ code: error === null ? 0 : Number(error.code ?? 1), out, error: words });
      });
    });
  }

  it('has no sources, no tests and no development files', () => {
    const strange = shr.files.filter((file) => file.endsWith('.ts') && !file.endsWith('.d.ts'));
    expect(strange).to.deep.equal([]);
    const parts = new Set(shr.files.map((file) => file.split('/').slice(0, 2).join('/')));
    expect([...parts].filter((part) => /^(?:test|bench|dispatcher|time|\.)/.test(part))).to.deep.equal([]);
    expect(shr.files).to.include('dist/dispatcher/cli/shr.mjs').and.include('LICENSE').and.include('README.md');
  });

  it('has the templates and the documents that messages name', () => {
    expect(shr.files)
      .to.include('dist/dispatcher.example.yaml')
      .and.include('dist/registrations/organization.example.yaml')
      .and.include('dist/simulators/github/runner.mjs')
      .and.include('docs/configuration.md')
      .and.include('deploy/systemd/serverless-hosted-runner.service')
      .and.include('providers/docker/README.md');
  });

  it('takes along nothing that its owner has in a clone which serves', async function () {
    this.timeout(240_000);
    const clone = await mkdtemp(join(tmpdir(), 'shr-clone-'));
    const canary = 'a-canary-of-the-owner';
    const owned = [
      ...['dispatcher.yaml', 'registrations/acme.yaml', 'registrations/acme/app.pem', 'secrets/token', '.env'],
      ...['demo/app.pem', 'dispatcher/ledger.db', 'simulators/github/runner-release/.env', 'deploy/compose/.env'],
      'deploy/helm/serverless-hosted-runner/values-acme.yaml',
    ];
    try {
      const names = (await readdir(ROOT)).filter((name) => !/^(?:node_modules|\.git|dist|coverage)$/.test(name));
      for (const name of names) await cp(join(ROOT, name), join(clone, name), { recursive: true });
      await symlink(join(ROOT, 'node_modules'), join(clone, 'node_modules'));
      for (const name of owned) {
        await mkdir(dirname(join(clone, name)), { recursive: true });
        await writeFile(join(clone, name), canary);
      }
      const run = promisify(execFile);
      const options = { cwd: clone, env: { ...process.env, PATH: path } };
      await run('npm', ['pack', '--offline', '--loglevel=error'], options);
      const { stdout } = await run('tar', ['-tzf', `${manifest.name}-${manifest.version}.tgz`], options);
      const packed = stdout.trim().split('\n');
      expect(packed.filter((file) => owned.some((name) => file.endsWith(`/${name}`)))).to.deep.equal([]);
      expect(packed.toSorted()).to.deep.equal(shr.files.map((file) => `package/${file}`).toSorted());
    } finally {
      await rm(clone, { recursive: true });
    }
  });

  it('prints its help and version', async function () {
    this.timeout(60_000);
    const help = await npx(['--help']);
    expect(help.error).to.equal('');
    expect(help.out).to.match(/serve .*run the dispatcher/);
    expect(await npx(['--version'])).to.include({ code: 0, out: `${manifest.version}\n` });
  });

  it('writes a configuration, and finds it valid', async function () {
    this.timeout(60_000);
    const folder = join(shr.folder, 'configuration');
    await mkdir(folder);
    const init = await npx(['init', '--organization', 'acme'], folder);
    expect(init.error).to.equal('');
    const valid = await npx(['validate'], folder);
    expect(valid).to.include({ code: 0, error: '' });
  });

  it('runs the demo', async function () {
    this.timeout(150_000);
    const demo = await npx(['demo', '--within', '100']);
    expect(demo.error).to.equal('');
    expect(demo.code).to.equal(0);
    expect(demo.out).to.match(/^demo: 7 jobs: /m);
  });

  it('runs the demo in containers', async function () {
    this.timeout(240_000);
    if ((await engineProblem()) !== undefined) this.skip();
    const demo = await npx(['demo', '--backend', 'docker', '--within', '100']);
    expect(demo.error).to.equal('');
    expect(demo.out).to.match(/^demo: 7 jobs: 5 completed, 1 refused/m);
    expect(demo.code).to.equal(0);
  });

  it('imports only what it depends on; the conformance suite, what its user has', async () => {
    const peers = Object.keys(manifest.peerDependencies);
    const home = join(shr.folder, 'node_modules', manifest.name);
    for (const file of shr.files.filter((name) => /\.m?js$/.test(name))) {
      const text = await readFile(join(home, file), 'utf8');
      const allowed = [...Object.keys(manifest.dependencies), ...(file.startsWith('dist/test/') ? peers : [])];
      for (const [, name = ''] of text.matchAll(BARE_IMPORT)) {
        if (!name.startsWith('node:')) expect(allowed, `${file} imports ${name}`).to.include(name);
      }
    }
  });
});
