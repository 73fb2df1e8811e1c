import { setTimeout as delay } from 'node:timers/promises';
import { protos, v2 } from '@google-cloud/run';
import { expect } from 'chai';
import { callOptions, connect } from '../../../providers/google/connection.ts';
import { endpointOf } from '../../../providers/google/endpoint.ts';
import { type CloudRunSimulator, startCloudRunSimulator } from '../../../simulators/gcp-cloud-run/index.ts';
import type { CloudRunSimulatorOptions } from '../../../simulators/gcp-cloud-run/options.ts';

type IJob = protos.google.cloud.run.v2.IJob;
type IContainer = protos.google.cloud.run.v2.IContainer;

const IMAGE = 'docker.io/acme/shell:1';
const parent = 'projects/demo-project/locations/europe-west1';

describe('the Cloud Run simulator, driven by the SDK', () => {
  let simulator: CloudRunSimulator;
  let jobs: v2.JobsClient;
  let executions: v2.ExecutionsClient;
  let tasks: v2.TasksClient;
  let options: Awaited<ReturnType<typeof callOptions>>;

  const start = async (more: Partial<CloudRunSimulatorOptions> = {}): Promise<void> => {
    simulator = await startCloudRunSimulator({ images: { [IMAGE]: ['sh', '-c', 'sleep 600'] }, ...more });
    const connected = connect(v2.JobsClient, {
      endpoint: simulator.endpoint,
      credentials: simulator.serviceAccountKey,
    });
    jobs = connected.client;
    executions = new v2.ExecutionsClient(connected.shared);
    tasks = new v2.TasksClient(connected.shared);
    options = await callOptions(jobs.auth, endpointOf(simulator.endpoint), 5000);
  };
  afterEach(async () => {
    await Promise.all([jobs.close(), executions.close(), tasks.close()]);
    await simulator.close();
  });

  const jobOf = (container: IContainer = {}, task: object = {}): IJob => ({
    template: { template: { containers: [{ image: IMAGE, ...container }], timeout: { seconds: 600 }, ...task } },
  });
  const create = async (jobId: string, job = jobOf()): Promise<void> => {
    await jobs.createJob({ parent, jobId, job }, options);
    while ((await jobs.getJob({ name: `${parent}/jobs/${jobId}` }, options))[0].reconciling) await delay(5);
  };
  const run = async (jobId: string, overrides = {}): Promise<string> => {
    const [operation] = await jobs.runJob({ name: `${parent}/jobs/${jobId}`, overrides }, options);
    const name = simulator.executions().at(-1)?.name;
    expect(operation.metadata).to.include({ name });
    return name ?? '';
  };
  const read = async (name: string) => (await executions.getExecution({ name }, options))[0];
  const untilEnded = async (name: string) => {
    for (;;) {
      const execution = await read(name);
      if (execution.completionTime) return execution;
      await delay(5);
    }
  };
  const refusal = async (call: Promise<unknown>): Promise<unknown> =>
    call.then(
      () => 'accepted',
      (error: unknown) => error,
    );

  it('makes a Job ready, runs it with its overrides, and tells the end with its exit code', async () => {
    await start();
    await create(
      'greeter',
      jobOf({ command: ['sh', '-c'], args: ['exit 1'], env: [{ name: 'A', value: 'of the job' }] }),
    );
    const name = await run('greeter', {
      containerOverrides: [
        { args: ['test "$A" = over && test -n "$CLOUD_RUN_EXECUTION" && exit 7'], env: [{ name: 'A', value: 'over' }] },
      ],
    });
    const ended = await untilEnded(name);
    expect(ended.conditions?.[0]).to.include({
      type: 'Completed',
      state: 'CONDITION_FAILED',
      executionReason: 'NON_ZERO_EXIT_CODE',
    });
    const [[task]] = await tasks.listTasks({ parent: name }, options);
    expect(task?.lastAttemptResult).to.include({ exitCode: 7 });
  });

  it('shows the operation of a run as done when the execution is', async () => {
    await start();
    await create('quick', jobOf({ command: ['true'] }));
    const [operation] = await jobs.runJob({ name: `${parent}/jobs/quick` }, options);
    expect(operation.done).to.equal(false);
    await untilEnded(simulator.executions()[0]?.name ?? '');
    const seen = await jobs.operationsClient.getOperation(
      protos.google.longrunning.GetOperationRequest.create({ name: operation.name ?? '' }),
      options,
    );
    expect(seen[0].done).to.equal(true);
  });

  it('lists newest first, a page after the other, of one Job or of all', async () => {
    await start({ pageSize: 2 });
    await create('one');
    await create('two');
    const made = [await run('one'), await run('two'), await run('one'), await run('two'), await run('two')];
    const list = async (of: string): Promise<string[]> => {
      const names: string[] = [];
      let pageToken = '';
      do {
        const [page, , answer] = await executions.listExecutions(
          { parent: `${parent}/jobs/${of}`, pageSize: 50, pageToken },
          { ...options, autoPaginate: false },
        );
        expect(page.length).to.be.at.most(2);
        names.push(...page.map((execution) => execution.name ?? ''));
        pageToken = answer?.nextPageToken ?? '';
      } while (pageToken !== '');
      return names;
    };
    expect(await list('-')).to.deep.equal([...made].reverse());
    expect(await list('one')).to.deep.equal([made[2], made[0]]);
  });

  it('cancels, and only then deletes', async () => {
    await start();
    await create('sleeper');
    const name = await run('sleeper');
    expect(await refusal(executions.deleteExecution({ name }, options))).to.include({ code: 9 });
    expect(await refusal(jobs.deleteJob({ name: `${parent}/jobs/sleeper` }, options))).to.include({ code: 9 });
    await executions.cancelExecution({ name }, options);
    const ended = await untilEnded(name);
    expect(ended.conditions?.[0]).to.include({ executionReason: 'CANCELLED' });
    expect(ended.cancelledCount).to.equal(1);
    await executions.deleteExecution({ name }, options);
    expect(await refusal(read(name))).to.include({ code: 5 });
    await jobs.deleteJob({ name: `${parent}/jobs/sleeper` }, options);
    expect(simulator.jobs()).to.deep.equal([]);
  });

  it('takes a name once, and says why a definition cannot become ready', async () => {
    await start();
    await create('one');
    expect(await refusal(jobs.createJob({ parent, jobId: 'one', job: jobOf() }, options))).to.include({ code: 6 });
    await create('none', jobOf({ image: 'docker.io/acme/none' }));
    const [job] = await jobs.getJob({ name: `${parent}/jobs/none` }, options);
    expect(job.terminalCondition).to.include({ state: 'CONDITION_FAILED', reason: 'CONTAINER_MISSING' });
    expect(await refusal(jobs.runJob({ name: `${parent}/jobs/none` }, options))).to.include({ code: 9 });
  });

  it('validates without making anything', async () => {
    await start({ networks: ['vpc'], serviceAccounts: ['a@p.iam.gserviceaccount.com'] });
    const attempt = async (job: IJob): Promise<unknown> => {
      const answer = await refusal(jobs.createJob({ parent, jobId: 'x', job, validateOnly: true }, options));
      return typeof answer === 'object' && answer !== null && 'code' in answer ? answer.code : answer;
    };
    const limits = (cpu: string, memory: string): IJob => jobOf({ resources: { limits: { cpu, memory } } });
    const table: [string, IJob, unknown][] = [
      ['a good one', jobOf({}, { serviceAccount: 'a@p.iam.gserviceaccount.com' }), 'accepted'],
      ['8 cores with 32 GiB', limits('8', '32Gi'), 'accepted'],
      ['3 cores', limits('3', '4Gi'), 3],
      ['too little memory', limits('4', '1Gi'), 3],
      ['too much memory', limits('1', '5Gi'), 3],
      ['a registry of somebody', jobOf({ image: 'ghcr.io/acme/runner' }), 3],
      ['a week and a second', jobOf({}, { timeout: { seconds: 604_801 } }), 3],
      ['a variable of 33 KB', jobOf({ env: [{ name: 'A', value: 'x'.repeat(33_000) }] }), 3],
      ['a mount without its volume', jobOf({ volumeMounts: [{ name: 'v', mountPath: '/v' }] }), 3],
      ['a network that is not there', jobOf({}, { vpcAccess: { networkInterfaces: [{ network: 'none' }] } }), 3],
      ['an account that may not be used', jobOf({}, { serviceAccount: 'b@p.iam.gserviceaccount.com' }), 7],
      ['a label that is none', { ...jobOf(), labels: { Team: 'x' } }, 3],
    ];
    for (const [what, job, expected] of table) expect(await attempt(job), what).to.equal(expected);
    expect(simulator.jobs()).to.deep.equal([]);
  });

  it('knows one project and one region', async () => {
    await start();
    const elsewhere = 'projects/demo-project/locations/mars-north1';
    expect(await refusal(jobs.listJobs({ parent: elsewhere }, { ...options, autoPaginate: false }))).to.include({
      code: 7,
    });
  });

  it('counts runs and writes a minute, and cores in use', async () => {
    await start({ limits: { jobRunsPerMinute: 2, writesPerMinute: 1, milliCpu: 1000 } });
    await create('one');
    expect(await refusal(jobs.createJob({ parent, jobId: 'two', job: jobOf() }, options))).to.include({
      code: 8,
      reason: 'RATE_LIMIT_EXCEEDED',
    });
    await run('one');
    const name = `${parent}/jobs/one`;
    expect(await refusal(jobs.runJob({ name }, options))).to.include({ code: 3 });
    expect(await refusal(jobs.runJob({ name }, options))).to.include({ code: 8 });
  });

  it('deals out fates by HTTP, and shows no environment in its state', async () => {
    await start();
    await create('one', jobOf({ env: [{ name: 'JIT', value: 's3cr3t' }] }));
    const doom = (body: object) =>
      fetch(`${simulator.httpUrl}/_simulator/doom`, { method: 'POST', body: JSON.stringify(body) });
    expect((await doom({ next: ['thunder'] })).status).to.equal(400);
    expect((await doom({ next: ['no-capacity'] })).status).to.equal(200);
    const ended = await untilEnded(await run('one'));
    expect(ended.conditions?.[0]?.message).to.match(/no available capacity/);
    const state = await (await fetch(`${simulator.httpUrl}/_simulator/state`)).text();
    expect(state).to.include('/jobs/one/executions/').and.not.include('s3cr3t');
  });

  it('ends what is left when it is closed', async () => {
    await start();
    await create('one');
    await run('one');
    let pid: number | undefined;
    while (pid === undefined) {
      await delay(5);
      pid = simulator.executions()[0]?.pid;
    }
    const alive = pid;
    await simulator.close();
    expect(() => process.kill(alive, 0)).to.throw();
    await start();
  });
});
