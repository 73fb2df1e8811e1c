import { expect } from 'chai';
import { fileProblem } from '../../dispatcher/config/files.ts';

describe('why a file could not be read', () => {
  for (const [what, thrown, message] of [
    [
      'a failure of the disk',
      Object.assign(new Error('EIO: i/o error, read'), { code: 'EIO' }),
      'EIO: i/o error, read',
    ],
    ['an error without a code', new Error('the volume is gone'), 'the volume is gone'],
    ['a text', 'the volume is gone', 'the volume is gone'],
    ['nothing', null, 'null'],
  ] as const) {
    it(`is described by the system’s own message where it is not a usual one: ${what}`, () => {
      expect(fileProblem(thrown)).to.deep.equal({ message, cure: 'Check the file and its disk.' });
    });
  }
});
