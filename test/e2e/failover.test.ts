import { join } from 'node:path';
import { expect } from 'chai';
import { z } from 'zod';
import { withReferences } from '../../dispatcher/cli/demo/references.ts';
import { jobListSchema, runnerDetailSchema } from '../../dispatcher/http/admin-shapes.ts';
import { demoOptions as eciOptions, startAliEciSimulator } from '../../simulators/ali-eci/index.ts';
import { demoOptions as aciOptions, startAzureAciSimulator } from '../../simulators/azure-aci/index.ts';
import { demoOptions as batchOptions, startGcpBatchSimulator } from '../../simulators/gcp-batch/index.ts';
import { demoOptions as runOptions, startCloudRunSimulator } from '../../simulators/gcp-cloud-run/index.ts';
import { fastClock, type ServiceHere, startServiceHere } from './in-process-fixture.ts';
import { ADMIN_TOKEN, eventually } from './service-fixture.ts';

const RUNNER = join(import.meta.dirname, '..', '..', 'simulators', 'github', 'runner.mjs');
const IMAGE = 'e2e/runner:1';
/** The pauses of the backends, half a minute and longer, are part of the story. */
const RATE = 4;
const host = { images: { [IMAGE]: [RUNNER] }, substitutions: { '/home/runner/run.sh': RUNNER } };

interface Cloud {
  readonly kind: string;
  readonly options: Readonly<Record<string, unknown>>;
  /** How its refusal reads in the runner's timeline, while it refuses. */
  readonly refusal: string;
  refuse(): void;
  heal(): void;
  close(): Promise<void>;
}

async function startClouds(): Promise<readonly Cloud[]> {
  const eci = await startAliEciSimulator(host);
  const aci = await startAzureAciSimulator(host);
  const run = await startCloudRunSimulator(host);
  const batch = await startGcpBatchSimulator(host);
  const slowDown = "Quota exceeded for quota metric 'Write requests' and limit 'Write requests per minute'";
  return [
    {
      kind: 'ali-eci',
      options: eciOptions(eci),
      refusal: 'ali-eci refused the launch: capacity',
      refuse: () => eci.fault({ kind: 'no-stock', action: 'CreateContainerGroup' }),
      heal: () => eci.clearFaults(),
      close: () => eci.close(),
    },
    {
      kind: 'azure-aci',
      options: aciOptions(aci),
      refusal: 'azure-aci refused the launch: quota',
      refuse: () => aci.fault({ kind: 'quota', operation: 'create' }),
      heal: () => aci.clearFaults(),
      close: () => aci.close(),
    },
    {
      kind: 'gcp-cloud-run',
      options: runOptions(run),
      refusal: 'gcp-cloud-run refused the launch: throttled',
      refuse: () => run.faults.set({ refusals: [{ call: 'RunJob', code: 'RESOURCE_EXHAUSTED', message: slowDown }] }),
      heal: () => run.faults.clear(),
      close: () => run.close(),
    },
    {
      kind: 'gcp-batch',
      options: batchOptions(batch),
      refusal: 'gcp-batch refused the launch',
      refuse: () => undefined,
      heal: () => undefined,
      close: () => batch.close(),
    },
  ];
}

async function ask<Schema extends z.ZodType>(
  service: ServiceHere,
  path: string,
  schema: Schema,
): Promise<z.infer<Schema>> {
  const response = await fetch(`${service.adminUrl}/api/${path}`, {
    headers: { authorization: `Bearer ${ADMIN_TOKEN}` },
  });
  return schema.parse(await response.json());
}

/** The reasons in the timeline of the runner that a job got, from the plan to the accepted launch. */
async function launchStory(service: ServiceHere, jobId: number): Promise<readonly string[] | undefined> {
  const { jobs } = await ask(service, 'jobs', jobListSchema);
  const runner = jobs.find(({ id }) => id === jobId)?.runner;
  if (runner === undefined || runner === null) return undefined;
  const { timeline } = await ask(service, `runners/${runner}`, runnerDetailSchema);
  const reasons = timeline.map(({ reason, failure }) => (failure === null ? reason : `${reason}: ${failure.kind}`));
  const accepted = reasons.findIndex((reason) => reason.endsWith('accepted the launch'));
  return accepted < 0 ? undefined : reasons.slice(1, accepted + 1);
}

function push(service: ServiceHere, labels = 'e2e'): number {
  const yaml = `{ on: push, jobs: { work: { runs-on: ${labels}, steps: [{ run: "true" }] } } }`;
  const [job] = service.github.pushWorkflow({ owner: 'acme', repository: 'web', yaml }).jobs;
  if (job === undefined) throw new Error('the run has no job');
  return job.id;
}

describe('one registration on several clouds', function () {
  this.timeout(240_000);
  let clouds: readonly Cloud[];
  let service: ServiceHere;

  before(async () => {
    clouds = await startClouds();
    const referenced = clouds.map(({ kind, options }, index) => ({
      kind,
      ...withReferences(options, `CLOUD_${index}`),
    }));
    service = await startServiceHere(fastClock(RATE), {
      registration: {
        defaults: { image: IMAGE, cpu: 1, memoryGiB: 2 },
        policy: { maxCpu: 4, maxMemoryGiB: 8, backends: ['*'] },
        backends: referenced.map(({ kind, options }) => ({ name: kind, kind, options })),
      },
      environment: Object.assign({}, ...referenced.map(({ secrets }) => secrets)),
    });
  });
  after(async () => {
    await service.close();
    for (const cloud of clouds) await cloud.close();
  });

  it('goes on to the next one that has room, and the timeline tells the story in a line each', async () => {
    const refusing = clouds.slice(0, -1);
    for (const cloud of refusing) cloud.refuse();
    const jobId = push(service);
    const story = await eventually('the job got a runner', 60_000, () => launchStory(service, jobId));
    expect(story).to.deep.equal([
      ...refusing.map(({ refusal }) => refusal),
      `${clouds.at(-1)?.kind} accepted the launch`,
    ]);
    await eventually('the job succeeded', 60_000, () =>
      service.github.jobs().find(({ id }) => id === jobId)?.conclusion === 'success' ? true : undefined,
    );
  });

  it('comes back to each in its own time, the shortest pause first', async () => {
    for (const cloud of clouds) cloud.heal();
    const back: string[] = [];
    await eventually('the preferred backend serves again', 150_000, async () => {
      const jobId = push(service);
      const story = await eventually('the job got a runner', 60_000, () => launchStory(service, jobId));
      const [kind = ''] = story.at(-1)?.split(' ') ?? [];
      if (back.at(-1) !== kind) back.push(kind);
      return kind === 'ali-eci' ? true : undefined;
    });
    expect(back.filter((kind) => kind !== 'gcp-batch')).to.deep.equal(['gcp-cloud-run', 'ali-eci']);
  });

  it('takes a backend that was at its quota again, for a job that names it, once its minute is over', async () => {
    const jobId = push(service, '[e2e, backend-azure-aci]');
    const story = await eventually('the job got a runner', 90_000, () => launchStory(service, jobId));
    expect(story).to.deep.equal(['azure-aci accepted the launch']);
  });

  it('takes the backend that a label names, where the policy allows it', async () => {
    const jobId = push(service, '[e2e, backend-gcp-batch]');
    const story = await eventually('the job got a runner', 60_000, () => launchStory(service, jobId));
    expect(story).to.deep.equal(['gcp-batch accepted the launch']);
  });

  it('leaves nothing on any of them', async () => {
    await eventually('all runners are gone', 120_000, async () => {
      const { runners } = await ask(
        service,
        'runners?limit=500',
        z.object({ runners: z.array(z.object({ state: z.string() })) }),
      );
      return runners.every(({ state }) => state === 'gone') && service.github.runners().length === 0 ? true : undefined;
    });
  });
});
