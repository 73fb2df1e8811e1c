import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { promisify } from 'node:util';
import { expect } from 'chai';
import { cloudKinds } from '../../dispatcher/cli/demo/cloud-backend.ts';
import { ask, engineProblem } from '../docker/engine.ts';

const SHR = join(import.meta.dirname, '..', '..', 'dispatcher', 'cli', 'shr.ts');
const LAST_LINE = 'demo: 7 jobs: 5 completed, 1 refused, 1 not ours; 0 runners left, 0 instances left';

async function demo(...words: string[]): Promise<string> {
  const { stdout } = await promisify(execFile)(process.execPath, [SHR, 'demo', ...words], { timeout: 90_000 });
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
    expect(output).to.match(/^greedy was refused: .*64.*8.*maxCpu/m);
  });

  for (const kind of cloudKinds) {
    it(`does the same through the SDK of ${kind}, on a simulator of its service`, async () => {
      const output = await demo('--backend', kind);
      expect(output.trimEnd().split('\n').at(-1)).to.equal(LAST_LINE);
    });
  }

  it('does the same in real containers', async function () {
    const problem = await engineProblem();
    if (problem !== undefined) {
      console.log(`      ${problem}`);
      this.skip();
    }
    const output = await demo('--backend', 'docker');
    expect(output.trimEnd().split('\n').at(-1)).to.equal(LAST_LINE);
    const left = await ask('GET', `/containers/json?all=1&filters=${encodeURIComponent('{"name":["demo-"]}')}`);
    expect(left).to.deep.equal([]);
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
          stdio: ['ignore', 'ignore', 'pipe'],
        });
        const ended = once(child, 'exit');
        let said = '';
        child.stderr.setEncoding('utf8').on('data', (text: string) => {
          said += text;
        });
        const pid = await numberIn(pidFile);
        child.kill('SIGINT');
        expect(await ended).to.deep.equal([1, null]);
        expect(said).to.include('Interrupted: takes away what runs');
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
      const failed = await demo(...words).catch((error: unknown) => error);
      expect(failed)
        .to.have.property('stderr')
        .that.matches(says)
        .and.does.not.match(/^ +at /m);
    });
  }

  it('says which backends there are when asked for another', async () => {
    const failed = await demo('--backend', 'mainframe').catch((error: unknown) => error);
    expect(failed).to.include({ code: 2 });
    expect(failed).to.have.property('stderr').that.includes('process');
  });
});
