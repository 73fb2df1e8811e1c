/**
 * Runs every check and prints one tally: `node test/run.ts [--only NAME,NAME] [--list]`. Each of the checks that are
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
  readonly failed: number;
  readonly pending: readonly string[];
}

interface Check {
  readonly name: string;
  /** Part of another check: runs where it is named. */
  readonly onlyByName?: true;
  readonly run: (folder: string) => Promise<Tally>;
}

/** From the last test to the end of its process. */
const LINGER_MS = 60_000;
const tallySchema = z.object({ passed: z.number(), failed: z.number(), pending: z.array(z.string()) });
const bin = (name: string) => join(import.meta.dirname, '..', 'node_modules', '.bin', name);

const CHECKS: readonly Check[] = [
  command('types', 'tsc', ['--noEmit']),
  command('lint', 'biome', ['check', '.']),
  command('boundaries', 'depcruise', [
    '--config',
    '.dependency-cruiser.cjs',
    ...['time', 'dispatcher', 'providers', 'simulators', 'package', 'bench', 'test'],
  ]),
  command('unused', 'knip', []),
  mocha(
    'unit',
    ['test/**/*.test.ts'],
    ['test/conformance/**', 'test/simulation/**', 'test/intake/mutations.test.ts', 'test/e2e/**'],
  ),
  {
    ...mocha(
      'fast',
      ['test/**/*.test.ts'],
      [
        ...['conformance', 'simulation', 'e2e', 'bench', 'chaos', 'mutants', 'docker', 'cli', 'simulators'],
        ...[
          'http',
          'proxy',
          'package',
          'deploy',
          'runner-image',
          'intake/mutations.test.ts',
          'providers/*/live',
          'providers/process',
        ],
      ].map((part) => (part.endsWith('.ts') ? `test/${part}` : `test/${part}/**`)),
    ),
    onlyByName: true,
  },
  mocha('conformance', ['test/conformance/**/*.test.ts']),
  mocha('simulation', ['test/simulation/**/*.test.ts']),
  mocha('mutations', ['test/intake/mutations.test.ts']),
  mocha('end-to-end', ['test/e2e/**/*.test.ts']),
];

const { values } = parseArgs({
  options: { only: { type: 'string' }, list: { type: 'boolean' }, help: { type: 'boolean' } },
});
if (values.help) {
  console.log('node test/run.ts [--only NAME,NAME] [--list]\nRuns all checks, or those named.');
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
  const results: { readonly name: string; readonly tally: Tally; readonly seconds: number }[] = [];
  try {
    for (const check of CHECKS) {
      if (only === undefined ? check.onlyByName : !only.includes(check.name)) continue;
      console.log(`\n── ${check.name}`);
      const startedAt = Date.now();
      const tally = await check.run(folder);
      results.push({ name: check.name, tally, seconds: (Date.now() - startedAt) / 1000 });
    }
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
  return report(results);
}

function report(
  results: readonly { readonly name: string; readonly tally: Tally; readonly seconds: number }[],
): number {
  console.log('');
  let passed = 0;
  let failed = 0;
  for (const { name, tally, seconds } of results) {
    passed += tally.passed;
    failed += tally.failed;
    const row = [name.padEnd(12), `${tally.passed} passed`.padStart(12), `${tally.failed} failed`.padStart(10)];
    console.log(`${row.join(' ')}  ${seconds.toFixed(1).padStart(6)} s`);
    for (const title of tally.pending) console.log(`    not run: ${title}`);
  }
  console.log(`${passed} passed, ${failed} failed`);
  return failed > 0 || passed === 0 ? 1 : 0;
}

function command(name: string, program: string, words: readonly string[]): Check {
  return {
    name,
    async run() {
      const code = await execute(bin(program), words, {});
      return { passed: code === 0 ? 1 : 0, failed: code === 0 ? 0 : 1, pending: [] };
    },
  };
}

function mocha(name: string, specs: readonly string[], without: readonly string[] = []): Check {
  return {
    name,
    async run(folder) {
      const file = join(folder, `${name}.json`);
      const words = [
        ...specs,
        ...without.flatMap((glob) => ['--ignore', glob]),
        '--reporter',
        'test/tally-reporter.ts',
      ];
      const code = await execute(process.execPath, [bin('mocha'), ...words], { TALLY_FILE: file });
      const text = await readFile(file, 'utf8').catch(() => undefined);
      if (text === undefined) {
        console.log(`${name}: mocha ended with ${code} before it could count`);
        return { passed: 0, failed: 1, pending: [] };
      }
      const tally = tallySchema.parse(JSON.parse(text));
      // A crash after the last test (an unhandled rejection, an exit) is a failure too.
      return code !== 0 && tally.failed === 0 ? { ...tally, failed: 1 } : tally;
    },
  };
}

function execute(
  program: string,
  words: readonly string[],
  environment: Readonly<Record<string, string>>,
): Promise<number> {
  return new Promise((resolve, reject) => {
    // Programs of the lock file name their interpreter `node`: it is this one, whatever else the machine has.
    const path = `${dirname(process.execPath)}${delimiter}${process.env['PATH'] ?? ''}`;
    const child = spawn(program, words, { stdio: 'inherit', env: { ...process.env, PATH: path, ...environment } });
    const done = environment['TALLY_FILE'];
    // Tests that are over, in a process that does not end, have left something open: a failure, not a reason to wait.
    const watch = setInterval(() => {
      if (done === undefined || !existsSync(done) || Date.now() - statSync(done).mtimeMs < LINGER_MS) return;
      console.log('its tests are over, and something that they opened keeps the process alive');
      child.kill('SIGKILL');
    }, 1_000);
    child.on('error', reject);
    child.on('exit', (code, signal) => {
      clearInterval(watch);
      resolve(signal === null ? (code ?? 1) : 1);
    });
  });
}
