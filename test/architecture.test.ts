import { execFile } from 'node:child_process';
import { cp, glob, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { promisify } from 'node:util';
import { expect } from 'chai';
import { z } from 'zod';

async function sources(): Promise<readonly string[]> {
  const files: string[] = [];
  for await (const file of glob('{time,dispatcher,providers}/**/*.ts')) files.push(file);
  return files.sort();
}

const REPORT = z.object({
  diagnostics: z.array(z.object({ location: z.object({ path: z.string(), start: z.object({ line: z.number() }) }) })),
});

/** Where the linter, as this project sets it up, refuses something in these files: `path:line`. */
async function refusedIn(files: Readonly<Record<string, readonly string[]>>): Promise<readonly string[]> {
  const folder = await mkdtemp(join(tmpdir(), 'shr-lint-'));
  try {
    const { overrides } = z
      .looseObject({ overrides: z.unknown() })
      .parse(JSON.parse(await readFile('biome.json', 'utf8')));
    await writeFile(join(folder, 'biome.json'), JSON.stringify({ linter: { rules: { preset: 'none' } }, overrides }));
    await cp('test/lint', join(folder, 'test/lint'), { recursive: true });
    for (const [path, lines] of Object.entries(files)) {
      await mkdir(dirname(join(folder, path)), { recursive: true });
      await writeFile(join(folder, path), `${lines.join('\n')}\n`);
    }
    const biome = join(process.cwd(), 'node_modules/.bin/biome');
    const options = ['lint', '--reporter=json', '--max-diagnostics=none', '.'];
    // It exits with 1 when it has found something.
    const output = await promisify(execFile)(biome, options, { cwd: folder }).catch(
      (error: { stdout: string }) => error,
    );
    const { diagnostics } = REPORT.parse(JSON.parse(output.stdout));
    return diagnostics.map(({ location }) => `${location.path}:${location.start.line}`).sort();
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

describe('the sources', () => {
  // That they keep to it is the linter's to say (`npm run test:lint`); here, that it would.
  it('take time and randomness as arguments, or the linter refuses them', async () => {
    const real = [
      "import { randomUUID } from 'node:crypto';",
      "import { setTimeout as later } from 'node:timers/promises';",
      "import * as timers from 'node:timers';",
      'export const a = Date.now();',
      'export const b = [1].map(Date.now);',
      'export const c = new Date();',
      'export const d = AbortSignal.timeout(1);',
      'export const e = performance.now();',
      'export const f = crypto.randomUUID();',
      'export const g = setTimeout(() => {}, 1);',
      'export const h = setInterval(() => {}, 1);',
      'export const i = globalThis.setTimeout(() => {}, 1);',
      'export const j = Math.random;',
    ];
    const fine = ['// Date.now()', "export const a = 'Math.random()';", 'export const b = new Date(5);'];
    expect(
      await refusedIn({
        'dispatcher/jobs/real.ts': real,
        'providers/fine.ts': fine,
        'time/clock.ts': real,
        'test/x.test.ts': real,
      }),
    ).to.deep.equal(
      [...real.map((_, index) => `dispatcher/jobs/real.ts:${index + 1}`), `time/clock.ts:${real.length}`].sort(),
    );
  }).timeout(60_000);

  it('silence none of this', async () => {
    const silent: string[] = [];
    for (const file of await sources()) if (/biome-ignore/.test(await readFile(file, 'utf8'))) silent.push(file);
    expect(silent).to.deep.equal([]);
  });

  it('have no file whose name says nothing', async () => {
    const empty = (await sources()).filter((file) => /\b(utils?|helpers?|common|manager|misc)\b/.test(file));
    expect(empty).to.deep.equal([]);
  });
});
