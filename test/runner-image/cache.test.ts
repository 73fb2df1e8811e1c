/** The recipe of docs/runner-image.md, "Caches", through the adapter of Docker. */
import { execFile } from 'node:child_process';
import { mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { expect } from 'chai';
import docker from '../../providers/docker/index.ts';
import type { Provider } from '../../providers/provider.ts';
import { type GithubSimulator, startGithubSimulator } from '../../simulators/github/index.ts';
import { testHost } from '../conformance/harness.ts';
import { ENGINE_SOCKET, engineProblem } from '../docker/engine.ts';
import { register } from '../simulators/github/wire-runner.ts';

const environment = { ...process.env, DOCKER_HOST: `unix://${ENGINE_SOCKET}`, NODE: process.execPath };
const IMAGE = 'shr-test:with-cache';
const OWNER = `cache-${process.pid}`;
/** What an action such as setup-node does. */
const STEP =
  'cd "$RUNNER_TOOL_CACHE"; if [ -e node.complete ]; then echo "found in the cache"; else echo downloaded; : >node.complete; fi; id -un';

describe('a cache of tools in a bucket', function () {
  this.timeout(180_000);
  let folder: string;
  let github: GithubSimulator;
  let provider: Provider;

  before(async function () {
    if ((await engineProblem()) !== undefined) this.skip();
    const run = promisify(execFile);
    const script = join(import.meta.dirname, '..', '..', 'demo', 'runner-image.sh');
    const base = (await run(script, { env: environment })).stdout.trim();
    folder = await mkdtemp(join(tmpdir(), 'shr-cache-'));
    await writeFile(
      join(folder, 'Dockerfile'),
      `FROM ${base}\nENV RUNNER_TOOL_CACHE=/home/runner/cache/tools\nUSER root\n`,
    );
    await run('docker', ['build', '--network', 'none', '--tag', IMAGE, folder], { env: environment });
    github = await startGithubSimulator({
      owners: [{ login: 'acme', repositories: [{ name: 'web' }] }],
      tokens: [{ login: 'root', owners: ['*'], access: 'admin' }],
    });
    const options = docker.options.parse({
      socketPath: ENGINE_SOCKET,
      network: 'host',
      pull: 'never',
      workFolder: '/home/runner/cache',
      bucketRoot: join(folder, 'buckets'),
    });
    provider = docker.create(options, testHost());
  });
  after(async () => {
    for (const { ref } of (await provider?.list({ dispatcher: OWNER })) ?? []) await provider.stop(ref);
    await provider?.close();
    await github?.close();
    if (folder !== undefined) await rm(folder, { recursive: true, force: true });
  });

  /** The log of one job that asked for the bucket. */
  async function job(name: string, bucketPrefix: string): Promise<string> {
    const blob = await register(github, { name, labels: ['a'] });
    const run = github.pushWorkflow({
      owner: 'acme',
      repository: 'web',
      yaml: JSON.stringify({ jobs: { only: { 'runs-on': 'a', steps: [{ run: STEP }] } } }),
    });
    await provider.launch({
      name,
      shape: {
        ...{ cpu: 0.5, memoryGiB: 0.5, architecture: 'x64', image: IMAGE, spot: false, dockerInDocker: false },
        bucket: 'build-cache',
        bucketPrefix,
      },
      tags: {
        ...{ dispatcher: OWNER, registration: 'acme', lane: 'l1', scope: 'orgs/acme', runner: name },
        ...{ createdAtMs: 1, deadlineAtMs: 2, charge: {} },
      },
      environment: {},
      secretEnvironment: { ACTIONS_RUNNER_INPUT_JITCONFIG: blob },
    });
    await github.waitFor(() => github.run(run.id)?.status === 'completed', 60_000);
    return github.jobs().find(({ runId }) => runId === run.id)?.log ?? '';
  }

  it('is filled by a job, and found by the next, which are not root', async () => {
    expect(await job(`${OWNER}-1`, 'acme/web')).to.match(/^downloaded\nrunner\n/);
    expect(await job(`${OWNER}-2`, 'acme/web')).to.match(/^found in the cache\nrunner\n/);
    expect(await readdir(join(folder, 'buckets/build-cache/acme/web/tools'))).to.deep.equal(['node.complete']);
  });

  it('is another for another repository', async () => {
    expect(await job(`${OWNER}-3`, 'acme/api')).to.match(/^downloaded\nrunner\n/);
  });
});
