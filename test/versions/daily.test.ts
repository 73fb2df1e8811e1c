import { expect } from 'chai';
import { getTasks, schedule } from 'node-cron';
import { daily } from '../../dispatcher/versions/daily.ts';

describe('what is done daily', () => {
  it('is scheduled, and no more once it was ended, even while the schedule is being made', async () => {
    const failures: unknown[] = [];
    const before = getTasks().size;
    const ends = [1, 2].map(() =>
      daily(
        () => {},
        (error) => failures.push(error),
      ),
    );
    ends[0]?.();
    while (getTasks().size === before) await new Promise(setImmediate);
    await new Promise(setImmediate);
    expect(getTasks().size, 'the other one').to.equal(before + 1);
    ends[1]?.();
    await new Promise(setImmediate);
    expect(getTasks().size).to.equal(before);
    expect(failures).to.deep.equal([]);
  });

  it('has a time that the package understands', () => {
    const task = schedule('23 4 * * *', () => {}, { timezone: 'Etc/UTC' });
    const next = task.getNextRun();
    void task.destroy();
    expect(next?.getUTCHours()).to.equal(4);
    expect(next?.getUTCMinutes()).to.equal(23);
  });
});
