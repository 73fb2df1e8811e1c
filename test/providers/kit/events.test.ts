import { expect } from 'chai';
import { failingEvent } from '../../../providers/kit/events.ts';

const read = ([type, words]: readonly [string, string]) => ({ warning: type === 'Warning', words });

describe('the event that tells of a failure', () => {
  it('is the last warning, even if other events follow', () => {
    const warning = ['Warning', 'Something odd'] as const;
    expect(failingEvent([['Normal', 'Failed: x'], warning, ['Normal', 'Started']], read)).to.equal(warning);
  });

  for (const words of [
    'FailedMount: mount error(2): Permission denied',
    'ErrImagePull: manifest unknown',
    'Killing: it',
  ]) {
    it(`is one that says "${words}", without a warning`, () => {
      expect(
        failingEvent(
          [
            ['Normal', words],
            ['Normal', 'Pulled: Successfully pulled image'],
          ],
          read,
        )?.[1],
      ).to.equal(words);
    });
  }

  it('is undefined where there was no warning', () => {
    const good = [
      'Pulling: pulling image',
      'Pulled: Successfully pulled image',
      'Created: Created container',
      'Started',
    ];
    expect(
      failingEvent(
        good.map((words) => ['Normal', words] as const),
        read,
      ),
    ).to.equal(undefined);
    expect(failingEvent([], read)).to.equal(undefined);
  });
});
