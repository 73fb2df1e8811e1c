/** `npm run -s bench -- NAME [--json] [--rounds N]`: runs one benchmark, `bench/NAME.ts`. Progress goes to stderr. */
import { readdirSync } from 'node:fs';
import { availableParallelism, cpus } from 'node:os';
import { parseArgs } from 'node:util';
import type { Benchmark, BenchmarkResult } from './parts/benchmark.ts';

const names = readdirSync(import.meta.dirname)
  .filter((file) => file.endsWith('.ts') && file !== 'run.ts')
  .map((file) => file.slice(0, -'.ts'.length))
  .sort();

async function load(name: string): Promise<Benchmark> {
  const module: unknown = await import(new URL(`./${name}.ts`, import.meta.url).href);
  if (!isBenchmark(module)) throw new Error(`bench/${name}.ts must export about and run`);
  return module;
}

function isBenchmark(module: unknown): module is Benchmark {
  return (
    typeof module === 'object' &&
    module !== null &&
    'about' in module &&
    typeof module.about === 'string' &&
    'run' in module &&
    typeof module.run === 'function'
  );
}

async function help(): Promise<string> {
  const width = Math.max(...names.map((name) => name.length));
  const lines = await Promise.all(names.map(async (name) => `  ${name.padEnd(width)}  ${(await load(name)).about}`));
  return [
    'npm run -s bench -- NAME [--json] [--rounds N]',
    '',
    ...lines,
    '',
    '  --json      the last line of stdout is one JSON object, instead of a table',
    '  --rounds N  interleaved rounds, 1 to 99; medians of fewer than seven prove little',
    '  --jobs N    of burst: 1 to 100000 instead of 10000, to try it out',
  ].join('\n');
}

function table(result: BenchmarkResult): string {
  const width = Math.max(...Object.keys(result).map((field) => field.length));
  return Object.entries(result)
    .map(([field, value]) => `${field.padEnd(width)}  ${typeof value === 'object' ? JSON.stringify(value) : value}`)
    .join('\n');
}

function parse(args: readonly string[]) {
  try {
    return parseArgs({
      args: [...args],
      allowPositionals: true,
      options: {
        json: { type: 'boolean' },
        rounds: { type: 'string' },
        jobs: { type: 'string' },
        help: { type: 'boolean', short: 'h' },
      },
    });
  } catch (error) {
    console.error(error instanceof Error ? error.message : error);
    return undefined;
  }
}

/** Undefined: not given. Says what is wrong with it. */
function wholeNumber(option: string, text: string | undefined, max: number): number | undefined | 'wrong' {
  if (text === undefined) return undefined;
  const value = Number(text);
  if (Number.isInteger(value) && value >= 1 && value <= max) return value;
  console.error(`${option} ${text}: must be a whole number from 1 to ${max}`);
  return 'wrong';
}

/** Returns the exit code: 0 done, 1 failed, 2 usage error. */
async function main(args: readonly string[]): Promise<number> {
  const parsed = parse(args);
  if (parsed === undefined) {
    console.error(await help());
    return 2;
  }
  const { values, positionals } = parsed;
  if (values.help) {
    console.log(await help());
    return 0;
  }
  const [name, ...rest] = positionals;
  if (name === undefined || rest.length > 0 || !names.includes(name)) {
    console.error(await help());
    return 2;
  }
  const rounds = wholeNumber('--rounds', values.rounds, 99);
  const jobs = wholeNumber('--jobs', values.jobs, 100_000);
  if (rounds === 'wrong' || jobs === 'wrong') return 2;
  const benchmark = await load(name);
  const result = {
    benchmark: name,
    ...(await benchmark.run({ rounds, jobs, progress: (line) => console.error(line) })),
    machine: `${cpus()[0]?.model.trim() ?? 'unknown processor'}, ${availableParallelism()} cores, Node ${process.versions.node}`,
  };
  console.log(values.json ? JSON.stringify(result) : table(result));
  return 0;
}

try {
  process.exitCode = await main(process.argv.slice(2));
} catch (error) {
  console.error(error);
  process.exitCode = 1;
}
