import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { promisify } from 'node:util';
import { expect } from 'chai';
import { providerKinds } from '../../providers/index.ts';
import { ask, engineProblem } from '../docker/engine.ts';
import { EngineProxy } from '../docker/engine-proxy.ts';

const SHR = join(import.meta.dirname, '..', '..', 'dispatcher', 'cli', 'shr.mjs');
const LAST_LINE = 'demo: 7 jobs: 5 completed, 1 refused, 1 not ours; 0 runners left, 0 instances left';

async function demo(
  words: readonly string[] = [],
  environment: Readonly<Record<string, string>> = {},
): Promise<string> {
  const { stdout } = await promisify(execFile)(process.execPath, [SHR, 'demo', ...words], {
    timeout: 90_000,
    env: { ...process.env, ...environment },
  });
  return stdout;
}

/** Once somebody has written it. */
async function numberIn(file: string): Promise<number> {
  for (;;) {
    const text = await readFile(file, 'utf8').catch(() => '');
    if (text.endsWith('\n')) return Number(text);
    await delay(50);
  }
}

describe('shr demo', function () {
  this.timeout(120_000);

  it('runs every kind of job through local processes, and leaves nothing', async () => {
    const output = await demo();
    expect(output.trimEnd().split('\n').at(-1)).to.equal(LAST_LINE);
    expect(output).to.match(/^big +queued .*creating .*starting .*busy .*finishing .*gone/m);
    expect(output).to.match(/^That greedy is refused is part of the demo/m);
    expect(output).to.match(/^greedy was refused: .*64.*8.*maxCpu/m);
    expect(output).to.match(/^greedy +queued \S+ → refused$/m);
    expect(output).to.match(/^deploy +waiting for approval \S+ → queued \S+ → creating .*gone/m);
    expect(output).to.not.match(/^greedy .*\(waits:/m);
    expect(output).to.not.match(/waiting for approval \S+ \(waits:/);
  });

  for (const kind of providerKinds.filter((one) => one !== 'process' && one !== 'docker')) {
    it(`does the same through the SDK of ${kind}, on a simulator of its service`, async () => {
      const output = await demo(['--backend', kind]);
      expect(output.trimEnd().split('\n').at(-1)).to.equal(LAST_LINE);
    });
  }

  it('does the same in real containers', async function () {
    const problem = await engineProblem();
    if (problem !== undefined) {
      console.log(`      ${problem}`);
      this.skip();
    }
    const output = await demo(['--backend', 'docker']);
    expect(output).to.match(
      /^The jobs ran in containers of the image (shr-runner:slim-\w+), which stays .*`docker image rm \1`/m,
    );
    expect(output.trimEnd().split('\n').at(-1)).to.equal(LAST_LINE);
    const left = await ask('GET', `/containers/json?all=1&filters=${encodeURIComponent('{"name":["demo-"]}')}`);
    expect(left).to.deep.equal([]);
  });

  // J17
  it('runs at the engine of DOCKER_HOST, adapter and all', async function () {
    const missing = await engineProblem();
    if (missing !== undefined) this.skip();
    const folder = await mkdtemp(join(tmpdir(), 'shr-demo-engine-'));
    const proxy = new EngineProxy(join(folder, 'elsewhere.sock'));
    await proxy.listen();
    try {
      const workflow = join(folder, 'one.yaml');
      await writeFile(workflow, 'jobs: {one: {runs-on: serverless-hosted-runner, steps: [{run: "true"}]}}');
      const output = await demo(['--backend', 'docker', '--workflow', workflow], {
        DOCKER_HOST: `unix://${proxy.socketPath}`,
      });
      expect(output.trimEnd().split('\n').at(-1)).to.match(/^demo: 1 job: 1 completed/);
      expect(proxy.calls.filter(({ url }) => url.startsWith('/containers/create'))).to.have.length(1);
    } finally {
      await proxy.close();
      await rm(folder, { recursive: true });
    }
  });

  it('says that nothing answers at DOCKER_HOST, and ends', async () => {
    const error = await demo(['--backend', 'docker'], { DOCKER_HOST: 'unix:///nowhere/docker.sock' }).then(
      () => '',
      (reason: unknown) => (reason instanceof Error && 'stderr' in reason ? String(reason.stderr) : String(reason)),
    );
    expect(error).to.match(
      /^shr: docker demo: no Docker engine answers at unix:\/\/\/nowhere\/docker\.sock \(DOCKER_HOST\)/,
    );
    expect(error).to.not.match(/\n +at /);
  });

  it('gives up, and names what the jobs waited for', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'shr-demo-waits-'));
    try {
      const workflow = join(folder, 'many.yaml');
      const jobs = Array.from(
        { length: 9 },
        (_, n) => `j${n}: {runs-on: serverless-hosted-runner, steps: [{run: "sleep 60"}]}`,
      );
      await writeFile(workflow, `jobs: {${jobs.join(', ')}}`);
      const error = await demo(['--workflow', workflow, '--within', '8']).then(
        () => '',
        (reason: unknown) => (reason instanceof Error && 'stderr' in reason ? String(reason.stderr) : String(reason)),
      );
      expect(error).to.match(/^Not done within 8 s\.\nj\d waits: .*8 runners/m);
      expect(error).to.match(/^With --keep the dispatcher's log stays/m);
    } finally {
      await rm(folder, { recursive: true });
    }
  });

  it('says of a job that fails that it failed', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'shr-demo-fails-'));
    try {
      const workflow = join(folder, 'fails.yaml');
      await writeFile(workflow, 'jobs: {one: {runs-on: serverless-hosted-runner, steps: [{run: "exit 3"}]}}');
      const output = await demo(['--workflow', workflow]).then(
        () => '',
        (reason: unknown) => (reason instanceof Error && 'stdout' in reason ? String(reason.stdout) : String(reason)),
      );
      expect(output).to.match(/^one +queued .* → gone \S+ → ended with failure$/m);
      expect(output.trimEnd().split('\n').at(-1)).to.match(/^demo: 1 job: 0 completed, 1 failed, 0 refused/);
    } finally {
      await rm(folder, { recursive: true });
    }
  });

  for (const kind of ['process', 'ali-eci']) {
    it(`takes away what runs on ${kind}, and its folder, when it is interrupted`, async () => {
      const temporary = await mkdtemp(join(tmpdir(), 'shr-demo-test-'));
      try {
        const workflow = join(temporary, 'long.yaml');
        const pidFile = join(temporary, 'pid');
        const step = `echo $$ > ${pidFile}; exec sleep 300`;
        await writeFile(workflow, `jobs: {long: {runs-on: serverless-hosted-runner, steps: [{run: "${step}"}]}}`);
        const child = spawn(process.execPath, [SHR, 'demo', '--backend', kind, '--workflow', workflow], {
          env: { ...process.env, TMPDIR: temporary },
          stdio: ['ignore', 'pipe', 'pipe'],
        });
        const ended = once(child, 'exit');
        let said = '';
        child.stderr.setEncoding('utf8').on('data', (text: string) => {
          said += text;
        });
        let told = '';
        child.stdout.setEncoding('utf8').on('data', (text: string) => {
          told += text;
        });
        const pid = await numberIn(pidFile);
        child.kill('SIGINT');
        expect(await ended).to.deep.equal([1, null]);
        expect(said).to.include('Interrupted: removing what is running');
        expect(told).to.match(/\ndemo: interrupted; everything that ran was removed\n$/);
        expect(() => process.kill(pid, 0)).to.throw('ESRCH');
        expect((await readdir(temporary)).toSorted()).to.deep.equal(['long.yaml', 'pid']);
      } finally {
        await rm(temporary, { recursive: true });
      }
    });
  }

  for (const [what, words, says] of [
    ['a workflow that is not there', ['--workflow', '/nowhere.yaml'], /^shr: the workflow cannot be read .*--workflow/],
    ['a workflow that is none', ['--workflow', import.meta.filename], /^shr: the simulated GitHub does not take/],
    ['a time that is none', ['--within', 'soon'], /^error: .*--within.* number of seconds/],
  ] as const) {
    it(`says what is wrong with ${what}, without a stack`, async () => {
      const failed = await demo(words).catch((error: unknown) => error);
      expect(failed)
        .to.have.property('stderr')
        .that.matches(says)
        .and.does.not.match(/^ +at /m);
    });
  }

  it('says which backends there are when asked for another', async () => {
    const failed = await demo(['--backend', 'mainframe']).catch((error: unknown) => error);
    expect(failed).to.include({ code: 2 });
    expect(failed).to.have.property('stderr').that.includes('process');
  });
});
