import { readFileSync } from 'node:fs';
import { expect } from 'chai';
import { readLabel } from '../../dispatcher/labels/grammar.ts';
import { isCarriedOut, SPOT_MODES } from '../../dispatcher/labels/spot-mode.ts';
import { isFlag, READERS, WORD_OF } from '../../dispatcher/labels/values.ts';

const page = readFileSync(new URL('../../docs/labels.md', import.meta.url), 'utf8');
const readme = readFileSync(new URL('../../README.md', import.meta.url), 'utf8');

/** The examples in the last column of the table of overrides. */
const examples = [...page.matchAll(/^\| `[^|]*-[A-Z]+`[^|]*\|[^|]*\|(.*)\|$/gm)].flatMap(([, column = '']) =>
  [...column.matchAll(/`([^`]+)`/g)].map(([, label = '']) => label),
);

describe('docs/labels.md', () => {
  it('has examples to try', () => {
    expect(examples).to.have.length.of.at.least(15);
  });

  for (const word of new Set([...Object.values(WORD_OF), 'vsw'])) {
    it(`has a row for ${word}, and so has README.md`, () => {
      const label = isFlag(word) ? `\`${word}\`` : `\`${word}-[A-Z]+\``;
      expect(page).to.match(new RegExp(`^\\| [^|]*${label}`, 'm'));
      expect(readme).to.match(new RegExp(`^\\| [^|]*${label}`, 'm'));
    });
  }

  it('names every key of the one-label form', () => {
    const [, line = ''] = /^- Keys: (.*)$/m.exec(page) ?? [];
    const named = [...line.matchAll(/`([a-z]+)`/g)].map(([, key]) => key);
    // `image` and `subnet` are written out; `sid` is the first part.
    const other = new Set(['img', 'vsw', 'sid']);
    const keys = Object.keys(READERS).filter((key) => !other.has(key));
    expect(named).to.have.members([...keys, 'image', 'spot', 'dind']);
  });

  it('says of each spot mode what it does', () => {
    const section = page.split('## Spot capacity')[1]?.split('\n## ')[0] ?? '';
    for (const mode of SPOT_MODES) {
      const [row = ''] = new RegExp(`^\\| [^|]*\`spot-${mode}\`.*$`, 'm').exec(section) ?? [];
      expect(row.includes('refused'), mode).to.equal(!isCarriedOut(mode));
      expect(readLabel(`spot-${mode}`)).to.deep.include({ kind: 'override' });
    }
  });

  for (const label of examples) {
    it(`shows ${label} as it is read`, () => {
      expect(readLabel(label.replaceAll(/\$\{\{.*?\}\}/g, '123'))).to.include({ kind: 'override' });
    });
  }

  it('shows a one-label form that is read', () => {
    const [, label = ''] = /^runs-on: (shr=.*)$/m.exec(page) ?? [];
    const reading = readLabel(label.replaceAll(/\$\{\{.*?\}\}/g, '123'));
    expect(reading).to.deep.include({ kind: 'one-label', mistakes: [] });
  });
});
