import { expect } from 'chai';
import { eventually, type Service, startService } from './service.ts';

async function settled(service: Service, jobs: number, withinMs: number): Promise<void> {
  await eventually(`${jobs} jobs ended, nothing left`, withinMs, async () => {
    const ended = service.github.jobs().filter(({ status }) => status === 'completed').length;
    if (ended < jobs || service.github.runners().length > 0) return undefined;
    return (await service.instances()).length === 0 ? true : undefined;
  });
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
