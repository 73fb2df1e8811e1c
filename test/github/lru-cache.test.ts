import { expect } from 'chai';
import { LruCache } from '../../dispatcher/github/lru-cache.ts';

describe('what is kept of earlier answers', () => {
  const kept = (cache: LruCache<string>, keys: string) =>
    [...keys].filter((key) => cache.get(key) !== undefined).join('');

  it('is bounded by number: the one that was not used for the longest time goes', () => {
    const cache = new LruCache<string>(3);
    for (const key of 'abc') cache.set(key, key);
    expect(cache.get('a')).to.equal('a');
    cache.set('d', 'd');
    expect(cache.size).to.equal(3);
    expect(kept(cache, 'abcd')).to.equal('acd');
  });

  it('is bounded by weight: as many go as it takes', () => {
    const cache = new LruCache<string>(10, 100);
    for (const [key, weight] of [
      ['a', 40],
      ['b', 30],
      ['c', 30],
    ] as const) {
      cache.set(key, key, weight);
    }
    expect(kept(cache, 'abc')).to.equal('abc');
    cache.set('d', 'd', 60);
    expect(kept(cache, 'abcd')).to.equal('cd');
  });

  it('counts a value that was replaced once, with its new weight', () => {
    const cache = new LruCache<string>(10, 100);
    cache.set('a', 'old', 90);
    cache.set('a', 'new', 50);
    cache.set('b', 'b', 50);
    expect([cache.get('a'), cache.get('b'), cache.size]).to.deep.equal(['new', 'b', 2]);
  });

  it('does not take what is heavier than all of it, nor keeps what that would have replaced', () => {
    const cache = new LruCache<string>(10, 100);
    cache.set('a', 'a', 50);
    cache.set('b', 'old', 50);
    cache.set('b', 'new', 101);
    expect(kept(cache, 'ab')).to.equal('a');
    cache.set('c', 'c', 100);
    expect(kept(cache, 'abc')).to.equal('c');
  });
});
