import { execFile } from 'node:child_process';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { expect } from 'chai';
import type { SimulatorOptions } from '../../simulators/github/index.ts';
import { type Installation, startInstallation } from './installation.ts';
import { shr } from './process.ts';

const X64 = 'a'.repeat(64);
const ARM64 = 'B'.repeat(64);
const RELEASE = { version: '2.338.1', sha256: { 'linux-x64': X64, 'linux-arm64': ARM64 } };

describe('shr runner-dist pin', () => {
  let fixture: Installation;
  afterEach(() => fixture.close());

  async function pin(options: SimulatorOptions, changes: Readonly<Record<string, unknown>> = {}, more: string[] = []) {
    fixture = await startInstallation(options);
    await fixture.register('acme', changes);
    await writeFile(join(fixture.folder, 'runner.sha256'), 'as before\n');
    const words = ['runner-dist', 'pin', '--registration', 'acme', '--into', 'runner.sha256', ...more];
    const ended = await shr(words, fixture.folder, fixture.environment);
    return { ...ended, file: await readFile(join(fixture.folder, 'runner.sha256'), 'utf8') };
  }

  it('writes the checksums that GitHub gives for the newest release, as sha256sum reads them', async () => {
    const { code, out, file } = await pin({ runnerRelease: RELEASE });
    expect(out).to.equal('runner 2.338.1 is pinned in runner.sha256; build with: make image\n');
    expect(code).to.equal(0);
    expect(file.split('\n').slice(2)).to.deep.equal([
      `${ARM64.toLowerCase()}  actions-runner-linux-arm64-2.338.1.tar.gz`,
      `${X64}  actions-runner-linux-x64-2.338.1.tar.gz`,
      '',
    ]);
    // It finds the files missing, and nothing wrong with the form.
    const checked = await promisify(execFile)('sha256sum', ['--strict', '-c', 'runner.sha256'], {
      cwd: fixture.folder,
    }).catch((error: { stderr: string }) => error);
    expect(checked.stderr).to.include('2 listed files could not be read').and.not.include('improperly');
  });

  it('asks at the first repository of a registration by repositories', async () => {
    const { code } = await pin(
      { runnerRelease: RELEASE },
      { organization: undefined, repositories: ['acme/web'], runnerGroup: undefined },
    );
    expect(code).to.equal(0);
  });

  it('makes up no checksum that GitHub does not give', async () => {
    const { code, error, file } = await pin({
      runnerRelease: { version: '2.338.1', sha256: { 'linux-arm64': ARM64 } },
    });
    expect(error).to.equal(
      'shr: GitHub gives no checksum for actions-runner-linux-x64-2.338.1.tar.gz; nothing was written\n',
    );
    expect(code).to.equal(1);
    expect(file).to.equal('as before\n');
  });

  it('takes nothing that is not a checksum', async () => {
    const { error } = await pin({ runnerRelease: { ...RELEASE, sha256: { ...RELEASE.sha256, 'linux-x64': 'x; rm' } } });
    expect(error).to.include('is not SHA-256; nothing was written');
  });

  it('calls an unknown option wrong usage', async () => {
    const { code, error } = await pin({ runnerRelease: RELEASE }, {}, ['--in-to', 'x']);
    expect(error).to.include("unknown option '--in-to'").and.include('See `shr runner-dist pin --help`');
    expect(code).to.equal(2);
  });

  it('says which file cannot be written', async () => {
    const { code, error } = await pin({ runnerRelease: RELEASE }, {}, ['--into', 'nowhere/runner.sha256']);
    expect(error).to.match(
      /^shr: nowhere\/runner\.sha256 cannot be written \(ENOENT.*\): name another with --into; nothing was written\n$/,
    );
    expect(code).to.equal(1);
  });

  it('says what GitHub says, and leaves the file as it was', async () => {
    const { code, error, file } = await pin({
      runnerRelease: RELEASE,
      faults: { responses: [{ method: 'GET', route: 'downloads', status: 403 }] },
    });
    expect(error).to.match(/^shr: GET \/orgs\/\{org\}\/actions\/runners\/downloads: .*; nothing was written\n$/);
    expect(code).to.equal(1);
    expect(file).to.equal('as before\n');
  });
});
