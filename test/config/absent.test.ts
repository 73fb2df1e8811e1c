import { expect } from 'chai';
import { absentAmong } from '../../dispatcher/config/absent.ts';

describe('registrations that live runners belong to, and that do not serve', () => {
  it('are each told once, with all of their runners, and whether their file is there', () => {
    const live = [
      { registration: 'acme', count: 4 },
      { registration: 'gone', count: 2 },
      { registration: 'broken', count: 1 },
      { registration: 'gone', count: 3 },
    ];
    expect(
      absentAmong(live, [{ name: 'acme' }, { name: 'idle' }], [{ name: 'broken' }, { name: 'other' }]),
    ).to.deep.equal([
      { registration: 'gone', absence: 'removed', runners: 5 },
      { registration: 'broken', absence: 'set-aside', runners: 1 },
    ]);
  });

  it('are none where all of them serve, or no runner lives', () => {
    expect(absentAmong([{ registration: 'acme', count: 1 }], [{ name: 'acme' }], [])).to.deep.equal([]);
    expect(absentAmong([], [], [{ name: 'broken' }])).to.deep.equal([]);
  });
});
