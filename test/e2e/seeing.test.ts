import { join } from 'node:path';
import { expect } from 'chai';
import { z } from 'zod';
import { runnerDetailSchema, runnerListSchema } from '../../dispatcher/http/admin-shapes.ts';
import { ADMIN_TOKEN, eventually, type Service, startService } from './service-fixture.ts';

async function read(service: Service, path: string): Promise<unknown> {
  const headers = { authorization: `Bearer ${ADMIN_TOKEN}` };
  const response = await fetch(`${service.adminUrl}${path}`, { headers });
  expect(response.status, path).to.equal(200);
  return path === '/metrics' ? await response.text() : await response.json();
}

describe('what people see of a running dispatcher', function () {
  this.timeout(120_000);
  let service: Service;

  afterEach(() => service.close());

  it('keeps the last output of a container that failed to start, and says why its job waits', async () => {
    service = await startService({
      registration: ({ folder }) => ({
        backends: [
          {
            name: 'broken',
            kind: 'process',
            options: {
              command: ['/bin/sh', '-c', 'echo no licence found; exit 9'],
              root: join(folder, 'instances'),
            },
          },
        ],
      }),
    });
    const yaml = '{ on: push, jobs: { work: { runs-on: e2e, steps: [{ run: "true" }] } } }';
    service.github.pushWorkflow({ owner: 'acme', repository: 'web', yaml });
    const failed = await eventually('a runner failed and is gone', 60_000, async () => {
      const { runners } = runnerListSchema.parse(await read(service, '/api/runners?limit=50'));
      return runners.find((runner) => runner.state === 'gone' && runner.failure !== null);
    });
    const { output, timeline } = runnerDetailSchema.parse(
      await read(service, `/api/runners/${failed.name}?output=true`),
    );
    expect(output).to.include('no licence found');
    expect(timeline.map(({ reason }) => reason).join('\n')).to.include('before it came online');
    const lanes = z.object({ lanes: z.array(z.object({ waitReason: z.string().nullable() }).loose()) });
    const reason = await eventually('the lane says why it waits', 60_000, async () => {
      const [lane] = lanes.parse(await read(service, '/api/lanes?waiting=true')).lanes;
      return lane?.waitReason ?? undefined;
    });
    expect(reason.length).to.be.greaterThan(10);
  });

  it('is ready, and counts what it did', async () => {
    service = await startService();
    const yaml = '{ on: push, jobs: { work: { runs-on: e2e, steps: [{ run: "true" }] } } }';
    service.github.pushWorkflow({ owner: 'acme', repository: 'web', yaml });
    await eventually('the job succeeded', 60_000, () =>
      service.github.jobs().every(({ conclusion }) => conclusion === 'success') ? true : undefined,
    );
    expect(await read(service, '/readyz')).to.deep.equal({ ready: true, reasons: [] });
    const metrics = await eventually('the teardown is counted', 30_000, async () => {
      const text = z.string().parse(await read(service, '/metrics'));
      return /^shr_teardown_seconds_count\{.*\} 1$/m.test(text) ? text : undefined;
    });
    expect(metrics).to.match(/^shr_queue_to_start_seconds_count\{.*registration="e2e".*\} 1$/m);
    expect(metrics).to.match(/^shr_launch_seconds_count\{.*provider="process".*\} 1$/m);
    expect(metrics).to.match(/^shr_deliveries_total\{outcome="recorded"\} [1-9]/m);
    expect(metrics).to.not.match(/e2e-0[0-9a-z]{20}/);
  });
});
