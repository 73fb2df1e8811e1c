import { glob, readFile } from 'node:fs/promises';
import { expect } from 'chai';

/** Time and randomness come in as arguments, so that a whole dispatcher runs under a virtual clock. */
const FORBIDDEN =
  /\bDate\.now\b|\bnew Date\(\)|\bMath\.random\b|\bsetTimeout\b|\bsetInterval\b|\bAbortSignal\.timeout\b|\bperformance\.now\b|\brandomUUID\b|node:timers/;
const ALLOWED = new Set(['time/clock.ts']);

async function sources(): Promise<readonly string[]> {
  const files: string[] = [];
  for await (const file of glob('{time,dispatcher,providers}/**/*.ts')) files.push(file);
  return files.sort();
}

function withoutComments(source: string): string {
  return source.replaceAll(/\/\*[\s\S]*?\*\//g, '').replaceAll(/(^|\s)\/\/.*$/gm, '');
}

describe('the sources', () => {
  it('take time and randomness as arguments', async () => {
    const files = await sources();
    expect(files.length).to.be.greaterThan(40);
    const offenders: string[] = [];
    for (const file of files) {
      if (ALLOWED.has(file)) continue;
      const found = FORBIDDEN.exec(withoutComments(await readFile(file, 'utf8')));
      if (found !== null) offenders.push(`${file}: ${found[0]}`);
    }
    expect(offenders).to.deep.equal([]);
  });

  // W2: what must not be guessed is drawn from the one source of randomness, and that one is cryptographic.
  it('draw nothing from Math.random, not even where randomness is provided', async () => {
    const offenders: string[] = [];
    for (const file of await sources()) {
      if (/\bMath\.random\b/.test(withoutComments(await readFile(file, 'utf8')))) offenders.push(file);
    }
    expect(offenders).to.deep.equal([]);
  });

  it('have no file whose name says nothing', async () => {
    const empty = (await sources()).filter((file) => /\b(utils?|helpers?|common|manager|misc)\b/.test(file));
    expect(empty).to.deep.equal([]);
  });
});
