import { setTimeout as delay } from 'node:timers/promises';
import { v2 } from '@google-cloud/run';
import { expect } from 'chai';
import type { z } from 'zod';
import cloudRunModule from '../../providers/gcp-cloud-run/index.ts';
import type { cloudRunOptions } from '../../providers/gcp-cloud-run/options.ts';
import { NAME_VARIABLE } from '../../providers/gcp-cloud-run/request.ts';
import { connect } from '../../providers/google/connection.ts';
import { demoOptions, startCloudRunSimulator } from '../../simulators/gcp-cloud-run/index.ts';
import { readDescription } from '../providers/gcp-cloud-run/description.ts';
import { pageService, silentService } from './bad-services.ts';
import { describeConformance } from './conformance.ts';
import { type Harness, type Lacks, type Misbehaving, programs, testHost } from './harness.ts';

const lacks: Lacks = {
  'half-launches': 'one call makes an instance; the definition before it is shared by all of the shape',
  'memory-limit': "the simulator's containers share the memory of the machine",
  'process-tree': "the simulator's containers are process groups; the service has a machine for each",
  'public-traces': 'whoever may read executions reads their environment, see secretEnvironment',
};

const IMAGE = 'docker.io/acme/runner:1';

describeConformance('gcp-cloud-run', lacks, async (): Promise<Harness> => {
  const simulator = await startCloudRunSimulator({ images: { [IMAGE]: ['sh', '-c', 'exit 9'] }, pageSize: 5 });
  const options = (more: Partial<z.input<typeof cloudRunOptions>> = {}) =>
    cloudRunModule.options.parse({ ...demoOptions(simulator), timeoutMs: 4000, pollMs: 20, ...more });
  const executionsOf = (name: string) =>
    simulator.executions().filter((execution) => execution.environment[NAME_VARIABLE] === name);

  const before = (service: { readonly port: number; close(): Promise<void> }): Misbehaving => {
    const own = options({ endpoint: `http://127.0.0.1:${service.port}`, timeoutMs: 1000 });
    return { provider: cloudRunModule.create(own, testHost()), end: () => service.close() };
  };

  return {
    pageSize: 5,
    patienceMs: 20_000,
    backend: async (program) => ({
      provider: cloudRunModule.create(
        options(program === 'is-missing' ? {} : { command: ['sh', '-c', programs[program]] }),
        testHost(),
      ),
      image: program === 'is-missing' ? 'docker.io/acme/no-such:tag' : IMAGE,
    }),
    // Port 1 refuses.
    unreachable: async () => cloudRunModule.create(options({ endpoint: 'http://127.0.0.1:1' }), testHost()),
    silent: async () => before(await silentService()),
    intercepted: async (status) => before(await pageService({ kind: 'http2' }, status)),
    refuses: async (status, message) => {
      const code = { 400: 'INVALID_ARGUMENT', 403: 'PERMISSION_DENIED', 500: 'UNKNOWN' }[status];
      simulator.faults.set({ refusals: ['google.cloud', 'entries:list'].map((call) => ({ call, code, message })) });
      return { provider: cloudRunModule.create(options(), testHost()), end: async () => simulator.faults.clear() };
    },
    loseNextAnswer: async () => {
      simulator.faults.set({ silences: [{ call: 'RunJob', effect: 'after', times: 1 }] });
      return async () => simulator.faults.clear();
    },
    halfLaunch: async () => {
      throw new Error('there is no half launch here');
    },
    foreign: async (name) => {
      const credentials = simulator.identity.createKey('somebody@else.iam.gserviceaccount.com', simulator.project);
      const { client: jobs, shared } = connect(v2.JobsClient, { endpoint: simulator.endpoint, credentials });
      const parent = `projects/${simulator.project}/locations/${simulator.region}`;
      const headers = { authorization: (await jobs.auth.getRequestHeaders()).get('authorization') ?? '' };
      const call = { timeout: 5000, otherArgs: { headers } };
      const job = `${parent}/jobs/thesis`;
      await jobs.createJob(
        {
          parent,
          jobId: 'thesis',
          job: { template: { template: { containers: [{ image: IMAGE, command: ['sleep'], args: ['600'] }] } } },
        },
        call,
      );
      while ((await jobs.getJob({ name: job }, call))[0].reconciling === true) await delay(5);
      const env = [{ name: NAME_VARIABLE, value: name }];
      const [operation] = await jobs.runJob({ name: job, overrides: { containerOverrides: [{ env }] } }, call);
      const made = executionsOf(name)[0]?.name;
      if (operation.name === undefined || made === undefined) throw new Error('the foreign execution was not made');
      return {
        isIntact: async () => executionsOf(name).some((execution) => execution.name === made && !execution.ended),
        remove: async () => {
          const executions = new v2.ExecutionsClient(shared);
          await executions.cancelExecution({ name: made }, call);
          while (executionsOf(name).some((execution) => !execution.ended)) await delay(5);
          await executions.deleteExecution({ name: made }, call);
          await jobs.deleteJob({ name: job }, call);
          await Promise.all([jobs.close(), executions.close()]);
        },
      };
    },
    confuse: async (name) => {
      const restores = executionsOf(name).map((execution) => simulator.confuse(execution.name));
      return async () => {
        for (const restore of restores) restore();
      };
    },
    processesOf: async (name) => executionsOf(name).flatMap((execution) => execution.pid ?? []),
    publicTraces: async () => {
      throw new Error('executions show their environment here');
    },
    remains: async (prefix) =>
      simulator
        .executions()
        .map((execution) => execution.environment[NAME_VARIABLE] ?? '')
        .filter((name) => name.startsWith(prefix)),
    close: async () => {
      await simulator.close();
      const description = readDescription();
      if (description === undefined) return;
      const problems = simulator.exchanges.flatMap((exchange) => description.problemsOf(exchange));
      // Said on purpose, in the case of the state that nobody knows.
      expect(problems.filter((problem) => !/state: 99 is none of/.test(problem))).to.deep.equal([]);
      expect(simulator.exchanges.length).to.be.greaterThan(100);
    },
  };
});
