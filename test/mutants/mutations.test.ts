import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect } from 'chai';
import { equivalents } from './equivalent.ts';
import { applied, mutationsOf } from './mutations.ts';

function changes(source: string): readonly string[] {
  return mutationsOf('example.ts', source).map((mutation) => applied(source, mutation));
}

describe('the mutations of a source file', () => {
  it('turn each comparison, and only its operator', () => {
    expect(changes('export const a = (b: number) => b < 2;')).to.include('export const a = (b: number) => b <= 2;');
    expect(changes('const x = "===" !== y;')).to.deep.equal(['const x = "===" === y;']);
  });

  it('turn logic, and take a fallback for the value', () => {
    expect(changes('const x = a && b;')).to.deep.equal(['const x = a || b;']);
    expect(changes('const x = a ?? b;')).to.deep.equal(['const x = b;']);
  });

  it('decide a condition both ways', () => {
    const made = changes('if (open(x)) go();');
    expect(made).to.include('if (true) go();');
    expect(made).to.include('if (false) go();');
  });

  it('leave out an effect, awaited or not', () => {
    expect(changes('await ledger.put(row);')).to.deep.equal([';']);
    expect(changes('wake();')).to.deep.equal([';']);
  });

  it('leave out what ends a function early', () => {
    expect(changes('function f() { return; }')).to.deep.equal(['function f() { ; }']);
  });

  it('change numbers, and methods that have an opposite', () => {
    expect(changes('const most = 5;')).to.deep.equal(['const most = 50;']);
    expect(changes('const x = Math.min(a, b);')).to.deep.equal(['const x = Math.max(a, b);']);
    expect(changes('const x = list.filter(f);')).to.deep.equal(['const x = list;']);
  });

  it('leave types and words alone', () => {
    expect(changes("type A = { readonly kind: 'a' }; const word = 'a < b';")).to.deep.equal([]);
  });

  it('know their line and its text', () => {
    const [mutation] = mutationsOf('example.ts', 'const a = b;\n  const c = d < e;\n');
    expect(mutation).to.include({ line: 2, code: 'const c = d < e;', from: '<', to: '<=' });
  });

  it('refuse what cannot be parsed', () => {
    expect(() => mutationsOf('example.ts', 'const = ;')).to.throw('example.ts cannot be parsed');
  });
});

describe('a mutation that changes nothing', () => {
  it('is listed for a line that is there', async () => {
    const root = join(import.meta.dirname, '..', '..');
    for (const { file, code } of equivalents) {
      const lines = (await readFile(join(root, file), 'utf8')).split('\n').map((line) => line.trim());
      expect(lines.includes(code), `${file}: ${code}`).to.equal(true);
    }
  });
});
