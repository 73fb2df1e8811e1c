import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'chai';
import { stringify } from 'yaml';
import { openSqliteLedger } from '../../dispatcher/ledger/sqlite.ts';

const SHR = join(import.meta.dirname, '..', '..', 'dispatcher', 'cli', 'shr.mjs');

interface Ended {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** `stopAt`: gets SIGTERM when its log has that event. */
async function serve(
  folder: string,
  { words = [], stopAt }: { readonly words?: readonly string[]; readonly stopAt?: string } = {},
): Promise<Ended> {
  const child = spawn(process.execPath, [SHR, 'serve', folder, ...words], {
    env: { PATH: process.env['PATH'] ?? '', TOKEN: 'an-admin-token-of-the-test', GITHUB: 'a-github-token' },
  });
  let stdout = '';
  let stderr = '';
  child.stdout.on('data', (chunk: Buffer) => {
    stdout += chunk.toString();
    // Once: a second signal ends it at once.
    if (stopAt !== undefined && !child.killed && stdout.includes(`"event":"${stopAt}"`)) child.kill('SIGTERM');
  });
  child.stderr.on('data', (chunk: Buffer) => {
    stderr += chunk.toString();
  });
  const [code] = await once(child, 'exit');
  return { code: typeof code === 'number' ? code : null, stdout, stderr };
}

describe('shr serve as a process', function () {
  // Most of it is the start of a process: a second on a quiet machine.
  this.timeout(120_000);
  let folder: string;

  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'shr-serve-'));
    await mkdir(join(folder, 'registrations'));
  });
  afterEach(() => rm(folder, { recursive: true, force: true }));

  async function configure(dispatcher: Readonly<Record<string, unknown>> = {}, kind = 'docker'): Promise<void> {
    await writeFile(
      join(folder, 'dispatcher.yaml'),
      stringify({
        id: 'test',
        ledger: 'ledger.db',
        adminToken: '${env:TOKEN}',
        listen: { public: '127.0.0.1:0', admin: '127.0.0.1:0' },
        ...dispatcher,
      }),
    );
    await writeFile(
      join(folder, 'registrations', 'acme.yaml'),
      stringify({
        organization: 'acme',
        apiUrl: 'http://127.0.0.1:9',
        credentials: { token: '${env:GITHUB}' },
        defaults: { image: 'runner:1' },
        backends: [{ kind, options: kind === 'process' ? { command: ['true'] } : {} }],
      }),
    );
  }

  it('names the missing dispatcher.yaml, and how to write one', async () => {
    const { code, stderr } = await serve(folder);
    expect(code).to.equal(1);
    expect(stderr).to.include('dispatcher.yaml').and.to.include('shr init');
  });

  it('names file, line and cure of every mistake', async () => {
    await configure({ listen: { public: 'nowhere' }, logLevel: 'loud' });
    const { code, stderr } = await serve(folder);
    expect(code).to.equal(1);
    expect(stderr).to.match(/dispatcher\.yaml:\d+:\d+: listen\.public: .*host:port/);
    expect(stderr).to.match(/dispatcher\.yaml:\d+:\d+: logLevel: /);
  });

  it('refuses the process backend without the unsafe switch', async () => {
    await configure({}, 'process');
    const { code, stderr } = await serve(folder);
    expect(code).to.equal(1);
    expect(stderr).to.include('unsafeProcessBackend');
  });

  it('says who has the port, and what to change', async () => {
    const other = createServer();
    other.listen(0, '127.0.0.1');
    await once(other, 'listening');
    const address = other.address();
    const port = typeof address === 'object' && address !== null ? address.port : 0;
    for (const key of ['public', 'admin']) {
      await configure({ listen: { public: '127.0.0.1:0', admin: '127.0.0.1:0', [key]: `127.0.0.1:${port}` } });
      const { code, stderr } = await serve(folder);
      expect(code).to.equal(1);
      expect(stderr).to.equal(
        `shr: another program listens on 127.0.0.1:${port}. Stop it, or change \`listen.${key}\` in dispatcher.yaml.\n`,
      );
    }
    other.close();
  });

  it('does not share its ledger with another process', async () => {
    await configure();
    const holder = await openSqliteLedger({ path: join(folder, 'ledger.db'), now: () => Date.now() });
    const { code, stderr } = await serve(folder);
    await holder.close();
    expect(code).to.equal(1);
    expect(stderr).to.include('ledger.db');
  });

  it('says which folder of the ledger cannot be made, without a stack', async () => {
    await writeFile(join(folder, 'file'), '');
    for (const ledger of ['file/ledger.db', 'file/data/ledger.db']) {
      await configure({ ledger });
      const { code, stderr } = await serve(folder);
      expect(code).to.equal(1);
      expect(stderr).to.match(
        /^shr: the folder of the ledger cannot be used: \S+\/file is a file, and a folder is needed there\. Name another folder, or move the file\. It is set by `ledger` in dispatcher\.yaml\.$/m,
      );
      expect(stderr).not.to.match(/^ +at /m);
    }
  });

  it('stops at a file that is no ledger, and leaves it as it is', async () => {
    await configure();
    await writeFile(join(folder, 'ledger.db'), 'this is a letter to grandmother, no database at all'.repeat(100));
    const { code, stderr } = await serve(folder);
    expect(code).to.equal(1);
    expect(stderr).to.include('ledger.db');
  });

  it('never prints a secret', async () => {
    await configure({ listen: { public: 'nowhere' } });
    const { stdout, stderr } = await serve(folder);
    expect(stdout + stderr)
      .to.not.include('an-admin-token-of-the-test')
      .and.to.not.include('a-github-token');
  });

  it('that a signal ends before everything is drained fails, so that it is started again and nobody takes it for drained', async () => {
    await configure({ unsafeProcessBackend: true }, 'process');
    const { code, stdout, stderr } = await serve(folder, { words: ['--drain'], stopAt: 'draining' });
    expect(stdout, stderr).to.include('"signal":"SIGTERM"').and.not.include('"event":"drained"');
    expect(code).to.equal(1);
  });
});
