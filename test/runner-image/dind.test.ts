/**
 * The target `dind`, with a stand-in for dockerd: a real one needs a privileged container, which is for docs/assumptions.md.
 */
import { execFile } from 'node:child_process';
import { copyFile, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { promisify } from 'node:util';
import { expect } from 'chai';
import { startGithubSimulator } from '../../simulators/github/index.ts';
import { ENGINE_SOCKET, engineProblem } from '../docker/engine.ts';
import { register } from '../simulators/github/wire-runner.ts';
import { Container } from './container.ts';

const ROOT = join(import.meta.dirname, '..', '..');
const STAND_IN = join(import.meta.dirname, 'stand-in-dockerd.sh');

describe('the runner image’s start of a Docker engine', function () {
  this.timeout(30_000);
  let container: Container;

  beforeEach(async () => {
    container = await Container.create('exit 100');
    await mkdir(join(container.root, 'state'));
    await mkdir(join(container.root, 'path'));
    await copyFile(STAND_IN, join(container.root, 'path/dockerd'));
  });
  afterEach(() => container.close());

  const start = (environment: Readonly<Record<string, string>> = {}) =>
    container.start(
      {
        PATH: `${join(container.root, 'path')}:${dirname(process.execPath)}:${process.env['PATH'] ?? ''}`,
        SHR_STATE: join(container.root, 'state'),
        SHR_CGROUPS: '/nowhere',
        SHR_DOCKER_SOCKET: join(container.root, 'docker.sock'),
        ...environment,
      },
      'start-dockerd',
    ).ended;

  it('takes the first storage driver that works here', async () => {
    for (const driver of ['overlay2', 'fuse-overlayfs', 'vfs']) {
      const ended = await start({ STAND_IN_DRIVERS: `${driver} vfs` });
      expect(ended.output).to.equal(`shr: Docker runs in this container, with the storage driver ${driver}\n`);
      expect(ended.code).to.equal(0);
      await rm(join(container.root, 'docker.sock'));
    }
  });

  it('says what a container without the privilege lacks', async () => {
    const ended = await start({ STAND_IN_DRIVERS: '' });
    expect(ended.output).to.include('needs a privileged one').and.include('error initializing graphdriver: vfs');
    expect(ended.code).to.equal(1);
  });

  it('waits no longer than it may', async () => {
    const ended = await start({ STAND_IN_SILENT: 'yes', STAND_IN_DRIVERS: 'overlay2', SHR_DOCKERD_SECONDS: '2' });
    expect(ended.output).to.include('did not answer within 2 s');
    expect(ended.code).to.equal(1);
  });
});

describe('the runner image’s target dind', function () {
  this.timeout(180_000);
  const environment = { ...process.env, DOCKER_HOST: `unix://${ENGINE_SOCKET}`, NODE: process.execPath };
  const run = async (program: string, words: readonly string[], more: Readonly<Record<string, string>> = {}) =>
    (await promisify(execFile)(program, words, { env: { ...environment, ...more } })).stdout.trim();

  it('gives jobs an engine, and runs them as the runner all the same', async function () {
    if ((await engineProblem()) !== undefined) this.skip();
    const folder = await mkdtemp(join(tmpdir(), 'shr-dind-'));
    const github = await startGithubSimulator({
      owners: [{ login: 'acme', repositories: [{ name: 'web' }] }],
      tokens: [{ login: 'root', owners: ['*'], access: 'admin' }],
    });
    try {
      const base = await run(join(ROOT, 'demo', 'base.sh'), []);
      await copyFile(STAND_IN, join(folder, 'dockerd'));
      await writeFile(join(folder, 'Dockerfile'), `FROM ${base}\nCOPY dockerd /usr/bin/dockerd\n`);
      await run('docker', ['build', '--network', 'none', '--tag', 'shr-base:dockerd', folder]);
      const image = await run(join(ROOT, 'demo', 'runner-image.sh'), [], {
        ...{ BASE: 'shr-base:dockerd', TARGET: 'dind', NETWORK: 'none' },
      });
      const blob = await register(github, { name: 'shr-1', labels: ['a'] });
      const step = 'id -un; curl --silent --unix-socket /var/run/docker.sock http://docker/_ping';
      github.pushWorkflow({
        owner: 'acme',
        repository: 'web',
        yaml: JSON.stringify({ jobs: { only: { 'runs-on': 'a', steps: [{ run: step }] } } }),
      });
      const words = ['run', '--rm', '--network', 'host', '--env', `ACTIONS_RUNNER_INPUT_JITCONFIG=${blob}`, image];
      await run('docker', words);
      expect(github.jobs()[0]?.log).to.include('runner\nOK');
      expect(github.jobs()[0]?.conclusion).to.equal('success');
      // Without an engine it is not what the job asked for.
      const failed = await run('docker', [...words.slice(0, -1), '--env', 'STAND_IN_DRIVERS=', image]).catch(
        (error: { code: number; stderr: string }) => error,
      );
      expect(failed).to.include({ code: 78 });
    } finally {
      await github.close();
      await rm(folder, { recursive: true });
    }
  });
});
