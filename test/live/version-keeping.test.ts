import { expect } from 'chai';
import type { GoodVersion } from '../../dispatcher/live/last-good.ts';
import { VersionKeeping } from '../../dispatcher/live/version-keeping.ts';
import { registration } from '../registration-fixture.ts';
import { VirtualClock } from '../simulation/virtual-clock.ts';

describe('the last versions without problems', () => {
  let clock: VirtualClock;
  let kept: Map<string, string>;
  let attempts: number;
  let asideOf: readonly string[];
  let several: readonly (readonly [string, readonly string[]])[];
  let isFull: boolean;
  let logged: string[];
  let keeping: VersionKeeping;

  beforeEach(() => {
    clock = new VirtualClock(0);
    kept = new Map([['old', 'of a registration that is gone']]);
    attempts = 0;
    asideOf = [];
    several = [];
    isFull = false;
    logged = [];
    keeping = new VersionKeeping({
      clock,
      log: { info: (event) => void logged.push(event), warn: (event) => void logged.push(event) },
      versions: {
        keep: async (versions) => {
          attempts += 1;
          if (isFull) throw new Error('the disk is full');
          for (const { name, text } of versions) kept.set(name, text);
        },
        keepAside: async (names) => {
          asideOf = [...names];
        },
        keepSeveral: async (files) => {
          several = [...files];
        },
        keepOnly: async (names, isComplete) => {
          if (!isComplete) return;
          for (const name of [...kept.keys()]) if (!names.has(name)) kept.delete(name);
        },
      },
    });
  });
  afterEach(() => keeping.stop());

  const configuration = (...names: readonly string[]) => ({
    registrations: names.map((name) => registration({ name })),
    quarantined: [],
  });
  const read = (...good: readonly GoodVersion[]) => ({
    good,
    several: new Map([['/a.yaml', ['a']]]),
    isComplete: true,
  });

  it('are kept at once, and those of registrations that are gone deleted', async () => {
    await keeping.keep(read({ name: 'a', text: '1' }), configuration('a'));
    expect([...kept]).to.deep.equal([['a', '1']]);
    expect([attempts, logged]).to.deep.equal([1, []]);
  });

  it('are kept with the names of those that are set aside', async () => {
    const problems = [{ file: '', line: 0, column: 0, path: '', message: '', cure: '' }];
    const aside = ['b', 'acme.yaml Not-a-name'].map((name) => ({ name, file: '', problems, claims: undefined }));
    await keeping.keep(read(), { ...configuration('a'), quarantined: aside });
    expect(asideOf).to.deep.equal(['b']);
    expect(several).to.deep.equal([['/a.yaml', ['a']]]);
  });

  it('are tried again with growing pauses, without waiting for the next edit, and that is said once', async () => {
    isFull = true;
    await keeping.keep(read({ name: 'a', text: '1' }), configuration('a'));
    expect(attempts).to.equal(1);
    await clock.advance(60_000);
    expect(attempts).to.be.within(5, 8);
    isFull = false;
    await clock.advance(60_000);
    expect([...kept]).to.deep.equal([['a', '1']]);
    expect(logged).to.deep.equal(['versions-not-kept', 'versions-kept']);
    const before = attempts;
    await clock.advance(3_600_000);
    expect(attempts).to.equal(before);
  });

  it('are the latest of each, also of those that were read in between', async () => {
    isFull = true;
    await keeping.keep(read({ name: 'a', text: '1' }, { name: 'b', text: '1' }), configuration('a', 'b', 'c'));
    await keeping.keep(read({ name: 'a', text: '2' }), configuration('a', 'b', 'c'));
    isFull = false;
    await clock.advance(10_000);
    expect([...kept].sort()).to.deep.equal([
      ['a', '2'],
      ['b', '1'],
    ]);
  });

  it('of a registration that is removed meanwhile are not kept', async () => {
    isFull = true;
    await keeping.keep(read({ name: 'a', text: '1' }, { name: 'b', text: '1' }), configuration('a', 'b'));
    await keeping.keep(read(), configuration('a'));
    isFull = false;
    await clock.advance(10_000);
    expect([...kept]).to.deep.equal([['a', '1']]);
  });

  it('of registrations that may be where nothing could be read are kept', async () => {
    await keeping.keep({ ...read({ name: 'a', text: '1' }), isComplete: false }, configuration('a'));
    expect([...kept.keys()]).to.have.members(['old', 'a']);
    await keeping.keep(read(), configuration('a'));
    expect([...kept.keys()]).to.deep.equal(['a']);
  });

  it('are not tried after the stop', async () => {
    isFull = true;
    await keeping.keep(read({ name: 'a', text: '1' }), configuration('a'));
    await keeping.stop();
    await clock.advance(3_600_000);
    expect(attempts).to.equal(1);
  });
});
