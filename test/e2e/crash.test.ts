import { expect } from 'chai';
import { eventually, type Service, startService } from './service-fixture.ts';

/** `count` jobs in one run: a matrix, each with a step that leaves its mark. */
function burst(count: number, seconds = 0.2): string {
  const numbers = Array.from({ length: count }, (_, index) => index);
  return `
on: push
jobs:
  burst:
    strategy:
      matrix:
        number: [${numbers.join(', ')}]
    runs-on: e2e
    steps:
      - run: echo "job \${{ matrix.number }}"; sleep ${seconds}
`;
}

async function allDone(service: Service, count: number, withinMs: number): Promise<void> {
  await eventually(`${count} jobs completed, nothing left`, withinMs, async () => {
    const jobs = service.github.jobs();
    const completed = jobs.filter(({ status }) => status === 'completed').length;
    if (jobs.length < count || completed < count || service.github.runners().length > 0) return undefined;
    return (await service.instances()).length === 0 ? true : undefined;
  });
}

function expectEachOnce(service: Service, count: number): void {
  const jobs = service.github.jobs();
  expect(jobs.map(({ conclusion }) => conclusion)).to.deep.equal(Array.from({ length: count }, () => 'success'));
  const runs = new Map<number, number>();
  for (const { jobId } of service.github.executions()) runs.set(jobId, (runs.get(jobId) ?? 0) + 1);
  expect([...runs.values()].filter((times) => times !== 1)).to.deep.equal([]);
  expect(runs.size).to.equal(count);
}

/**
 * A kill between "about to call the provider" and the call leaves a runner of which nothing may exist: that takes three
 * misses over three minutes to believe. Most runs need none of it.
 */
const PROOF_MS = 6 * 60_000;

describe('a dispatcher that is killed', function () {
  this.timeout(600_000);
  let service: Service;

  afterEach(async () => {
    await service.close();
  });

  it('loses nothing by kill -9 in a burst of 200 jobs: each runs exactly once, and nothing is left', async () => {
    service = await startService({ maxRunners: 16 });
    service.github.pushWorkflow({ owner: 'acme', repository: 'web', yaml: burst(200) });
    for (const share of [0.1, 0.4, 0.7]) {
      await eventually(`${share * 100} % of the jobs completed`, 120_000, () => {
        const completed = service.github.jobs().filter(({ status }) => status === 'completed').length;
        return completed >= 200 * share ? completed : undefined;
      });
      expect((await service.end('SIGKILL')).code).to.equal(null);
      await service.restart();
    }
    await allDone(service, 200, PROOF_MS);
    expectEachOnce(service, 200);
  });

  it('ends within 20 s of SIGTERM in a burst, with exit code 0, and the next start goes on', async () => {
    service = await startService({ maxRunners: 8 });
    service.github.pushWorkflow({ owner: 'acme', repository: 'web', yaml: burst(40) });
    await eventually('the first jobs run', 60_000, () => (service.github.executions().length >= 8 ? true : undefined));
    const ended = await service.end('SIGTERM');
    expect(ended.code).to.equal(0);
    expect(ended.ms).to.be.lessThan(20_000);
    await service.restart();
    await allDone(service, 40, PROOF_MS);
    expectEachOnce(service, 40);
  });

  it('adopts what runs when its ledger is lost, and kills none of it', async () => {
    service = await startService({ maxRunners: 4 });
    service.github.pushWorkflow({ owner: 'acme', repository: 'web', yaml: burst(4, 6) });
    await eventually('all four run', 60_000, () => (service.github.executions().length === 4 ? true : undefined));
    await service.end('SIGKILL');
    const { rm } = await import('node:fs/promises');
    for (const file of ['ledger.db', 'ledger.db-wal', 'ledger.db-shm'])
      await rm(`${service.folder}/${file}`, { force: true });
    await service.restart();
    await allDone(service, 4, PROOF_MS);
    expectEachOnce(service, 4);
  });
});
