import { execFile, spawn } from 'node:child_process';
import { chmod, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { expect } from 'chai';
import { loadProvider } from '../../../providers/index.ts';
import { RUNNER_COMMAND } from '../../../providers/kit/runner-command.ts';

const [shell = '', ...words] = RUNNER_COMMAND;
const script = RUNNER_COMMAND[2] ?? '';
const ONLINE = 'echo "Listening for Jobs" >_diag/Runner_1-utc.log';
const LOOP = 'trap "echo told to stop; exit 0" TERM; while :; do sleep 0.1; done';

/** As little as each kind's options accept. */
const MINIMAL: Readonly<Record<string, unknown>> = {
  'ali-eci': {
    region: 'cn-hangzhou',
    accessKeyId: 'id',
    accessKeySecret: 'secret',
    vSwitchIds: ['vsw-1'],
    securityGroupId: 'sg-1',
  },
  'azure-aci': {
    subscriptionId: '00000000-0000-0000-0000-000000000000',
    resourceGroup: 'runners',
    location: 'westeurope',
    credentials: { kind: 'managed-identity' },
  },
  docker: {},
  'gcp-batch': { project: 'project-1', region: 'europe-west4', serviceAccount: 'r@project-1.iam.gserviceaccount.com' },
  'gcp-cloud-run': {
    project: 'project-1',
    region: 'europe-west1',
    serviceAccount: 'r@project-1.iam.gserviceaccount.com',
  },
};

describe('the default command of a container', function () {
  this.timeout(30_000);
  let folder: string;
  const groups: number[] = [];

  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'shr-command-'));
    await mkdir(join(folder, '_diag'));
  });
  afterEach(async () => {
    for (const group of groups.splice(0)) {
      try {
        process.kill(-group, 'SIGKILL');
      } catch {
        // All of it has ended.
      }
    }
    await rm(folder, { recursive: true, force: true });
  });

  /** With this program as `run.sh` of the working folder, as in the official layout. */
  async function run(
    program: string | undefined,
    environment: Readonly<Record<string, string>> = {},
  ): Promise<{ readonly code: number | null; readonly output: string }> {
    if (program !== undefined) {
      await writeFile(join(folder, 'run.sh'), `#!/bin/sh\n${program}\n`);
      await chmod(join(folder, 'run.sh'), 0o755);
    }
    const env = { PATH: process.env['PATH'] ?? '', SHR_CANCEL_SECONDS: '2', ...environment };
    const child = spawn(shell, words, { cwd: folder, env, detached: true, stdio: ['ignore', 'pipe', 'pipe'] });
    groups.push(child.pid ?? 0);
    let output = '';
    for (const stream of [child.stdout, child.stderr])
      stream.setEncoding('utf8').on('data', (text: string) => {
        output += text;
      });
    const code = await new Promise<number | null>((resolve) => child.on('exit', resolve));
    await new Promise((resolve) => setTimeout(resolve, 50));
    return { code, output };
  }

  it('is small, and one line that no service has a reason to change', () => {
    expect(script.length).to.be.below(3_000);
    expect(script).to.not.match(/['\n\\`]|\$\$|\$\([A-Za-z_]/);
  });

  it('is clean for shellcheck', async function () {
    await writeFile(join(folder, 'script.sh'), `#!/bin/sh\n${script}\n`);
    const found = await promisify(execFile)('shellcheck', [join(folder, 'script.sh')]).catch(
      (error: { code: unknown; stdout?: string }) => error,
    );
    if ('code' in found && found.code === 'ENOENT') this.skip();
    expect(found.stdout).to.equal('');
  });

  for (const kind of ['ali-eci', 'azure-aci', 'docker', 'gcp-batch', 'gcp-cloud-run']) {
    it(`is that of ${kind}`, async () => {
      const { options } = await loadProvider(kind);
      const parsed = options.safeParse(MINIMAL[kind]);
      expect(parsed.error?.issues ?? []).to.deep.equal([]);
      expect(parsed.data).to.have.property('command').that.deep.equals(RUNNER_COMMAND);
    });
  }

  it('becomes the runner, with its exit code and what makes a TERM cancel the job', async () => {
    const ended = await run('echo "trap $RUNNER_MANUALLY_TRAP_SIG"; echo "token <$SHR_CALLBACK_TOKEN>"; exit 7', {
      SHR_CALLBACK_TOKEN: 'secret',
    });
    expect(ended).to.deep.equal({ code: 7, output: 'trap 1\ntoken <>\n' });
  });

  it('says what an image without a runner lacks, and ends with 127', async () => {
    const ended = await run(undefined);
    expect(ended.output).to.include('this image has no runner');
    expect(ended.code).to.equal(127);
  });

  for (const [what, program, environment, words] of [
    ['at the end of its life', LOOP, { SHR_LIFE_SECONDS: '2' }, 'has reached its 2 s of life'],
    [
      'where the runner does not come online',
      `echo starting >_diag/Runner_1-utc.log; ${LOOP}`,
      { SHR_ONLINE_SECONDS: '2' },
      'was not online within 2 s',
    ],
    ['where no job comes', `${ONLINE}; ${LOOP}`, { SHR_IDLE_SECONDS: '2' }, 'had no job for 2 s'],
    [
      'where the listener goes on after its job',
      `${ONLINE}; cp "$(command -v sleep)" Runner.Worker; ./Runner.Worker 5; ${LOOP}`,
      {},
      'went on for 2 s after its job',
    ],
  ] as const) {
    it(`tells the runner to stop ${what}`, async () => {
      const ended = await run(program, environment);
      expect(ended.output).to.include(`shr: the`).and.include(words).and.include('told to stop');
      expect(ended.code).to.equal(0);
    });
  }

  it('kills a runner that does not listen', async () => {
    const ended = await run('trap "" TERM; while :; do sleep 0.1; done', { SHR_LIFE_SECONDS: '1' });
    expect(ended.code).to.equal(null);
  });

  it('lets a worker work, however long the limit on idling is over', async () => {
    const ended = await run(`${ONLINE}; cp "$(command -v sleep)" Runner.Worker; ./Runner.Worker 7; exit 0`, {
      SHR_IDLE_SECONDS: '1',
    });
    expect(ended).to.deep.equal({ code: 0, output: '' });
  });
});
