/** The image, built by the real engine on a base of this machine's own programs, at the simulated GitHub. */
import { execFile } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { promisify } from 'node:util';
import { expect } from 'chai';
import { RUNNER_COMMAND } from '../../providers/kit/runner-command.ts';
import { type GithubSimulator, startGithubSimulator } from '../../simulators/github/index.ts';
import { ENGINE_SOCKET, engineProblem } from '../docker/engine.ts';
import { register } from '../simulators/github/wire-runner.ts';
import { type CallbackServer, startCallbacks } from './callback-server.ts';

const ROOT = join(import.meta.dirname, '..', '..');
const environment = { ...process.env, DOCKER_HOST: `unix://${ENGINE_SOCKET}`, NODE: process.execPath };
const TOKEN = 'canary-token-of-the-call-back';

const docker = async (...words: string[]): Promise<string> =>
  (await promisify(execFile)('docker', words, { env: environment, maxBuffer: 64 * 2 ** 20 })).stdout;

/** Builds it where it was not built before; prints which base it stands on. */
const build = async (target: string): Promise<string> =>
  (
    await promisify(execFile)(join(ROOT, 'demo', 'runner-image.sh'), { env: { ...environment, TARGET: target } })
  ).stdout.trim();

describe('the runner image', function () {
  this.timeout(180_000);
  let image: string;
  let simulator: GithubSimulator;
  let callbacks: CallbackServer;
  const containers: string[] = [];

  before(async function () {
    const problem = await engineProblem();
    if (problem !== undefined) {
      console.log(`      ${problem}`);
      this.skip();
    }
    image = await build('slim');
  });
  beforeEach(async () => {
    simulator = await startGithubSimulator({
      owners: [{ login: 'acme', repositories: [{ name: 'web' }] }],
      tokens: [{ login: 'root', owners: ['*'], access: 'admin' }],
    });
    callbacks = await startCallbacks();
    callbacks.answer = (event) => ({ status: 200, text: `dispatcher on ${event}\n` });
  });
  afterEach(async () => {
    for (const container of containers.splice(0)) await docker('rm', '--force', container);
    await callbacks?.close();
    await simulator?.close();
  });

  interface Wish {
    readonly environment?: Readonly<Record<string, string>>;
    readonly command?: readonly string[];
    readonly options?: readonly string[];
    readonly blob?: string;
    readonly of?: string;
  }

  /** On the machine's network, where the simulated GitHub listens. */
  async function start(wish: Wish = {}): Promise<string> {
    const variables = {
      ACTIONS_RUNNER_INPUT_JITCONFIG: wish.blob ?? (await register(simulator, { name: 'shr-1', labels: ['a'] })),
      SHR_CALLBACK_URL: callbacks.url,
      SHR_CALLBACK_TOKEN: TOKEN,
      ...wish.environment,
    };
    const flags = Object.entries(variables).flatMap(([name, value]) => ['--env', `${name}=${value}`]);
    const id = await docker(
      ...['run', '--detach', '--network', 'host', ...flags, ...(wish.options ?? [])],
      ...[wish.of ?? image, ...(wish.command ?? [])],
    );
    containers.push(id.trim());
    return id.trim();
  }

  const ended = async (container: string) => ({
    code: Number((await docker('wait', container)).trim()),
    output: await logs(container),
  });
  async function logs(container: string): Promise<string> {
    const { stdout, stderr } = await promisify(execFile)('docker', ['logs', container], { env: environment });
    return stderr + stdout;
  }
  const push = (run: string, more: object = {}) =>
    simulator.pushWorkflow({
      owner: 'acme',
      repository: 'web',
      yaml: JSON.stringify({ jobs: { only: { 'runs-on': 'a', steps: [{ run }] } } }),
      ...more,
    });
  const job = () => simulator.jobs()[0];
  const inJob = (text: string) => simulator.waitFor(() => job()?.log.includes(text), 30_000);

  it('is labelled with the runner’s version, and runs as a user without rights', async () => {
    const [found] = JSON.parse(await docker('image', 'inspect', image)) as [
      { Config: { Labels: object; User: string } },
    ];
    expect(found.Config.Labels).to.include({
      'org.opencontainers.image.version': '2.335.0',
      'serverless-hosted-runner.contract': '1',
      'serverless-hosted-runner.runner': '2.335.0',
    });
    expect(found.Config.User).to.equal('runner');
    expect(await docker('run', '--rm', '--network', 'none', image, 'id')).to.match(
      /^uid=1001\(runner\) gid=1001\(runner\)/,
    );
  });

  it('runs a job with both hooks, and says how it ended', async () => {
    push('echo "I am $(id -un) in $PWD"; exit 3');
    const { code, output } = await ended(await start());
    expect(job()?.conclusion).to.equal('failure');
    expect(job()?.log).to.include('I am runner in /home/runner/_work/web/web');
    expect(job()?.log).to.include('dispatcher on job-started').and.include('dispatcher on job-completed');
    expect(output.trimEnd().split('\n').at(-1)).to.equal('shr: listener exited with 102: the job failed');
    expect(code).to.equal(0);
    const events = callbacks.calls.map(({ event }) => event).filter((event) => event !== 'listening');
    expect(events).to.deep.equal(['booted', 'job-started', 'job-completed', 'exiting']);
    expect(callbacks.calls[0]?.fields).to.deep.equal({ version: '2.335.0', image: '1' });
    const used = callbacks.calls.find(({ event }) => event === 'job-completed')?.fields ?? {};
    expect(Number(used['memoryPeakBytes'])).to.be.above(1_000_000);
    expect(used['oomKills']).to.match(/^\d+$/);
  });

  it('stops a job that the dispatcher does not allow, before its first step', async () => {
    callbacks.answer = (event) =>
      event === 'job-started' ? { status: 403, text: 'eve/web is a fork: not here\n' } : { status: 204 };
    push('echo a step', { event: 'pull_request', fork: 'eve/web' });
    const { output } = await ended(await start());
    expect(job()?.conclusion).to.equal('failure');
    expect(job()?.log).to.include('eve/web is a fork: not here').and.not.include('a step');
    expect(output).to.include('the job failed');
    const asked = callbacks.calls.find(({ event }) => event === 'job-started');
    expect(asked?.fields).to.include({ repository: 'acme/web', event: 'pull_request', fork: 'true', job: 'only' });
    expect(asked?.authorization).to.equal(`Bearer ${TOKEN}`);
  });

  it('shows no secret in any process to a step: not in ps, not in /proc/*/environ', async () => {
    const blob = await register(simulator, { name: 'shr-1', labels: ['a'] });
    push('ps -eo pid,args -ww; cat /proc/[0-9]*/environ | tr "\\0" "\\n"; env');
    const { output } = await ended(await start({ blob }));
    const log = job()?.log ?? '';
    expect(log)
      .to.match(/^ +1 tini -s -- \/opt\/shr\/supervise$/m)
      .and.match(/Runner\.Worker/);
    expect(log.match(/^SHR_STARTED=/gm)?.length).to.be.at.least(5);
    for (const text of [log, output]) expect(text).to.not.include(TOKEN).and.not.include(blob);
  });

  it('cancels its job in order on SIGTERM', async () => {
    push('trap "echo cleaned; exit 1" INT TERM; echo ready; while :; do sleep 0.1; done');
    const container = await start();
    await inJob('ready');
    await docker('kill', '--signal', 'TERM', container);
    const { code, output } = await ended(container);
    expect(job()?.log).to.include('cleaned');
    expect(job()?.conclusion).to.equal('cancelled');
    expect(output).to.include('shr: listener exited with 103: the job was cancelled');
    expect(code).to.equal(0);
  });

  describe('with the dispatcher dead', () => {
    beforeEach(() => callbacks.close());
    afterEach(async () => {
      callbacks = await startCallbacks();
    });

    it('runs its job all the same', async () => {
      push('echo done');
      const { output } = await ended(await start({ environment: { SHR_HOOK_SECONDS: '1' } }));
      expect(output).to.include('the job succeeded');
      expect(job()?.log).to.include('memoryPeakBytes=');
    });

    it('ends where no job comes', async () => {
      const { code, output } = await ended(await start({ environment: { SHR_IDLE_SECONDS: '3' } }));
      expect(output).to.include('the runner had no job for 3 s');
      expect(code).to.equal(76);
    });

    it('ends at the end of its life, in the middle of a job', async () => {
      push('echo ready; sleep 300');
      const limits = { SHR_LIFE_SECONDS: '8', SHR_IDLE_SECONDS: '2', SHR_HOOK_SECONDS: '1' };
      const { code, output } = await ended(await start({ environment: limits }));
      expect(output).to.include('the container has reached its 8 s of life');
      expect(job()?.conclusion).to.equal('cancelled');
      expect(code).to.equal(77);
    });
  });

  it('says that a work folder cannot be written, and ends with 78', async () => {
    const { code, output } = await ended(await start({ options: ['--tmpfs', '/home/runner/_work:mode=755,uid=0'] }));
    expect(output).to.include('/home/runner/_work cannot be written by runner (uid 1001)');
    expect(code).to.equal(78);
  });

  it('takes a work folder that root owns where it is started by root, and runs the job as the runner', async () => {
    push('id -un; touch file');
    const options = ['--user', 'root', '--tmpfs', '/home/runner/_work:mode=755,uid=0'];
    const { output } = await ended(await start({ options }));
    expect(output).to.include('the job succeeded');
    expect(job()?.log).to.match(/^runner$/m);
  });

  it('is what the default command of every adapter starts', async () => {
    push('echo done');
    const { output } = await ended(await start({ command: RUNNER_COMMAND }));
    expect(output).to.include('shr: listener exited with 100: the job succeeded');
    expect(callbacks.calls.map(({ event }) => event)).to.include('job-completed');
  });

  describe('and an image with the official layout', () => {
    const official = 'shr-test:official-layout';

    before(async () => {
      const folder = await mkdtemp(join(tmpdir(), 'shr-official-'));
      try {
        await writeFile(
          join(folder, 'Dockerfile'),
          `FROM ${image}\nUSER root\nRUN rm -r /opt/shr\nUSER runner\nCMD ["bash"]\n`,
        );
        await docker('build', '--network', 'none', '--tag', official, folder);
      } finally {
        await rm(folder, { recursive: true });
      }
    });

    it('run unmodified under the default command', async () => {
      push('echo done');
      const { code, output } = await ended(await start({ of: official, command: RUNNER_COMMAND }));
      expect(job()?.conclusion).to.equal('success');
      expect(output).to.include('Running job: only').and.not.include('shr:');
      expect(code).to.equal(0);
    });

    it('cancel their job in order on SIGTERM', async () => {
      push('trap "echo cleaned; exit 1" INT TERM; echo ready; while :; do sleep 0.1; done');
      const container = await start({ of: official, command: RUNNER_COMMAND });
      await inJob('ready');
      await docker('kill', '--signal', 'TERM', container);
      await ended(container);
      expect(job()?.log).to.include('cleaned');
      expect(job()?.conclusion).to.equal('cancelled');
    });

    it('end where no job comes, and at the end of their life', async () => {
      const limits = { SHR_CANCEL_SECONDS: '5' };
      const idle = await start({
        of: official,
        command: RUNNER_COMMAND,
        environment: { ...limits, SHR_IDLE_SECONDS: '3' },
      });
      expect((await ended(idle)).output).to.include('shr: the runner had no job for 3 s');
      push('echo ready; sleep 300');
      const blob = await register(simulator, { name: 'shr-2', labels: ['a'] });
      const busy = await start({
        ...{ of: official, command: RUNNER_COMMAND, blob },
        environment: { ...limits, SHR_IDLE_SECONDS: '2', SHR_LIFE_SECONDS: '8' },
      });
      expect((await ended(busy)).output).to.include('shr: the container has reached its 8 s of life');
      await simulator.waitFor(() => job()?.conclusion === 'cancelled', 10_000);
    });
  });

  it('is not built without a pin, from a wrong one, or for another version, and says so', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'shr-unpinned-'));
    try {
      await promisify(execFile)('cp', ['-R', `${join(ROOT, 'runner-image')}/.`, folder]);
      const attempt = async (pin: string): Promise<string> => {
        await writeFile(join(folder, 'runner.sha256'), pin);
        const architecture = process.arch === 'arm64' ? 'arm64' : 'x64';
        await writeFile(join(folder, 'dist', `actions-runner-linux-${architecture}-2.338.1.tar.gz`), 'not a release');
        const words = ['build', '--force-rm', '--network', 'none', '--build-arg', 'BASE=shr-base:machine'];
        return await docker(...words, '--build-arg', 'RUNNER_VERSION=2.338.1', folder).then(
          () => 'built',
          (error: { stdout: string; stderr: string }) => error.stdout + error.stderr,
        );
      };
      const both = (version: string) =>
        ['x64', 'arm64'].map((one) => `${'0'.repeat(64)}  actions-runner-linux-${one}-${version}.tar.gz\n`).join('');
      expect(await attempt('# nothing yet\n'))
        .to.include('no release of the runner is pinned')
        .and.include('shr runner-dist pin');
      expect(await attempt(both('2.338.1'))).to.include('is not the release that is pinned');
      expect(await attempt(both('2.337.0'))).to.match(/pins \S+2\.337\.0\S+, and RUNNER_VERSION is '2\.338\.1'/);
    } finally {
      await rm(folder, { recursive: true });
    }
  });

  it('is not slower to listen than the listener itself by more than a moment', async () => {
    const container = await start();
    const startedAt = Date.now();
    while (!(await logs(container)).includes('Listening for Jobs') && Date.now() - startedAt < 20_000) await delay(50);
    console.log(`      listening after ${Date.now() - startedAt} ms`);
    expect(Date.now() - startedAt).to.be.below(20_000);
  });
});
