import { readFile } from 'node:fs/promises';
import { expect } from 'chai';

const root = new URL('../../', import.meta.url);

describe('docs/security.md', () => {
  it('names tests that are there, by file and title', async () => {
    const page = await readFile(new URL('docs/security.md', root), 'utf8');
    const claims = [...page.matchAll(/`(test\/[\w./-]+\.ts)` ((?:"[^"]+"(?:, )?)+)/g)];
    expect(claims.length).to.be.greaterThan(25);
    const missing: string[] = [];
    for (const [, file = '', titles = ''] of claims) {
      const source = await readFile(new URL(file, root), 'utf8').catch(() => '');
      for (const [, title = ''] of titles.matchAll(/"([^"]+)"/g)) {
        if (!source.includes(title)) missing.push(`${file}: ${title}`);
      }
    }
    expect(missing).to.deep.equal([]);
  });

  it('has a test, or the name of who promises it, in every line of its tables', async () => {
    const page = await readFile(new URL('docs/security.md', root), 'utf8');
    const lines = page.split('\n').filter((line) => line.startsWith('| ') && !line.includes('held by'));
    const bare = lines.filter((line) => !line.includes('`test/') && !line.includes('own permissions'));
    expect(lines.length).to.be.greaterThan(20);
    expect(bare).to.deep.equal([]);
  });
});
