import { expect } from 'chai';
import { isNotOffered, keyMeantBy } from '../../dispatcher/labels/keys.ts';

describe('the key that a word stands for', () => {
  for (const [word, key] of [
    ['cpu', 'cpu'],
    ['Cores', 'cpu'],
    ['memory_GiB', 'memory'],
    ['Docker in Docker', 'dind'],
    ['spot-instance', 'spot'],
    ['memroy', 'memory'],
    ['tmeout', 'timeout'],
    ['cpux', 'cpu'],
    ['cup', 'cpu'],
    ['igm', 'img'],
    ['vws', 'vsw'],
    ['sdi', 'sid'],
  ] as const) {
    it(`is ${key} for ${word}`, () => {
      expect(keyMeantBy(word)).to.equal(key);
    });
  }

  for (const word of ['web', 'cpx', 'gs', '']) {
    it(`is none for "${word}": short words are too close to one another`, () => {
      expect(keyMeantBy(word)).to.equal(undefined);
    });
  }

  for (const word of ['mems', 'simg', 'rams']) {
    it(`is none for "${word}", which is close to a word of three letters alone`, () => {
      expect(keyMeantBy(word)).to.equal(undefined);
    });
  }

  for (const word of ['gpu', 'GPUs', 'tpu', 'cuda']) {
    it(`is none for ${word}, which is not offered here`, () => {
      expect(isNotOffered(word)).to.equal(true);
      expect(keyMeantBy(word)).to.equal(undefined);
    });
  }
});
