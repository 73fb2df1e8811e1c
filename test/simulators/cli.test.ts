import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'chai';
import { systemFiles } from '../../dispatcher/config/files.ts';
import { loadConfiguration } from '../../dispatcher/config/load.ts';
import { loadProvider } from '../../providers/index.ts';

const CLI = new URL('../../simulators/cli.ts', import.meta.url).pathname;
const CLOUDS = ['ali-eci', 'azure-aci', 'gcp-cloud-run', 'gcp-batch'];

async function load(folder: string) {
  const loaded = await loadConfiguration({
    dispatcherFile: join(folder, 'dispatcher.yaml'),
    registrationsFolder: join(folder, 'registrations'),
    environment: {},
    files: systemFiles,
    provider: loadProvider,
  });
  if (!loaded.ok || loaded.problems.length > 0) throw new Error(JSON.stringify(loaded.problems));
  return loaded.configuration;
}

describe('simulators (command line)', function () {
  this.timeout(60_000);

  let folder: string;
  const children: ChildProcess[] = [];

  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'simulators-test-'));
  });

  afterEach(async () => {
    for (const child of children.splice(0)) child.kill('SIGKILL');
    await rm(folder, { recursive: true });
  });

  function start(...words: string[]) {
    const child = spawn(process.execPath, [CLI, ...words], {
      env: { PATH: process.env['PATH'], TMPDIR: folder },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    children.push(child);
    let out = '';
    let error = '';
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      error += text;
    });
    const ended = once(child, 'close').then(([code]) => ({ code, out, error }));
    const ready = new Promise<string>((resolve, reject) => {
      child.stdout.setEncoding('utf8').on('data', (text: string) => {
        out += text;
        const written = /^config +([^\s,]+)/m.exec(out)?.[1];
        if (written !== undefined && out.includes('shr verify-live')) resolve(written);
      });
      void ended.then(() => reject(new Error(`ended early: ${error}`)));
    });
    // Where a test wants its end alone.
    ready.catch(() => undefined);
    return { child, ready, ended };
  }

  for (const name of CLOUDS) {
    it(`starts ${name} with a configuration that loads, and takes it away at SIGTERM`, async () => {
      const ports = name.startsWith('gcp-') ? ['--port', '0', '--http-port', '0'] : ['--port', '0'];
      const { child, ready, ended } = start(name, ...ports);
      const home = await ready;
      const { registrations } = await load(home);
      expect(registrations.flatMap(({ backends }) => backends.map(({ kind }) => kind))).to.deep.equal([name]);
      expect(await readFile(join(home, 'registrations/simulated.yaml'), 'utf8')).not.to.match(
        /PRIVATE|simulated.secret/,
      );
      expect((await stat(join(home, 'secrets'))).mode & 0o077).to.equal(0);
      child.kill('SIGTERM');
      expect((await ended).code).to.equal(0);
      expect(await stat(home).catch(() => undefined)).to.equal(undefined);
    });
  }

  it('starts several in one registration, in the order given', async () => {
    const { child, ready, ended } = start('gcp-batch', 'azure-aci', '--free-ports', '--folder', join(folder, 'mine'));
    const { registrations } = await load(await ready.then(() => join(folder, 'mine')));
    expect(registrations[0]?.backends.map(({ kind }) => kind)).to.deep.equal(['gcp-batch', 'azure-aci']);
    child.kill('SIGTERM');
    expect((await ended).code).to.equal(0);
    await load(join(folder, 'mine'));
  });

  it('configures a webhook from its GitHub to the dispatcher, and a poll within the limits', async () => {
    const { ready } = start('github', 'ali-eci', '--free-ports');
    const [registration] = (await load(await ready)).registrations;
    expect(registration?.webhookSecrets).to.have.length(1);
    expect(registration?.poll.intervalMs).to.equal(15_000);
  });

  it('writes nothing into a folder that holds something else', async () => {
    await writeFile(join(folder, 'notes.md'), 'mine');
    const { code, error } = await start('github', 'ali-eci', '--free-ports', '--folder', folder).ended;
    expect(code).to.equal(2);
    expect(error).to.include('holds other files: name a folder that is empty');
    expect(await readdir(folder)).to.deep.equal(['notes.md']);
  });

  it('says which there are when asked for another', async () => {
    const { code, error } = await start('ali-eci', 'mainframe').ended;
    expect(code).to.equal(2);
    expect(error).to.include("no simulator 'mainframe'").and.include('azure-aci');
  });

  it('reports a port that is taken or invalid without a stack', async () => {
    const taken = createServer().listen(0, '127.0.0.1');
    await once(taken, 'listening');
    const address = taken.address();
    const port = typeof address === 'object' && address !== null ? String(address.port) : '';
    try {
      const ends = await Promise.all(CLOUDS.map((name) => start(name, '--port', port).ended));
      for (const { code, error } of ends) {
        expect(code, error).to.equal(1);
        expect(error)
          .to.include('choose another --port')
          .and.not.match(/^ +at /m);
      }
    } finally {
      taken.close();
    }
    expect((await start('ali-eci', '--port', '99999').ended).error).to.include('from 0 to 65535');
  });
});
