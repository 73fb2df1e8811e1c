#!/usr/bin/env node
/** `npm run mutants`: breaks the core in small ways, and tells which ones no test notices. */
import { execFile } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { parseArgs, promisify } from 'node:util';
import { Stream } from '../simulation/random.ts';
import { equivalents } from './equivalent.ts';
import { applied, type Mutation, mutationsOf } from './mutations.ts';
import { rooms, sourcesOf, specsFor } from './specs.ts';
import { type Bench, execute, openBench, type Stage, type Verdict } from './workshop.ts';

const HELP = `Breaks the core in small ways, one at a time, and runs the tests of the broken file.

  npm run mutants                        a sample of each file of ${rooms.join(', ')}
                  -- --room NAME,NAME    only these
                  -- --file PATH,PATH    only these files
                  -- --sample N          mutations drawn from each file (default 6)
                  -- --seed N            of the draw (default 1); the same seed on the same code draws the same
                  -- --seeds N           worlds of the simulation that a survivor of lifecycle, ledger and admission
                                         meets besides (default 12)
                  -- --workers N         tried side by side (default 2)
                  -- --least SHARE       exit code 1 when a file is below it (default 0.85)
  npm run mutants -- --help

Prints each survivor with file, line and change, then the share killed of each file. A mutation that cannot be told from
the original belongs into test/mutants/equivalent.ts, with the reason.`;

const ROOT = join(import.meta.dirname, '..', '..');
const NODE = process.execPath;
const MOCHA = join(ROOT, 'node_modules', '.bin', 'mocha');
const SIMULATED: ReadonlySet<string> = new Set(['lifecycle', 'ledger', 'admission']);
/** A test that takes so many times as long as without the mutation does not end. */
const PATIENCE = 5;
const LEAST_PATIENCE_MS = 30_000;

interface Trial {
  readonly file: string;
  readonly source: string;
  readonly mutation: Mutation;
}

interface Result extends Trial {
  readonly verdict: Verdict | 'equivalent';
}

async function main(): Promise<number> {
  const { values } = parseArgs({
    options: {
      room: { type: 'string' },
      file: { type: 'string' },
      sample: { type: 'string', default: '6' },
      seed: { type: 'string', default: '1' },
      seeds: { type: 'string', default: '12' },
      workers: { type: 'string', default: '2' },
      least: { type: 'string', default: '0.85' },
      help: { type: 'boolean', default: false },
    },
  });
  if (values.help) {
    console.log(HELP);
    return 0;
  }
  const seed = wholeNumber(values.seed, 'seed');
  const trials = await draw(await filesOf(values.room, values.file), wholeNumber(values.sample, 'sample'), seed);
  console.log(`seed ${seed}: ${trials.length} mutations of ${new Set(trials.map(({ file }) => file)).size} files`);
  const results = await tryAll(trials, wholeNumber(values.workers, 'workers'), wholeNumber(values.seeds, 'seeds'));
  return report(results, Number(values.least));
}

async function filesOf(room: string | undefined, file: string | undefined): Promise<readonly string[]> {
  if (file !== undefined) return file.split(',');
  const asked = room?.split(',') ?? rooms;
  const unknown = asked.filter((name) => !rooms.includes(name));
  if (unknown.length > 0) throw new Error(`no such room: ${unknown.join(', ')}; there are ${rooms.join(', ')}`);
  return (await Promise.all(asked.map((name) => sourcesOf(ROOT, name)))).flat();
}

/** Each file has a stream of its own: another file's change does not shift its draw. */
async function draw(files: readonly string[], sample: number, seed: number): Promise<readonly Trial[]> {
  const trials: Trial[] = [];
  for (const file of files) {
    const source = await readFile(join(ROOT, file), 'utf8');
    const left = [...mutationsOf(file, source)];
    const stream = new Stream(seed, file);
    const drawn: Mutation[] = [];
    while (drawn.length < sample && left.length > 0) drawn.push(...left.splice(stream.whole(0, left.length - 1), 1));
    trials.push(...drawn.map((mutation) => ({ file, source, mutation })));
  }
  return trials;
}

async function tryAll(trials: readonly Trial[], workers: number, seeds: number): Promise<readonly Result[]> {
  const { stdout } = await promisify(execFile)('git', ['ls-files', '--cached', '--others', '--exclude-standard'], {
    cwd: ROOT,
    maxBuffer: 64 * 1024 * 1024,
  });
  const tracked = stdout.split('\n').filter((line) => line !== '');
  const queue = trials.values();
  const stages = new Map<string, Promise<readonly Stage[]>>();
  const results: Result[] = [];
  const work = async () => {
    const bench = await openBench(ROOT, tracked);
    try {
      for (const trial of queue) {
        if (equivalents.some((known) => isSame(known, trial))) {
          results.push({ ...trial, verdict: 'equivalent' });
          continue;
        }
        const prepared = stages.get(trial.file) ?? prepare(bench, trial.file, seeds);
        stages.set(trial.file, prepared);
        const mutated = applied(trial.source, trial.mutation);
        const verdict = await bench.judge(trial.file, mutated, trial.source, await prepared);
        results.push({ ...trial, verdict });
        if (verdict === 'survived') console.log(`survived  ${inWords(trial)}`);
      }
    } finally {
      await bench.close();
    }
  };
  await Promise.all(Array.from({ length: workers }, work));
  return results;
}

/** Runs each stage once without a mutation, to know how long it takes and that it passes. */
async function prepare(bench: Bench, file: string, seeds: number): Promise<readonly Stage[]> {
  const stages: Stage[] = [];
  for (const specs of await specsFor(ROOT, file)) {
    stages.push(await measured(bench, { kind: 'tests', words: [NODE, MOCHA, '--bail', ...specs] }));
  }
  stages.push(await measured(bench, { kind: 'types', words: [join(ROOT, 'node_modules', '.bin', 'tsc'), '--noEmit'] }));
  if (SIMULATED.has(file.split('/')[1] ?? '') && seeds > 0) {
    const words = [NODE, 'test/simulation/cli.ts', '--seeds', String(seeds), '--from', '1'];
    stages.push(await measured(bench, { kind: 'tests', words }));
  }
  return stages;
}

async function measured(bench: Bench, stage: Omit<Stage, 'timeoutMs'>): Promise<Stage> {
  const startedAt = Date.now();
  const outcome = await execute(bench.folder, stage.words, 15 * 60_000);
  if (outcome !== 'passed') throw new Error(`without any mutation this ${outcome}: ${stage.words.join(' ')}`);
  return { ...stage, timeoutMs: Math.max(LEAST_PATIENCE_MS, PATIENCE * (Date.now() - startedAt)) };
}

function isSame(known: (typeof equivalents)[number], { file, mutation }: Trial): boolean {
  const { code, from, to } = mutation;
  return known.file === file && known.code === code && known.from === from && known.to === to;
}

function inWords({ file, mutation }: Trial): string {
  const { line, operator, from, to } = mutation;
  return `${file}:${line}  ${operator}: ${brief(from)} → ${brief(to)}`;
}

function brief(text: string): string {
  const line = text.replaceAll(/\s+/g, ' ');
  return line.length > 80 ? `${line.slice(0, 77)}…` : line;
}

function report(results: readonly Result[], least: number): number {
  const byFile = Map.groupBy(results, ({ file }) => file);
  let poor = 0;
  console.log('');
  for (const [file, ofFile] of [...byFile].sort(([a], [b]) => (a < b ? -1 : 1))) {
    const counts = tally(ofFile);
    const share = shareOf(counts);
    if (share < least) poor += 1;
    console.log(
      `${percent(share)}  ${file}  (${counts.killed} by tests, ${counts.types} by types, ${counts.survived} survived, ${counts.equivalent} equivalent)`,
    );
  }
  const all = tally(results);
  console.log(`${percent(shareOf(all))}  all ${results.length}; ${poor} files are below ${percent(least).trim()}`);
  return poor === 0 ? 0 : 1;
}

interface Counts {
  readonly killed: number;
  readonly types: number;
  readonly survived: number;
  readonly equivalent: number;
}

function tally(results: readonly Result[]): Counts {
  const count = (...verdicts: readonly Result['verdict'][]) =>
    results.filter(({ verdict }) => verdicts.includes(verdict)).length;
  return {
    killed: count('killed', 'timeout'),
    types: count('types'),
    survived: count('survived'),
    equivalent: count('equivalent'),
  };
}

function shareOf({ killed, types, survived }: Counts): number {
  const judged = killed + types + survived;
  return judged === 0 ? 1 : (killed + types) / judged;
}

function percent(share: number): string {
  return `${(100 * share).toFixed(0).padStart(3)} %`;
}

function wholeNumber(text: string, name: string): number {
  if (!/^\d+$/.test(text)) throw new Error(`--${name} takes a whole number, not "${text}"`);
  return Number(text);
}

try {
  process.exitCode = await main();
} catch (error) {
  console.error(error instanceof Error ? error.message : error);
  process.exitCode = 2;
}
