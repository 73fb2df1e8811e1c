import { setTimeout as delay } from 'node:timers/promises';
import { BatchServiceClient, protos } from '@google-cloud/batch';
import { credentials as grpcCredentials } from '@grpc/grpc-js';
import { expect } from 'chai';
import { z } from 'zod';
import gcpBatchModule from '../../../providers/gcp-batch/index.ts';
import { demoOptions, type GcpBatchSimulator, startGcpBatchSimulator } from '../../../simulators/gcp-batch/index.ts';
import { testHost } from '../../conformance/harness.ts';

const parent = 'projects/acme-ci/locations/europe-west4';
const runner = 'runner@acme-ci.iam.gserviceaccount.com';
const grpcError = z.object({ code: z.number(), details: z.string() });

/** A job as somebody writes it who never heard of our provider. */
function jobOf(container: object, more: object = {}, policy: object = {}): object {
  return {
    taskGroups: [{ taskSpec: { runnables: [{ container: { imageUri: 'demo/one:1', ...container } }], ...more } }],
    allocationPolicy: {
      serviceAccount: { email: runner },
      instances: [{ policy: { machineType: 'e2-standard-2', ...policy } }],
    },
    logsPolicy: { destination: 'CLOUD_LOGGING' },
  };
}

describe('the Google Batch simulator', () => {
  let simulator: GcpBatchSimulator;
  let client: BatchServiceClient;
  let headers: { authorization: string };

  beforeEach(async () => {
    simulator = await startGcpBatchSimulator({
      images: { 'demo/one:1': ['sleep', '600'] },
      project: 'acme-ci',
      serviceAccounts: [runner],
    });
    const { hostname, port } = new URL(simulator.endpoint);
    client = new BatchServiceClient({
      apiEndpoint: hostname,
      port: Number(port),
      sslCreds: grpcCredentials.createInsecure(),
      credentials: JSON.parse(simulator.credentials),
      scopes: ['https://www.googleapis.com/auth/cloud-platform'],
    });
    headers = { authorization: (await client.auth.getRequestHeaders()).get('authorization') ?? '' };
  });
  afterEach(async () => {
    await client.close();
    await simulator.close();
  });

  const call = () => ({ otherArgs: { headers }, retry: { retryCodes: [] } });
  const create = async (jobId: string, job: object, requestId = '') =>
    (await client.createJob({ parent, jobId, job, requestId }, call()))[0];
  const get = async (jobId: string) => (await client.getJob({ name: `${parent}/jobs/${jobId}` }, call()))[0];
  const until = async (jobId: string, state: string) => {
    for (let tries = 0; ; tries += 1) {
      const job = await get(jobId);
      if (job.status?.state === state) return job;
      if (tries > 500) throw new Error(`${jobId} stays ${job.status?.state}`);
      await delay(10);
    }
  };
  const refusal = async (promise: Promise<unknown>): Promise<string> => {
    const error: unknown = await promise.then(
      (value) => `was not refused: ${JSON.stringify(value)}`,
      (reason: unknown) => reason,
    );
    const parsed = grpcError.safeParse(error);
    if (!parsed.success) throw new Error(String(error));
    return `${parsed.data.code} ${parsed.data.details}`;
  };
  const control = async (name: string, body: object): Promise<unknown> => {
    const reply = await fetch(`${simulator.httpUrl}/_simulator/${name}`, {
      method: 'POST',
      body: JSON.stringify(body),
    });
    return reply.json();
  };

  it('takes a job from the queue over a machine to its end, and says so in events', async () => {
    const made = await create('one', jobOf({ entrypoint: 'sh', commands: ['-c', 'exit 0'] }));
    expect(made.status?.state).to.equal('QUEUED');
    expect(made.uid).to.match(/^j-/);
    const done = await until('one', 'SUCCEEDED');
    expect(done.status?.statusEvents?.map(({ description }) => description)).to.deep.equal([
      `Job state is set from QUEUED to SCHEDULED for job ${parent}/jobs/one.`,
      `Job state is set from SCHEDULED to RUNNING for job ${parent}/jobs/one.`,
      `Job state is set from RUNNING to SUCCEEDED for job ${parent}/jobs/one.`,
    ]);
  });

  it('tells the exit code of a container in the job and in its task', async () => {
    await create('one', jobOf({ entrypoint: 'sh', commands: ['-c', 'exit 7'] }));
    const done = await until('one', 'FAILED');
    expect(done.status?.statusEvents?.at(-1)?.description).to.match(/with exit code 7\."$/);
    const [tasks] = await client.listTasks({ parent: `${parent}/jobs/one/taskGroups/group0` }, call());
    expect(tasks[0]?.status?.statusEvents?.at(-1)?.taskExecution?.exitCode).to.equal(7);
  });

  it('hands the environment of task and runnable to the container, the nearer one first', async () => {
    const job = {
      ...jobOf({}),
      taskGroups: [
        {
          taskSpec: {
            environment: { variables: { A: 'task', B: 'task' } },
            runnables: [
              {
                environment: { variables: { B: 'runnable' } },
                container: {
                  imageUri: 'demo/one:1',
                  entrypoint: 'sh',
                  commands: ['-c', 'test $A$B$BATCH_TASK_INDEX = taskrunnable0'],
                },
              },
            ],
          },
        },
      ],
    };
    await create('one', job);
    await until('one', 'SUCCEEDED');
  });

  it('ends as docker run does where the image is missing', async () => {
    await create('one', jobOf({ imageUri: 'demo/none:1' }));
    expect((await until('one', 'FAILED')).status?.statusEvents?.at(-1)?.description).to.include('exit code 125');
  });

  it('deletes in an operation that ends when the machine is gone', async () => {
    await create('one', jobOf({}));
    const running = await until('one', 'RUNNING');
    for (let tries = 0; simulator.service.job('one')?.pid === undefined && tries < 500; tries += 1) await delay(10);
    const pid = simulator.service.job('one')?.pid;
    simulator.setConditions({ stallDeletion: true });
    const [operation] = await client.deleteJob({ name: running.name ?? '' }, call());
    expect((await get('one')).status?.state).to.equal('DELETION_IN_PROGRESS');
    expect(await refusal(client.deleteJob({ name: running.name ?? '' }, call()))).to.match(/^9 /);
    simulator.setConditions({});
    for (let tries = 0; tries < 500 && simulator.service.job('one') !== undefined; tries += 1) await delay(10);
    expect(await refusal(get('one'))).to.match(/^5 /);
    expect(() => process.kill(pid ?? 0, 0)).to.throw(/ESRCH/);
    const asked = new protos.google.longrunning.GetOperationRequest({ name: operation.name ?? '' });
    const [ended] = await client.operationsClient.getOperation(asked, call());
    expect(ended).to.include({ done: true }).and.to.have.nested.property('response.type_url').that.includes('Empty');
  });

  it('deletes a job whose container is just starting', async () => {
    for (const id of ['one', 'two', 'three']) {
      await create(id, jobOf({}));
      // The turn of the loop in which the machine runs and its container does not yet.
      while (simulator.service.job(id)?.state !== 'RUNNING') await new Promise((resolve) => setImmediate(resolve));
      const late = delay(5000).then(() => 'never');
      const gone = simulator.service
        .job(id)
        ?.delete()
        .then(() => 'gone');
      expect(await Promise.race([gone, late]), id).to.equal('gone');
    }
  });

  it('answers a repeated request id with the job that it made, and a taken name with ALREADY_EXISTS', async () => {
    const id = '9b2f6f0e-55a1-4d5e-9a63-1c1a3f3c1a11';
    const made = await create('one', jobOf({}), id);
    expect((await create('one', jobOf({}), id)).uid).to.equal(made.uid);
    expect(await refusal(create('one', jobOf({})))).to.match(/^6 .*already exists/);
    expect(await refusal(create('two', jobOf({}), id))).to.match(/^3 .*was used for/);
  });

  it('gives pages, filtered by label', async () => {
    for (const name of ['a', 'b', 'c']) await create(name, { ...jobOf({}), labels: { team: 'x' } });
    await create('d', { ...jobOf({}), labels: { team: 'y' } });
    const [all, next] = await client.listJobs(
      { parent, filter: 'labels.team="x"', pageSize: 2 },
      { ...call(), autoPaginate: false },
    );
    expect(all).to.have.length(2);
    const [rest, none] = await client.listJobs(
      { ...next, parent, filter: 'labels.team="x"' },
      { ...call(), autoPaginate: false },
    );
    expect(rest.map(({ name }) => name)).to.deep.equal([`${parent}/jobs/c`]);
    expect(none).to.equal(null);
  });

  const bad: readonly [string, string, object, RegExp][] = [
    ['a name in capitals', 'One', jobOf({}), /^3 .*does not match/],
    ['no task group', 'one', { ...jobOf({}), taskGroups: [] }, /^3 /],
    ['a label in capitals', 'one', { ...jobOf({}), labels: { team: 'X' } }, /^3 .*label/],
    ['a label of Google', 'one', { ...jobOf({}), labels: { 'goog-x': 'x' } }, /^3 .*reserved/],
    [
      'too many labels',
      'one',
      { ...jobOf({}), labels: Object.fromEntries(Array.from({ length: 64 }, (_, index) => [`l${index}`, 'x'])) },
      /^3 at most 63 labels/,
    ],
    ['15 days', 'one', jobOf({}, { maxRunDuration: { seconds: 15 * 86_400 } }), /^3 max_run_duration/],
    ['more cores than the machine', 'one', jobOf({}, { computeResource: { cpuMilli: 4000 } }), /^3 compute_resource/],
    ['a machine that is not sold', 'one', jobOf({}, {}, { machineType: 'q9-mega-3' }), /^3 machine type/],
    [
      'a volume without its disk',
      'one',
      jobOf({}, { volumes: [{ deviceName: 'x', mountPath: '/mnt/disks/x' }] }),
      /^3 volume x/,
    ],
    [
      'a mount elsewhere',
      'one',
      jobOf({}, { volumes: [{ gcs: { remotePath: 'b' }, mountPath: '/data' }] }),
      /^3 mount_path/,
    ],
    ['an unknown account', 'one', { ...jobOf({}), allocationPolicy: {} }, /^3 .*service account/],
  ];
  for (const [what, id, job, expected] of bad) {
    it(`refuses ${what}`, async () => {
      expect(await refusal(create(id, job))).to.match(expected);
      expect(simulator.service.jobs).to.deep.equal([]);
    });
  }

  it('refuses another project, another location and a caller without a token', async () => {
    expect(await refusal(client.getJob({ name: `${parent}/jobs/none` }, call()))).to.match(/^5 /);
    const list = (place: string) => refusal(client.listJobs({ parent: place }, { ...call(), autoPaginate: false }));
    expect(await list('projects/other/locations/europe-west4')).to.match(/^7 /);
    expect(await list('projects/acme-ci/locations/mars-east1')).to.match(/^5 Location mars-east1/);
    expect(await refusal(client.getJob({ name: `${parent}/jobs/none` }, { retry: { retryCodes: [] } }))).to.match(
      /^16 /,
    );
  });

  it('is controlled by HTTP: conditions, faults, a reclaimed machine', async () => {
    expect(await control('conditions', { noStock: 'spot' })).to.include({ noStock: 'spot' });
    await create('spot', jobOf({}, {}, { provisioningModel: 'SPOT' }));
    await create('usual', jobOf({}));
    await until('usual', 'RUNNING');
    expect((await get('spot')).status?.state).to.equal('SCHEDULED');
    await control('conditions', {});
    await until('spot', 'RUNNING');
    for (let tries = 0; simulator.service.job('spot')?.pid === undefined && tries < 500; tries += 1) await delay(10);
    expect(await control('reclaim', { job: 'spot' })).to.deep.equal({ reclaimed: true });
    expect((await until('spot', 'FAILED')).status?.statusEvents?.at(-1)?.description).to.include('exit code 50001');
    await control('faults', { refusals: [{ code: 'INTERNAL', times: 1 }] });
    expect(await refusal(get('usual'))).to.match(/^13 /);
    expect(await control('conditions', { weather: 'bad' })).to.have.nested.property('error.status', 'INVALID_ARGUMENT');
  });

  it('counts cores against a quota, and gives those of an ended job to the next', async () => {
    simulator.setConditions({ cpuQuota: 2 });
    await create('one', jobOf({ entrypoint: 'sleep', commands: ['0.2'] }));
    await until('one', 'RUNNING');
    await create('two', jobOf({}));
    await until('one', 'SUCCEEDED');
    expect((await until('two', 'RUNNING')).status?.statusEvents?.map(({ type }) => type)).to.include(
      'OPERATIONAL_INFO',
    );
  });

  it('gives options that a backend takes as they are', async () => {
    const provider = gcpBatchModule.create(gcpBatchModule.options.parse(demoOptions(simulator)), testHost());
    const findings = await provider.check();
    expect(findings.filter(({ ok }) => !ok)).to.deep.equal([]);
    await provider.close();
  });
});
