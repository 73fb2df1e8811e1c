/** A job's time limit on a real engine: it ends when its time is up, and everyone is told why. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'chai';
import { createStage } from '../../dispatcher/cli/demo/stage.ts';
import { jobListSchema, runnerDetailSchema } from '../../dispatcher/http/admin-shapes.ts';
import dockerModule from '../../providers/docker/index.ts';
import type { DemoBackend } from '../../providers/provider.ts';
import { startGithubSimulator } from '../../simulators/github/index.ts';
import { testHost } from '../conformance/harness.ts';
import { ask as askEngine, engineProblem } from '../docker/engine.ts';
import { fastClock, type ServiceHere, startServiceHere } from './in-process-fixture.ts';
import { ADMIN_TOKEN, eventually } from './service-fixture.ts';

const DISPATCHER = `limit${process.pid}`;
const RATE = 10;
const LIMIT_MS = 3 * 60_000;

// T1
describe('a time limit, on Docker', function () {
  this.timeout(180_000);
  let folder: string;
  let backend: DemoBackend | undefined;
  let service: ServiceHere | undefined;

  before(async function () {
    const problem = await engineProblem();
    if (problem === undefined) return;
    console.log(`      skipped: ${problem}`);
    this.skip();
  });

  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'shr-limit-'));
  });

  afterEach(async () => {
    await service?.close();
    if (backend !== undefined) await stopAll(backend);
    await backend?.close();
    await rm(folder, { recursive: true });
  });

  /** What a failed test leaves on the engine. */
  async function stopAll({ options }: DemoBackend): Promise<void> {
    const provider = dockerModule.create(dockerModule.options.parse(options), testHost());
    const left = await provider.list({ dispatcher: DISPATCHER });
    await Promise.all(left.map(({ ref }) => provider.stop(ref)));
    await provider.close();
  }

  async function read(path: string): Promise<unknown> {
    const response = await fetch(`${service?.adminUrl}${path}`, {
      headers: { authorization: `Bearer ${ADMIN_TOKEN}` },
    });
    expect(response.status).to.equal(200);
    return await response.json();
  }

  it('is enforced with its container while the job runs, and said of the job and of its runner', async () => {
    backend = await dockerModule.demo(createStage('docker', folder, () => {}));
    // The runners' address is needed before the port is known.
    const scout = await startGithubSimulator();
    const { port } = scout;
    await scout.close();
    await backend.open(port);
    const clock = fastClock(RATE);
    service = await startServiceHere(clock, {
      dispatcher: { id: DISPATCHER },
      github: { port, runnerUrl: backend.runnerUrl(port), clock },
      registration: {
        defaults: { image: backend.image, cpu: 0.5, memoryGiB: 0.5 },
        policy: { maxCpu: 4, maxMemoryGiB: 8, maxTimeout: '10m' },
        backends: [{ name: 'engine', kind: 'docker', options: backend.options }],
      },
    });
    service.github.pushWorkflow({
      owner: 'acme',
      repository: 'web',
      yaml: 'on: push\njobs:\n  long:\n    runs-on: [e2e, timeout-3m]\n    steps: [{ run: "sleep 600" }]\n',
    });
    const name = await eventually('the job runs', 60_000, async () => {
      const [job] = jobListSchema.parse(await read('/api/jobs')).jobs;
      return job?.status === 'in_progress' ? (job.runner ?? undefined) : undefined;
    });
    const detail = async () => runnerDetailSchema.parse(await read(`/api/runners/${name}?output=true`));
    const { instance } = (await detail()).runner;
    expect(await askEngine('GET', `/containers/${instance}/json`)).to.have.nested.property('State.Running', true);

    const { runner, timeline } = await eventually('the runner is gone', 90_000, async () => {
      const found = await detail();
      return found.runner.state === 'gone' ? found : undefined;
    });
    expect(runner).to.include({ forced: true, backend: 'engine' });
    expect(runner.failure).to.include({ kind: 'time-limit' });
    const drained = timeline.find(({ state }) => state === 'draining');
    const lasted = Date.parse(drained?.at ?? '') - Date.parse(runner.createdAt ?? '');
    expect(lasted).to.be.within(LIMIT_MS, LIMIT_MS + 2 * 60_000);
    const left = await askEngine('GET', `/containers/${instance}/json`, undefined, [404]);
    expect(left).to.not.have.property('State');

    const job = await eventually('the job says why', 30_000, async () => {
      const [found] = jobListSchema.parse(await read('/api/jobs')).jobs;
      return found?.reasonCode === 'time-limit' ? found : undefined;
    });
    expect(job.reason).to.include(name).and.include('was stopped at its time limit');
    expect(job.cure).to.match(/^Raise the limit/);
  });
});
