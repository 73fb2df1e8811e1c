/** The real service, a real engine and the runner image: what containers and dispatcher tell each other. */
import { execFile } from 'node:child_process';
import { once } from 'node:events';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { expect } from 'chai';
import docker from '../../providers/docker/index.ts';
import { testHost } from '../conformance/harness.ts';
import { ENGINE_SOCKET, engineProblem } from '../docker/engine.ts';
import { eventually, type Service, startService } from './service-fixture.ts';

const DISPATCHER = `image${process.pid}`;
const OPTIONS = { socketPath: ENGINE_SOCKET, network: 'host', pull: 'never' };

/** Runners have to know it before the service starts. */
async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  server.close();
  return typeof address === 'object' && address !== null ? address.port : 0;
}

describe('the runner image under a dispatcher, on Docker', function () {
  this.timeout(180_000);
  let image: string;
  let service: Service | undefined;

  before(async function () {
    const problem = await engineProblem();
    if (problem !== undefined) {
      console.log(`      skipped: ${problem}`);
      this.skip();
    }
    const environment = { ...process.env, DOCKER_HOST: `unix://${ENGINE_SOCKET}`, NODE: process.execPath };
    const script = join(import.meta.dirname, '..', '..', 'demo', 'runner-image.sh');
    image = (await promisify(execFile)(script, { env: environment })).stdout.trim();
  });

  beforeEach(async () => {
    const port = await freePort();
    service = await startService({
      dispatcher: {
        id: DISPATCHER,
        listen: { public: { address: `127.0.0.1:${port}`, url: `http://127.0.0.1:${port}` }, admin: '127.0.0.1:0' },
      },
      registration: {
        defaults: { image, cpu: 0.5, memoryGiB: 0.5 },
        backends: [{ name: 'engine', kind: 'docker', options: OPTIONS }],
      },
    });
  });
  afterEach(async () => {
    await service?.close();
    const provider = docker.create(docker.options.parse(OPTIONS), testHost());
    for (const { ref } of await provider.list({ dispatcher: DISPATCHER })) await provider.stop(ref);
    await provider.close();
  });

  const push = (run: string) =>
    service?.github.pushWorkflow({
      owner: 'acme',
      repository: 'web',
      yaml: JSON.stringify({ jobs: { only: { 'runs-on': 'e2e', steps: [{ run }] } } }),
    });
  const job = () => service?.github.jobs()[0];

  it('asks before the first step, and prints after the last one what the job used', async () => {
    push('echo a step');
    await eventually('the job has ended', 60_000, async () => (job()?.status === 'completed' ? true : undefined));
    expect(job()?.conclusion).to.equal('success');
    expect(job()?.log).to.match(new RegExp(`shr: runner ${DISPATCHER}-\\S+ on engine \\(registration e2e\\)`));
    expect(job()?.log).to.match(/shr: asked for 0\.5 cores, 0\.5 GiB; the container has 512 MiB of memory/);
    expect(job()?.log).to.match(/shr: memory: [\d.]+ MiB at its peak/);
  });

  it('goes on with its job when the dispatcher is killed', async () => {
    push('echo ready; sleep 6; echo the end');
    await eventually('the job runs', 60_000, async () => (job()?.log.includes('ready') ? true : undefined));
    await service?.end('SIGKILL');
    await eventually('the job has ended', 60_000, async () => (job()?.status === 'completed' ? true : undefined));
    expect(job()?.conclusion).to.equal('success');
    // Nobody else tells it what it used.
    expect(job()?.log).to.include('the end').and.include('memoryPeakBytes=');
  });
});
