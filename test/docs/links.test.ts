import { existsSync, globSync, readFileSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { expect } from 'chai';

const ROOT = join(import.meta.dirname, '..', '..');

describe('the links between pages', () => {
  for (const page of globSync('{*,docs/**/*,providers/**/*,test/**/*,.github/**/*}.md', { cwd: ROOT }).sort()) {
    it(`of ${page} lead to files that exist`, () => {
      const text = readFileSync(join(ROOT, page), 'utf8').replaceAll(/```[\s\S]*?```/g, '');
      const broken = [...text.matchAll(/\]\(([^)\s#]+)(?:#[^)]*)?\)/g)]
        .map(([, target = '']) => target)
        .filter((target) => !/^[a-z]+:/.test(target) && !existsSync(join(ROOT, dirname(page), target)));
      expect(broken).to.deep.equal([]);
    });
  }
});

describe('the pages that code names', () => {
  it('exist', () => {
    const broken = globSync('{time,dispatcher,providers,simulators}/**/*.ts', { cwd: ROOT })
      .sort()
      .flatMap((file) =>
        [...readFileSync(join(ROOT, file), 'utf8').matchAll(/\b(?:docs|providers)\/[\w/-]+\.md\b/g)]
          .filter(([target]) => !existsSync(join(ROOT, target)))
          .map(([target]) => `${file}: ${target}`),
      );
    expect(broken).to.deep.equal([]);
  });
});

describe('the decisions', () => {
  it('have each a number of its own', () => {
    const numbers = globSync('docs/decisions/[0-9]*.md', { cwd: ROOT }).map((page) => basename(page).slice(0, 4));
    expect(numbers.filter((number, index) => numbers.indexOf(number) !== index)).to.deep.equal([]);
    expect(numbers).to.not.be.empty;
  });
});
