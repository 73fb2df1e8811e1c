import { expect } from 'chai';
import { formatPath, formatProblem, inReadingOrder, type Problem } from '../../dispatcher/model/problem.ts';

const problem = (some: Partial<Problem>): Problem => ({
  file: 'f.yaml',
  line: 2,
  column: 3,
  path: 'a[0].b',
  message: 'it is wrong',
  cure: 'Correct it.',
  ...some,
});

describe('a problem of the configuration in one line', () => {
  it('begins with its place, in the form that editors open', () => {
    expect(formatProblem(problem({}))).to.equal('f.yaml:2:3: a[0].b: it is wrong. Correct it.');
    expect(formatProblem(problem({ line: 1, column: 1, path: '' }))).to.equal('f.yaml:1:1: it is wrong. Correct it.');
    expect(formatProblem(problem({ line: 0, column: 0, path: '' }))).to.equal('f.yaml: it is wrong. Correct it.');
  });

  it('has a path as one would write it', () => {
    expect(formatPath(['backends', 0, 'options', 'image'])).to.equal('backends[0].options.image');
    expect(formatPath([])).to.equal('');
  });
});

describe('the problems of several files', () => {
  it('come file by file, from the first line to the last, and from left to right', () => {
    const inOrder = [
      problem({ file: 'a.yaml', line: 9 }),
      problem({ file: 'b.yaml', line: 2, column: 7 }),
      problem({ file: 'b.yaml', line: 10, column: 1 }),
      problem({ file: 'b.yaml', line: 10, column: 5 }),
      problem({ file: 'c.yaml', line: 1 }),
    ];
    for (const order of [
      [4, 3, 2, 1, 0],
      [2, 0, 4, 1, 3],
      [0, 1, 2, 3, 4],
    ]) {
      const shuffled = order.flatMap((index) => inOrder.slice(index, index + 1));
      expect(inReadingOrder(shuffled)).to.deep.equal(inOrder);
    }
  });
});
