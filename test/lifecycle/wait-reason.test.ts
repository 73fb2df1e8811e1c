import { expect } from 'chai';
import { type Obstacles, waitReason } from '../../dispatcher/lifecycle/wait-reason.ts';

const roomy = { count: 0, draining: 0, max: 10 };
const free: Obstacles = {
  configured: true,
  github: undefined,
  closed: undefined,
  own: undefined,
  registration: roomy,
  dispatcher: roomy,
  backends: [{ name: 'docker', ...roomy, launching: false }],
  launches: { count: 0, max: 5 },
};
const full = { count: 10, draining: 0, max: 10 };

/** In the order of precedence: each is the reason while nothing above it is. */
const table: readonly (readonly [what: string, obstacle: Partial<Obstacles>, words: string])[] = [
  ['no configuration', { configured: false }, 'its registration is not in the configuration'],
  ['a maintenance window', { maintenance: 'until 11:00 UTC' }, 'until 11:00 UTC'],
  ["GitHub's refusal", { github: 'GitHub answers 503' }, 'GitHub answers 503'],
  [
    'closed backends',
    { closed: [{ backend: 'docker', reason: 'no such image' }] },
    'no backend can be tried now (docker: no such image)',
  ],
  ["the lane's own pause", { own: 'the next follows at 10:41 UTC' }, 'the next follows at 10:41 UTC'],
  ["the registration's cap", { registration: full }, 'the registration is at its cap of 10 runners'],
  ['launches a minute', { rate: 'at most 2 runners a minute' }, 'at most 2 runners a minute'],
  ["the dispatcher's cap", { dispatcher: full }, 'the dispatcher is at its cap of 10 runners'],
  ['launches under way', { launches: { count: 5, max: 5 } }, '5 launches are under way, the limit'],
  [
    "the backends' caps",
    {
      backends: [
        { name: 'docker', ...full, launching: false },
        { name: 'eci', ...roomy, launching: true },
      ],
    },
    'docker is at its cap of 10 runners; eci takes no more launches at once',
  ],
];

describe('the reason why a lane waits', () => {
  for (const [index, [what, obstacle, words]] of table.entries()) {
    it(`is ${what}, whatever follows it in the order`, () => {
      expect(waitReason({ ...free, ...obstacle })).to.equal(words);
      const later = table.slice(index).map(([, other]) => other);
      expect(waitReason(Object.assign({}, free, ...later.reverse()))).to.equal(words);
    });
  }

  it('is its place in the line when nothing is in its way', () => {
    expect(waitReason(free)).to.equal('next in line');
  });

  it('says once what is alike on several backends', () => {
    const closed = [
      { backend: 'docker', reason: 'the ledger is new' },
      { backend: 'eci', reason: 'quota' },
      { backend: 'aci', reason: 'the ledger is new' },
    ];
    expect(waitReason({ ...free, closed })).to.equal(
      'no backend can be tried now (docker, aci: the ledger is new; eci: quota)',
    );
  });

  // X5
  it('says how many of those that fill a cap are being taken down, and until when', () => {
    expect(waitReason({ ...free, registration: { ...full, draining: 7 } }, '10:41 UTC')).to.equal(
      'the registration is at its cap of 10 runners: 7 of them are being taken down, the first of them is expected to be gone by 10:41 UTC',
    );
  });

  it('is that no backend serves it, where none is configured for it', () => {
    expect(waitReason({ ...free, closed: [] })).to.equal('no backend serves it');
  });

  it('is not a full backend beside one that has room', () => {
    const backends = [
      { name: 'docker', ...full, launching: false },
      { name: 'eci', ...roomy, launching: false },
    ];
    expect(waitReason({ ...free, backends })).to.equal('next in line');
  });

  it('uses the singular for one runner', () => {
    const registration = { count: 1, draining: 1, max: 1 };
    expect(waitReason({ ...free, registration })).to.equal(
      'the registration is at its cap of 1 runner: 1 of them is being taken down',
    );
  });
});
