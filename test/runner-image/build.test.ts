/** The scripts around the builder, with a stand-in for the docker command. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmod, cp, mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { expect } from 'chai';

const ROOT = join(import.meta.dirname, '..', '..');
const SHA = 'a'.repeat(64);
const pinOf = (...versions: readonly string[]): string =>
  versions.map((version) => `${SHA}  actions-runner-linux-x64-${version}.tar.gz\n`).join('');

describe('the scripts that build the runner image', function () {
  this.timeout(60_000);
  let folder: string;
  let temporary: string;

  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'shr-build-'));
    temporary = join(folder, 'tmp');
    for (const name of ['bin', 'tmp', 'image']) await mkdir(join(folder, name));
  });
  afterEach(() => rm(folder, { recursive: true, force: true }));

  async function standIn(script: string): Promise<void> {
    await writeFile(join(folder, 'bin/docker'), `#!/bin/sh\necho "$*" >>${folder}/calls\n${script}\n`);
    await chmod(join(folder, 'bin/docker'), 0o755);
  }

  /** In a process group of its own, as a terminal gives each command: Ctrl-C goes to the whole group. */
  function start(words: readonly string[], environment: Readonly<Record<string, string>> = {}) {
    const [program = '', ...rest] = words;
    const path = `${join(folder, 'bin')}:${process.env['PATH'] ?? ''}`;
    const env = { ...process.env, NODE: process.execPath, PATH: path, TMPDIR: temporary, ...environment };
    const child = spawn(program, rest, { detached: true, env, stdio: ['ignore', 'pipe', 'pipe'] });
    const said = { text: '' };
    for (const stream of [child.stdout, child.stderr])
      stream.setEncoding('utf8').on('data', (text: string) => (said.text += text));
    return { child, said, ended: once(child, 'close') };
  }

  async function interrupt(child: ChildProcess): Promise<void> {
    for (;;) {
      const calls = await readFile(join(folder, 'calls'), 'utf8').catch(() => '');
      if (/^import|^build/m.test(calls)) break;
      await delay(50);
    }
    process.kill(-(child.pid ?? 0), 'SIGINT');
  }

  describe('make image', () => {
    async function build(pin: string, environment: Readonly<Record<string, string>> = {}) {
      await standIn('');
      for (const name of ['build.sh', 'Dockerfile']) {
        await cp(join(ROOT, 'runner-image', name), join(folder, 'image', name));
      }
      await writeFile(join(folder, 'image/runner.sha256'), pin);
      const { ended, said } = start([join(folder, 'image/build.sh')], environment);
      const [code] = await ended;
      const calls = await readFile(join(folder, 'calls'), 'utf8').catch(() => '');
      return { code, text: said.text, calls };
    }

    it('builds and, where it is asked to, pushes', async () => {
      const { code, calls, text } = await build(pinOf('2.338.1'), { TAG: 'a:b', PUSH: '1' });
      // Without it the classic builder keeps the container of a step that failed.
      expect(calls).to.match(/^build --force-rm --target slim .*RUNNER_VERSION=2\.338\.1 --tag a:b .*\npush a:b\n$/);
      expect(text).to.include('built a:b: runner 2.338.1 on debian:bookworm-slim');
      expect(code).to.equal(0);
    });

    it('builds with the release of a mirror, which comes into the build context', async () => {
      const release = join(folder, 'mirror/v2.338.1/actions-runner-linux-x64-2.338.1.tar.gz');
      await mkdir(join(folder, 'mirror/v2.338.1'), { recursive: true });
      await writeFile(release, 'the release');
      const { code, calls } = await build(pinOf('2.338.1'), { MIRROR: `${join(folder, 'mirror')}/` });
      expect(code).to.equal(0);
      expect(calls)
        .to.match(/^build /)
        .and.not.include('RUNNER_MIRROR');
      const copied = await readdir(join(folder, 'image/dist'));
      expect(copied).to.deep.equal(['actions-runner-linux-x64-2.338.1.tar.gz']);
    });

    it('builds from the address of a mirror', async () => {
      const { calls } = await build(pinOf('2.338.1'), { MIRROR: 'https://mirror.example.com/runner/' });
      expect(calls).to.include('--build-arg RUNNER_MIRROR=https://mirror.example.com/runner ');
    });

    for (const [what, pin, environment, words] of [
      ['a mirror without the release', pinOf('2.338.1'), { MIRROR: '/nowhere' }, '/nowhere has no runner 2.338.1'],
      ['no pin', '# nothing\n', {}, 'no release of the runner is pinned: run shr runner-dist pin'],
      ['a pin of two releases', pinOf('2.338.1', '2.339.0'), {}, 'pins more than one release: 2.338.1 2.339.0'],
      ['another target', pinOf('2.338.1'), { TARGET: 'fat' }, "TARGET is slim or dind, and not 'fat'"],
      ['another word for pushing', pinOf('2.338.1'), { PUSH: 'yes' }, "PUSH is 1 or not set, and not 'yes'"],
    ] as const) {
      it(`builds nothing with ${what}, and says so`, async () => {
        const { code, calls, text } = await build(pin, environment);
        expect(text).to.include(words);
        expect(calls).to.equal('');
        expect(code).to.equal(1);
      });
    }
  });

  for (const script of ['runner-image/build.sh', 'demo/runner-image.sh']) {
    it(`says of a machine without the docker command what to install (${script})`, async () => {
      const { ended, said } = start([join(ROOT, script)], { PATH: join(folder, 'bin') });
      expect((await ended)[0]).to.equal(1);
      expect(said.text).to.match(/^the docker command is missing: install it .*\n$/);
    });
  }

  describe('the demo’s image', () => {
    it('says once why it could not be made', async () => {
      await standIn('case $1 in image) exit 1 ;; import) cat >/dev/null ;; *) echo "no room" >&2; exit 1 ;; esac');
      const engine = createServer((_, response) => response.end('OK')).listen(join(folder, 'engine'));
      await once(engine, 'listening');
      try {
        const words = [process.execPath, join(ROOT, 'dispatcher/cli/shr.mjs'), 'demo', '--backend', 'docker'];
        const { ended, said } = start(words, { DOCKER_HOST: `unix://${join(folder, 'engine')}` });
        expect((await ended)[0]).to.equal(1);
        expect(said.text.match(/no room/g)).to.have.length(1);
        expect(said.text).to.match(
          /\nshr: the demo's image could not be made: demo\/runner-image\.sh ended with 1, see above\n$/,
        );
      } finally {
        engine.close();
      }
    });

    it('leaves no folder behind when it is interrupted', async () => {
      await standIn('case $1 in image) exit 1 ;; *) exec sleep 60 ;; esac');
      const { child, ended } = start([join(ROOT, 'demo/runner-image.sh')]);
      await interrupt(child);
      await ended;
      expect(await readdir(temporary)).to.deep.equal([]);
    });

    it('is not called impossible when the demo is interrupted', async () => {
      await standIn('case $1 in image) exit 1 ;; *) exec sleep 60 ;; esac');
      const engine = createServer((_, response) => response.end('OK')).listen(join(folder, 'engine'));
      await once(engine, 'listening');
      try {
        const words = [process.execPath, join(ROOT, 'dispatcher/cli/shr.mjs'), 'demo', '--backend', 'docker'];
        const { child, ended, said } = start(words, { DOCKER_HOST: `unix://${join(folder, 'engine')}` });
        await interrupt(child);
        expect((await ended)[0]).to.equal(1);
        expect(said.text).to.match(/\ndemo: interrupted; everything that ran was removed\n$/);
        expect(said.text).to.not.include('could not be made');
        expect(await readdir(temporary)).to.deep.equal([]);
      } finally {
        engine.close();
      }
    });
  });
});
