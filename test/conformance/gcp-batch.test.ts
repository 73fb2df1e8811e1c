import { createServer } from 'node:net';
import { expect } from 'chai';
import gcpBatchModule from '../../providers/gcp-batch/index.ts';
import { type GcpBatchSimulator, startGcpBatchSimulator } from '../../simulators/gcp-batch/index.ts';
import { readDescription } from '../providers/gcp-batch/description.ts';
import { account, IMAGE } from '../providers/gcp-batch/requests.ts';
import { pageService, silentService } from './bad-services.ts';
import { describeConformance } from './conformance.ts';
import { type Harness, type Lacks, type Misbehaving, type Program, programs, testHost } from './harness.ts';

/** Small, so that a handful of instances is more than one page. */
const PAGE = 5;

const lacks: Lacks = {
  'half-launches': 'one call launches',
  'process-tree': 'the machine is deleted as a whole; the simulated one is no more than a group of processes',
  'memory-limit': 'the machine is the limit, and the simulated one has none',
  'public-traces':
    'without an encryptionKey Batch lists the whole job, its environment too; test/providers/gcp-batch has both ways',
};

function batchOptions(simulator: GcpBatchSimulator, more: object = {}) {
  return gcpBatchModule.options.parse({
    project: simulator.project,
    region: simulator.region,
    credentials: simulator.credentials,
    serviceAccount: account,
    endpoint: simulator.endpoint,
    loggingEndpoint: simulator.httpUrl,
    computeEndpoint: simulator.httpUrl,
    logReadsPerMinute: 60_000,
    ...more,
  });
}

describeConformance('gcp-batch', lacks, async (): Promise<Harness> => {
  const simulator = await startGcpBatchSimulator({
    images: { [IMAGE]: ['false'] },
    project: 'acme-ci',
    serviceAccounts: [account],
    largestPage: PAGE,
  });
  const host = testHost();
  const options = (program: Program) =>
    batchOptions(simulator, program === 'is-missing' ? {} : { command: ['sh', '-c', programs[program]] });

  const before = (service: { readonly port: number; close(): Promise<void> }): Misbehaving => {
    const options = batchOptions(simulator, { endpoint: `http://127.0.0.1:${service.port}`, timeoutMs: 1000 });
    return { provider: gcpBatchModule.create(options, host), end: () => service.close() };
  };

  return {
    pageSize: PAGE,
    patienceMs: 10_000,
    backend: async (program) => ({
      provider: gcpBatchModule.create(options(program), host),
      image: program === 'is-missing' ? 'ghcr.io/acme/no-such-image:1' : IMAGE,
    }),
    unreachable: async () =>
      gcpBatchModule.create(
        batchOptions(simulator, { endpoint: `http://127.0.0.1:${await freePort()}`, timeoutMs: 2_000 }),
        host,
      ),
    silent: async () => before(await silentService()),
    intercepted: async (status) => before(await pageService({ kind: 'http2' }, status)),
    refuses: async (status, message) => {
      const code = { 400: 'INVALID_ARGUMENT', 403: 'PERMISSION_DENIED', 500: 'UNKNOWN' }[status];
      simulator.faults.set({ refusals: ['google.cloud', 'entries:list'].map((call) => ({ call, code, message })) });
      return {
        provider: gcpBatchModule.create(options('sleeps'), host),
        end: async () => simulator.faults.clear(),
      };
    },
    loseNextAnswer: async () => {
      simulator.faults.set({ silences: [{ call: 'CreateJob', effect: 'after', times: 1 }] });
      // The time limit passes at once, but not before the job is there.
      const before = simulator.exchanges.length;
      const watch = setInterval(() => {
        host.hurry ||= simulator.exchanges.slice(before).some(({ call }) => call.endsWith('/CreateJob'));
      }, 5);
      return async () => {
        clearInterval(watch);
        host.hurry = false;
        simulator.faults.clear();
      };
    },
    halfLaunch: async () => {
      throw new Error('one call launches');
    },
    foreign: async (name) => {
      await simulator.service.methods['CreateJob']?.(
        {
          parent: `projects/acme-ci/locations/${simulator.region}`,
          jobId: name,
          job: {
            labels: { owner: 'somebody-else' },
            taskGroups: [
              {
                taskSpec: { runnables: [{ container: { imageUri: IMAGE, entrypoint: 'sleep', commands: ['600'] } }] },
              },
            ],
            allocationPolicy: { serviceAccount: { email: account } },
          },
        },
        { email: 'somebody@acme-ci.iam.gserviceaccount.com' },
      );
      const uid = simulator.service.job(name)?.uid;
      return {
        isIntact: async () => uid !== undefined && simulator.service.job(name)?.uid === uid,
        remove: () => simulator.service.forget(name),
      };
    },
    confuse: async (name) => {
      simulator.setConditions({ oddStates: [name] });
      return async () => {
        simulator.setConditions({});
      };
    },
    processesOf: async (name) => {
      const pid = simulator.service.job(name)?.pid;
      return pid === undefined ? [] : [pid];
    },
    publicTraces: async () => {
      throw new Error('see lacks');
    },
    remains: async (prefix) =>
      simulator.service.jobs.map((job) => job.name).filter((name) => name.includes(`/jobs/${prefix}`)),
    close: async () => {
      await simulator.close();
      const description = readDescription();
      if (description === undefined) return;
      const problems = simulator.exchanges.flatMap((exchange) => description.problemsOf(exchange));
      // Sent on purpose, by the case of the state that nobody knows.
      expect(problems.filter((problem) => !/state: 99 is none of/.test(problem))).to.deep.equal([]);
    },
  };
});

/** One that nobody listens on. */
function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once('error', reject);
    server.listen(0, '127.0.0.1', () => {
      const address = server.address();
      server.close(() =>
        address === null || typeof address === 'string' ? reject(new Error('no port')) : resolve(address.port),
      );
    });
  });
}
