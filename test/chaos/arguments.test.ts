import { expect } from 'chai';
import { type Experiments, helpText, readArguments } from './arguments.ts';
import { type Experiment, inWords, isReached } from './experiment.ts';
import { experiments } from './experiments.ts';

const storm: Experiment<'jobs'> = {
  title: 'a storm',
  sizes: { jobs: { default: 30, least: 3, what: 'jobs' } },
  run: () => Promise.resolve([]),
};
const two: Experiments = { storm, calm: { ...storm, title: 'a calm' } };

function planned(...args: readonly string[]) {
  const asked = readArguments(args, two);
  if (asked.kind !== 'run') throw new Error(JSON.stringify(asked));
  return asked.planned.map(({ name, sizes }) => [name, sizes]);
}

describe('what the chaos command is asked for', () => {
  it('is everything at its default size, when nothing is said', () => {
    expect(planned()).to.deep.equal([
      ['storm', { jobs: 30 }],
      ['calm', { jobs: 30 }],
    ]);
  });

  it('is what is named, in that order, at the sizes given', () => {
    expect(planned('--only', 'calm,storm', '--storm-jobs', '3')).to.deep.equal([
      ['calm', { jobs: 30 }],
      ['storm', { jobs: 3 }],
    ]);
  });

  for (const [reason, ...args] of [
    ['There is no experiment "clam"', '--only', 'clam'],
    ['There is no experiment "toString"', '--only', 'toString'],
    ['--storm-jobs takes a whole number from 3, not "2"', '--storm-jobs', '2'],
    ['--storm-jobs takes a whole number from 3, not "many"', '--storm-jobs', 'many'],
    ['--jobs', '--jobs', '3'],
    ['storm', 'storm'],
  ] as const) {
    it(`is refused: ${args.join(' ')}`, () => {
      const asked = readArguments(args, two);
      expect(asked.kind).to.equal('wrong');
      expect(asked.kind === 'wrong' && asked.reason).to.contain(reason);
    });
  }

  it('is explained with every experiment and every size', () => {
    expect(readArguments(['--help', '--only', 'storm'], two)).to.deep.equal({ kind: 'help' });
    const help = helpText(experiments);
    for (const [name, { title, sizes }] of Object.entries(experiments)) {
      expect(help).to.contain(title);
      for (const size of Object.keys(sizes)) expect(help).to.contain(`--${name}-${size} N`);
    }
  });
});

describe('the outcome of an experiment', () => {
  it('is one line with each figure and the one to reach', () => {
    const reached = { what: 'all jobs done after', value: 12.345, most: 30, unit: 's' };
    expect(inWords('storm', [reached])).to.match(/^ok +storm +all jobs done after 12\.35 s \(at most 30 s\)$/);
    const missed = { what: 'jobs that ran twice', value: 1, most: 0 };
    expect(inWords('storm', [reached, missed])).to.match(
      /^MISSED +storm .*; jobs that ran twice 1 \(at most 0\) MISSED$/,
    );
  });

  it('is a miss where nothing could be measured', () => {
    expect(isReached({ what: 'share', value: Number.NaN, most: 1 })).to.equal(false);
  });
});
