import { execFile } from 'node:child_process';
import { cp, mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect } from 'chai';
import { path, type Unpacked, unpacked } from './unpacked.ts';

const ROOT = join(import.meta.dirname, '..', '..');
const EXAMPLE = join(ROOT, 'docs', 'development', 'provider-package');

const registration = `
organization: acme
credentials:
  token: \${env:TOKEN}
defaults:
  image: ghcr.io/acme/runner:1
backends:
  - kind: acme
`;

describe('a provider in a package of its own', () => {
  let published: Unpacked;
  let home: string;

  before(async function () {
    this.timeout(240_000);
    published = await unpacked();
    await published.link(['mocha', 'chai', 'fast-check', '@types/node', '@types/mocha', '@types/chai']);
    home = join(published.folder, 'acme-runners');
    await cp(EXAMPLE, home, { recursive: true });
  });

  after(async () => {
    await published.remove();
  });

  function run(program: string, words: readonly string[], cwd: string): Promise<{ code: number; text: string }> {
    const env = { PATH: path, HOME: published.folder, npm_config_offline: 'true', npm_config_update_notifier: 'false' };
    return new Promise((resolve) => {
      execFile(
        program,
        [...words],
        { cwd, env, timeout: 200_000, maxBuffer: 16 * 1024 * 1024 },
        (error, out, words) => {
          resolve({ code: error === null ? 0 : Number(error.code ?? 1), text: `${out}${words}` });
        },
      );
    });
  }

  it('is checked against the published types alone', async function () {
    this.timeout(120_000);
    await writeFile(
      join(home, 'tsconfig.json'),
      JSON.stringify({
        compilerOptions: {
          ...{ target: 'es2024', lib: ['es2024'], module: 'nodenext', types: ['node', 'mocha'], declaration: true },
          ...{ strict: true, exactOptionalPropertyTypes: true, noUncheckedIndexedAccess: true },
          ...{ verbatimModuleSyntax: true, skipLibCheck: false },
        },
      }),
    );
    const compiled = await run(join(ROOT, 'node_modules', '.bin', 'tsc'), ['-p', '.'], home);
    expect(compiled).to.deep.equal({ code: 0, text: '' });
  });

  it('passes the published conformance suite', async function () {
    this.timeout(200_000);
    const mocha = join(ROOT, 'node_modules', '.bin', 'mocha');
    const ran = await run(mocha, ['--timeout', '20000', '--reporter', 'dot', 'conformance.test.js'], home);
    expect(ran.text).to.match(/[4-9]\d passing/);
    expect(ran.code, ran.text).to.equal(0);
  });

  it('is a kind where dispatcher.yaml names it, in the version that is installed', async function () {
    this.timeout(60_000);
    const folder = join(published.folder, 'configuration');
    await mkdir(join(folder, 'registrations'), { recursive: true });
    await cp(home, join(folder, 'node_modules', 'acme-runners'), { recursive: true });
    await writeFile(join(folder, 'registrations', 'acme.yaml'), registration);
    const dispatcher = 'id: shr\nadminToken: ${env:ADMIN}\nproviders:\n  acme: acme-runners@1.4.0\n';
    await writeFile(join(folder, 'dispatcher.yaml'), dispatcher);
    const valid = await run('npx', ['--no-install', 'shr', 'validate'], folder);
    expect(valid.text).to.match(/2 files, 0 problems/);
    expect(valid.code).to.equal(0);

    await writeFile(join(folder, 'dispatcher.yaml'), dispatcher.replace('1.4.0', '1.5.0'));
    const other = await run('npx', ['--no-install', 'shr', 'validate'], folder);
    expect(other.text).to.include('dispatcher.yaml:4:9: providers.acme: backends of kind `acme` are closed');
    expect(other.text).to.include('acme-runners is installed in version 1.4.0, not 1.5.0');
    expect(other.code).to.equal(1);
  });

  it('names the version that the page about it names', async () => {
    const page = await readFile(join(ROOT, 'providers', 'README.md'), 'utf8');
    const { version } = JSON.parse(await readFile(join(EXAMPLE, 'package.json'), 'utf8'));
    expect(page).to.include(`acme-runners@${version}`);
  });
});
