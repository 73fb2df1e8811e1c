import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { expect } from 'chai';
import { z } from 'zod';
import { backendListSchema, runnerDetailSchema, runnerListSchema } from '../../dispatcher/http/admin-shapes.ts';
import { ADMIN_TOKEN, eventually, type Service, startService } from './service-fixture.ts';

const JOBS = ['one', 'two', 'three', 'four'];
const workflow = `{ on: push, jobs: { ${JOBS.map((name) => `${name}: { runs-on: e2e, steps: [{ run: "true" }] }`).join(', ')} } }`;

describe('jobs that are over before their runner was seen online', function () {
  this.timeout(400_000);
  let service: Service;

  afterEach(() => service.close());

  async function read(path: string): Promise<unknown> {
    const headers = { authorization: `Bearer ${ADMIN_TOKEN}` };
    const response = await fetch(`${service.adminUrl}${path}`, { headers });
    expect(response.status, path).to.equal(200);
    return path === '/metrics' ? await response.text() : await response.json();
  }

  async function push(): Promise<void> {
    service.github.pushWorkflow({ owner: 'acme', repository: 'web', yaml: workflow });
    await eventually('the jobs succeeded', 60_000, () =>
      service.github.jobs().length === JOBS.length && service.github.jobs().every((job) => job.conclusion === 'success')
        ? true
        : undefined,
    );
  }

  /** GitHub's word that it has no such runner is believed a minute after its registration. */
  async function allGone(count = JOBS.length): Promise<readonly z.infer<typeof runnerListSchema>['runners'][number][]> {
    return await eventually('every runner is gone', 150_000, async () => {
      const { runners } = runnerListSchema.parse(await read('/api/runners?limit=50'));
      return runners.length >= count && runners.every(({ state }) => state === 'gone') ? runners : undefined;
    });
  }

  async function expectNoFailedStart(): Promise<void> {
    expect(z.string().parse(await read('/metrics'))).to.not.match(/^shr_launch_failures_total\{/m);
    const { backends } = backendListSchema.parse(await read('/api/backends'));
    expect(backends.flatMap(({ closures }) => closures)).to.deep.equal([]);
    expect(service.output()).to.not.include('"event":"breaker"');
    expect(service.output()).to.not.include('"event":"start-failed"');
  }

  it('are no failed starts, where the dispatcher polls', async () => {
    service = await startService({ registration: { poll: { interval: '20s' } } });
    service.github.faults.set({ webhooks: { lose: 1 } });
    await push();
    const runners = await allGone();
    expect(runners, 'one runner a job').to.have.length(JOBS.length);
    for (const { name, failure } of runners) {
      expect(failure, name).to.equal(null);
      const { timeline } = runnerDetailSchema.parse(await read(`/api/runners/${name}`));
      expect(timeline.map(({ reason }) => reason).join('\n')).to.not.include('before it came online');
    }
    await expectNoFailedStart();
  });

  it('are no failed starts, where the ledger was lost and their containers are adopted', async () => {
    service = await startService({ registration: { poll: { interval: '20s' } } });
    service.github.faults.set({ webhooks: { lose: 1 } });
    service.github.pushWorkflow({ owner: 'acme', repository: 'web', yaml: workflow });
    await eventually('each job has its container', 60_000, async () =>
      (await service.instances()).length === JOBS.length ? true : undefined,
    );
    await service.end('SIGKILL');
    // On a fast machine the first may have ended, and been removed, by then.
    const left = (await service.instances()).length;
    expect(left).to.be.greaterThan(0);
    for (const end of ['', '-wal', '-shm']) await rm(join(service.folder, `ledger.db${end}`), { force: true });
    await eventually('the jobs succeeded', 60_000, () =>
      service.github.jobs().every((job) => job.conclusion === 'success') ? true : undefined,
    );
    await eventually('each container has ended', 60_000, async () =>
      (await service.instances()).every(({ state }) => state === 'succeeded') ? true : undefined,
    );
    await service.restart();
    const runners = await allGone(left);
    expect(runners.map(({ failure }) => failure)).to.deep.equal(Array.from({ length: left }, () => null));
    await expectNoFailedStart();
  });
});
