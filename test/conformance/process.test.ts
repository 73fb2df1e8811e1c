import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { makeFolder } from '../../providers/process/folder.ts';
import processModule from '../../providers/process/index.ts';
import { describeConformance } from './conformance.ts';
import { type Harness, type Lacks, type Program, programs, testHost } from './harness.ts';

const lacks: Lacks = {
  'memory-limit': 'processes share the memory of the machine',
  'looks-up-images': 'there are none, a program of this machine runs',
  'a-service':
    'there is none that could be silent, refuse in words or be stood in for: the operating system answers each call, with codes alone; see test/providers/process',
};

describeConformance('process', lacks, async (): Promise<Harness> => {
  const place = await mkdtemp(join(tmpdir(), 'shr-conformance-'));
  const root = join(place, 'root');
  const host = testHost();

  const create = (program: Program, folder: string) =>
    processModule.create(
      processModule.options.parse({
        command: program === 'is-missing' ? ['/no/such/program'] : ['sh', '-c', programs[program]],
        root: folder,
        stopGraceMs: 500,
      }),
      host,
    );

  const processesOf = async (name: string): Promise<readonly number[]> => {
    const pids = (await readdir('/proc')).filter((entry) => /^\d+$/.test(entry));
    const environments = await Promise.all(pids.map((pid) => readFile(`/proc/${pid}/environ`, 'utf8').catch(() => '')));
    return pids.filter((_, index) => environments[index]?.includes(`HOME=${root}/${name}/`)).map(Number);
  };

  return {
    pageSize: 20,
    patienceMs: 10_000,
    backend: async (program) => ({ provider: create(program, root), image: 'unused:1' }),
    unreachable: async () => {
      await writeFile(join(place, 'file'), '');
      return create('sleeps', join(place, 'file', 'root'));
    },
    silent: () => noService(),
    refuses: () => noService(),
    intercepted: () => noService(),
    // A machine so slow that the supervisor's sign does not come in time.
    loseNextAnswer: async () => {
      host.hurry = true;
      return async () => {
        host.hurry = false;
      };
    },
    halfLaunch: async (_program, request) => {
      await mkdir(root, { recursive: true });
      await makeFolder(root, request.name, { id: '0123456789abcdef', tags: request.tags });
    },
    foreign: async (name) => {
      const file = join(root, name, 'thesis.txt');
      await mkdir(join(root, name), { recursive: true });
      await writeFile(file, 'years of work');
      return {
        isIntact: async () => (await readFile(file, 'utf8').catch(() => '')) === 'years of work',
        remove: () => rm(join(root, name), { recursive: true }),
      };
    },
    confuse: async (name) => {
      const exit = join(root, name, 'exit');
      await writeFile(exit, 'perhaps\n');
      return () => rm(exit);
    },
    processesOf,
    publicTraces: async (name) => {
      const files = await readdir(root, { recursive: true, withFileTypes: true });
      const contents = files
        .filter((file) => file.isFile())
        .map((file) => readFile(join(file.parentPath, file.name), 'utf8'));
      const commandLines = (await processesOf(name)).map((pid) =>
        readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => ''),
      );
      return (await Promise.all([...contents, ...commandLines])).join('\n');
    },
    remains: async (prefix) => (await readdir(root)).filter((name) => name.includes(prefix)),
    close: () => rm(place, { recursive: true }),
  };
});

async function noService(): Promise<never> {
  throw new Error('see lacks');
}
