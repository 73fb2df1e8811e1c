/** `mocha conformance.test.js`: the cases that every provider passes. */
import {
  describeConformance,
  type Lacks,
  type Program,
  programs,
  testHost,
} from 'serverless-hosted-runner/conformance';
import acme from './index.js';
import { service } from './service.js';

const lacks: Lacks = {
  'a-service': 'it is this process',
  'lost-answers': 'no answer crosses a network',
  'half-launches': 'a launch is one call',
  'foreign-names': 'nothing else has names there',
  'unknown-states': 'there are two, and both are known',
  'process-tree': 'a session of its own is not ended',
  'memory-limit': 'programs share the memory of the machine',
  'looks-up-images': 'there are none',
  'public-traces': 'there is nothing that others could read',
};
const missing = async (): Promise<never> => {
  throw new Error('see lacks');
};

describeConformance('acme', lacks, async () => {
  const create = (program: Program, endpoint?: string) => {
    const command = program === 'is-missing' ? ['/no/such/program'] : ['sh', '-c', programs[program]];
    return acme.create(acme.options.parse({ command, endpoint }), testHost());
  };
  return {
    pageSize: 20,
    patienceMs: 10_000,
    backend: async (program) => ({ provider: create(program), image: 'unused:1' }),
    unreachable: async () => create('sleeps', 'nowhere.example'),
    silent: missing,
    refuses: missing,
    intercepted: missing,
    loseNextAnswer: missing,
    halfLaunch: missing,
    foreign: missing,
    confuse: missing,
    processesOf: async (name) => [service.find(name)?.process.pid ?? []].flat(),
    publicTraces: missing,
    remains: async (prefix) => service.all().flatMap(({ name }) => (name.includes(prefix) ? [name] : [])),
    close: async () => {},
  };
});
