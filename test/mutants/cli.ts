#!/usr/bin/env node
/** `npm run mutants`: breaks the core in small ways, and tells which ones no test notices. */
import { execFile } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { parseArgs, promisify } from 'node:util';
import { Stream } from '../simulation/random.ts';
import { equivalents } from './equivalent.ts';
import { applied, type Mutation, mutationsOf } from './mutations.ts';
import { roomOf, rooms, sourcesOf, specsFor, specsOf } from './specs.ts';
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
const SIMULATED: ReadonlySet<string> = new Set(['lifecycle', 'ledger', 'admission']);
/** A test that takes so many times as long as without the mutation does not end. */
const PATIENCE = 5;
const MIN_PATIENCE_MS = 30_000;
const BASELINE_PATIENCE_MS = 15 * 60_000;

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
  const paces = new Map<string, Promise<Pace>>();
  const results: Result[] = [];
  const left = new Map([...Map.groupBy(trials, ({ file }) => file)].map(([file, ofFile]) => [file, ofFile.length]));
  const note = (result: Result) => {
    results.push(result);
    const { file, verdict } = result;
    if (verdict === 'survived') console.log(`survived  ${inWords(result)}`);
    const still = (left.get(file) ?? 0) - 1;
    left.set(file, still);
    if (still === 0) console.log(standing(file, results));
  };
  const work = async () => {
    const bench = await openBench(ROOT, tracked);
    try {
      for (const trial of queue) {
        if (equivalents.some((known) => isSame(known, trial))) {
          note({ ...trial, verdict: 'equivalent' });
          continue;
        }
        const room = roomOf(trial.file);
        const pace = paces.get(room) ?? measure(bench, room, seeds);
        paces.set(room, pace);
        const stages = await stagesFor(bench, trial.file, await pace);
        const verdict = await bench.judge(trial.file, applied(trial.source, trial.mutation), trial.source, stages);
        note({ ...trial, verdict });
      }
    } finally {
      await bench.close();
    }
  };
  await Promise.all(Array.from({ length: workers }, work));
  return results;
}

/** What each thing takes without a mutation, measured once: many files share their tests. */
interface Pace {
  /** By spec file. */
  readonly specs: Readonly<Record<string, number>>;
  readonly rest: readonly Stage[];
}

/** Runs everything of the room once without a mutation, to know how long it takes and that it passes. */
async function measure(bench: Bench, room: string, seeds: number): Promise<Pace> {
  const specs = await specsOf(bench.folder, room);
  const ran = await bench.runSpecs({ specs: [...specs] }, BASELINE_PATIENCE_MS);
  if (ran?.passed !== true) throw new Error(`without any mutation a test fails: ${ran?.failure ?? specs.join(' ')}`);
  const rest = [await measured(bench, 'types', [join(ROOT, 'node_modules', '.bin', 'tsc'), '--noEmit'])];
  if (SIMULATED.has(room) && seeds > 0) {
    const words = [NODE, 'test/simulation/cli.ts', '--seeds', String(seeds), '--from', '1'];
    rest.push(await measured(bench, 'tests', words));
  }
  return { specs: ran.durations, rest };
}

async function measured(bench: Bench, kind: 'types' | 'tests', words: readonly string[]): Promise<Stage> {
  const startedAt = Date.now();
  const outcome = await execute(bench.folder, words, BASELINE_PATIENCE_MS);
  if (outcome !== 'passed') throw new Error(`without any mutation this ${outcome}: ${words.join(' ')}`);
  return { kind, words, timeoutMs: Math.max(MIN_PATIENCE_MS, PATIENCE * (Date.now() - startedAt)) };
}

/** The quickest tests first: most mutations are noticed by several. */
async function stagesFor(bench: Bench, file: string, { specs, rest }: Pace): Promise<readonly Stage[]> {
  const took = (spec: string) => specs[spec] ?? 0;
  const tests = (await specsFor(bench.folder, file)).map((group): Stage => {
    const totalMs = group.reduce((sum, spec) => sum + took(spec), 0);
    return {
      kind: 'specs',
      specs: [...group].sort((a, b) => took(a) - took(b)),
      timeoutMs: Math.max(MIN_PATIENCE_MS, PATIENCE * totalMs),
    };
  });
  return [...tests, ...rest];
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
    if (shareOf(tally(ofFile)) < least) poor += 1;
    console.log(standing(file, ofFile));
  }
  const all = tally(results);
  console.log(`${percent(shareOf(all))}  all ${results.length}; ${poor} files are below ${percent(least).trim()}`);
  return poor === 0 ? 0 : 1;
}

/** The share killed of one file, in one line. */
function standing(file: string, results: readonly Result[]): string {
  const { killed, types, survived, equivalent } = tally(results.filter((result) => result.file === file));
  const share = percent(shareOf({ killed, types, survived, equivalent }));
  return `${share}  ${file}  (${killed} by tests, ${types} by types, ${survived} survived, ${equivalent} equivalent)`;
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
