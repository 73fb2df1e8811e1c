import { readFileSync } from 'node:fs';
import { expect } from 'chai';
import { readLabel } from '../../dispatcher/labels/grammar.ts';

const page = readFileSync(new URL('../../docs/labels.md', import.meta.url), 'utf8');

/** The examples in the last column of the table of overrides. */
const examples = [...page.matchAll(/^\| `[^|]*-[A-Z]+`[^|]*\|[^|]*\|(.*)\|$/gm)].flatMap(([, column = '']) =>
  [...column.matchAll(/`([^`]+)`/g)].map(([, label = '']) => label),
);

describe('docs/labels.md', () => {
  it('has examples to try', () => {
    expect(examples).to.have.length.of.at.least(15);
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
