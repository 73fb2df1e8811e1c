/**
 * Runs every check and prints one tally: `node test/run.ts [--only NAME,NAME] [--slowest N] [--list]`. Each of the checks that are
 * not tests counts as one. The last line is `N passed, N failed`; the exit code is 1 when anything failed.
 */
import { spawn } from 'node:child_process';
import { existsSync, statSync } from 'node:fs';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { delimiter, dirname, join } from 'node:path';
import { parseArgs } from 'node:util';
import { z } from 'zod';

interface Tally {
  readonly passed: number;
  /** The title and the first words of each. */
  readonly failures: readonly string[];
  readonly pending: readonly string[];
  /** What the tests of each file took. */
  readonly seconds: readonly (readonly [string, number])[];
}

interface Check {
  readonly name: string;
  /** Part of another check: runs where it is named. */
  readonly onlyByName?: true;
  /**
   * Those of one lane run one after the other, while the others run: there are two cores, and tests wait for much. What they
   * print is shown when they have ended.
   */
  readonly lane?: 'programs' | 'worlds';
  /** `say`: takes what it prints; undefined: the terminal does. */
  readonly run: (folder: string, say?: (text: string) => void) => Promise<Tally>;
}

/** From the last test to the end of its process. */
const LINGER_MS = 60_000;
const tallySchema = z.object({
  passed: z.number(),
  failures: z.array(z.string()),
  pending: z.array(z.string()),
  seconds: z.array(z.tuple([z.string(), z.number()])),
});
const bin = (name: string) => join(import.meta.dirname, '..', 'node_modules', '.bin', name);

/** Tests of what is built, installed and deployed. */
const IMAGES = ['runner-image', 'package', 'deploy', 'deployers'];
/** Tests that start programs, or talk to simulators of the services. */
const PROGRAMS = [
  'bench',
  'chaos',
  'cli',
  'docker',
  'docs',
  'mutants',
  'providers',
  'proxy',
  'simulators',
  'workflows',
];

const CHECKS: readonly Check[] = [
  {
    ...mocha(
      'programs',
      PROGRAMS.map((folder) => `test/${folder}/**/*.test.ts`),
    ),
    lane: 'programs',
  },
  { ...mocha('conformance', ['test/conformance/**/*.test.ts']), lane: 'programs' },
  { ...mocha('simulation', ['test/simulation/**/*.test.ts']), lane: 'worlds' },
  { ...mocha('mutations', ['test/intake/mutations.test.ts']), lane: 'worlds' },
  { ...mocha('end-to-end', ['test/e2e/**/*.test.ts']), lane: 'worlds' },
  command('types', 'tsc', ['--noEmit']),
  command('lint', 'biome', ['check', '.']),
  command('boundaries', 'depcruise', [
    '--config',
    '.dependency-cruiser.cjs',
    ...['time', 'dispatcher', 'providers', 'deployers', 'simulators', 'package', 'bench', 'test'],
  ]),
  command('unused', 'knip', []),
  mocha(
    'unit',
    ['test/**/*.test.ts'],
    [
      ...['test/conformance/**', 'test/simulation/**', 'test/intake/mutations.test.ts', 'test/e2e/**'],
      ...[...IMAGES, ...PROGRAMS].map((folder) => `test/${folder}/**`),
    ],
  ),
  mocha(
    'images',
    IMAGES.map((folder) => `test/${folder}/*.test.ts`),
  ),
  {
    ...mocha(
      'fast',
      ['test/**/*.test.ts'],
      [
        ...['conformance', 'simulation', 'e2e', 'bench', 'chaos', 'mutants', 'docker', 'cli', 'simulators'],
        ...['http', 'proxy', ...IMAGES, 'intake/mutations.test.ts', 'providers/*/live', 'providers/process'],
      ].map((part) => (part.endsWith('.ts') ? `test/${part}` : `test/${part}/**`)),
    ),
    onlyByName: true,
  },
];

const { values } = parseArgs({
  options: {
    only: { type: 'string' },
    list: { type: 'boolean' },
    slowest: { type: 'string' },
    help: { type: 'boolean' },
  },
});
if (values.help) {
  console.log('node test/run.ts [--only NAME,NAME] [--slowest N] [--list]\nRuns all checks, or those named.');
} else if (values.list) {
  for (const { name } of CHECKS) console.log(name);
} else {
  process.exitCode = await runAll(values.only?.split(','));
}

async function runAll(only: readonly string[] | undefined): Promise<number> {
  const unknown = only?.filter((name) => !CHECKS.some((check) => check.name === name)) ?? [];
  if (unknown.length > 0) {
    console.error(`no such check: ${unknown.join(', ')}; there are ${CHECKS.map(({ name }) => name).join(', ')}`);
    return 2;
  }
  const folder = await mkdtemp(join(tmpdir(), 'shr-test-'));
  const results: Result[] = [];
  const chosen = CHECKS.filter(({ name, onlyByName }) => (only === undefined ? !onlyByName : only.includes(name)));
  const run = async (check: Check, say?: (text: string) => void) => {
    const startedAt = Date.now();
    const tally = await check.run(folder, say);
    results.push({ name: check.name, tally, seconds: (Date.now() - startedAt) / 1000 });
  };
  const runLane = async (lane: Check['lane']) => {
    for (const check of chosen.filter((one) => one.lane === lane)) {
      const said: string[] = [];
      await run(check, (text) => said.push(text));
      console.log(`\n── ${check.name}\n${said.join('')}`);
    }
  };
  try {
    const beside = Promise.all([runLane('programs'), runLane('worlds')]);
    for (const check of chosen.filter((one) => one.lane === undefined)) {
      console.log(`\n── ${check.name}`);
      await run(check);
    }
    await beside;
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
  return report(results);
}

interface Result {
  readonly name: string;
  readonly tally: Tally;
  readonly seconds: number;
}

function report(results: readonly Result[]): number {
  console.log('');
  const files = results.flatMap(({ name, tally }) => tally.seconds.map(([file, seconds]) => ({ name, file, seconds })));
  files.sort((one, other) => other.seconds - one.seconds);
  for (const { file, name, seconds } of files.slice(0, Number(values.slowest ?? 0)))
    console.log(`${seconds.toFixed(1).padStart(6)} s  ${name.padEnd(12)} ${file}`);
  let passed = 0;
  let failed = 0;
  for (const { tally } of results) for (const title of tally.pending) console.log(`not run: ${title}`);
  console.log('');
  for (const { name, tally, seconds } of results) {
    passed += tally.passed;
    failed += tally.failures.length;
    const row = [
      name.padEnd(12),
      `${tally.passed} passed`.padStart(12),
      `${tally.failures.length} failed`.padStart(10),
    ];
    console.log(`${row.join(' ')}  ${seconds.toFixed(1).padStart(6)} s`);
  }
  // Last, where somebody looks first.
  for (const { name, tally } of results)
    for (const failure of tally.failures) console.log(`failed: ${name}: ${failure}`);
  console.log(`${passed} passed, ${failed} failed`);
  return failed > 0 || passed === 0 ? 1 : 0;
}

function command(name: string, program: string, words: readonly string[]): Check {
  return {
    name,
    async run(_folder, say) {
      const code = await execute(bin(program), words, {}, say);
      return {
        passed: code === 0 ? 1 : 0,
        failures: code === 0 ? [] : [`it ended with ${code}`],
        pending: [],
        seconds: [],
      };
    },
  };
}

function mocha(name: string, specs: readonly string[], without: readonly string[] = []): Check {
  return {
    name,
    async run(folder, say) {
      const file = join(folder, `${name}.json`);
      const words = [
        ...specs,
        ...without.flatMap((glob) => ['--ignore', glob]),
        '--reporter',
        'test/tally-reporter.ts',
      ];
      const code = await execute(process.execPath, [bin('mocha'), ...words], { TALLY_FILE: file }, say);
      const text = await readFile(file, 'utf8').catch(() => undefined);
      if (text === undefined) {
        return { passed: 0, failures: [`mocha ended with ${code} before it could count`], pending: [], seconds: [] };
      }
      const tally = tallySchema.parse(JSON.parse(text));
      // A crash after the last test (an unhandled rejection, an exit) is a failure too.
      const crash = `its tests passed, and its process ended with ${code}`;
      return code !== 0 && tally.failures.length === 0 ? { ...tally, failures: [crash] } : tally;
    },
  };
}

function execute(
  program: string,
  words: readonly string[],
  environment: Readonly<Record<string, string>>,
  say?: (text: string) => void,
): Promise<number> {
  return new Promise((resolve, reject) => {
    // Programs of the lock file name their interpreter `node`: it is this one, whatever else the machine has.
    const path = `${dirname(process.execPath)}${delimiter}${process.env['PATH'] ?? ''}`;
    const child = spawn(program, words, {
      stdio: say === undefined ? 'inherit' : ['ignore', 'pipe', 'pipe'],
      env: { ...process.env, PATH: path, ...environment },
    });
    for (const output of [child.stdout, child.stderr]) {
      output?.setEncoding('utf8');
      output?.on('data', (text: string) => say?.(text));
    }
    const done = environment['TALLY_FILE'];
    // Tests that are over, in a process that does not end, have left something open: a failure, not a reason to wait.
    const watch = setInterval(() => {
      if (done === undefined || !existsSync(done) || Date.now() - statSync(done).mtimeMs < LINGER_MS) return;
      (say ?? print)('its tests are over, and something that they opened keeps the process alive\n');
      child.kill('SIGKILL');
    }, 1_000);
    child.on('error', reject);
    child.on('exit', (code, signal) => {
      clearInterval(watch);
      // What it said last is still to be read. Not `close`: a grandchild may keep the output open.
      setTimeout(() => resolve(signal === null ? (code ?? 1) : 1), say === undefined ? 0 : 200);
    });
  });
}

function print(text: string): void {
  process.stdout.write(text);
}
