import { expect } from 'chai';
import { z } from 'zod';
import { ADMIN_TOKEN, eventually, type Service, startService } from './service-fixture.ts';

async function settled(service: Service, jobs: number, withinMs: number): Promise<void> {
  await eventually(`${jobs} jobs ended, nothing left`, withinMs, async () => {
    const ended = service.github.jobs().filter(({ status }) => status === 'completed').length;
    if (ended < jobs || service.github.runners().length > 0) return undefined;
    return (await service.instances()).length === 0 ? true : undefined;
  });
}

const reason = z.string().nullable();
const lanesSchema = z.object({ lanes: z.array(z.object({ waitReason: reason })) });
const jobsSchema = z.object({ jobs: z.array(z.object({ waitReason: reason, launches: z.number() })) });

async function ask(service: Service, path: string): Promise<unknown> {
  const response = await fetch(`${service.adminUrl}${path}`, { headers: { authorization: `Bearer ${ADMIN_TOKEN}` } });
  return await response.json();
}

function matrix(count: number, labels: string): string {
  const numbers = Array.from({ length: count }, (_, index) => index).join(', ');
  return `
on: push
jobs:
  work:
    strategy: { matrix: { number: [${numbers}] } }
    runs-on: ${labels}
    steps: [{ run: "echo \${{ matrix.number }}" }]
`;
}

describe('a dispatcher in a bad week', function () {
  this.timeout(180_000);
  let service: Service;

  afterEach(() => service.close());

  it('serves every job once though webhooks are lost, doubled, late and reordered', async () => {
    service = await startService({ maxRunners: 8 });
    service.github.faults.set({ webhooks: { lose: 0.2, vanish: 0.2, double: 0.3, late: 0.2, reorder: 0.3 } });
    service.github.pushWorkflow({ owner: 'acme', repository: 'web', yaml: matrix(24, 'e2e') });
    await settled(service, 24, 150_000);
    const executed = service.github.executions().map(({ jobId }) => jobId);
    expect(new Set(executed).size).to.equal(24);
    expect(executed.length).to.equal(24);
  });

  it('serves a job whose label is unique though another lane’s job took its runner', async () => {
    service = await startService({ maxRunners: 4 });
    // The runner of the pinned job fits the plain one too: GitHub may give it away.
    service.github.pushWorkflow({
      owner: 'acme',
      repository: 'web',
      yaml: matrix(3, '[e2e, "sid-${{ matrix.number }}"]'),
    });
    service.github.pushWorkflow({ owner: 'acme', repository: 'web', yaml: matrix(3, 'e2e') });
    await settled(service, 6, 120_000);
    expect(service.github.jobs().map(({ conclusion }) => conclusion)).to.deep.equal(
      Array.from({ length: 6 }, () => 'success'),
    );
  });

  // folder 01
  it('serves one lane while GitHub refuses to register runners for another', async () => {
    service = await startService();
    service.github.faults.set({
      responses: [{ method: 'POST', route: 'generate-jitconfig', status: 422, message: 'Validation Failed', times: 1 }],
    });
    service.github.pushWorkflow({ owner: 'acme', repository: 'web', yaml: matrix(1, '[e2e, sid-refused]') });
    await eventually('GitHub has refused it', 30_000, async () => {
      const { lanes } = lanesSchema.parse(await ask(service, '/api/lanes'));
      return (
        lanes.some(({ waitReason }) => waitReason?.includes('GitHub refuses a runner with the labels')) || undefined
      );
    });
    const { id } = service.github.pushWorkflow({ owner: 'acme', repository: 'web', yaml: matrix(1, 'e2e') });
    await eventually(
      'the other lane is served',
      40_000,
      () => service.github.run(id)?.status === 'completed' || undefined,
    );
    await eventually(
      'the refused one too, a minute later',
      90_000,
      () => service.github.jobs().every(({ status }) => status === 'completed') || undefined,
    );
  });

  // folder 06
  it('starts a job soon after GitHub has been down, and says so meanwhile', async () => {
    service = await startService();
    service.github.faults.set({ responses: [{ method: 'POST', route: 'generate-jitconfig', status: 503 }] });
    service.github.pushWorkflow({ owner: 'acme', repository: 'web', yaml: matrix(1, 'e2e') });
    await eventually('it is said', 30_000, async () => {
      const { jobs } = jobsSchema.parse(await ask(service, '/api/jobs'));
      return (
        jobs.some(({ launches, waitReason }) => launches === 0 && waitReason?.startsWith('GitHub answers 503 since')) ||
        undefined
      );
    });
    service.github.faults.set({ responses: [] });
    await settled(service, 1, 80_000);
  });

  it('launches nothing for a job that was cancelled while it waited', async () => {
    service = await startService({ maxRunners: 1 });
    const slow = matrix(1, 'e2e').replace('echo', 'sleep 3; echo');
    const { jobs } = service.github.pushWorkflow({ owner: 'acme', repository: 'web', yaml: slow });
    await eventually('the first job runs', 30_000, () => (service.github.executions().length === 1 ? true : undefined));
    const waiting = service.github.pushWorkflow({ owner: 'acme', repository: 'web', yaml: matrix(2, 'e2e') });
    const [cancelled] = waiting.jobs;
    if (cancelled === undefined) throw new Error('the run has no jobs');
    service.github.cancel({ jobId: cancelled.id });
    await settled(service, 3, 60_000);
    const executed = new Set(service.github.executions().map(({ jobId }) => jobId));
    expect(executed.has(cancelled.id)).to.equal(false);
    expect(executed.size).to.equal(2);
    expect(jobs).to.have.length(1);
  });
});
