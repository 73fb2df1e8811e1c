import { expect } from 'chai';
import { scheduledSize } from '../../dispatcher/lifecycle/standby/schedule.ts';

const HOUR = 3_600_000;

describe('the schedule of a standby pool', () => {
  const at = (text: string): number => Date.parse(text);

  it('gives the size of the first window that is open, in its own time zone', async () => {
    const size = scheduledSize({
      size: 1,
      schedule: [
        { cron: '0 8 * * 1-5', durationMs: 10 * HOUR, timeZone: 'Europe/Berlin', size: 5 },
        { cron: '0 8 * * *', durationMs: 13 * HOUR, timeZone: 'Europe/Berlin', size: 2 },
      ],
    });
    expect((await size(at('2026-11-30T06:59:59Z'))).size, 'before 8 in Berlin').to.equal(1);
    expect((await size(at('2026-11-30T07:00:00Z'))).size, 'at 8 on a Monday').to.equal(5);
    expect((await size(at('2026-11-30T07:00:42.500Z'))).size, 'in the middle of a minute').to.equal(5);
    expect((await size(at('2026-11-30T17:00:00Z'))).size, 'at 18').to.equal(2);
    expect((await size(at('2026-11-29T10:00:00Z'))).size, 'on a Sunday').to.equal(2);
  });

  it('follows the change of the clocks', async () => {
    const size = scheduledSize({
      size: 0,
      schedule: [{ cron: '0 8 * * *', durationMs: HOUR, timeZone: 'Europe/Berlin', size: 3 }],
    });
    expect((await size(at('2026-07-01T06:30:00Z'))).size, 'summer').to.equal(3);
    expect((await size(at('2026-12-01T07:30:00Z'))).size, 'winter').to.equal(3);
    expect((await size(at('2026-12-01T06:30:00Z'))).size).to.equal(0);
  });

  it('is the size itself where there is none', async () => {
    expect(await scheduledSize({ size: 4 })(0)).to.deep.equal({ size: 4, why: 'its `size`' });
  });
});
