#!/usr/bin/env node
/** `npm run sim`: runs seeds, and prints those whose world did not end well. */
import { parseArgs } from 'node:util';
import { isFault } from './faults.ts';
import { type Outcome, runSeed } from './run.ts';
import type { ScenarioOverrides } from './scenario.ts';

const HELP = `Runs the dispatcher in seeded, faulty worlds under a virtual clock.

  npm run sim -- --seeds N [--from N]   runs N seeds (default 200), the first of them --from (default 1)
  npm run sim -- --seed N               runs one seed, and tells the story of each violation
  npm run sim -- --seed N --trace       prints the whole history of one seed
                        --about NAME    … only the lines about this job or runner (job-7, sim-01k…)
                        --calm        … in a world where nothing goes wrong
                        --crash-at C  … with no crash but one, at the C-th call of a port
                        --fault F=S   … with fault F (see faults.ts) on the share S of its occasions; also with --seeds
                        --lose-ledger … starting anew with an empty ledger once; also with --seeds
                        --lose-power  … with a machine that loses its power now and then; also with --seeds
                        --observe     … with a first tenant that only observes; also with --seeds
                        --reserve     … with three of four runners reserved for the first one; also with --seeds
                        --forks       … with runs whose code comes from forks; also with --seeds
  npm run sim -- --help

Exit code 0: every invariant held. 1: some did not; the last line says how to see one of them again.`;

function wholeNumber(text: string, name: string): number {
  if (!/^\d+$/.test(text)) throw new Error(`--${name} takes a whole number, not "${text}"`);
  return Number(text);
}

function readFault(text: string): [string, number] {
  const [name, share] = text.split('=');
  if (name === undefined || !isFault(name) || !(Number(share) >= 0 && Number(share) <= 1)) {
    throw new Error(`--fault takes a fault and its share, such as staleBusy=0.5, not "${text}"`);
  }
  return [name, Number(share)];
}

function describe(outcome: Outcome): string {
  const counts = Object.entries(outcome.counts).map(([name, value]) => `${value} ${name}`);
  return `seed ${outcome.seed}: ${counts.join(', ')}; ${outcome.fingerprint.slice(0, 12)}`;
}

function tell(outcome: Outcome, withStory: boolean): void {
  for (const violation of outcome.violations) {
    const line = { atMs: violation.atMs, part: 'world', subjects: [], text: `${violation.rule}: ${violation.what}` };
    console.log(outcome.history.format(line));
    if (withStory) for (const told of violation.story) console.log(`    ${outcome.history.format(told)}`);
  }
}

async function main(): Promise<number> {
  const { values } = parseArgs({
    options: {
      seeds: { type: 'string', default: '200' },
      from: { type: 'string', default: '1' },
      seed: { type: 'string' },
      trace: { type: 'boolean', default: false },
      about: { type: 'string' },
      calm: { type: 'boolean', default: false },
      'crash-at': { type: 'string' },
      fault: { type: 'string', multiple: true, default: [] },
      'lose-ledger': { type: 'boolean', default: false },
      'lose-power': { type: 'boolean', default: false },
      observe: { type: 'boolean', default: false },
      reserve: { type: 'boolean', default: false },
      forks: { type: 'boolean', default: false },
      help: { type: 'boolean', default: false },
    },
  });
  if (values.help) {
    console.log(HELP);
    return 0;
  }
  const overrides: ScenarioOverrides = {
    rates: Object.fromEntries(values.fault.map(readFault)),
    losesLedger: values['lose-ledger'],
    losesPower: values['lose-power'],
    observes: values.observe,
    reserves: values.reserve,
    forks: values.forks,
  };
  if (values.seed !== undefined) {
    const crashAt = values['crash-at'];
    const outcome = await runSeed(wholeNumber(values.seed, 'seed'), {
      ...overrides,
      calm: values.calm,
      ...(crashAt === undefined ? {} : { noCrashes: true, firstCrashAtCall: wholeNumber(crashAt, 'crash-at') }),
    });
    const { about } = values;
    if (values.trace) {
      for (const line of outcome.history.lines) {
        if (about === undefined || line.subjects.includes(about)) console.log(outcome.history.format(line));
      }
    }
    tell(outcome, !values.trace);
    console.log(describe(outcome));
    return outcome.violations.length === 0 ? 0 : 1;
  }
  const count = wholeNumber(values.seeds, 'seeds');
  const from = wholeNumber(values.from, 'from');
  const failing: number[] = [];
  for (let seed = from; seed < from + count; seed += 1) {
    const outcome = await runSeed(seed, overrides);
    if (outcome.violations.length === 0) continue;
    failing.push(seed);
    console.log(describe(outcome));
    tell(outcome, false);
  }
  const [first] = failing;
  if (first === undefined) {
    console.log(`${count} seeds from ${from}: every invariant held`);
    return 0;
  }
  console.log(`${failing.length} of ${count} seeds failed: ${failing.join(' ')}`);
  console.log(`replay: npm run sim -- --seed ${first} --trace`);
  return 1;
}

try {
  process.exitCode = await main();
} catch (error) {
  console.error(error instanceof Error ? error.message : error);
  process.exitCode = 2;
}
