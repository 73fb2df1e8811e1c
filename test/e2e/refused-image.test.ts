import { join } from 'node:path';
import { expect } from 'chai';
import { z } from 'zod';
import { withReferences } from '../../dispatcher/cli/demo/references.ts';
import { backendListSchema, backendResetSchema, jobDetailSchema } from '../../dispatcher/http/admin-shapes.ts';
import { type AzureAciSimulator, demoOptions, startAzureAciSimulator } from '../../simulators/azure-aci/index.ts';
import { ADMIN_TOKEN, eventually, type Service, startService } from './service-fixture.ts';

const RUNNER = join(import.meta.dirname, '..', '..', 'simulators', 'github', 'runner.mjs');
const IMAGE = 'e2e/runner:1';

// Case 02: Azure has called images of a registry inaccessible that it could pull again a while later.
describe('an image that Azure calls inaccessible once', function () {
  this.timeout(240_000);
  let cloud: AzureAciSimulator;
  let service: Service;

  before(async () => {
    cloud = await startAzureAciSimulator({
      images: { [IMAGE]: [RUNNER] },
      substitutions: { '/home/runner/run.sh': RUNNER },
    });
    const { options, secrets } = withReferences(demoOptions(cloud), 'CLOUD');
    service = await startService({
      registration: {
        defaults: { image: IMAGE, cpu: 1, memoryGiB: 2 },
        backends: [{ name: 'aci', kind: 'azure-aci', options }],
      },
      environment: secrets,
    });
  });
  after(async () => {
    await service.close();
    await cloud.close();
  });

  async function ask<Schema extends z.ZodType>(path: string, schema: Schema, method = 'GET'): Promise<z.infer<Schema>> {
    const headers = { authorization: `Bearer ${ADMIN_TOKEN}` };
    const response = await fetch(`${service.adminUrl}/api/${path}`, { method, headers });
    return schema.parse(await response.json());
  }

  function refuseOnce(): void {
    const message = `The image '${IMAGE}' in container group 'x' is not accessible. Please check the image and registry credential.`;
    cloud.fault({ kind: 'refusal', operation: 'create', times: 1, status: 400, code: 'InaccessibleImage', message });
  }

  function push(): number {
    const yaml = '{ on: push, jobs: { work: { runs-on: e2e, steps: [{ run: "true" }] } } }';
    const [job] = service.github.pushWorkflow({ owner: 'acme', repository: 'web', yaml }).jobs;
    if (job === undefined) throw new Error('the run has no job');
    return job.id;
  }

  const listSchema = z.object({ jobs: z.array(z.object({ id: z.number(), key: z.string() })) });

  async function refusedReason(id: number): Promise<string> {
    return await eventually('the job says why it waits', 30_000, async () => {
      const known = (await ask('jobs', listSchema)).jobs.find((job) => job.id === id);
      if (known === undefined) return undefined;
      const { job, waitReason } = await ask(`jobs/${known.key}`, jobDetailSchema);
      expect(job.admission).to.not.equal('refused');
      return waitReason?.includes('not accessible') ? waitReason : undefined;
    });
  }

  async function succeeded(id: number, withinMs: number): Promise<void> {
    await eventually('the job succeeded', withinMs, () =>
      service.github.jobs().find((job) => job.id === id)?.conclusion === 'success' ? true : undefined,
    );
  }

  it('refuses no job: it waits with the words of Azure, and runs when the image is tried again', async () => {
    refuseOnce();
    const id = push();
    expect(await refusedReason(id))
      .to.include('InaccessibleImage')
      .and.to.match(/tried again at \d\d:\d\d:\d\d UTC/);
    const { backends } = await ask('backends', backendListSchema);
    const [closure] = backends[0]?.closures ?? [];
    expect(closure).to.include({ rule: 'refused', state: 'closed', failures: 1 });
    expect(closure?.failure).to.include({ source: 'e2e/aci', kind: 'invalid', code: 'InaccessibleImage' });
    expect(closure?.failure.requestId, 'for a ticket').to.match(/^[0-9a-f-]{36}$/);
    await succeeded(id, 120_000);
  });

  it('is tried at once when an operator says so', async () => {
    refuseOnce();
    const id = push();
    await refusedReason(id);
    const { reset } = await ask('backends/e2e/aci/reset', backendResetSchema, 'POST');
    expect(reset.map(({ rule }) => rule)).to.deep.equal(['refused']);
    await succeeded(id, 40_000);
    expect(service.output()).to.include('"event":"admin.backends.reset"');
  });
});
