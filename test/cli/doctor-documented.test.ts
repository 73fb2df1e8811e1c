import { readdirSync, readFileSync } from 'node:fs';
import { expect } from 'chai';

const root = new URL('../../', import.meta.url);
const read = (path: string): string => readFileSync(new URL(path, root), 'utf8');

/** The subject of each `good(…)`, `note(…)` and `bad(…)`: its second argument. */
const subjects = new Set(
  readdirSync(new URL('dispatcher/cli/doctor/', root))
    .map((name) => read(`dispatcher/cli/doctor/${name}`))
    .flatMap((text) => [...text.matchAll(/\b(?:good|note|bad)\(\s*[^,()]+,\s*'([^']+)'/g)])
    .map(([, subject = '']) => subject),
);

describe('docs/operations.md', () => {
  const [, below = ''] = read('docs/operations.md').split('\n## Is everything ready?\n');
  const columns = [...(below.split('\n## ')[0] ?? '').matchAll(/^\| (.*?) \|/gm)].map(([, column = '']) => column);

  it('has many findings of shr doctor to explain', () => {
    expect(subjects.size).to.be.at.least(12);
  });

  for (const subject of subjects) {
    it(`has a row for the finding ${subject}`, () => {
      expect(columns.join('\n')).to.include(`\`${subject}\``);
    });
  }
});
