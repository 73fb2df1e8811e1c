import { execFile } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { expect } from 'chai';
import { type AdapterMutant, adapterMutants } from './adapter-mutants.ts';
import { type Bench, execute, openBench, type Stage } from './workshop.ts';

const ROOT = join(import.meta.dirname, '..', '..');
const SUITE = 'test/conformance/ali-eci.test.ts';
/** A mutant that hangs is noticed by mocha's own limit of a case. */
const PATIENCE_MS = 90_000;
/** The short form: those that cost a container or a job. MUTANTS=all tries every one (two minutes and more). */
const SHORT: ReadonlySet<string> = new Set([
  'takes a service that cannot be reached for "gone" in inspect by id',
  'reads a 403 as "gone"',
  'acts on whatever has the id, although its name is another',
  'shows the secret in base64 in a tag',
  'has a harness whose public traces are not of the instance',
]);

function mutated(source: string, { changes, what }: AdapterMutant): string {
  return changes.reduce((text, { search, replace }) => {
    if (text.split(search).length !== 2) throw new Error(`${what}: this must stand in the file once: ${search}`);
    return text.replace(search, () => replace);
  }, source);
}

const words = (cases: string): readonly string[] => [
  process.execPath,
  join(ROOT, 'node_modules', '.bin', 'mocha'),
  '--bail',
  SUITE,
  '--grep',
  `provider contract: ali-eci.*(${cases})`,
];

describe('the conformance suite notices an adapter that', function () {
  this.timeout(2 * PATIENCE_MS);
  let bench: Bench;

  before(async () => {
    const listed = ['ls-files', '--cached', '--others', '--exclude-standard'];
    const { stdout } = await promisify(execFile)('git', listed, { cwd: ROOT, maxBuffer: 64 * 1024 * 1024 });
    const wanted = /^(time|providers|simulators|test|dispatcher|package\.json|\.mocharc\.yaml|tsconfig\.json)/;
    bench = await openBench(
      ROOT,
      stdout.split('\n').filter((file) => wanted.test(file)),
    );
  });
  after(() => bench?.close());

  it('… is noticed for what was changed: unchanged, the same cases pass', async () => {
    const all = adapterMutants.map(({ cases }) => cases).join('|');
    expect(await execute(bench.folder, words(all), PATIENCE_MS)).to.equal('passed');
  });

  it('… is written so that it still applies', async () => {
    for (const mutant of adapterMutants) mutated(await readFile(join(ROOT, mutant.file), 'utf8'), mutant);
  });

  const tried =
    process.env['MUTANTS'] === 'all' ? adapterMutants : adapterMutants.filter(({ what }) => SHORT.has(what));
  for (const mutant of tried) {
    it(mutant.what, async () => {
      const original = await readFile(join(ROOT, mutant.file), 'utf8');
      const stage: Stage = { kind: 'tests', words: words(mutant.cases), timeoutMs: PATIENCE_MS };
      const verdict = await bench.judge(mutant.file, mutated(original, mutant), original, [stage]);
      expect(verdict).to.be.oneOf(['killed', 'timeout']);
    });
  }
});
