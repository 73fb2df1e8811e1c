import { readFile } from 'node:fs/promises';
import { expect } from 'chai';
import aliEciModule from '../../providers/ali-eci/index.ts';
import { type AliEciSimulator, type Call, demoOptions, startAliEciSimulator } from '../../simulators/ali-eci/index.ts';
import { problemsOf } from '../providers/ali-eci/described-calls.ts';
import { readDescription } from '../providers/ali-eci/description.ts';
import { vendorClient, vendorCreate } from '../simulators/ali-eci/vendor.ts';
import { pageService, silentService } from './bad-services.ts';
import { describeConformance } from './conformance.ts';
import { type Harness, type Lacks, type Misbehaving, type Program, programs, testHost } from './harness.ts';

const IMAGE = 'registry.example/runner:1';

const common: Lacks = {
  'half-launches': 'a launch is one call',
  'memory-limit': 'simulated containers share the memory of the machine',
  'process-tree': 'a simulated container is a process group; what setsid starts needs the real one’s namespace to end',
};

const commandOf = (program: Program): readonly string[] =>
  program === 'is-missing'
    ? ['sh', '-c', 'exit 0']
    : // The service hands out 2000 lines at most: only long ones reach the bound on bytes.
      ['sh', '-c', program === 'prints-much' ? programs[program].replace('%08.0f', '%0150.0f') : programs[program]];

async function harness(secretsBy: 'config-file' | 'hidden-environment'): Promise<Harness> {
  const calls: Call[] = [];
  const simulator: AliEciSimulator = await startAliEciSimulator({
    images: { [IMAGE]: ['sh', '-c', 'sleep 600'] },
    // The suite looks far more often than a dispatcher does.
    rates: { write: 100_000, read: 100_000, log: 100_000 },
    shortPages: true,
    onCall: (call) => calls.push(call),
  });
  const create = (program: Program, more: Readonly<Record<string, unknown>> = {}) =>
    aliEciModule.create(
      aliEciModule.options.parse({
        ...demoOptions(simulator),
        command: commandOf(program),
        stopGraceS: 1,
        secretsBy,
        rateShare: 1,
        timeoutMs: 5000,
        ...more,
      }),
      testHost(),
    );
  const client = vendorClient(simulator);

  const before = (service: { readonly port: number; close(): Promise<void> }): Misbehaving => {
    const endpoint = `http://127.0.0.1:${service.port}`;
    const provider = create('sleeps', { endpoint, vpcEndpoint: endpoint, timeoutMs: 1000 });
    return { provider, end: () => service.close() };
  };

  return {
    pageSize: 20,
    patienceMs: 10_000,
    backend: async (program) => ({
      provider: create(program),
      image: program === 'is-missing' ? 'registry.example/no-such:1' : IMAGE,
    }),
    unreachable: async () =>
      create('sleeps', { endpoint: 'http://127.0.0.1:1', vpcEndpoint: 'http://127.0.0.1:1', timeoutMs: 2000 }),
    silent: async () => before(await silentService()),
    intercepted: async (status) => before(await pageService({ kind: 'http' }, status)),
    refuses: async (status, says) => {
      const code = { 400: 'InvalidParameter', 403: 'Forbidden.RAM', 500: 'Novelty.Unheard' }[status];
      const end = simulator.fault({ kind: 'refusal', status, code, message: says });
      return { provider: create('sleeps'), end: async () => end() };
    },
    loseNextAnswer: async () => {
      // Twice: what a kept connection loses is sent once more.
      const end = simulator.fault({ kind: 'lost-answer', action: 'CreateContainerGroup', times: 2, how: 'reset' });
      return async () => end();
    },
    halfLaunch: async () => {
      throw new Error('a launch is one call');
    },
    foreign: async (name) => {
      const id = await vendorCreate(client, { containerGroupName: name, image: IMAGE });
      return {
        isIntact: async () => simulator.groups.some((group) => group.id === id && group.status !== 'Terminating'),
        remove: async () => {
          await client.remove(id);
        },
      };
    },
    confuse: async (name) => {
      simulator.confuse(name, 'Dreaming');
      return async () => simulator.confuse(name, undefined);
    },
    processesOf: async (name) => {
      const pid = simulator.named(name)?.container?.pid;
      return pid === undefined ? [] : [pid];
    },
    publicTraces: async (name) => {
      const pid = simulator.named(name)?.container?.pid;
      const commandLine = pid === undefined ? '' : await readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '');
      // All that the service answers to whoever may describe the group, files decoded.
      const raw = JSON.stringify(await client.describe(name));
      const files = [...raw.matchAll(/"content":"([^"]*)"/gi)].map(([, text]) =>
        Buffer.from(text ?? '', 'base64').toString(),
      );
      return [commandLine, raw, ...files, ...calls.map((call) => call.url)].join('\n');
    },
    remains: async (prefix) => {
      const names = simulator.groups.map((group) => group.decoded.name);
      return names.filter((name) => name.startsWith(prefix));
    },
    close: async () => {
      await simulator.close();
      // The harness's own calls go through the vendor's client, which puts all into the query.
      const ours = calls.filter((call) => call.url === '/');
      const described = [readDescription('2018-08-08'), readDescription('2016-04-28')].filter(
        (description) => description !== undefined,
      );
      if (described.length === 0) console.log('      not held against ../shared/specs: it is not there');
      else {
        const problems = [...new Set(problemsOf(ours, described))];
        // Said on purpose, by the cases of a service that misbehaves.
        expect(
          problems.filter((problem) => !/: (Novelty\.Unheard|InvalidParameter) is not/.test(problem)),
        ).to.deep.equal([]);
      }
    },
  };
}

const fileLacks: Lacks = {
  ...common,
  'public-traces': 'the service shows a ConfigFile to whoever may describe the group; see secretsBy',
};
describeConformance('ali-eci', fileLacks, () => harness('config-file'));
describeConformance('ali-eci, secrets in a hidden environment', common, () => harness('hidden-environment'));
