import { readFile } from 'node:fs/promises';
import { expect } from 'chai';
import azureAciModule from '../../providers/azure-aci/index.ts';
import { makeCertificate } from '../../simulators/azure-aci/certificate.ts';
import {
  type AzureAciSimulator,
  type Call,
  demoOptions,
  startAzureAciSimulator,
} from '../../simulators/azure-aci/index.ts';
import { problemsOf, readDescription } from '../providers/azure-aci/description.ts';
import { foreignGroup, vendorClient } from '../simulators/azure-aci/vendor.ts';
import { pageService, silentService } from './bad-services.ts';
import { describeConformance } from './conformance.ts';
import { type Harness, type Lacks, type Misbehaving, type Program, programs, testHost } from './harness.ts';

const IMAGE = 'registry.example/runner:1';

const lacks: Lacks = {
  'half-launches': 'a launch is one call',
  'memory-limit': 'simulated containers share the memory of the machine',
  'process-tree': 'a simulated container is a process group; what setsid starts needs the real one’s namespace to end',
  'long-logs-after-the-end': 'of a container that has ended Azure keeps 16 KB',
};

const commandOf = (program: Program): readonly string[] => [
  'sh',
  '-c',
  program === 'is-missing' ? 'exit 0' : programs[program],
];

describeConformance('azure-aci', lacks, async (): Promise<Harness> => {
  const calls: Call[] = [];
  const simulator: AzureAciSimulator = await startAzureAciSimulator({
    images: { [IMAGE]: ['sh', '-c', 'sleep 600'] },
    // The suite creates more in a minute than a subscription may in an hour.
    limits: { per5Minutes: 10_000, perHour: 10_000 },
    pageSize: 10,
    onCall: (call) => calls.push(call),
  });
  const create = (program: Program, more: Readonly<Record<string, unknown>> = {}) =>
    azureAciModule.create(
      azureAciModule.options.parse({
        ...demoOptions(simulator),
        command: commandOf(program),
        limits: { per5Minutes: 10_000, perHour: 10_000 },
        timeoutMs: 5000,
        ...more,
      }),
      testHost(),
    );
  const client = vendorClient(simulator);

  const before = (service: { readonly port: number; close(): Promise<void> }, authority = ''): Misbehaving => {
    const provider = create('sleeps', {
      endpoint: `https://127.0.0.1:${service.port}`,
      ca: `${simulator.ca}\n${authority}`,
      timeoutMs: 1000,
    });
    return { provider, end: () => service.close() };
  };

  return {
    pageSize: 10,
    patienceMs: 10_000,
    backend: async (program) => ({
      provider: create(program),
      image: program === 'is-missing' ? 'registry.example/no-such:1' : IMAGE,
    }),
    unreachable: async () =>
      create('sleeps', { endpoint: 'https://127.0.0.1:1', authorityHost: 'https://127.0.0.1:1', timeoutMs: 2000 }),
    silent: async () => before(await silentService()),
    intercepted: async (status) => {
      const own = makeCertificate();
      return before(await pageService({ kind: 'https', ...own }, status), own.certificate);
    },
    refuses: async (status, says) => {
      const code = { 400: 'InvalidParameter', 403: 'AuthorizationFailed', 500: 'UnheardOf' }[status];
      const end = simulator.fault({ kind: 'refusal', status, code, message: says });
      return { provider: create('sleeps'), end: async () => end() };
    },
    loseNextAnswer: async () => {
      const end = simulator.fault({ kind: 'lost-answer', operation: 'create', times: 1, how: 'reset' });
      return async () => end();
    },
    halfLaunch: async () => {
      throw new Error('a launch is one call');
    },
    foreign: async (name) => {
      const poller = await client.containerGroups.beginCreateOrUpdate(
        simulator.resourceGroup,
        name,
        foreignGroup(simulator, IMAGE),
      );
      await poller.pollUntilDone();
      const group = simulator.named(name);
      return {
        isIntact: async () => group !== undefined && simulator.named(name) === group && group.restartCount === 0,
        remove: async () => {
          await client.containerGroups.beginDeleteAndWait(simulator.resourceGroup, name, { updateIntervalInMs: 20 });
        },
      };
    },
    confuse: async (name) => {
      simulator.confuse(name, 'Dreaming');
      return async () => simulator.confuse(name, undefined);
    },
    processesOf: async (name) => {
      const pid = simulator.named(name)?.pid;
      return pid === undefined ? [] : [pid];
    },
    publicTraces: async (name) => {
      const pid = simulator.named(name)?.pid;
      const commandLine = pid === undefined ? '' : await readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '');
      // All that the service answers to whoever may read the container group.
      const raw = await client.containerGroups.get(simulator.resourceGroup, name);
      const answers = calls.map((call) => [call.url, call.answer]);
      return [commandLine, JSON.stringify(raw), JSON.stringify(answers)].join('\n');
    },
    remains: async (prefix) => simulator.groups.map((group) => group.name).filter((name) => name.startsWith(prefix)),
    close: async () => {
      await simulator.close();
      const description = readDescription();
      if (description === undefined) console.log('      not held against ../shared/specs: it is not there');
      else expect([...new Set(problemsOf(calls, description))]).to.deep.equal([]);
    },
  };
});
